/* SPDX-License-Identifier: Apache-2.0 */

/* What is started, and on what: boot-source and machine-config. */
#include <errno.h>
#include <string.h>

#include "vmm/api/resource_impl.h"
#include "vmm/util/log.h"

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

const struct object object_boot = {
	"boot-source",
	FIELDS(boot_fields),
	.finish = finish_boot,
	.get = get_boot,
	.parts = { PART(kernel), PART(initrd), PART(params), PART(firmware) },
};

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

/* GET has both where ours says what theirs cannot; then theirs is None. */
static int check_machine_body(const json_t *body, struct err *e)
{
	const char *theirs = json_string_value(json_object_get(body, "huge_pages"));
	const json_t *ours = json_object_get(body, "hugepages");

	if (!theirs || !strcmp(theirs, huge_names[0]) || !ours || json_is_null(ours))
		return 0;
	return err_set(e, -EINVAL,
		"\"hugepages\" and \"huge_pages\" say the same (leave one of the two out)");
}

const struct object object_machine = {
	"machine-config",
	FIELDS(machine_fields),
	.check_body = check_machine_body,
	.start = start_machine,
	.start_patch = start_machine_patch,
	.check = check_machine,
	.get = get_machine,
	.parts = { PART(cpus), PART(mem_mib), PART(smt), PART(track_dirty_pages), PART(memory),
		PART(protection), PART(swiotlb_mib), PART(shared_limit_mib), PART(private_memory),
		PART(conversion), PART(mte) },
};
_Static_assert(ARRAY_SIZE(machine_fields) <= FIELDS_MAX, "FIELDS_MAX");
