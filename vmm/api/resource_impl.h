/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_RESOURCE_IMPL_H
#define NACRE_API_RESOURCE_IMPL_H

#include <stddef.h>

#include "vmm/api/resource.h"
#include "vmm/config_impl.h"
#include "vmm/config_json_impl.h"
#include "vmm/options.h"

/* What the resource files share. Not for others. */

/*
 * A field of an object. Most are an option by another name, and its row holds type and limits; the
 * rest have a function. base is the struct that both count from.
 */
struct field {
	const char *name;
	bool required;
	const struct option_table *table; /* of the option ... */
	const char *option;		  /* ... and its name there; NULL: set does it */
	int (*set)(void *base, const json_t *v, struct err *e);
};

#define FIELD_OPTION(table_, option_) .table = &(table_), .option = (option_)

/* A part of struct config that belongs to an object. */
struct part {
	size_t offset, size;
};

#define PART(field)                                                                    \
	{                                                                              \
		offsetof(struct config, field), sizeof(((struct config *)NULL)->field) \
	}
#define PARTS_MAX 12

/* An object of which there is one. Only name and get must be there. */
struct object {
	const char *name;
	const struct field *fields;
	size_t count; /* of fields */
	struct part parts[PARTS_MAX];
	/* Whether fields contradict each other. */
	int (*check_body)(const json_t *body, struct err *e);
	/* Copies from c what stays when the body lacks it: in a PUT, in a PATCH (NULL: there is none). */
	void (*start)(struct config *s, const struct config *c);
	void (*start_patch)(struct config *s, const struct config *c);
	/* When all fields are set: what follows from them. */
	int (*finish)(struct config *s, struct err *e);
	/* Whether the whole fits together. */
	int (*check)(const struct config *c, struct err *e);
	json_t *(*get)(const struct config *c); /* NULL: it is not there */
};

#define FIELDS(f)  .fields = (f), .count = ARRAY_SIZE(f)
#define FIELDS_MAX 16 /* of an object that can be patched */

extern const struct object object_boot, object_machine;			 /* resource_machine.c */
extern const struct object object_vsock, object_entropy, object_balloon; /* resource_single.c */
extern const struct object object_logger, object_metrics, object_serial; /* resource_output.c */

/*
 * Sets the fields that the body has. A null is a field that is not given. -EINVAL: not an object, a
 * field unknown, missing or wrong; then some are set.
 */
int fields_set(const struct field *f, size_t count, void *base, const json_t *body, struct err *e);

/* "got a string, expected WHAT" */
int field_refuse(const json_t *v, const char *what, struct err *e);

/* An index in names, or -EINVAL. */
int field_enum(const json_t *v, const char *const *names, size_t count, struct err *e);

/* Setters for a struct ratelimit_config and a struct bucket_config. */
int limit_set(struct ratelimit_config *limit, const json_t *v, struct err *e);
int bucket_set_json(struct bucket_config *bucket, const json_t *v, struct err *e);

/* How they are written; NULL: no limit, or out of memory, which looks the same. */
json_t *limit_get(const struct ratelimit_config *limit);
json_t *bucket_get(const struct bucket_config *bucket);

/* Sets a member unless the value is NULL; takes the value over. */
void object_add(json_t *object, const char *name, json_t *value);

/* Drives and network interfaces: those that have an id and may be several. */
int drive_put(struct config *c, const char *id, const json_t *body, struct err *e);
int iface_put(struct config *c, const char *id, const json_t *body, struct err *e);
json_t *drives_get(const struct config *c);
json_t *ifaces_get(const struct config *c);

#endif
