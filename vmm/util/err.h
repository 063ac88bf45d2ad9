/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ERR_H
#define NACRE_ERR_H

#include <stddef.h>

/*
 * Errors are sentences. The leaf that fails says what failed and how to mend it, each layer above
 * may put one prefix in front, and only the edge (main) prints. A struct err lives on the
 * stack of the edge and is handed down; nothing is allocated. All functions may be called from any
 * thread as long as each thread has its own struct err; a NULL struct err is accepted and ignored.
 */
struct err {
	char msg[768 + 128]; /* the sentence; behind its room, err_field's */
};

/* Writes the message and returns code, which must be a negative errno value. */
int err_set(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Like err_set with ": strerror(errno)" appended; returns -errno (-EIO if errno is 0). */
int err_sys(struct err *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " in front of the message and returns code unchanged. */
int err_prefix(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/*
 * err_prefix with the quoted name of a field, and with "item N" of a list, counted from 1. Both are
 * noted for err_field, too.
 */
int err_key(struct err *e, int code, const char *key);
int err_item(struct err *e, int code, size_t index);
/* Notes it without a prefix: the message names the field in its own words. */
void err_at(struct err *e, const char *part);

/*
 * Which field the message is about, for who can find its line in a file: "drives/1/path_on_host", as
 * far as the layers noted it (items from 0), or "". Of a long one the end is lost.
 */
const char *err_field(const struct err *e);

/* Appends " (hint)": what the reader can do about it. Returns code unchanged. */
int err_hint(struct err *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
