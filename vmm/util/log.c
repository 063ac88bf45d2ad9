/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/util/text.h"

#define GATE_BURST 10u

const char *const log_level_names[LOG_LEVELS] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static _Atomic int current_level = LOG_WARN;

void log_set_level(enum log_level level)
{
	atomic_store(&current_level, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_raw(const char *text, size_t len)
{
	struct pollfd p = { STDERR_FILENO, POLLOUT, 0 };

	/*
	 * A reader of standard error that has stopped must not stop us: a device's loop and vCPUs
	 * log too. What it does not take is lost; there is nobody to tell.
	 */
	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) && write(STDERR_FILENO, text, len) < 0)
		return;
}

static void __attribute__((format(printf, 2, 0)))
log_emit(enum log_level level, const char *fmt, va_list ap)
{
	char line[1024];
	size_t used;
	int n;

	n = snprintf(line, sizeof(line), "nacre: %s%s", log_level_names[level], ": ");
	used = (size_t)n;
	n = vsnprintf(line + used, sizeof(line) - used - 1, fmt, ap);
	if (n < 0)
		return;
	used += (size_t)n;
	if (used > sizeof(line) - 2)
		used = sizeof(line) - 2;
	text_defuse(line, used);
	line[used++] = '\n';
	log_raw(line, used);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	log_emit(level, fmt, ap);
	va_end(ap);
}

void log_gated(struct log_gate *gate, enum log_level level, const char *fmt, ...)
{
	unsigned int said;
	va_list ap;

	if (!log_enabled(level))
		return;
	said = __atomic_fetch_add(&gate->said, 1, __ATOMIC_RELAXED);
	if (said > GATE_BURST) {
		__atomic_store_n(&gate->said, GATE_BURST + 1, __ATOMIC_RELAXED);
		return;
	}
	va_start(ap, fmt);
	log_emit(level, fmt, ap);
	va_end(ap);
	if (said == GATE_BURST)
		log_write(level, "(further messages of this kind are not shown)");
}
