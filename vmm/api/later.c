/* SPDX-License-Identifier: Apache-2.0 */

/* Stands in until the objects are there; goes away with the commit that brings them. */
#include <errno.h>
#include <string.h>

#include "vmm/api/resource.h"

static int set(
	struct config *c, const char *option, const json_t *body, const char *key, struct err *e)
{
	const char *text = json_string_value(json_object_get(body, key));

	return text ? option_set_text(option_find(&config_table, option), c, text, e) : 0;
}

__attribute__((weak)) int resource_put(
	struct config *c, const char *name, const char *id, const json_t *body, struct err *e)
{
	int r;

	(void)id;
	if (strcmp(name, "boot-source") != 0)
		return err_set(e, -ENOTSUP, "%s is not supported yet.", name);
	r = set(c, "kernel", body, "kernel_image_path", e);
	if (!r)
		r = set(c, "firmware", body, "firmware", e);
	if (!r)
		r = set(c, "initrd", body, "initrd_path", e);
	return r ? r : set(c, "params", body, "boot_args", e);
}

__attribute__((weak)) int resource_patch(
	struct config *c, const char *name, const char *id, const json_t *body, struct err *e)
{
	return resource_put(c, name, id, body, e);
}

__attribute__((weak)) json_t *resource_get(const struct config *c, const char *name)
{
	(void)name;
	return json_pack("{s:I}", "mem_size_mib", (json_int_t)c->mem_mib);
}

__attribute__((weak)) json_t *resource_all(const struct config *c)
{
	return json_pack("{s:I}", "mem_size_mib", (json_int_t)c->mem_mib);
}
