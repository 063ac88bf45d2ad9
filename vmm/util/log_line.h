/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_LOG_LINE_H
#define NACRE_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "vmm/util/log.h"

/* How a line of the log looks. Pure functions, for log.c and its tests. */

#define LOG_ID_MAX   64u
#define LOG_TEXT_MAX 1800u /* of a message: the registers of a virtual CPU */
/* In JSON a byte may become six; a FIFO takes PIPE_BUF, 4096, at once, and longer messages are cut. */
#define LOG_LINE_MAX 4096u

struct log_look {
	enum log_format format;
	bool to_file; /* with time, thread and identity, as standard error goes to who reads along */
	bool show_level; /* in a file */
	bool show_origin;
	const char *id; /* "": none */
};

/*
 * On standard error "nacre: warn: TEXT"; in a file, as Firecracker has it,
 * "2026-11-21T20:51:25.123456789 [ID:THREAD:WARN:FILE:LINE] TEXT"; in JSON an object with the same
 * as time (UTC, RFC 3339), level, id, thread, file, line, message. Returns the length, the line end
 * included and no NUL.
 */
size_t log_format_line(char line[LOG_LINE_MAX], const struct log_look *look,
	const struct timespec *now, const struct log_origin *from, enum log_level level,
	const char *text);

#endif
