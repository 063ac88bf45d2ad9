/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation. An object of which there is one is a list of fields and the parts of struct
 * config that they are. A put makes a second, scratch config with the defaults, sets the fields in
 * it, and when all are right exchanges the parts of both, so that nothing is ever half set. Then the
 * whole is looked at; when it does not fit together, they are exchanged again.
 */
#include "vmm/api/resource.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "vmm/api/resource_impl.h"
#include "vmm/config_json.h"
#include "vmm/util/fd.h"
#include "vmm/util/text.h"

#define OPTION(option_) FIELD_OPTION(config_table, option_)

/* ---- boot-source ---- */

static const struct field boot_fields[] = {
	{ "kernel_image_path", OPTION("kernel") }, { "initrd_path", OPTION("initrd") },
	{ "boot_args", OPTION("params") }, { "firmware_path", OPTION("firmware") }, /* ours */
};

static int finish_boot(struct config *s, struct err *e)
{
	if (!s->kernel && !s->firmware)
		return err_set(e, -EINVAL, "\"kernel_image_path\" is missing");
	if (!s->kernel && (s->initrd || s->params))
		return err_set(e, -EINVAL,
			"\"%s\" is for a kernel: \"kernel_image_path\" is missing",
			s->initrd ? "initrd_path" : "boot_args");
	if (s->params || !s->kernel)
		return 0;
	s->params = strdup(RESOURCE_BOOT_ARGS);
	return s->params ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static json_t *get_boot(const struct config *c)
{
	json_t *o;

	if (!c->kernel && !c->firmware)
		return NULL;
	o = json_object();
	if (c->kernel)
		object_add(o, "kernel_image_path", json_string(c->kernel));
	if (c->initrd)
		object_add(o, "initrd_path", json_string(c->initrd));
	if (c->params && strcmp(c->params, RESOURCE_BOOT_ARGS))
		object_add(o, "boot_args", json_string(c->params));
	if (c->firmware)
		object_add(o, "firmware_path", json_string(c->firmware));
	return o;
}

/* ---- machine-config ---- */

static const char *const huge_names[] = { "None", "Transparent", "2M" };
static const enum hugepages huge_values[] = { HUGEPAGES_AUTO, HUGEPAGES_THP, HUGEPAGES_2M };

static int set_huge(void *base, const json_t *v, struct err *e)
{
	int i = field_enum(v, huge_names, ARRAY_SIZE(huge_names), e);

	if (i < 0)
		return i;
	((struct config *)base)->memory.hugepages = huge_values[i];
	return 0;
}

/*
 * Templates hide features, so that a guest may move to another host by a snapshot. We have neither, and
 * tools have one in their defaults: it is accepted, and the log says that nothing comes of it.
 */
static int set_template(void *base, const json_t *v, struct err *e)
{
	static const char *const names[] = { "None", "C3", "T2", "T2S", "T2CL", "T2A", "V1N1" };
	int i = field_enum(v, names, ARRAY_SIZE(names), e);

	(void)base;
	if (i > 0)
		log_warn("cpu_template %s: templates are not supported yet, the guest sees this "
			 "host's processor (leave it out)",
			names[i]);
	return i < 0 ? i : 0;
}

/* For snapshots; kept for who asks again. */
static int set_tracking(void *base, const json_t *v, struct err *e)
{
	if (!json_is_boolean(v))
		return field_refuse(v, "true or false", e);
	((struct config *)base)->track_dirty_pages = json_is_true(v);
	return 0;
}

static const struct field machine_fields[] = {
	{ "vcpu_count", .required = true, OPTION("cpus") },
	{ "mem_size_mib", .required = true, OPTION("mem") },
	{ "smt", OPTION("smt") },
	{ "cpu_template", .set = set_template },
	{ "track_dirty_pages", .set = set_tracking },
	{ "huge_pages", .set = set_huge },
	/* Ours. */
	{ "hugepages", OPTION("hugepages") },
	{ "protection", OPTION("protection") },
	{ "mte", OPTION("mte") },
	{ "swiotlb_size_mib", OPTION("swiotlb") },
	{ "shared_limit_mib", OPTION("shared-limit") },
	{ "private_memory", OPTION("private-memory") },
	{ "conversion", OPTION("conversion") },
};

/* Ours stay as they are when they are not given: nobody loses a protection by not knowing of it. */
static void start_machine(struct config *s, const struct config *c)
{
	s->protection = c->protection;
	s->swiotlb_mib = c->swiotlb_mib;
	s->shared_limit_mib = c->shared_limit_mib;
	s->private_memory = c->private_memory;
	s->conversion = c->conversion;
	s->mte = c->mte;
	s->memory = c->memory;
	s->memory.hugepages = HUGEPAGES_AUTO;
}

static void start_machine_patch(struct config *s, const struct config *c)
{
	start_machine(s, c);
	s->memory = c->memory;
	s->cpus = c->cpus;
	s->mem_mib = c->mem_mib;
	s->smt = c->smt;
	s->track_dirty_pages = c->track_dirty_pages;
}

static int check_machine(const struct config *c, struct err *e)
{
	int r = config_check_cpus(c, e);

	if (!r)
		r = config_check_memory(c, e);
	return r ? r : config_check_balloon(c, e);
}

static json_t *get_machine(const struct config *c)
{
	struct config defaults;
	json_t *o = json_object();
	size_t i;

	object_add(o, "vcpu_count", json_integer(c->cpus));
	object_add(o, "mem_size_mib", json_integer((json_int_t)c->mem_mib));
	object_add(o, "smt", json_boolean(c->smt));
	object_add(o, "track_dirty_pages", json_boolean(c->track_dirty_pages));
	for (i = ARRAY_SIZE(huge_values) - 1; i && huge_values[i] != c->memory.hugepages; i--)
		;
	object_add(o, "huge_pages", json_string(huge_names[i]));
	/* A client that knows nothing of ours sees none of it. */
	config_init(&defaults);
	if (c->memory.hugepages != huge_values[i])
		object_add(o, "hugepages", json_string(hugepages_names[c->memory.hugepages]));
	if (c->protection != defaults.protection)
		object_add(o, "protection", json_string(protection_name(c->protection)));
	if (c->swiotlb_mib != defaults.swiotlb_mib)
		object_add(o, "swiotlb_size_mib", json_integer((json_int_t)c->swiotlb_mib));
	if (c->shared_limit_mib)
		object_add(o, "shared_limit_mib", json_integer((json_int_t)c->shared_limit_mib));
	if (c->private_memory != defaults.private_memory)
		object_add(
			o, "private_memory", json_string(private_memory_names[c->private_memory]));
	if (c->conversion != defaults.conversion)
		object_add(o, "conversion", json_string(conversion_names[c->conversion]));
	if (c->mte)
		object_add(o, "mte", json_true());
	return o;
}

/* ---- vsock, entropy, balloon ---- */

/* The one item of such a list, made when it is not there. */
static void *only_item(const char *option, struct config *c, struct err *e)
{
	const struct option_def *def = option_find(&config_table, option);
	void *item;

	if (option_list_count(def, c))
		return (void *)option_list_item(def, c, 0);
	return option_list_add(def, c, &item, e) ? NULL : item;
}

#define IN_LIST(function, list, table_, option_)                                           \
	static int function(void *base, const json_t *v, struct err *e)                    \
	{                                                                                  \
		void *item = only_item(list, base, e);                                     \
                                                                                           \
		return item ? config_set_json(option_find(&(table_), option_), item, v, e) \
			    : -ENOMEM;                                                     \
	}

IN_LIST(set_cid, "vsock", config_vsock_table, "cid")
IN_LIST(set_uds, "vsock", config_vsock_table, "path")
IN_LIST(set_amount, "balloon", config_balloon_table, "size")
IN_LIST(set_deflate, "balloon", config_balloon_table, "deflate-on-oom")
IN_LIST(set_interval, "balloon", config_balloon_table, "stats")
IN_LIST(set_reporting, "balloon", config_balloon_table, "reporting")

/* Deprecated there, and without effect. */
static int ignore_string(void *base, const json_t *v, struct err *e)
{
	(void)base;
	return json_is_string(v) ? 0 : field_refuse(v, "a string", e);
}

static const struct field vsock_fields[] = {
	{ "guest_cid", .required = true, .set = set_cid },
	{ "uds_path", .required = true, .set = set_uds },
	{ "vsock_id", .set = ignore_string },
};

static int check_vsock(const struct config *c, struct err *e)
{
	int r = config_check_vsock(c->vsock.items, PROTECTION_NONE, e);

	return r ? err_prefix(e, r, "\"uds_path\"") : 0;
}

static json_t *get_vsock(const struct config *c)
{
	const struct vsock_config *s = c->vsock.items;
	json_t *o;

	if (!c->vsock.count)
		return NULL;
	o = json_object();
	object_add(o, "guest_cid", json_integer((json_int_t)s->cid));
	if (s->path)
		object_add(o, "uds_path", json_string(s->path));
	return o;
}

static int set_entropy_limit(void *base, const json_t *v, struct err *e)
{
	return limit_set(&((struct config *)base)->entropy_limit, v, e);
}

static const struct field entropy_fields[] = {
	{ "rate_limiter", .set = set_entropy_limit },
};

static int finish_entropy(struct config *s, struct err *e)
{
	(void)e;
	s->entropy = true;
	return 0;
}

static json_t *get_entropy(const struct config *c)
{
	json_t *o;

	if (!c->entropy)
		return NULL;
	o = json_object();
	object_add(o, "rate_limiter", limit_get(&c->entropy_limit));
	return o;
}

static int set_hinting(void *base, const json_t *v, struct err *e)
{
	(void)base;
	if (!json_is_boolean(v))
		return field_refuse(v, "true or false", e);
	return json_is_true(v) ? err_set(e, -EINVAL,
					 "free page hinting is not supported yet "
					 "(\"free_page_reporting\" is)")
			       : 0;
}

static const struct field balloon_fields[] = {
	{ "amount_mib", .required = true, .set = set_amount },
	{ "deflate_on_oom", .required = true, .set = set_deflate },
	{ "stats_polling_interval_s", .set = set_interval },
	{ "free_page_hinting", .set = set_hinting },
	{ "free_page_reporting", .set = set_reporting },
};

static json_t *get_balloon(const struct config *c)
{
	const struct balloon_options *b = config_balloon(c);
	json_t *o;

	if (!b)
		return NULL;
	o = json_object();
	object_add(o, "amount_mib", json_integer((json_int_t)b->size_mib));
	object_add(o, "deflate_on_oom", json_boolean(b->deflate_on_oom));
	object_add(o, "stats_polling_interval_s", json_integer(b->stats_seconds));
	object_add(o, "free_page_hinting", json_false());
	object_add(o, "free_page_reporting", json_boolean(b->reporting));
	return o;
}

/* ---- logger, metrics, serial ---- */

/* Ours by the names of Firecracker, which does not mind their case. */
static const struct {
	const char *theirs, *ours;
} levels[] = {
	{ "Off", "off" },
	{ "Error", "error" },
	{ "Warning", "warn" },
	{ "Warn", "warn" },
	{ "Info", "info" },
	{ "Debug", "debug" },
	{ "Trace", "debug" },
};

static int set_level(void *base, const json_t *v, struct err *e)
{
	const char *name = json_string_value(v);
	char shown[TEXT_SHOWN];
	size_t i;

	if (!name)
		return field_refuse(v, "one of Off, Error, Warning, Info, Debug, Trace", e);
	for (i = 0; i < ARRAY_SIZE(levels); i++)
		if (!strcasecmp(name, levels[i].theirs))
			return option_set_enum(
				option_find(&config_table, "log-level"), base, levels[i].ours, e);
	return err_set(e, -EINVAL,
		"\"%s\" is not known, expected one of Off, Error, Warning, Info, Debug, Trace",
		text_show(shown, sizeof(shown), name));
}

static const struct field logger_fields[] = {
	{ "log_path", OPTION("log-path") },
	{ "level", .set = set_level },
	{ "show_level", OPTION("show-level") },
	{ "show_log_origin", OPTION("show-log-origin") },
	{ "module", OPTION("module") },
};

/* Each call may set a part; what it leaves out stays. */
static void start_logger(struct config *s, const struct config *c)
{
	s->log_level = c->log_level;
	s->show_level = c->show_level;
	s->show_log_origin = c->show_log_origin;
	s->log_path = c->log_path ? strdup(c->log_path) : NULL;
	s->log_module = c->log_module ? strdup(c->log_module) : NULL;
}

static json_t *get_logger(const struct config *c)
{
	struct config defaults;
	json_t *o;
	size_t i;

	config_init(&defaults);
	if (!c->log_path && !c->log_module && !c->show_level && !c->show_log_origin &&
		c->log_level == defaults.log_level)
		return NULL;
	o = json_object();
	for (i = 0; i < ARRAY_SIZE(levels); i++)
		if (!strcmp(levels[i].ours, log_level_names[c->log_level]))
			break;
	if (i < ARRAY_SIZE(levels))
		object_add(o, "level", json_string(levels[i].theirs));
	if (c->log_path)
		object_add(o, "log_path", json_string(c->log_path));
	if (c->log_module)
		object_add(o, "module", json_string(c->log_module));
	object_add(o, "show_level", json_boolean(c->show_level));
	object_add(o, "show_log_origin", json_boolean(c->show_log_origin));
	return o;
}

static const struct field metrics_fields[] = {
	{ "metrics_path", .required = true, OPTION("metrics-path") },
};

static json_t *get_metrics(const struct config *c)
{
	return c->metrics_path ? json_pack("{s:s}", "metrics_path", c->metrics_path) : NULL;
}

static int set_serial_limit(void *base, const json_t *v, struct err *e)
{
	return bucket_set_json(&((struct config *)base)->serial_limit, v, e);
}

static const struct field serial_fields[] = {
	{ "serial_out_path", OPTION("serial-path") },
	{ "rate_limiter", .set = set_serial_limit },
};

static json_t *get_serial(const struct config *c)
{
	json_t *limit = bucket_get(&c->serial_limit), *o;

	if (!c->serial_path && !limit)
		return NULL;
	o = json_object();
	if (c->serial_path)
		object_add(o, "serial_out_path", json_string(c->serial_path));
	object_add(o, "rate_limiter", limit);
	return o;
}

/* ---- all of them ---- */

struct part {
	size_t offset, size;
};

#define PART(field)                                                                    \
	{                                                                              \
		offsetof(struct config, field), sizeof(((struct config *)NULL)->field) \
	}
#define PARTS_MAX 12

struct object {
	const char *name;
	const struct field *fields;
	size_t count;
	struct part parts[PARTS_MAX];
	void (*start)(struct config *s, const struct config *c);
	int (*finish)(struct config *s, struct err *e);
	int (*check)(const struct config *c, struct err *e);
	json_t *(*get)(const struct config *c);
};

#define FIELDS(f) .fields = (f), .count = ARRAY_SIZE(f)
static const struct object objects[] = {
	{ "boot-source", FIELDS(boot_fields), .finish = finish_boot, .get = get_boot,
		.parts = { PART(kernel), PART(initrd), PART(params), PART(firmware) } },
	{ "machine-config", FIELDS(machine_fields), .start = start_machine, .check = check_machine,
		.get = get_machine,
		.parts = { PART(cpus), PART(mem_mib), PART(smt), PART(track_dirty_pages),
			PART(memory), PART(protection), PART(swiotlb_mib), PART(shared_limit_mib),
			PART(private_memory), PART(conversion), PART(mte) } },
	{ "drives", .get = drives_get },
	{ "network-interfaces", .get = ifaces_get },
	{ "vsock", FIELDS(vsock_fields), .check = check_vsock, .get = get_vsock,
		.parts = { PART(vsock) } },
	{ "entropy", FIELDS(entropy_fields), .finish = finish_entropy, .get = get_entropy,
		.parts = { PART(entropy), PART(entropy_limit) } },
	{ "balloon", FIELDS(balloon_fields), .check = config_check_balloon, .get = get_balloon,
		.parts = { PART(balloon) } },
	{ "logger", FIELDS(logger_fields), .start = start_logger, .get = get_logger,
		.parts = { PART(log_path), PART(log_level), PART(show_level), PART(show_log_origin),
			PART(log_module) } },
	{ "metrics", FIELDS(metrics_fields), .get = get_metrics, .parts = { PART(metrics_path) } },
	{ "serial", FIELDS(serial_fields), .get = get_serial,
		.parts = { PART(serial_path), PART(serial_limit) } },
};

static const struct object *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(objects); i++)
		if (strcmp(objects[i].name, name) == 0)
			return &objects[i];
	return NULL;
}

