/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Theory of operation. An object of which there is one is a list of fields and the parts of struct
 * config that they are. A put makes a second, scratch config with the defaults, sets the fields in
 * it, and when all are right exchanges the parts of both, so that nothing is ever half set. Then the
 * whole is looked at; when it does not fit together, they are exchanged again.
 */
#include "vmm/api/resource.h"

#include <errno.h>
#include <string.h>

#include "vmm/api/resource_impl.h"

static const struct object object_drives = { .name = "drives", .get = drives_get };
static const struct object object_ifaces = { .name = "network-interfaces", .get = ifaces_get };

static const struct object *const objects[] = { &object_boot, &object_machine, &object_drives,
	&object_ifaces, &object_vsock, &object_entropy, &object_balloon, &object_logger,
	&object_metrics, &object_serial };

static const struct object *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(objects); i++)
		if (strcmp(objects[i]->name, name) == 0)
			return objects[i];
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
	int r = o->check_body ? o->check_body(body, e) : 0;

	if (r)
		return r;
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
	if (o == &object_drives)
		return drive_put(c, id, body, e);
	if (o == &object_ifaces)
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
	struct field optional[FIELDS_MAX];
	size_t i;

	(void)id;
	if (!o || !o->start_patch)
		return err_set(e, -EINVAL, "%s cannot be changed in parts", name);
	if (json_is_object(body) && !json_object_size(body))
		return err_set(e, -EINVAL, "no field is given (there are vcpu_count, ...)");
	for (i = 0; i < o->count; i++) {
		optional[i] = o->fields[i];
		optional[i].required = false;
	}
	return put_object(
		o, c, &(struct put){ .start = o->start_patch, .fields = optional }, body, e);
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
		object_add(all, objects[i]->name, objects[i]->get(c));
	return all;
}
