/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Changes of devices while their guest runs, or is paused. Each is done when its handler returns: the
 * models take their locks for it. What came of it is kept in the configuration, too, so that GET
 * /vm/config tells how the machine is, not how it was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_net.h"
#include "vmm/api/api_impl.h"
#include "vmm/api/resource.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/util/bits.h"
#include "vmm/virtio_set.h"

/* The id of the body must be that of the path. */
static int check_same_id(const struct api_call *call, const char *name, struct err *e)
{
	const char *id = json_string_value(json_object_get(call->body, name));

	if (!id || strcmp(id, call->id) != 0)
		return err_set(
			e, -EINVAL, "%s: expected the id of the path, \"%s\"", name, call->id);
	return 0;
}

/* A field that is not null. */
static const json_t *given(const json_t *body, const char *name)
{
	const json_t *v = json_object_get(body, name);

	return json_is_null(v) ? NULL : v;
}

static int read_limit(
	const struct api_call *call, const char *name, struct ratelimit_config *l, struct err *e)
{
	const json_t *v = given(call->body, name);
	int r = v ? resource_limit(l, v, e) : 0;

	return r ? err_key(e, r, name) : 0;
}

/* ---- drives ---- */

static int set_path(struct disk_config *d, struct virtio_blk *blk, const json_t *v, struct err *e)
{
	const char *path = json_string_value(v);
	char *copy;
	int r;

	if (!path)
		return err_set(e, -EINVAL, "\"path_on_host\": expected a string");
	copy = strdup(path);
	if (!copy)
		return err_set(e, -ENOMEM, "Out of memory.");
	r = virtio_blk_set_path(blk, path, e);
	if (r) {
		free(copy);
		if (r == -EACCES && sandbox_limits_paths())
			err_hint(e, r,
				"or the sandbox keeps it out: since the start only files in the "
				"folders of the drives' files can be opened, and what --allow-path "
				"of nacre api names");
		return err_key(e, r, "path_on_host");
	}
	free(d->path);
	d->path = copy;
	return 0;
}

int api_patch_drive(struct api_call *call, struct err *e)
{
	static const char *const names[] = { "drive_id", "path_on_host", "rate_limiter", NULL };
	struct config *c = &call->api->config;
	const json_t *path = given(call->body, "path_on_host");
	const json_t *limits = given(call->body, "rate_limiter");
	struct ratelimit_config limit;
	struct disk_config *d;
	struct virtio_blk *blk;
	int r = api_only_fields(call->body, names, e), i;

	if (!r)
		r = check_same_id(call, names[0], e);
	if (r)
		return r;
	i = resource_find(c, "drives", call->id);
	blk = i < 0 ? NULL : virtio_set_disk(machine_virtio(call->api->machine), (uint32_t)i);
	if (!blk)
		return err_set(e, -ENOENT, "There is no drive \"%s\".", call->id);
	d = (struct disk_config *)c->disks.items + i;
	limit = d->limit;
	/* Checked first, since the file is what cannot be taken back. */
	if (limits)
		r = read_limit(call, "rate_limiter", &limit, e);
	if (!r && limits)
		r = ratelimit_check(&limit, e);
	if (!r && path)
		r = set_path(d, blk, path, e);
	if (!r && limits)
		r = virtio_blk_set_limit(blk, &limit, e);
	if (!r)
		d->limit = limit;
	return r;
}

/* ---- network interfaces ---- */

int api_patch_net(struct api_call *call, struct err *e)
{
	static const char *const names[] = { "iface_id", "rx_rate_limiter", "tx_rate_limiter",
		NULL };
	struct config *c = &call->api->config;
	struct ratelimit_config rx, tx;
	struct net_config *n;
	struct virtio_net *nic;
	int r = api_only_fields(call->body, names, e), i;

	if (!r)
		r = check_same_id(call, names[0], e);
	if (r)
		return r;
	i = resource_find(c, "network-interfaces", call->id);
	nic = i < 0 ? NULL : virtio_set_net(machine_virtio(call->api->machine), (uint32_t)i);
	if (!nic)
		return err_set(e, -ENOENT, "There is no network interface \"%s\".", call->id);
	n = (struct net_config *)c->nets.items + i;
	rx = n->rx_limit;
	tx = n->tx_limit;
	r = read_limit(call, names[1], &rx, e);
	if (!r)
		r = read_limit(call, names[2], &tx, e);
	if (!r)
		r = virtio_net_set_limits(nic, &rx, &tx, e);
	if (r)
		return r;
	n->rx_limit = rx;
	n->tx_limit = tx;
	return 0;
}

