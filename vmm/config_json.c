/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. jansson parses and reports syntax errors with their line; it forgets lines
 * once it has built the tree. So the tree is checked key by key, and only when one is wrong the
 * text, by then known to be valid JSON, is scanned again for the line where that key stands, or the
 * field in its value that the error names (config_line.h).
 */
#include "vmm/config_json.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/config_json_impl.h"
#include "vmm/config_layout.h"
#include "vmm/config_line.h"
#include "vmm/util/fd.h"
#include "vmm/util/text.h"

struct source {
	const char *path;
	const char *text;
	size_t len;
	char shown[160]; /* the path for messages: its end, where the file's name is */
};

static int bad_key(const struct source *s, const char *key, int code, struct err *e)
{
	int line = config_line(s->text, s->len, key, err_field(e));

	err_key(e, code, key);
	return err_prefix(e, code, "%s:%d", s->shown, line);
}

/* jansson's own words for plain syntax errors; ours where we know what would mend it. */
static int bad_syntax(const struct source *s, const json_error_t *error, struct err *e)
{
	char shown[JSON_ERROR_TEXT_LENGTH + 8];
	const char *hint = NULL;
	int r;

	text_show(shown, sizeof(shown), error->text);
	switch (json_error_code(error)) {
	case json_error_duplicate_key:
		hint = "keep one of the two";
		break;
	case json_error_end_of_input_expected:
		hint = "a config file holds one JSON object and nothing after it";
		break;
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return err_set(e, -EINVAL, "%s:%d:%d: a string holds a NUL byte (remove \\u0000)",
			s->shown, error->line, error->column);
	case json_error_invalid_utf8:
		hint = "a config file is UTF-8 text";
		break;
	case json_error_premature_end_of_input:
		hint = "the file ends too early";
		break;
	default:
		if (strstr(shown, "expected"))
			hint = "entries are separated by one comma, none follows the last, "
			       "and there are no comments";
		break;
	}
	r = err_set(e, -EINVAL, "%s:%d:%d: %s", s->shown, error->line, error->column, shown);
	return hint ? err_hint(e, r, "%s", hint) : r;
}

const char *config_json_type(const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return "an object";
	case JSON_ARRAY:
		return "an array";
	case JSON_STRING:
		return "a string";
	case JSON_INTEGER:
		return "an integer";
	case JSON_REAL:
		return "a number with a fraction or exponent";
	case JSON_TRUE:
		return "true";
	case JSON_FALSE:
		return "false";
	case JSON_NULL:
		return "null";
	}
	return "something else";
}

static int set_path(const struct option_def *def, void *base, const char *path, const char *value,
	struct err *e)
{
	const char *slash = strrchr(path, '/');
	_free char *joined = NULL;

