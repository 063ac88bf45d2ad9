/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/options.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/bits.h"
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
	case OPTION_RATE:
		snprintf(buf, size,
			"an integer up to %" PRId64 "%s%s, or SIZE:MILLISECONDS[:BURST]", def->max,
			def->unit ? ", in " : "", def->unit ? def->unit : "");
		break;
	case OPTION_LIST:
		/* A config file's form is told by config_json.c. */
		snprintf(buf, size, "%s", def->arg);
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

/* "GIVEN is ..." with the text as it was given, and what was expected. */
static int refuse_text(const struct option_def *def, const char *text, bool range, struct err *e)
{
	char shown[TEXT_SHOWN], what[TEXT_SHOWN + 32];

	text_show(shown, sizeof(shown), text);
	if (range)
		snprintf(what, sizeof(what), "%s is out of range", shown);
	else
		snprintf(what, sizeof(what), "\"%s\" is not a plain number", shown);
	return refuse(def, what, e);
}

/*
 * Decimal digits only: strtoll alone would take signs, blanks and other bases. Returns what follows
 * them, NULL where there is none. Too large a number becomes INT64_MAX, and *range true.
 */
static const char *read_digits(const char *text, int64_t *value, bool *range)
{
	const char *p = text;

	while (isdigit((unsigned char)*p))
		p++;
	if (p == text)
		return NULL;
	errno = 0;
	*value = strtoll(text, NULL, 10);
	*range = *range || errno == ERANGE;
	return p;
}

static int set_integer_text(
	const struct option_def *def, void *base, const char *text, struct err *e)
{
	bool range = false;
	int64_t value;
	const char *end = read_digits(text, &value, &range);

	if (!end || *end || range)
		return refuse_text(def, text, end && !*end, e);
	return option_set_integer(def, base, value, e);
}

int option_set_rate(
	const struct option_def *def, void *base, const struct bucket_config *rate, struct err *e)
{
	const struct ratelimit_config whole = { .bandwidth = *rate };
	char what[64];

	if (rate->size > (uint64_t)def->max || rate->one_time_burst > (uint64_t)def->max) {
		snprintf(what, sizeof(what), "%" PRIu64 " is out of range",
			max_u64(rate->size, rate->one_time_burst));
		return refuse(def, what, e);
	}
	if (ratelimit_check(&whole, NULL))
		return err_set(e, -EINVAL, "a refill time of %" PRIu64 " ms is more than two years",
			rate->refill_ms);
	memcpy(field(def, base), rate, sizeof(*rate));
	return 0;
}

/* N, or SIZE:MS[:BURST]. */
static int set_rate_text(const struct option_def *def, void *base, const char *text, struct err *e)
{
	int64_t part[3] = { 0, 1000, 0 };
	struct bucket_config rate;
	const char *end = text;
	bool range = false;
	unsigned int n = 0;

	for (; n < ARRAY_SIZE(part) && end && (!n || *end == ':'); n++)
		end = read_digits(end + (n ? 1 : 0), &part[n], &range);
	if (!end || *end || range)
		return refuse_text(def, text, end && !*end, e);
	rate = (struct bucket_config){ .size = (uint64_t)part[0],
		.one_time_burst = (uint64_t)part[2],
		.refill_ms = (uint64_t)part[1] };
	return option_set_rate(def, base, &rate, e);
}

const char *option_rate_text(const struct bucket_config *rate, char *buf, size_t size)
{
	if (!rate->size || !rate->refill_ms)
		snprintf(buf, size, "0");
	else if (rate->one_time_burst)
		snprintf(buf, size, "%" PRIu64 ":%" PRIu64 ":%" PRIu64, rate->size, rate->refill_ms,
			rate->one_time_burst);
	else if (rate->refill_ms != 1000)
		snprintf(buf, size, "%" PRIu64 ":%" PRIu64, rate->size, rate->refill_ms);
	else
		snprintf(buf, size, "%" PRIu64, rate->size);
	return buf;
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
	case OPTION_RATE:
		return set_rate_text(def, base, text, e);
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

struct bucket_config option_rate(const struct option_def *def, const void *base)
{
	struct bucket_config rate;

	memcpy(&rate, const_field(def, base), sizeof(rate));
	return rate;
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
