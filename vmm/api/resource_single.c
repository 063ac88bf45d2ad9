/* SPDX-License-Identifier: Apache-2.0 */

/* Devices of which there is one at most: vsock, entropy, balloon. */
#include <errno.h>

#include "vmm/api/resource_impl.h"
#include "vmm/config_json.h"

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
	int r = config_check_socket(c->vsock.items, e);

	return r ? err_key(e, r, "uds_path") : 0;
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

const struct object object_vsock = {
	"vsock",
	FIELDS(vsock_fields),
	.check = check_vsock,
	.get = get_vsock,
	.parts = { PART(vsock) },
};

const struct object object_entropy = {
	"entropy",
	FIELDS(entropy_fields),
	.finish = finish_entropy,
	.get = get_entropy,
	.parts = { PART(entropy), PART(entropy_limit) },
};

const struct object object_balloon = {
	"balloon",
	FIELDS(balloon_fields),
	.check = config_check_balloon,
	.get = get_balloon,
	.parts = { PART(balloon) },
};
