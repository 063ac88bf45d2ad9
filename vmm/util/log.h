/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_LOG_H
#define NACRE_LOG_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Log lines go to standard error, one write each, so that lines of several threads do not mix.
 * The level is one of the two globals of the program. Any thread may log.
 */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_LEVELS };

extern const char *const log_level_names[LOG_LEVELS];

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* Writes text to standard error as it is, or drops it when that would block. */
void log_raw(const char *text, size_t len);

/*
 * For messages that a guest can provoke at will: each place in the source may speak `burst` times,
 * then one line says that it falls silent. A guest must not be able to fill the host's disk.
 */
struct log_gate {
	unsigned int said;
};
void log_gated(struct log_gate *gate, enum log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_limited(level, ...)                        \
	do {                                           \
		static struct log_gate gate_;          \
		log_gated(&gate_, level, __VA_ARGS__); \
	} while (0)

#endif