/* ---- the balloon ---- */

/* The balloon, and the one number that the body has. NULL and a sentence when either is missing. */
static struct virtio_balloon *balloon_and_number(
	struct api_call *call, const char *name, uint64_t *n, struct err *e)
{
	const char *const names[] = { name, NULL };
	const json_t *v = json_object_get(call->body, name);
	struct virtio_balloon *b = virtio_set_balloon(machine_virtio(call->api->machine));

	if (!b)
		err_set(e, -ENOENT, "There is no balloon.");
	else if (api_only_fields(call->body, names, e))
		return NULL;
	else if (!json_is_integer(v) || json_integer_value(v) < 0 ||
		 json_integer_value(v) > UINT32_MAX)
		err_set(e, -EINVAL, "%s: expected an integer from 0 to %u", name, UINT32_MAX);
	else {
		*n = (uint64_t)json_integer_value(v);
		return b;
	}
	return NULL;
}

int api_patch_balloon(struct api_call *call, struct err *e)
{
	uint64_t mib;
	struct virtio_balloon *b = balloon_and_number(call, "amount_mib", &mib, e);
	struct balloon_options *o = call->api->config.balloon.items;
	int r = b ? virtio_balloon_set_target(b, mib << 20, e) : -EINVAL;

	if (!r)
		o->size_mib = mib;
	return r;
}

int api_patch_balloon_stats(struct api_call *call, struct err *e)
{
	uint64_t seconds;
	struct virtio_balloon *b =
		balloon_and_number(call, "stats_polling_interval_s", &seconds, e);
	struct balloon_options *o = call->api->config.balloon.items;
	int r = b ? virtio_balloon_set_interval(b, (uint32_t)seconds, e) : -EINVAL;

	if (!r)
		o->stats_seconds = (uint32_t)seconds;
	return r;
}

/* Those that the guest told, by the names of the API. */
static const char *const stat_names[BALLOON_STATS] = {
	[BALLOON_SWAP_IN] = "swap_in",
	[BALLOON_SWAP_OUT] = "swap_out",
	[BALLOON_MAJOR_FAULTS] = "major_faults",
	[BALLOON_MINOR_FAULTS] = "minor_faults",
	[BALLOON_FREE] = "free_memory",
	[BALLOON_TOTAL] = "total_memory",
	[BALLOON_AVAILABLE] = "available_memory",
	[BALLOON_CACHES] = "disk_caches",
	[BALLOON_HUGE_ALLOCATED] = "hugetlb_allocations",
	[BALLOON_HUGE_FAILED] = "hugetlb_failures",
	[BALLOON_OOM_KILLS] = "oom_kill",
	[BALLOON_ALLOC_STALLS] = "alloc_stall",
	[BALLOON_ASYNC_SCANNED] = "async_scan",
	[BALLOON_DIRECT_SCANNED] = "direct_scan",
	[BALLOON_ASYNC_RECLAIMED] = "async_reclaim",
	[BALLOON_DIRECT_RECLAIMED] = "direct_reclaim",
};

int api_get_balloon_stats(struct api_call *call, struct err *e)
{
	const struct virtio_balloon_state *s;
	struct virtio_balloon_state state;
	struct virtio_balloon *b = virtio_set_balloon(machine_virtio(call->api->machine));
	unsigned int i;
	int bad = 0;

	if (!b)
		return err_set(e, -ENOENT, "There is no balloon.");
	if (!config_balloon(&call->api->config)->stats_seconds)
		return err_set(e, -EINVAL,
			"The balloon was made without statistics (stats_polling_interval_s).");
	virtio_balloon_get(b, &state);
	s = &state;
	call->json = json_pack("{s:I, s:I, s:I, s:I}", "target_pages",
		(json_int_t)(s->target / PAGE_SIZE), "actual_pages",
		(json_int_t)(s->actual / PAGE_SIZE), "target_mib", (json_int_t)(s->target >> 20),
		"actual_mib", (json_int_t)(s->actual >> 20));
	for (i = 0; i < BALLOON_STATS; i++)
		if (s->known & BIT(i))
			bad |= json_object_set_new(
				call->json, stat_names[i], json_integer((json_int_t)s->stats[i]));
	return !call->json || bad ? err_set(e, -ENOMEM, "Out of memory.") : 0;
}
