/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/api/schema.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>

struct check {
	const json_t *doc;
	char *why;
	size_t size;
	char where[256];
};

static bool bad(const struct check *c, const char *what)
{
	snprintf(c->why, c->size, "%s: %s", c->where[0] ? c->where : "body", what);
	return false;
}

static bool fits(struct check *c, const json_t *schema, const json_t *v);

/* The same one step further in. */
static bool fits_inside(struct check *c, const char *step, const json_t *schema, const json_t *v)
{
	size_t used = strlen(c->where);
	bool ok;

	snprintf(c->where + used, sizeof(c->where) - used, "%s%s", used ? "." : "", step);
	ok = fits(c, schema, v);
	c->where[used] = '\0';
	return ok;
}

static bool check_ref(struct check *c, const json_t *arg, const json_t *v)
{
	static const char prefix[] = "#/components/schemas/";
	const char *ref = json_string_value(arg);
	const json_t *schemas = json_object_get(json_object_get(c->doc, "components"), "schemas");
	const json_t *target = NULL;

	if (ref && !strncmp(ref, prefix, sizeof(prefix) - 1))
		target = json_object_get(schemas, ref + sizeof(prefix) - 1);
	return target ? fits(c, target, v) : bad(c, "reference to nowhere");
}

static bool check_type(const struct check *c, const json_t *arg, const json_t *v)
{
	const char *type = json_string_value(arg);
	bool ok = (!strcmp(type, "object") && json_is_object(v)) ||
		  (!strcmp(type, "array") && json_is_array(v)) ||
		  (!strcmp(type, "string") && json_is_string(v)) ||
		  (!strcmp(type, "integer") && json_is_integer(v)) ||
		  (!strcmp(type, "boolean") && json_is_boolean(v));

	return ok ? true : bad(c, "not of the type");
}

static bool check_enum(const struct check *c, const json_t *arg, const json_t *v)
{
	size_t i;

	for (i = 0; i < json_array_size(arg); i++)
		if (json_equal(json_array_get(arg, i), v))
			return true;
	return bad(c, "none of the values");
}

static bool check_pattern(const struct check *c, const json_t *arg, const json_t *v)
{
	regex_t re;
	bool ok;

	if (!json_is_string(v))
		return true;
	if (regcomp(&re, json_string_value(arg), REG_EXTENDED | REG_NOSUB))
		return bad(c, "a pattern that is none");
	ok = regexec(&re, json_string_value(v), 0, NULL, 0) == 0;
	regfree(&re);
	return ok ? true : bad(c, "does not match the pattern");
}

static bool check_required(const struct check *c, const json_t *arg, const json_t *v)
{
	char text[128];
	size_t i;

	for (i = 0; json_is_object(v) && i < json_array_size(arg); i++) {
		const char *name = json_string_value(json_array_get(arg, i));

		snprintf(text, sizeof(text), "%s is missing", name);
		if (!json_object_get(v, name))
			return bad(c, text);
	}
	return true;
}

static bool check_properties(struct check *c, const json_t *arg, const json_t *v)
{
	json_t *properties = (json_t *)arg;
	const char *name;
	json_t *schema;

	json_object_foreach(properties, name, schema)
	{
		const json_t *member = json_object_get(v, name);

		if (member && !fits_inside(c, name, schema, member))
			return false;
	}
	return true;
}

/* Properties that are not listed beside it. */
static bool check_additional(
	const struct check *c, const json_t *schema, const json_t *arg, const json_t *v)
{
	const json_t *known = json_object_get(schema, "properties");
	json_t *object = (json_t *)v;
	char text[128];
	const char *name;
	json_t *value;

	if (json_is_true(arg) || !json_is_object(v))
		return true;
	json_object_foreach(object, name, value)
	{
		snprintf(text, sizeof(text), "%.80s is not known", name);
		if (!json_object_get(known, name))
			return bad(c, text);
	}
	return true;
}

static bool check_items(struct check *c, const json_t *arg, const json_t *v)
{
	char step[24];
	size_t i;

	for (i = 0; i < json_array_size(v); i++) {
		snprintf(step, sizeof(step), "%zu", i);
		if (!fits_inside(c, step, arg, json_array_get(v, i)))
			return false;
	}
	return true;
}

