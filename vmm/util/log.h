/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_LOG_H
#define NACRE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/util/err.h"

/*
 * Log lines go to standard error or to a file, one write each, so that lines of several threads do
 * not mix. Nobody waits for who reads or stores them (log_sink.h): a line that finds no room is lost
 * and counted. Settings are of the whole program. Any thread may log.
 */
enum log_level { LOG_OFF, LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVELS };
enum log_format { LOG_TEXT, LOG_JSON, LOG_FORMATS };

extern const char *const log_level_names[LOG_LEVELS];
extern const char *const log_format_names[LOG_FORMATS];

/* Where lines go and what is in them. */
struct log_config {
	const char *path; /* a file, made where it is missing, or a FIFO; NULL: standard error */
	const char *id;	  /* of the machine, in each line; or NULL */
	enum log_level level;
	enum log_format format;
	bool show_level;    /* in a file; on standard error, and in JSON, it is always there */
	bool show_origin;   /* source file and line */
	const char *module; /* only what source files say whose path begins so; or NULL */
};

/*
 * Takes effect for all lines from here on; strings are copied. Again with the same path opens it
 * again, for those who have moved the file away. 0, or -errno with a sentence, and all is as it was.
 */
int log_setup(const struct log_config *c, struct err *e);

/* Waits, at most a second, until what was logged is written. Before the program ends. */
void log_finish(void);

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* True where lines go to a file: what is printed on standard error is not in the log then. */
bool log_has_file(void);

/* Our names and Firecracker's (Warning, Trace), in any case. False: unknown. */
bool log_find_level(const char *name, enum log_level *out);

/*
 * Since the program started: lines that found no room or a full disk, and messages that log_limited
 * held back.
 */
struct log_stats {
	uint64_t lost, held_back;
};
void log_read_stats(struct log_stats *out);

/* Where in the source a message comes from. */
struct log_origin {
	const char *file;
	unsigned int line;
};
#define LOG_HERE (&(const struct log_origin){ __FILE__, __LINE__ })

void log_write_from(const struct log_origin *from, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_write(level, ...) log_write_from(LOG_HERE, level, __VA_ARGS__)
#define log_error(...)	      log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)	      log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)	      log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...)	      log_write(LOG_DEBUG, __VA_ARGS__)

/* Writes text to standard error as it is, or drops it when that would block. */
void log_raw(const char *text, size_t len);

/*
 * For messages that a guest can provoke at will: each place in the source may speak LOG_GATE_BURST
 * times in LOG_GATE_SECONDS, then one line says that it falls silent. A guest must not be able to
 * fill the host's disk, and one that runs for months must be heard again. Zeroed at first.
 */
#define LOG_GATE_BURST	 10u
#define LOG_GATE_SECONDS 600u

struct log_gate {
	uint64_t state; /* second in which it opened, and how often it was asked since */
};

/* May it speak in that second (of any clock that does not go back)? */
enum log_gate_answer { LOG_GATE_SPEAK, LOG_GATE_LAST, LOG_GATE_SILENT };
/* *missed: messages held back before this one, when it is the first after a silence. */
enum log_gate_answer log_gate_ask(struct log_gate *gate, uint64_t second, unsigned int *missed);

void log_gated_from(struct log_gate *gate, const struct log_origin *from, enum log_level level,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

#define log_gated(gate, level, ...) log_gated_from(gate, LOG_HERE, level, __VA_ARGS__)
#define log_limited(level, ...)                        \
	do {                                           \
		static struct log_gate gate_;          \
		log_gated(&gate_, level, __VA_ARGS__); \
	} while (0)

#endif
