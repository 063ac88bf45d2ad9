/* SPDX-License-Identifier: Apache-2.0 */

/* Settings as a config file that means the same wherever it is put. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vmm/config_json.h"
#include "vmm/config_json_impl.h"
#include "vmm/util/fd.h"

static int text_value(const char *text, json_t **out, struct err *e)
{
	*out = json_string(text);
	return *out ? 0 : err_set(e, -EILSEQ, "it is not UTF-8");
}

/* Made absolute by text, not by looking it up: the file need not exist to be written down. */
static int path_value(const char *path, json_t **out, struct err *e)
{
	_free char *cwd = NULL, *whole = NULL;

	if (path[0] == '/')
		return text_value(path, out, e);
	cwd = getcwd(NULL, 0);
	if (!cwd)
		return err_hint(e, err_sys(e, "find the working directory"),
			"start in another one, or give an absolute path");
	if (asprintf(&whole, "%s/%s", strcmp(cwd, "/") ? cwd : "", path) < 0) {
		whole = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	return text_value(whole, out, e);
}

/* A number where one says it all. */
static int rate_value(struct bucket_config rate, json_t **out, struct err *e)
{
	char text[OPTION_RATE_TEXT];

	option_rate_text(&rate, text, sizeof(text));
	if (strchr(text, ':'))
		return text_value(text, out, e);
	*out = json_integer((json_int_t)strtoull(text, NULL, 10));
	return 0;
}

static int dump_list(const struct option_def *def, const void *base, json_t **out, struct err *e);

static int dump_value(const struct option_def *def, const void *c, json_t **out, struct err *e)
{
	switch (def->type) {
	case OPTION_FLAG:
		*out = json_boolean(option_flag(def, c));
		break;
	case OPTION_INTEGER:
		*out = json_integer(option_integer(def, c));
		break;
	case OPTION_RATE:
		return rate_value(option_rate(def, c), out, e);
	case OPTION_PATH:
		return path_value(option_string(def, c), out, e);
	case OPTION_STRING:
	case OPTION_ENUM:
		return text_value(option_string(def, c), out, e);
	case OPTION_LIST:
		return dump_list(def, c, out, e);
	case OPTION_TYPES:
		break;
	}
	return 0;
}

static bool is_given(const struct option_def *def, const void *c)
{
	if (def->cli_only)
		return false;
	if (def->type == OPTION_STRING || def->type == OPTION_PATH)
		return option_string(def, c) != NULL;
	return def->type != OPTION_LIST || option_list_count(def, c) > 0;
}

/* All that is given of the struct at base. */
static int dump_table(const struct option_table *t, const void *base, json_t **out, struct err *e)
{
	_json json_t *o = json_object();
	size_t i;

	for (i = 0; i < t->count; i++) {
		const struct option_def *def = &t->defs[i];
		json_t *value = NULL;
		int r;

		if (!is_given(def, base))
			continue;
		r = dump_value(def, base, &value, e);
		if (r)
			return err_prefix(e, r, "%s", def->name);
		if (json_object_set_new(o, def->name, value))
			return err_set(e, -ENOMEM, "%s: out of memory", def->name);
	}
	*out = json_incref(o);
	return 0;
}

static int dump_list(const struct option_def *def, const void *base, json_t **out, struct err *e)
{
	_json json_t *list = json_array();
	uint32_t i;

	/* Where there is one at most, it stands for itself. */
	if (def->max == 1)
		return dump_table(def->item, option_list_item(def, base, 0), out, e);
	for (i = 0; i < option_list_count(def, base); i++) {
		const void *it = option_list_item(def, base, i);
		json_t *value = NULL;
		int r;

		/* An item of one setting is written as that setting's value. */
		if (def->item->count == 1)
			r = dump_value(&def->item->defs[0], it, &value, e);
		else
			r = dump_table(def->item, it, &value, e);
		if (r)
			return err_prefix(e, r, "item %u", i + 1);
		if (json_array_append_new(list, value))
			return err_set(e, -ENOMEM, "out of memory");
	}
	*out = json_incref(list);
	return 0;
}

int config_dump(const struct config *c, FILE *out, struct err *e)
{
	_json json_t *root = NULL;
	int r = dump_table(&config_table, c, &root, e);

	if (r)
		return err_prefix(e, r, "write the settings as JSON");
	if (json_dumpf(root, out, JSON_INDENT(8)) || fputc('\n', out) == EOF || fflush(out))
		return err_sys(e, "write the settings");
	return 0;
}