bool resource_exists(const char *name)
{
	return find(name) != NULL;
}

static void exchange(const struct object *o, struct config *a, struct config *b)
{
	char kept[sizeof(struct backing_options) + sizeof(struct ratelimit_config)];
	const struct part *p;

	for (p = o->parts; p < o->parts + PARTS_MAX && p->size; p++) {
		void *x = (char *)a + p->offset, *y = (char *)b + p->offset;

		memcpy(kept, x, p->size);
		memcpy(x, y, p->size);
		memcpy(y, kept, p->size);
	}
}

struct put {
	void (*start)(struct config *s, const struct config *c);
	const struct field *fields;
	resource_apply_fn apply; /* or NULL */
	void *ctx;
};

static int put_object(const struct object *o, struct config *c, const struct put *put,
	const json_t *body, struct err *e)
{
	struct config s;
	int r;

	resource_init(&s);
	if (put->start)
		put->start(&s, c);
	r = fields_set(put->fields, o->count, &s, body, e);
	if (!r && o->finish)
		r = o->finish(&s, e);
	if (!r) {
		exchange(o, c, &s);
		r = o->check ? o->check(c, e) : 0;
		if (!r && put->apply)
			r = put->apply(put->ctx, c, e);
		if (r)
			exchange(o, c, &s);
	}
	config_free(&s);
	return r;
}

