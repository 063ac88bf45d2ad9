/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_OPTIONS_H
#define NACRE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/ratelimit.h"
#include "vmm/util/err.h"

/*
 * An option table describes the fields of a struct once, for everything that touches them: the
 * command line, the JSON file, --help, validation, the dump. A function here takes a row and the
 * address of the struct that the row's offset counts from, and never knows which struct it is, so
 * a new setting is a field and a row.
 *
 * Values go through the option_set functions only: they hold the limits, so no source of settings
 * is laxer than another. Their errors do not say where the value came from; callers put the option
 * or the file, line and key in front with err_prefix.
 */
enum option_type {
	OPTION_FLAG,	/* bool */
	OPTION_INTEGER, /* uint32_t or uint64_t */
	OPTION_STRING,	/* char *, owned; NULL while not given */
	OPTION_PATH,	/* a string that names a file */
	OPTION_ENUM,	/* an enum that counts from 0 */
	OPTION_RATE,	/* struct bucket_config */
	OPTION_LIST,	/* a struct option_list: may be given up to max times */
	OPTION_TYPES
};

struct option_table;

struct option_def {
	const char *name; /* the long option, and the key in a config file */
	char letter;	  /* the short option, or 0 */
	bool cli_only;	  /* has no place in a config file */
	enum option_type type;
	size_t offset, size;	   /* of the field: OPTION_FIELD */
	int64_t min, max;	   /* integers, rates: the value; strings and paths: the bytes */
	const char *const *values; /* enums: the names, value_count; strings: suggestions */
	size_t value_count;
	/*
	 * Lists: the settings of an item. The first must be given, and needs no name unless the row
	 * says so. With a max of 1 the last item given counts, and JSON has no array around it.
	 */
	const struct option_table *item;
	bool first_named;
	size_t item_size;
	/*
	 * What is wrong with the field by itself beyond all this, or NULL. base: the struct. For
	 * sources whose errors name a line; whoever takes the struct checks it as a whole.
	 */
	int (*check)(const void *base, struct err *e);
	const char *unit; /* of an integer, or NULL */
	const char *arg;  /* what --help calls the argument; NULL for a flag */
	const char *help; /* one sentence without its full stop */
};

#define OPTION_FIELD(type, field) \
	.offset = offsetof(type, field), .size = sizeof(((type *)NULL)->field)

struct option_table {
	const struct option_def *defs;
	size_t count;
};

/* The field of an OPTION_LIST: count structs of the row's item_size, zeroed but for what was set. */
struct option_list {
	void *items;
	uint32_t count;
};

/* The row of that long name (of that letter), or NULL. */
const struct option_def *option_find(const struct option_table *t, const char *name);
const struct option_def *option_find_letter(const struct option_table *t, char letter);

/*
 * Stores a value into the field of def in the struct at base. Each refuses what the row does not
 * allow with -EINVAL (-ENOMEM), leaves the field as it was, and says what was expected. The row
 * must be of the function's type.
 */
void option_set_flag(const struct option_def *def, void *base, bool value);
int option_set_integer(const struct option_def *def, void *base, int64_t value, struct err *e);
int option_set_string(const struct option_def *def, void *base, const char *value, struct err *e);
int option_set_enum(const struct option_def *def, void *base, const char *name, struct err *e);
int option_set_rate(
	const struct option_def *def, void *base, const struct bucket_config *rate, struct err *e);

/* The same from the text of a command line, for any type but a flag. */
int option_set_text(const struct option_def *def, void *base, const char *text, struct err *e);

/*
 * A rate as text: N, so much a second, or SIZE:MS[:BURST], a token bucket (devices/ratelimit.h).
 * What does not limit is 0. OPTION_RATE_TEXT bytes are enough for any.
 */
#define OPTION_RATE_TEXT 72
const char *option_rate_text(const struct bucket_config *rate, char *buf, size_t size);

/* Reads a field back. option_string returns the enum's name for an enum, and NULL if not given. */
bool option_flag(const struct option_def *def, const void *base);
int64_t option_integer(const struct option_def *def, const void *base);
const char *option_string(const struct option_def *def, const void *base);
struct bucket_config option_rate(const struct option_def *def, const void *base);

/* Writes what the row accepts, to follow "expected", e.g. "an integer from 1 to 512". */
void option_expected(const struct option_def *def, char *buf, size_t size);

/*
 * Lists. option_list_add appends an item of zeros (its settings' defaults) and option_list_drop
 * removes the last one again. Where only one is allowed, the last one given counts, and a config
 * file has it without the array. option_list_text appends one from a command line's text,
 * "VALUE,name=value,flag": a comma inside a value is written twice. Where items have one setting
 * only, "VALUE,VALUE" appends several, and in JSON such an item is its value.
 */
int option_list_add(const struct option_def *def, void *base, void **item, struct err *e);
void option_list_drop(const struct option_def *def, void *base);
void option_list_free(const struct option_def *def, void *base);
int option_list_text(const struct option_def *def, void *base, const char *text, struct err *e);
uint32_t option_list_count(const struct option_def *def, const void *base);
const void *option_list_item(const struct option_def *def, const void *base, uint32_t i);

/* -EINVAL and a sentence for a name that the table lacks. */
int option_unknown(const struct option_table *t, const char *name, struct err *e);

/* Frees every string of the struct at base and sets it to NULL. */
void options_free(const struct option_table *t, void *base);

#endif
