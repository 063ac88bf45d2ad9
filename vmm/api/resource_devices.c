/* SPDX-License-Identifier: Apache-2.0 */

/* Drives and network interfaces, of which there may be several, each with an id. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "vmm/api/resource_impl.h"
#include "vmm/config_json.h"
#include "vmm/util/fd.h"
#include "vmm/util/text.h"

/* ---- ids ---- */

static int set_id(const struct option_table *t, void *base, const json_t *v, struct err *e)
{
	const char *id = json_string_value(v);
	char shown[TEXT_SHOWN];

	if (id && !text_is_plain(id, "_-"))
		return err_set(e, -EINVAL,
			"\"%s\" is no id, expected letters, digits, _ and - only",
			text_show(shown, sizeof(shown), id));
	return config_set_json(option_find(t, "id"), base, v, e);
}

/* Of a device that a command line or our own layout made: its number, as the guest counts. */
static const char *id_of(const char *id, const char *kind, uint32_t i, char *buf, size_t size)
{
	if (id)
		return id;
	snprintf(buf, size, "%s%u", kind, i);
	return buf;
}

static const char *drive_id(const struct config *c, uint32_t i, char *buf, size_t size)
{
	return id_of(((const struct disk_config *)c->disks.items)[i].id, "drive", i, buf, size);
}

static const char *iface_id(const struct config *c, uint32_t i, char *buf, size_t size)
{
	return id_of(((const struct net_config *)c->nets.items)[i].id, "net", i, buf, size);
}

int resource_find(const struct config *c, const char *name, const char *id)
{
	bool drives = strcmp(name, "drives") == 0;
	uint32_t i, count = drives ? c->disks.count : c->nets.count;
	char buf[32];

	for (i = 0; i < count; i++)
		if (!strcmp(id, drives ? drive_id(c, i, buf, sizeof(buf))
				       : iface_id(c, i, buf, sizeof(buf))))
			return (int)i;
	return -ENOENT;
}

static int check_path_id(const char *field, const char *id, const char *path, struct err *e)
{
	char a[TEXT_SHOWN], b[TEXT_SHOWN];

	if (!path || !strcmp(id, path))
		return 0;
	return err_set(e, -EINVAL, "\"%s\": \"%s\" is not the id in the path, \"%s\"", field,
		text_show(a, sizeof(a), id), text_show(b, sizeof(b), path));
}

/* ---- drives ---- */

static int set_drive_id(void *base, const json_t *v, struct err *e)
{
	return set_id(&config_disk_table, base, v, e);
}

static int set_cache(void *base, const json_t *v, struct err *e)
{
	static const char *const names[] = { "Writeback", "Unsafe" };
	int i = field_enum(v, names, ARRAY_SIZE(names), e);

	if (i < 0)
		return i;
	((struct disk_config *)base)->cache = i ? BLK_UNSAFE : BLK_WRITEBACK;
	return 0;
}

static int set_engine(void *base, const json_t *v, struct err *e)
{
	static const char *const names[] = { "Sync", "Async" };
	int i = field_enum(v, names, ARRAY_SIZE(names), e);

	if (i < 0)
		return i;
	((struct disk_config *)base)->engine = i ? BLK_URING : BLK_SYNC;
	return 0;
}

static int set_drive_limit(void *base, const json_t *v, struct err *e)
{
	return limit_set(&((struct disk_config *)base)->limit, v, e);
}

static int refuse_socket(void *base, const json_t *v, struct err *e)
{
	(void)base;
	(void)v;
	return err_set(e, -EINVAL, "vhost-user is not supported yet (use \"path_on_host\")");
}

/* The socket first: who gives it need not give a path, and shall hear the reason. */
static const struct field drive_fields[] = {
	{ "drive_id", .required = true, .set = set_drive_id },
	{ "is_root_device", .required = true, FIELD_OPTION(config_disk_table, "root") },
	{ "socket", .set = refuse_socket },
	{ "path_on_host", .required = true, FIELD_OPTION(config_disk_table, "path") },
	{ "partuuid", FIELD_OPTION(config_disk_table, "partuuid") },
	{ "is_read_only", FIELD_OPTION(config_disk_table, "readonly") },
	{ "cache_type", .set = set_cache },
	{ "io_engine", .set = set_engine },
	{ "rate_limiter", .set = set_drive_limit },
};