void resource_init(struct config *c)
{
	config_init(c);
	c->mem_mib = RESOURCE_MEM_MIB;
}

int resource_put(
	struct config *c, const char *name, const char *id, const json_t *body, struct err *e)
{
	const struct object *o = find(name);

	if (!o)
		return err_set(e, -EINVAL, "%s is no object of the API", name);
	if (o->get == drives_get)
		return drive_put(c, id, body, e);
	if (o->get == ifaces_get)
		return iface_put(c, id, body, e);
	return put_object(o, c, &(struct put){ .start = o->start, .fields = o->fields }, body, e);
}

int resource_apply(struct config *c, const char *name, const json_t *body, resource_apply_fn apply,
	void *ctx, struct err *e)
{
	const struct object *o = find(name);
	const struct put put = {
		.start = o->start, .fields = o->fields, .apply = apply, .ctx = ctx
	};

	return put_object(o, c, &put, body, e);
}

int resource_patch(
	struct config *c, const char *name, const char *id, const json_t *body, struct err *e)
{
	const struct object *o = find(name);
	struct field optional[ARRAY_SIZE(machine_fields)];
	size_t i;

	(void)id;
	if (!o || o->get != get_machine)
		return err_set(e, -EINVAL, "%s cannot be changed in parts", name);
	if (json_is_object(body) && !json_object_size(body))
		return err_set(e, -EINVAL, "no field is given (there are vcpu_count, ...)");
	for (i = 0; i < ARRAY_SIZE(optional); i++) {
		optional[i] = machine_fields[i];
		optional[i].required = false;
	}
	return put_object(
		o, c, &(struct put){ .start = start_machine_patch, .fields = optional }, body, e);
}

json_t *resource_get(const struct config *c, const char *name)
{
	const struct object *o = find(name);
	json_t *v = o ? o->get(c) : NULL;

	return v ? v : json_null();
}

json_t *resource_all(const struct config *c)
{
	json_t *all = json_object();
	size_t i;

	for (i = 0; i < ARRAY_SIZE(objects); i++)
		object_add(all, objects[i].name, objects[i].get(c));
	return all;
}
