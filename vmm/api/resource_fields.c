/* SPDX-License-Identifier: Apache-2.0 */

/* Fields of an object, and the rate limiter, which several objects have. */
#include <errno.h>
#include <string.h>

#include "vmm/api/resource_impl.h"
#include "vmm/config_json.h"
#include "vmm/util/text.h"

int field_refuse(const json_t *v, const char *what, struct err *e)
{
	return err_set(e, -EINVAL, "got %s, expected %s", config_json_type(v), what);
}

static const struct field *find(const struct field *f, size_t count, const char *name)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (strcmp(f[i].name, name) == 0)
			return &f[i];
	return NULL;
}

static int unknown(const struct field *f, size_t count, const char *name, struct err *e)
{
	struct text_nearest nearest = { .given = name };
	char shown[TEXT_SHOWN], names[320] = "";
	size_t i, used = 0;
	int r;

	for (i = 0; i < count; i++) {
		text_nearest_try(&nearest, f[i].name);
		if (used < sizeof(names))
			used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
				i ? ", " : "", f[i].name);
	}
	r = err_set(e, -EINVAL, "unknown field \"%s\"", text_show(shown, sizeof(shown), name));
	err_at(e, name);
	if (nearest.best)
		return err_hint(e, r, "did you mean \"%s\"?", nearest.best);
	return err_hint(e, r, "there are %s", names);
}

static int set_field(const struct field *f, void *base, const json_t *v, struct err *e)
{
	int r;

	if (f->set)
		r = f->set(base, v, e);
	else
		r = config_set_json(option_find(f->table, f->option), base, v, e);
	return r ? err_key(e, r, f->name) : 0;
}

int fields_set(const struct field *f, size_t count, void *base, const json_t *body, struct err *e)
{
	json_t *object = (json_t *)body; /* jansson has no iterator of const objects */
	const char *key;
	json_t *value;
	size_t i;

	if (!json_is_object(body))
		return field_refuse(body, "an object", e);
	json_object_foreach(object, key, value) if (!find(f, count, key)) return unknown(
		f, count, key, e);
	for (i = 0; i < count; i++) {
		const json_t *v = json_object_get(body, f[i].name);
		bool given = v && !json_is_null(v);
		int r;

		if (!given && f[i].required)
			return err_set(e, -EINVAL, "\"%s\" is missing", f[i].name);
		if (!given)
			continue;
		r = set_field(&f[i], base, v, e);
		if (r)
			return r;
	}
	return 0;
}

int field_enum(const json_t *v, const char *const *names, size_t count, struct err *e)
{
	char expected[160] = "one of ", shown[TEXT_SHOWN];
	size_t i, used = strlen(expected);

	for (i = 0; i < count && used < sizeof(expected); i++)
		used += (size_t)snprintf(
			expected + used, sizeof(expected) - used, "%s%s", i ? ", " : "", names[i]);
	if (!json_is_string(v))
		return field_refuse(v, expected, e);
	for (i = 0; i < count; i++)
		if (strcmp(json_string_value(v), names[i]) == 0)
			return (int)i;
	return err_set(e, -EINVAL, "\"%s\" is not known, expected %s",
		text_show(shown, sizeof(shown), json_string_value(v)), expected);
}

/* ---- rate limiters ---- */

#define BUCKET(field) \
	OPTION_FIELD(struct bucket_config, field), .type = OPTION_INTEGER, .max = RATE_MAX
static const struct option_def bucket_defs[] = {
	{ .name = "size", BUCKET(size), .unit = "tokens" },
	{ .name = "one_time_burst", BUCKET(one_time_burst), .unit = "tokens" },
	{ .name = "refill_time", BUCKET(refill_ms), .unit = "ms" },
};

static const struct option_table bucket_table = { bucket_defs, ARRAY_SIZE(bucket_defs) };

static const struct field bucket_fields[] = {
	{ "size", .required = true, FIELD_OPTION(bucket_table, "size") },
	{ "one_time_burst", FIELD_OPTION(bucket_table, "one_time_burst") },
	{ "refill_time", .required = true, FIELD_OPTION(bucket_table, "refill_time") },
};

int bucket_set_json(struct bucket_config *bucket, const json_t *v, struct err *e)
{
	struct ratelimit_config whole = { .ops = { 0 } };
	int r = fields_set(bucket_fields, ARRAY_SIZE(bucket_fields), &whole.bandwidth, v, e);

	if (r)
		return r;
	if (ratelimit_check(&whole, NULL))
		return err_set(e, -EINVAL, "\"refill_time\": %llu ms is more than two years",
			(unsigned long long)whole.bandwidth.refill_ms);
	*bucket = whole.bandwidth;
	return 0;
}

static int set_bandwidth(void *base, const json_t *v, struct err *e)
{
	return bucket_set_json(&((struct ratelimit_config *)base)->bandwidth, v, e);
}

static int set_ops(void *base, const json_t *v, struct err *e)
{
	return bucket_set_json(&((struct ratelimit_config *)base)->ops, v, e);
}

static const struct field limit_fields[] = {
	{ "bandwidth", .set = set_bandwidth },
	{ "ops", .set = set_ops },
};

int limit_set(struct ratelimit_config *limit, const json_t *v, struct err *e)
{
	return fields_set(limit_fields, ARRAY_SIZE(limit_fields), limit, v, e);
}

int resource_limit(struct ratelimit_config *limit, const json_t *v, struct err *e)
{
	struct ratelimit_config changed = *limit;
	int r = json_is_null(v) ? 0 : limit_set(&changed, v, e);

	if (!r)
		*limit = changed;
	return r;
}

void object_add(json_t *object, const char *name, json_t *value)
{
	if (value)
		json_object_set_new(object, name, value);
}

json_t *bucket_get(const struct bucket_config *b)
{
	json_t *o;

	if (!b->size || !b->refill_ms)
		return NULL;
	o = json_object();
	object_add(o, "size", json_integer((json_int_t)b->size));
	if (b->one_time_burst)
		object_add(o, "one_time_burst", json_integer((json_int_t)b->one_time_burst));
	object_add(o, "refill_time", json_integer((json_int_t)b->refill_ms));
	return o;
}

json_t *limit_get(const struct ratelimit_config *limit)
{
	json_t *o;

	if (!ratelimit_limits(limit))
		return NULL;
	o = json_object();
	object_add(o, "bandwidth", bucket_get(&limit->bandwidth));
	object_add(o, "ops", bucket_get(&limit->ops));
	return o;
}