static int check_root(const struct config *c, int at, struct err *e)
{
	const struct disk_config *disks = c->disks.items;
	char buf[32], shown[TEXT_SHOWN];
	uint32_t i;

	for (i = 0; i < c->disks.count; i++)
		if ((int)i != at && disks[i].root)
			return err_set(e, -EINVAL,
				"\"is_root_device\": drive \"%s\" is the root device already",
				text_show(shown, sizeof(shown), drive_id(c, i, buf, sizeof(buf))));
	return 0;
}

/* Puts the item at the place of `at`, or after all others. It is the list's then. */
static int place(const char *option, struct config *c, void *item, int at, struct err *e)
{
	const struct option_def *def = option_find(&config_table, option);
	char old[sizeof(struct disk_config) + sizeof(struct net_config)];
	void *slot;
	int r = 0;

	if (at >= 0)
		slot = (void *)option_list_item(def, c, (uint32_t)at);
	else
		r = option_list_add(def, c, &slot, e);
	if (r)
		return r;
	memcpy(old, slot, def->item_size);
	memcpy(slot, item, def->item_size);
	memcpy(item, old, def->item_size);
	return 0;
}

/* A root device is the first one: it is /dev/vda to its kernel. */
static void move_to_front(struct config *c, uint32_t i)
{
	struct disk_config *disks = c->disks.items, moved = disks[i];

	memmove(disks + 1, disks, i * sizeof(*disks));
	disks[0] = moved;
}

int drive_put(struct config *c, const char *id, const json_t *body, struct err *e)
{
	struct disk_config d = { .cache = BLK_UNSAFE };
	int at = -1, r = fields_set(drive_fields, ARRAY_SIZE(drive_fields), &d, body, e);

	if (!r)
		r = check_path_id("drive_id", d.id, id, e);
	if (!r)
		at = resource_find(c, "drives", d.id);
	if (!r && d.root)
		r = check_root(c, at, e);
	if (!r)
		r = place("disk", c, &d, at, e);
	options_free(&config_disk_table, &d);
	if (r)
		return r;
	at = at < 0 ? (int)c->disks.count - 1 : at;
	if (((struct disk_config *)c->disks.items)[at].root)
		move_to_front(c, (uint32_t)at);
	return 0;
}

static json_t *drive_get(const struct config *c, uint32_t i)
{
	const struct disk_config *d = (const struct disk_config *)c->disks.items + i;
	json_t *o = json_object();
	char buf[32];

	object_add(o, "drive_id", json_string(drive_id(c, i, buf, sizeof(buf))));
	if (d->partuuid)
		object_add(o, "partuuid", json_string(d->partuuid));
	object_add(o, "is_root_device", json_boolean(d->root));
	object_add(o, "cache_type", json_string(d->cache == BLK_UNSAFE ? "Unsafe" : "Writeback"));
	object_add(o, "is_read_only", json_boolean(d->read_only));
	object_add(o, "path_on_host", json_string(d->path));
	object_add(o, "rate_limiter", limit_get(&d->limit));
	if (d->engine != BLK_AUTO)
		object_add(o, "io_engine", json_string(d->engine == BLK_SYNC ? "Sync" : "Async"));
	return o;
}

json_t *drives_get(const struct config *c)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < c->disks.count; i++)
		json_array_append_new(list, drive_get(c, i));
	return list;
}

/* ---- network interfaces ---- */

static int set_iface_id(void *base, const json_t *v, struct err *e)
{
	return set_id(&config_net_table, base, v, e);
}

