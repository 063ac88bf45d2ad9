/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/text.h"

/* Enough for the longest list of enum names. */
#define EXPECTED_MAX 160

const struct option_def *option_find(const struct option_table *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		if (strcmp(t->defs[i].name, name) == 0)
			return &t->defs[i];
	return NULL;
}

const struct option_def *option_find_letter(const struct option_table *t, char letter)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		if (letter && t->defs[i].letter == letter)
			return &t->defs[i];
	return NULL;
}

static void *field(const struct option_def *def, void *base)
{
	return (char *)base + def->offset;
}

static const void *const_field(const struct option_def *def, const void *base)
{
	return (const char *)base + def->offset;
}

/* By size, since enums and both widths of integer are stored as what they are. */
static void store_number(const struct option_def *def, void *base, uint64_t value)
{
	uint32_t narrow = (uint32_t)value;

	if (def->size == sizeof(narrow))
		memcpy(field(def, base), &narrow, sizeof(narrow));
	else
		memcpy(field(def, base), &value, sizeof(value));
}

static uint64_t load_number(const struct option_def *def, const void *base)
{
	uint32_t narrow;
	uint64_t wide;

	if (def->size == sizeof(narrow)) {
		memcpy(&narrow, const_field(def, base), sizeof(narrow));
		return narrow;
	}
	memcpy(&wide, const_field(def, base), sizeof(wide));
	return wide;
}

static void expected_names(const struct option_def *def, char *buf, size_t size)
{
	size_t used = (size_t)snprintf(buf, size, "one of ");
	size_t i;

	for (i = 0; i < def->value_count && used < size; i++)
		used += (size_t)snprintf(
			buf + used, size - used, "%s%s", i ? ", " : "", def->values[i]);
}

void option_expected(const struct option_def *def, char *buf, size_t size)
{
	switch (def->type) {
	case OPTION_FLAG:
		snprintf(buf, size, "true or false");
		break;
	case OPTION_INTEGER:
		snprintf(buf, size, "an integer from %" PRId64 " to %" PRId64 "%s%s", def->min,
			def->max, def->unit ? ", in " : "", def->unit ? def->unit : "");
		break;
	case OPTION_STRING:
		snprintf(buf, size, "a string");
		break;
	case OPTION_PATH:
		snprintf(buf, size, "the path of a file");
		break;
	case OPTION_ENUM:
		expected_names(def, buf, size);
		break;
	case OPTION_LIST:
		snprintf(buf, size, "%s, or %s", def->max == 1 ? "an object" : "a list of objects",
			def->arg);
		break;
	case OPTION_TYPES:
		buf[0] = '\0';
		break;
	}
}

/* "WHAT, expected ..." with what the row accepts. */
static int refuse(const struct option_def *def, const char *what, struct err *e)
{
	char expected[EXPECTED_MAX];

	option_expected(def, expected, sizeof(expected));
	return err_set(e, -EINVAL, "%s, expected %s", what, expected);
}

void option_set_flag(const struct option_def *def, void *base, bool value)
{
	memcpy(field(def, base), &value, sizeof(value));
}

int option_set_integer(const struct option_def *def, void *base, int64_t value, struct err *e)
{
	char what[64];

	if (value < def->min || value > def->max) {
		snprintf(what, sizeof(what), "%" PRId64 " is out of range", value);
		return refuse(def, what, e);
	}
	store_number(def, base, (uint64_t)value);
	return 0;
}

int option_set_string(const struct option_def *def, void *base, const char *value, struct err *e)
{
	int64_t len = (int64_t)strlen(value);
	char *copy, *old;

	if (len < def->min)
		return refuse(def, "the value is empty", e);
	if (len > def->max)
		return err_set(e, -EINVAL,
			"the value has %" PRId64 " bytes, expected at most %" PRId64, len,
			def->max);
	copy = strdup(value);
	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	memcpy(&old, field(def, base), sizeof(old));
	free(old);
	memcpy(field(def, base), &copy, sizeof(copy));
	return 0;
}

int option_set_enum(const struct option_def *def, void *base, const char *name, struct err *e)
{
	struct text_nearest nearest = { .given = name };
	char shown[TEXT_SHOWN], what[TEXT_SHOWN + 32];
	size_t i;
	int r;

	for (i = 0; i < def->value_count; i++) {
		if (strcmp(def->values[i], name) == 0) {
			store_number(def, base, i);
			return 0;
		}
		text_nearest_try(&nearest, def->values[i]);
	}
	snprintf(what, sizeof(what), "\"%s\" is not known", text_show(shown, sizeof(shown), name));
	r = refuse(def, what, e);
	return nearest.best ? err_hint(e, r, "did you mean \"%s\"?", nearest.best) : r;
}

/* Decimal digits only: strtoll alone would take signs, blanks and other bases. */
static int set_integer_text(
	const struct option_def *def, void *base, const char *text, struct err *e)
{
	char shown[TEXT_SHOWN], what[TEXT_SHOWN + 32];
	const char *p = text;
	int64_t value;

	while (isdigit((unsigned char)*p))
		p++;
	if (p == text || *p) {
		text_show(shown, sizeof(shown), text);
		snprintf(what, sizeof(what), "\"%s\" is not a plain number", shown);
		return refuse(def, what, e);
	}
	errno = 0;
	value = strtoll(text, NULL, 10);
	if (errno == ERANGE) {
		text_show(shown, sizeof(shown), text);
		snprintf(what, sizeof(what), "%s is out of range", shown);
		return refuse(def, what, e);
	}
	return option_set_integer(def, base, value, e);
}

int option_set_text(const struct option_def *def, void *base, const char *text, struct err *e)
{
	switch (def->type) {
	case OPTION_INTEGER:
		return set_integer_text(def, base, text, e);
	case OPTION_STRING:
	case OPTION_PATH:
		return option_set_string(def, base, text, e);
	case OPTION_ENUM:
		return option_set_enum(def, base, text, e);
	case OPTION_LIST:
		return option_list_text(def, base, text, e);
	case OPTION_FLAG:
	case OPTION_TYPES:
		break;
	}
	return err_set(e, -EINVAL, "takes no argument");
}

bool option_flag(const struct option_def *def, const void *base)
{
	bool value;

	memcpy(&value, const_field(def, base), sizeof(value));
	return value;
}

int64_t option_integer(const struct option_def *def, const void *base)
{
	return (int64_t)load_number(def, base);
}

const char *option_string(const struct option_def *def, const void *base)
{
	const char *value;

	if (def->type == OPTION_ENUM) {
		uint64_t i = load_number(def, base);

		return i < def->value_count ? def->values[i] : NULL;
	}
	memcpy(&value, const_field(def, base), sizeof(value));
	return value;
}

void options_free(const struct option_table *t, void *base)
{
	char *value, *none = NULL;
	size_t i;

	for (i = 0; i < t->count; i++) {
		const struct option_def *def = &t->defs[i];

		if (def->type == OPTION_LIST)
			option_list_free(def, base);
		if (def->type != OPTION_STRING && def->type != OPTION_PATH)
			continue;
		memcpy(&value, field(def, base), sizeof(value));
		free(value);
		memcpy(field(def, base), &none, sizeof(none));
	}
}
