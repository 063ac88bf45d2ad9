/* SPDX-License-Identifier: Apache-2.0 */

/* A config file in Firecracker's layout: the objects of the API under their names. */
#include "vmm/config_layout.h"

#include <errno.h>
#include <string.h>

#include "vmm/api/resource.h"
#include "vmm/options.h"
#include "vmm/util/bits.h"
#include "vmm/util/text.h"

/*
 * In the order in which they are set, whatever the file's: the machine first, since others must fit
 * into it. `id` is that of a list's items. `mark` tells an object from our setting of that name.
 */
static const struct {
	const char *key, *id, *mark[2];
} layout[] = {
	{ "machine-config", NULL, { NULL } },
	{ "boot-source", NULL, { NULL } },
	{ "drives", "drive_id", { NULL } },
	{ "network-interfaces", "iface_id", { NULL } },
	{ "vsock", NULL, { "guest_cid", "uds_path" } },
	{ "entropy", NULL, { NULL } },
	{ "balloon", NULL, { "amount_mib", "deflate_on_oom" } },
	{ "logger", NULL, { NULL } },
	{ "metrics", NULL, { NULL } },
	{ "serial", NULL, { NULL } },
};

static const char *const missing[] = { "mmds-config", "cpu-config", "pmem", "memory-hotplug" };

/* What both layouts can say. In one file it would be said twice. */
static const struct {
	const char *ours, *theirs;
} same[] = {
	{ "kernel", "boot-source" },
	{ "initrd", "boot-source" },
	{ "params", "boot-source" },
	{ "firmware", "boot-source" },
	{ "cpus", "machine-config" },
	{ "mem", "machine-config" },
	{ "smt", "machine-config" },
	{ "hugepages", "machine-config" },
	{ "protection", "machine-config" },
	{ "swiotlb", "machine-config" },
	{ "shared-limit", "machine-config" },
	{ "private-memory", "machine-config" },
	{ "conversion", "machine-config" },
};

static bool is_missing(const char *key)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(missing); i++)
		if (strcmp(key, missing[i]) == 0)
			return true;
	return false;
}

/* Of a key that is a setting of ours too: is it meant in their sense? */
static bool is_theirs(const json_t *root, size_t i, const json_t *v)
{
	if (!option_find(&config_table, layout[i].key))
		return true;
	/* No machine is described in that layout without it. */
	if (json_is_null(v))
		return json_object_get(root, "boot-source");
	if (!json_is_object(v))
		return false;
	return !layout[i].mark[0] || json_object_get(v, layout[i].mark[0]) ||
	       json_object_get(v, layout[i].mark[1]);
}

bool layout_has(const json_t *root, const char *key, const json_t *v)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(layout); i++)
		if (strcmp(key, layout[i].key) == 0)
			return is_theirs(root, i, v);
	return is_missing(key);
}

const char *layout_key(size_t i)
{
	return i < ARRAY_SIZE(layout) ? layout[i].key : NULL;
}

static int set_items(struct config *c, size_t i, const json_t *list, struct err *e)
{
	char shown[TEXT_SHOWN];
	size_t k;

	if (!json_is_array(list))
		return err_set(e, -EINVAL, "expected an array of objects");
	for (k = 0; k < json_array_size(list); k++) {
		const json_t *item = json_array_get(list, k);
		const char *id = json_string_value(json_object_get(item, layout[i].id));
		int r;

		/* On the socket the later one replaces the earlier; in a file it is a slip. */
		if (id && resource_find(c, layout[i].key, id) >= 0)
			r = err_key(e,
				err_set(e, -EINVAL, "\"%s\" is given twice",
					text_show(shown, sizeof(shown), id)),
				layout[i].id);
		else
			r = resource_put(c, layout[i].key, NULL, item, e);
		if (r)
			return err_item(e, r, k);
	}
	return 0;
}

/* An empty list asks for nothing either. */
static int check_missing(const json_t *root, const char **key, struct err *e)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(missing); i++) {
		const json_t *v = json_object_get(root, missing[i]);

		*key = missing[i];
		if (v && !json_is_null(v) && !(json_is_array(v) && !json_array_size(v)))
			return err_set(e, -EINVAL, "not supported yet (leave it out)");
	}
	return 0;
}

static int check_twice(const json_t *root, const char **key, struct err *e)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(same); i++) {
		const json_t *theirs = json_object_get(root, same[i].theirs);

		*key = same[i].ours;
		if (theirs && !json_is_null(theirs) && json_object_get(root, same[i].ours))
			return err_set(e, -EINVAL,
				"is for \"%s\" to say, which the file has too (leave out one of "
				"the two)",
				same[i].theirs);
	}
	return 0;
}

int layout_set(struct config *c, const json_t *root, const char **key, struct err *e)
{
	int r = check_missing(root, key, e);
	size_t i;

	if (!r)
		r = check_twice(root, key, e);
	if (!r && json_is_object(json_object_get(root, "boot-source")) &&
		!json_object_get(root, "mem"))
		c->mem_mib = RESOURCE_MEM_MIB;
	for (i = 0; !r && i < ARRAY_SIZE(layout); i++) {
		const json_t *v = json_object_get(root, layout[i].key);

		if (!v || json_is_null(v) || !is_theirs(root, i, v))
			continue;
		*key = layout[i].key;
		if (layout[i].id)
			r = set_items(c, i, v, e);
		else
			r = resource_put(c, layout[i].key, NULL, v, e);
	}
	return r;
}