static int set_host_dev(void *base, const json_t *v, struct err *e)
{
	struct net_config *n = base;
	_free char *backend = NULL;

	if (!json_is_string(v))
		return field_refuse(v, "the name of a tap interface", e);
	if (asprintf(&backend, "tap=%s", json_string_value(v)) < 0) {
		backend = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	if (!net_is_interface(json_string_value(v)))
		return err_set(e, -EINVAL,
			"expected the name of an interface: 1 to 15 bytes without blanks, /, : and "
			"%%");
	return option_set_string(option_find(&config_net_table, "backend"), n, backend, e);
}

static int set_mac(void *base, const json_t *v, struct err *e)
{
	struct net_config *n = base;
	int r = config_set_json(option_find(&config_net_table, "mac"), n, v, e);

	return r ? r : net_check_mac(n->mac, e);
}

static int set_mtu(void *base, const json_t *v, struct err *e)
{
	struct net_config *n = base;
	int r = config_set_json(option_find(&config_net_table, "mtu"), n, v, e);

	if (!r && n->mtu < NET_MTU_MIN)
		return err_set(e, -EINVAL, "%u is out of range, expected an integer from %u to %u",
			n->mtu, NET_MTU_MIN, NET_MTU_MAX);
	return r;
}

static int set_rx_limit(void *base, const json_t *v, struct err *e)
{
	return limit_set(&((struct net_config *)base)->rx_limit, v, e);
}

static int set_tx_limit(void *base, const json_t *v, struct err *e)
{
	return limit_set(&((struct net_config *)base)->tx_limit, v, e);
}

/* A field of years ago, which some still send. */
static int set_mmds(void *base, const json_t *v, struct err *e)
{
	(void)base;
	if (!json_is_boolean(v))
		return field_refuse(v, "true or false", e);
	return json_is_true(v) ? err_set(e, -EINVAL,
					 "the metadata service is not supported yet (leave it out)")
			       : 0;
}

static const struct field iface_fields[] = {
	{ "iface_id", .required = true, .set = set_iface_id },
	{ "host_dev_name", .required = true, .set = set_host_dev },
	{ "guest_mac", .set = set_mac },
	{ "mtu", .set = set_mtu },
	{ "allow_mmds_requests", .set = set_mmds },
	{ "rx_rate_limiter", .set = set_rx_limit },
	{ "tx_rate_limiter", .set = set_tx_limit },
};

/* Two with one address, or on one interface, would take each other's frames. */
static int check_others(const struct config *c, const struct net_config *n, int at, struct err *e)
{
	const struct net_config *nets = c->nets.items;
	char buf[32], shown[TEXT_SHOWN];
	uint32_t i;

	for (i = 0; i < c->nets.count; i++) {
		if ((int)i == at)
			continue;
		text_show(shown, sizeof(shown), iface_id(c, i, buf, sizeof(buf)));
		if (!strcmp(nets[i].backend, n->backend))
			return err_set(e, -EINVAL,
				"\"host_dev_name\": %s is that of interface \"%s\" already",
				net_tap(n), shown);
		if (n->mac && nets[i].mac && !strcasecmp(n->mac, nets[i].mac))
			return err_set(e, -EINVAL,
				"\"guest_mac\": %s is that of interface \"%s\" already", n->mac,
				shown);
	}
	return 0;
}

int iface_put(struct config *c, const char *id, const json_t *body, struct err *e)
{
	struct net_config n = { 0 };
	int at = -1, r = fields_set(iface_fields, ARRAY_SIZE(iface_fields), &n, body, e);

	if (!r)
		r = check_path_id("iface_id", n.id, id, e);
	if (!r) {
		at = resource_find(c, "network-interfaces", n.id);
		r = check_others(c, &n, at, e);
	}
	if (!r)
		r = place("net", c, &n, at, e);
	options_free(&config_net_table, &n);
	return r;
}

static json_t *iface_get(const struct config *c, uint32_t i)
{
	const struct net_config *n = (const struct net_config *)c->nets.items + i;
	const char *tap = net_tap(n);
	json_t *o = json_object();
	char buf[32];

	object_add(o, "iface_id", json_string(iface_id(c, i, buf, sizeof(buf))));
	object_add(o, "host_dev_name", json_string(tap ? tap : n->backend));
	if (n->mac)
		object_add(o, "guest_mac", json_string(n->mac));
	if (n->mtu)
		object_add(o, "mtu", json_integer(n->mtu));
	object_add(o, "rx_rate_limiter", limit_get(&n->rx_limit));
	object_add(o, "tx_rate_limiter", limit_get(&n->tx_limit));
	return o;
}

json_t *ifaces_get(const struct config *c)
{
	json_t *list = json_array();
	uint32_t i;

	for (i = 0; i < c->nets.count; i++)
		json_array_append_new(list, iface_get(c, i));
	return list;
}