	if (!slash || value[0] == '/' || value[0] == '\0')
		return option_set_string(def, base, value, e);
	if (asprintf(&joined, "%.*s%s", (int)(slash + 1 - path), path, value) < 0) {
		joined = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return option_set_string(def, base, joined, e);
}

static int set_rate(const struct option_def *def, void *base, int64_t value, struct err *e)
{
	char text[32];

	/* As text, so that what is refused is the same on the command line. */
	snprintf(text, sizeof(text), "%" PRId64, value);
	return option_set_text(def, base, text, e);
}

static bool type_fits(const struct option_def *def, const json_t *v)
{
	switch (def->type) {
	case OPTION_FLAG:
		return json_is_boolean(v);
	case OPTION_INTEGER:
		return json_is_integer(v);
	case OPTION_RATE:
		return json_is_integer(v) || json_is_string(v);
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_ENUM:
		return json_is_string(v);
	case OPTION_LIST:
		/* set_item looks at the one item itself. */
		return def->max == 1 || json_is_array(v);
	case OPTION_TYPES:
		break;
	}
	return false;
}

static int set_value(const struct option_def *def, void *base, const struct source *s,
	const json_t *v, struct err *e);

/* An item is an object of its settings, or just the first of them. */
static int set_item(const struct option_def *def, void *item, const struct source *s,
	const json_t *v, struct err *e)
{
	const struct option_def *first = &def->item->defs[0];
	json_t *object = (json_t *)v; /* jansson has no iterator of const objects */
	const char *key;
	json_t *value;

	if ((!def->first_named && type_fits(first, v)) || def->item->count == 1)
		return set_value(first, item, s, v, e);
	if (!json_is_object(v) && def->first_named)
		return err_set(e, -EINVAL, "got %s, expected an object", config_json_type(v));
	if (!json_is_object(v))
		return err_set(e, -EINVAL, "got %s, expected an object or %s", config_json_type(v),
			first->type == OPTION_INTEGER ? "an integer" : "a string");
	json_object_foreach(object, key, value)
	{
		const struct option_def *inner = option_find(def->item, key);
		int r;

		if (!inner)
			return option_unknown(def->item, key, e);
		r = set_value(inner, item, s, value, e);
		if (r)
			return err_key(e, r, key);
	}
	if (!json_object_get(v, first->name))
		return err_set(e, -EINVAL, "\"%s\" is missing", first->name);
	return 0;
}

static int add_item(const struct option_def *def, void *base, const struct source *s,
	const json_t *v, struct err *e)
{
	void *item;
	int r = option_list_add(def, base, &item, e);

	return r ? r : set_item(def, item, s, v, e);
}

static int set_list(const struct option_def *def, void *base, const struct source *s,
	const json_t *v, struct err *e)
{
	size_t i;

	if (def->max == 1)
		return add_item(def, base, s, v, e);
	for (i = 0; i < json_array_size(v); i++) {
		int r = add_item(def, base, s, json_array_get(v, i), e);

		if (r)
			return err_item(e, r, i);
	}
	return 0;
}

static int set_value(const struct option_def *def, void *base, const struct source *s,
	const json_t *v, struct err *e)
{
	char expected[160];

	if (!type_fits(def, v)) {
		option_expected(def, expected, sizeof(expected));
		if (def->type == OPTION_LIST)
			snprintf(expected, sizeof(expected), "an array%s",
				def->item->count == 1 ? " of strings" : ", even of one");
		return err_set(e, -EINVAL, "got %s, expected %s", config_json_type(v), expected);
	}
	if (def->type == OPTION_INTEGER)
		return option_set_integer(def, base, json_integer_value(v), e);
	if (def->type == OPTION_RATE && json_is_integer(v))
		return set_rate(def, base, json_integer_value(v), e);
	if (def->type == OPTION_PATH)
		return set_path(def, base, s->path, json_string_value(v), e);
	if (def->type == OPTION_LIST)
		return set_list(def, base, s, v, e);
	if (def->type != OPTION_FLAG)
		return option_set_text(def, base, json_string_value(v), e);
	option_set_flag(def, base, json_is_true(v));
	return 0;
}

int config_set_json(const struct option_def *def, void *base, const json_t *v, struct err *e)
{
	const struct source none = { .path = "" };

	return set_value(def, base, &none, v, e);
}

static int unknown_key(const char *key, struct err *e)
{
	struct text_nearest nearest = { .given = key };
	int r = err_set(e, -EINVAL, "unknown key");
	size_t i;

	for (i = 0; i < config_table.count; i++)
		if (!config_table.defs[i].cli_only)
			text_nearest_try(&nearest, config_table.defs[i].name);
	for (i = 0; layout_key(i); i++)
		text_nearest_try(&nearest, layout_key(i));
	if (nearest.best)
		return err_hint(e, r, "did you mean \"%s\"?", nearest.best);
	return err_hint(e, r, "the keys are the options that nacre help run lists");
}

static int set_key(
	struct config *c, const struct source *s, const char *key, json_t *v, struct err *e)
{
	const struct option_def *def = option_find(&config_table, key);
	int r;

	if (!def)
		r = unknown_key(key, e);
	else if (def->cli_only)
		r = err_set(e, -EINVAL, "has no place in a config file (use --%s)", def->name);
	else
		r = set_value(def, c, s, v, e);
	if (!r && def->check)
		r = def->check(c, e);
	return r ? bad_key(s, key, r, e) : 0;
}

int config_parse(struct config *c, const char *path, const char *text, size_t len, struct err *e)
{
	struct source s = { .path = path, .text = text, .len = len };
	_json json_t *root = NULL;
	json_error_t error;
	const char *key;
	json_t *value;
	int r;

	text_show_end(s.shown, sizeof(s.shown), path);
	root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!root)
		return bad_syntax(&s, &error, e);
	if (!json_is_object(root))
		return err_set(e, -EINVAL, "%s: got %s, expected an object: { \"kernel\": ... }",
			s.shown, config_json_type(root));
	json_object_foreach(root, key, value)
	{
		r = layout_has(root, key, value) ? 0 : set_key(c, &s, key, value, e);
		if (r)
			return r;
	}
	r = layout_set(c, root, &key, e);
	return r ? bad_key(&s, key, r, e) : 0;
}

int config_load(struct config *c, const char *path, struct err *e)
{
	struct blob text;
	int r;

	r = blob_read(path, CONFIG_FILE_MAX, &text, e);
	if (r == -ENODATA)
		err_hint(e, r, "expected an object: { \"kernel\": ... }");
	if (r)
		return err_prefix(e, r, "--config-file");
	r = config_parse(c, path, (const char *)text.data, text.len, e);
	blob_free(&text);
	return r;
}
