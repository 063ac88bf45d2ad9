/* SPDX-License-Identifier: Apache-2.0 */

/* What is said of disks, the balloon and the sockets. Network devices: config_net.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio_vsock.h"
#include "devices/vsock_unix.h"
#include "vmm/config_impl.h"
#include "vmm/util/fd.h"
#include "vmm/util/text.h"

#define PARTUUID_MAX 64
#define SERIAL_MAX   20 /* virtio 1.2, 5.2.6: the bytes of an id */

static const char *const cache_names[] = { "writeback", "unsafe", "direct" };
static const char *const engine_names[] = { "auto", "io_uring", "aio", "sync" };

_Static_assert(sizeof(enum blk_cache) == sizeof(uint32_t), "enum blk_cache");
_Static_assert(sizeof(enum blk_engine) == sizeof(uint32_t), "enum blk_engine");

/* The first is the one that needs no name; all others are 0 or NULL while not given. */
#define DISK(field) OPTION_FIELD(struct disk_config, field)
static const struct option_def disk_defs[] = {
	{ .name = "path", FILE_ARG, DISK(path), .help = "Raw image or block device" },
	{ .name = "readonly",
		DISK(read_only),
		.type = OPTION_FLAG,
		.help = "The guest cannot write" },
	{ .name = "cache", DISK(cache), NAMES(cache_names), .help = "How the host caches" },
	{ .name = "engine",
		DISK(engine),
		NAMES(engine_names),
		.help = "How requests are carried out" },
	{ .name = "serial",
		DISK(serial),
		.type = OPTION_STRING,
		.max = SERIAL_MAX,
		.help = "What the guest sees as the disk's serial number" },
	{ .name = "bandwidth",
		DISK(limit.bandwidth),
		.type = OPTION_RATE,
		.max = RATE_MAX,
		.unit = "bytes a second",
		.help = "Limit of the bytes read and written" },
	{ .name = "iops",
		DISK(limit.ops),
		.type = OPTION_RATE,
		.max = RATE_MAX,
		.unit = "requests a second",
		.help = "Limit of the requests" },
	{ .name = "id",
		DISK(id),
		.type = OPTION_STRING,
		.min = 1,
		.max = CONFIG_ID_MAX,
		.help = "What the API calls it" },
	{ .name = "root",
		DISK(root),
		.type = OPTION_FLAG,
		.help = "The kernel's root file system is on it" },
	{ .name = "partuuid",
		DISK(partuuid),
		.type = OPTION_STRING,
		.min = 1,
		.max = PARTUUID_MAX,
		.help = "The partition of it that has the root file system" },
};

const struct option_table config_disk_table = { disk_defs, ARRAY_SIZE(disk_defs) };

#define STATS_SECONDS_MAX 86400
#define BALLOON(field)	  OPTION_FIELD(struct balloon_options, field)
static const struct option_def balloon_defs[] = {
	{ .name = "size",
		BALLOON(size_mib),
		.type = OPTION_INTEGER,
		.max = MEM_MIB_MAX,
		.unit = "MiB",
		.help = "Memory that the guest shall give up to begin with" },
	{ .name = "deflate-on-oom",
		BALLOON(deflate_on_oom),
		.type = OPTION_FLAG,
		.help = "The guest may take memory back when it has no other" },
	{ .name = "reporting",
		BALLOON(reporting),
		.type = OPTION_FLAG,
		.help = "The guest reports free pages all the time" },
	{ .name = "stats",
		BALLOON(stats_seconds),
		.type = OPTION_INTEGER,
		.max = STATS_SECONDS_MAX,
		.unit = "seconds",
		.help = "How often the guest shall tell about its memory" },
};

const struct option_table config_balloon_table = { balloon_defs, ARRAY_SIZE(balloon_defs) };

#define VSOCK(field) OPTION_FIELD(struct vsock_config, field)
static const struct option_def vsock_defs[] = {
	{ .name = "cid",
		VSOCK(cid),
		.type = OPTION_INTEGER,
		.min = VSOCK_CID_MIN,
		.max = VSOCK_CID_MAX,
		.help = "The guest's context id" },
	{ .name = "path",
		VSOCK(path),
		.type = OPTION_PATH,
		.min = 1,
		.max = VSOCK_PATH_MAX,
		.arg = "SOCKET",
		.help = "Unix socket to make for the host's programs, which use AF_VSOCK without "
			"it" },
};

const struct option_table config_vsock_table = { vsock_defs, ARRAY_SIZE(vsock_defs) };

const struct balloon_options *config_balloon(const struct config *c)
{
	return c->balloon.count ? c->balloon.items : NULL;
}

static const struct disk_config *root_disk(const struct config *c)
{
	const struct disk_config *disks = c->disks.items;
	uint32_t i;

	for (i = 0; i < c->disks.count; i++)
		if (disks[i].root)
			return &disks[i];
	return NULL;
}