static bool check_several(struct check *c, const json_t *arg, const json_t *v, bool all)
{
	size_t i, count = json_array_size(arg);

	for (i = 0; i < count; i++)
		if (fits(c, json_array_get(arg, i), v) != all)
			return !all;
	return all;
}

static bool check_number(
	const struct check *c, const char *keyword, const json_t *arg, json_int_t n)
{
	json_int_t limit = json_integer_value(arg);
	bool ok = keyword[1] == 'i' ? n >= limit : n <= limit;

	return ok ? true : bad(c, keyword);
}

/* One keyword of a schema. */
static bool check_keyword(struct check *c, const json_t *schema, const char *keyword,
	const json_t *arg, const json_t *v)
{
	static const char *const prose[] = { "description", "default", "format", "nullable", NULL };
	unsigned int i;

	for (i = 0; prose[i]; i++)
		if (!strcmp(keyword, prose[i]))
			return true;
	if (!strcmp(keyword, "$ref"))
		return check_ref(c, arg, v);
	if (!strcmp(keyword, "type"))
		return check_type(c, arg, v);
	if (!strcmp(keyword, "enum"))
		return check_enum(c, arg, v);
	if (!strcmp(keyword, "pattern"))
		return check_pattern(c, arg, v);
	if (!strcmp(keyword, "required"))
		return check_required(c, arg, v);
	if (!strcmp(keyword, "properties"))
		return check_properties(c, arg, v);
	if (!strcmp(keyword, "additionalProperties"))
		return check_additional(c, schema, arg, v);
	if (!strcmp(keyword, "items"))
		return check_items(c, arg, v);
	if (!strcmp(keyword, "allOf") || !strcmp(keyword, "anyOf"))
		return check_several(c, arg, v, keyword[1] == 'l');
	if (!strcmp(keyword, "minimum") || !strcmp(keyword, "maximum"))
		return !json_is_integer(v) || check_number(c, keyword, arg, json_integer_value(v));
	if (!strcmp(keyword, "minLength") || !strcmp(keyword, "maxLength"))
		return !json_is_string(v) ||
		       check_number(c, keyword, arg, (json_int_t)json_string_length(v));
	if (!strcmp(keyword, "minProperties"))
		return !json_is_object(v) ||
		       check_number(c, keyword, arg, (json_int_t)json_object_size(v));
	snprintf(c->why, c->size, "keyword %s is not known to this test", keyword);
	return false;
}

static bool fits(struct check *c, const json_t *schema, const json_t *v)
{
	json_t *keywords = (json_t *)schema;
	const char *keyword;
	json_t *arg;

	if (json_is_null(v) && json_is_true(json_object_get(schema, "nullable")))
		return true;
	json_object_foreach(keywords, keyword,
		arg) if (!check_keyword(c, schema, keyword, arg, v)) return false;
	return true;
}

bool schema_fits(const json_t *doc, const json_t *schema, const json_t *v, char *why, size_t size)
{
	struct check c = { .doc = doc, .why = why, .size = size };

	return fits(&c, schema, v);
}

static const json_t *operation(const json_t *doc, const char *path, const char *method)
{
	return json_object_get(json_object_get(json_object_get(doc, "paths"), path), method);
}

static const json_t *json_schema(const json_t *holder)
{
	const json_t *content = json_object_get(holder, "content");

	return json_object_get(json_object_get(content, "application/json"), "schema");
}

const json_t *schema_of_request(const json_t *doc, const char *path, const char *method)
{
	return json_schema(json_object_get(operation(doc, path, method), "requestBody"));
}

static const json_t *answer(const json_t *doc, const char *path, const char *method, int status)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", status);
	return json_object_get(json_object_get(operation(doc, path, method), "responses"), text);
}

const json_t *schema_of_answer(const json_t *doc, const char *path, const char *method, int status)
{
	return json_schema(answer(doc, path, method, status));
}

bool schema_has_answer(const json_t *doc, const char *path, const char *method, int status)
{
	return answer(doc, path, method, status) != NULL;
}
