/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/log_line.h"
#include "vmm/util/log_sink.h"
#include "vmm/util/text.h"

const char *const log_level_names[LOG_LEVELS] = {
	[LOG_OFF] = "off",
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

const char *const log_format_names[LOG_FORMATS] = {
	[LOG_TEXT] = "text",
	[LOG_JSON] = "json",
};

static _Atomic int current_level = LOG_WARN;
static _Atomic uint64_t lost, held_back;

/* Everything that a line needs, changed as a whole by log_setup. */
static struct {
	pthread_mutex_t lock;
	struct sink *sink; /* NULL: standard error */
	struct log_look look;
	char id[LOG_ID_MAX + 1];
	char module[256]; /* "": all */
} to = { .lock = PTHREAD_MUTEX_INITIALIZER, .look = { .id = to.id } };

/* ---- settings ---- */

int log_setup(const struct log_config *c, struct err *e)
{
	struct sink *sink = NULL, *old;
	int r;

	if (c->path) {
		r = sink_open(&sink, c->path, e);
		if (r)
			return err_prefix(e, r, "log");
	}
	/*
	 * Whoever makes a date of a time, as our lines do and libevent's answers, has the host's time
	 * zone read first, once, from a file: later there may be no way to that (vmm/sandbox).
	 */
	tzset();
	pthread_mutex_lock(&to.lock);
	old = to.sink;
	to.sink = sink;
	snprintf(to.id, sizeof(to.id), "%s", c->id ? c->id : "");
	text_defuse(to.id, strlen(to.id));
	snprintf(to.module, sizeof(to.module), "%s", c->module ? c->module : "");
	to.look = (struct log_look){
		.format = c->format,
		.to_file = sink != NULL,
		.show_level = c->show_level,
		.show_origin = c->show_origin,
		.id = to.id,
	};
	pthread_mutex_unlock(&to.lock);
	log_set_level(c->level);
	if (old)
		atomic_fetch_add_explicit(&lost, sink_lost(old), memory_order_relaxed);
	sink_free(old);
	return 0;
}

void log_finish(void)
{
	pthread_mutex_lock(&to.lock);
	if (to.sink)
		sink_flush(to.sink, 1000);
	pthread_mutex_unlock(&to.lock);
}

void log_set_level(enum log_level level)
{
	atomic_store(&current_level, (int)level);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

bool log_has_file(void)
{
	bool has;

	pthread_mutex_lock(&to.lock);
	has = to.sink != NULL;
	pthread_mutex_unlock(&to.lock);
	return has;
}

bool log_find_level(const char *name, enum log_level *out)
{
	static const struct {
		const char *name;
		enum log_level level;
	} others[] = { { "warning", LOG_WARN }, { "trace", LOG_DEBUG } };
	unsigned int i;

	for (i = 0; i < LOG_LEVELS; i++) {
		if (strcasecmp(name, log_level_names[i]) == 0) {
			*out = (enum log_level)i;
			return true;
		}
	}
	for (i = 0; i < ARRAY_SIZE(others); i++) {
		if (strcasecmp(name, others[i].name) == 0) {
			*out = others[i].level;
			return true;
		}
	}
	return false;
}

void log_read_stats(struct log_stats *out)
{
	out->lost = atomic_load_explicit(&lost, memory_order_relaxed);
	out->held_back = atomic_load_explicit(&held_back, memory_order_relaxed);
	pthread_mutex_lock(&to.lock);
	if (to.sink)
		out->lost += sink_lost(to.sink);
	pthread_mutex_unlock(&to.lock);
}

/* ---- lines ---- */

/*
 * A reader of standard error that has stopped must not stop us: a device's loop and vCPUs log too.
 * What it does not take is lost.
 */
static bool write_stderr(const char *text, size_t len)
{
	struct pollfd p = { STDERR_FILENO, POLLOUT, 0 };

	/* seccomp control console io vcpu: poll@x86 ppoll@arm64 write -- a log line that has room */
	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) &&
	       write(STDERR_FILENO, text, len) == (ssize_t)len;
}

void log_raw(const char *text, size_t len)
{
	if (!write_stderr(text, len))
		atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed);
}

static void __attribute__((format(printf, 3, 0)))
log_emit(const struct log_origin *from, enum log_level level, const char *fmt, va_list ap)
{
	char text[LOG_TEXT_MAX], line[LOG_LINE_MAX];
	struct timespec now;
	bool to_file;
	size_t len;

	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		return;
	text_defuse(text, strlen(text));
	clock_gettime(CLOCK_REALTIME, &now);
	/* Held while writing, which waits for nobody: else the sink could go. */
	pthread_mutex_lock(&to.lock);
	if (strncmp(from->file, to.module, strlen(to.module)) != 0) {
		pthread_mutex_unlock(&to.lock);
		return;
	}
	len = log_format_line(line, &to.look, &now, from, level, text);
	to_file = to.sink != NULL;
	if (to_file)
		sink_write(to.sink, line, len);
	pthread_mutex_unlock(&to.lock);
	if (!to_file)
		log_raw(line, len);
}

void log_write_from(const struct log_origin *from, enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	log_emit(from, level, fmt, ap);
	va_end(ap);
}

/* ---- gates ---- */

/* The second in which it opened in the upper half, how often it was asked since in the lower. */
enum log_gate_answer log_gate_ask(struct log_gate *gate, uint64_t second, unsigned int *missed)
{
	uint64_t old = __atomic_load_n(&gate->state, __ATOMIC_RELAXED), next, opened;
	uint32_t asked;

	do {
		opened = old >> 32;
		asked = (uint32_t)old;
		*missed = 0;
		if (!asked || second >= opened + LOG_GATE_SECONDS) {
			*missed = asked > LOG_GATE_BURST ? asked - LOG_GATE_BURST : 0;
			opened = second & UINT32_MAX;
			asked = 0;
		}
		if (asked < UINT32_MAX)
			asked++;
		next = opened << 32 | asked;
	} while (!__atomic_compare_exchange_n(
		&gate->state, &old, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	if (asked <= LOG_GATE_BURST)
		return LOG_GATE_SPEAK;
	return asked == LOG_GATE_BURST + 1 ? LOG_GATE_LAST : LOG_GATE_SILENT;
}

void log_gated_from(struct log_gate *gate, const struct log_origin *from, enum log_level level,
	const char *fmt, ...)
{
	enum log_gate_answer answer;
	unsigned int missed;
	va_list ap;

	if (!log_enabled(level))
		return;
	answer = log_gate_ask(gate, clock_ms() / 1000, &missed);
	if (answer != LOG_GATE_SPEAK)
		atomic_fetch_add_explicit(&held_back, 1, memory_order_relaxed);
	if (answer == LOG_GATE_LAST)
		log_write_from(from, level,
			"(further messages of this kind are not shown for %u minutes)",
			LOG_GATE_SECONDS / 60);
	if (answer != LOG_GATE_SPEAK)
		return;
	if (missed)
		log_write_from(
			from, level, "(%u messages of the next kind were not shown)", missed);
	va_start(ap, fmt);
	log_emit(from, level, fmt, ap);
	va_end(ap);
}