int config_params(const struct config *c, char **out, struct err *e)
{
	const struct disk_config *disks = c->disks.items, *d = root_disk(c);
	const char *given = c->params ? c->params : "", *space = *given ? " " : "";
	int len;

	if (!d)
		len = asprintf(out, "%s", given);
	else if (d->partuuid)
		len = asprintf(out, "%s%sroot=PARTUUID=%s %s", given, space, d->partuuid,
			d->read_only ? "ro" : "rw");
	else
		len = asprintf(out, "%s%sroot=/dev/vd%c %s", given, space,
			(char)('a' + (d - disks)), d->read_only ? "ro" : "rw");
	if (len < 0) {
		*out = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (len <= PARAMS_MAX)
		return 0;
	free(*out);
	*out = NULL;
	return err_set(e, -E2BIG,
		"params: %d characters with the root disk's, the kernel takes %u (shorten params)",
		len, PARAMS_MAX);
}

static int check_root(const struct config *c, struct err *e)
{
	const struct disk_config *disks = c->disks.items, *first = root_disk(c);
	_free char *params = NULL;
	uint32_t i;
	int r;

	for (i = 0; i < c->disks.count; i++)
		if (disks[i].root && &disks[i] != first)
			return err_set(e, -EINVAL,
				"disk, item %u: another disk is the root already (leave out one "
				"of the two)",
				i + 1);
	r = config_params(c, &params, e);
	return r ? -EINVAL : 0;
}

static int check_balloon_mode(enum protection protection, struct err *e)
{
	if (protection == PROTECTION_PKVM)
		return err_set(e, -EINVAL,
			"balloon does not fit protection pkvm: the host cannot get back memory "
			"that is pinned for the guest (leave it out)");
	/* What auto takes is a protected mode too. */
	if (protection != PROTECTION_NONE)
		return err_set(e, -EINVAL,
			"balloon does not fit protection %s: by a mistake in it the host could "
			"clear private pages, and no driver works with it there (leave it out, or "
			"add --protection none)",
			protection_name(protection));
	return 0;
}

int config_check_balloon(const struct config *c, struct err *e)
{
	const struct balloon_options *b = config_balloon(c);

	if (!b)
		return 0;
	if (b->size_mib >= c->mem_mib)
		return err_set(e, -EINVAL,
			"balloon: %llu MiB of the %llu MiB that mem gives to the guest leave it "
			"nothing (make the balloon smaller)",
			(unsigned long long)b->size_mib, (unsigned long long)c->mem_mib);
	/* A page that is given back is no longer reserved: taken again, it may be missing (SIGBUS). */
	if (huge_page_size(c->memory.hugepages))
		return err_set(e, -EINVAL,
			"balloon does not fit hugepages %s: the host cannot keep those pages for "
			"the guest (leave one of them out)",
			hugepages_names[c->memory.hugepages]);
	return check_balloon_mode(c->protection, e);
}

/* The sockets of the host's listeners are named so: another guest's connections would arrive here. */
static bool ends_like_a_port(const char *path)
{
	const char *digits = path + strlen(path);

	while (digits > path && digits[-1] >= '0' && digits[-1] <= '9')
		digits--;
	return *digits && digits > path && digits[-1] == '_';
}

int config_check_socket(const struct vsock_config *s, struct err *e)
{
	char shown[TEXT_SHOWN];

	if (!s->path || !ends_like_a_port(s->path))
		return 0;
	text_show(shown, sizeof(shown), s->path);
	return err_set(e, -EINVAL,
		"%s ends like that of a port, by which another guest might reach it (choose "
		"another, such as %s.sock)",
		shown, shown);
}

int config_check_vsock(const struct vsock_config *s, enum protection protection, struct err *e)
{
	int r;

	/* Also auto, which ends in a mode that protects, or not at all. */
	if (!s->path && protection != PROTECTION_NONE)
		return err_set(e, -EINVAL,
			"vsock: without path the host's kernel moves the data (vhost-vsock), which "
			"does not fit protection %s: it would have to reach guest memory through "
			"this process (add path=SOCKET, the Unix socket to make)",
			protection_name(protection));
	r = config_check_socket(s, e);
	return r ? err_prefix(e, r, "vsock: path") : 0;
}

uint32_t config_virtio_count(const struct config *c)
{
	return c->disks.count + c->nets.count + c->vsock.count + c->balloon.count +
	       (c->entropy ? 1 : 0) + (c->console == CONSOLE_VIRTIO ? 1 : 0);
}

int config_check_devices(const struct config *c, struct err *e)
{
	uint32_t count = config_virtio_count(c);
	int r = config_check_nets(c, e);

	if (!r)
		r = check_root(c, e);
	if (!r)
		r = config_check_balloon(c, e);
	if (!r && c->vsock.count)
		r = config_check_vsock(c->vsock.items, c->protection, e);
	if (!r && count > CONFIG_VIRTIO_MAX)
		return err_set(e, -EINVAL,
			"%u virtio devices are asked for, and a machine has room for %u (disks, "
			"networks, sockets, balloon, entropy and console count; leave some out)",
			count, CONFIG_VIRTIO_MAX);
	return r;
}
