/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The objects of the API: requests one after the other, each a byte for the object and a body, with a
 * NUL between them. What is refused has a sentence and changes nothing; what is accepted is told again
 * by GET, and means the same to another machine.
 */
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/resource.h"
#include "vmm/util/bits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = { "boot-source", "machine-config", "drives",
	"network-interfaces", "vsock", "entropy", "balloon", "logger", "metrics", "serial",
	"PATCH machine-config" };

static void request(struct config *c, const char *name, const json_t *body)
{
	json_t *before = resource_all(c), *after;
	struct err e = { "" };
	int r;

	if (!strncmp(name, "PATCH ", 6))
		r = resource_patch(c, name + 6, NULL, body, &e);
	else
		r = resource_put(c, name, NULL, body, &e);
	after = resource_all(c);
	if (!before || !after || (r && (!e.msg[0] || !json_equal(before, after))))
		abort();
	json_decref(before);
	json_decref(after);
}

/* All that GET /vm/config says, put into a new one. */
static void say_again(const struct config *c)
{
	json_t *all = resource_all(c), *again, *value;
	struct config other;
	struct err e = { "" };
	const char *name;
	size_t i;
	int r = 0;

	resource_init(&other);
	json_object_foreach(all, name, value)
	{
		if (!json_is_array(value))
			r |= resource_put(&other, name, NULL, value, &e);
		for (i = 0; i < json_array_size(value); i++)
			r |= resource_put(&other, name, NULL, json_array_get(value, i), &e);
	}
	again = resource_all(&other);
	if (r || !json_equal(all, again))
		abort();
	config_free(&other);
	json_decref(all);
	json_decref(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config c;

	resource_init(&c);
	while (size > 1) {
		const uint8_t *end = memchr(data + 1, 0, size - 1);
		size_t len = end ? (size_t)(end - data) : size;
		json_t *body = json_loadb((const char *)data + 1, len - 1,
			JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);

		if (body)
			request(&c, names[data[0] % ARRAY_SIZE(names)], body);
		json_decref(body);
		data += end ? len + 1 : len;
		size -= end ? len + 1 : len;
	}
	say_again(&c);
	config_free(&c);
	return 0;
}
