/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/log_line.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "vmm/util/thread.h"

/* A line that grows, and is cut where it does not fit: one byte is kept for its end. */
struct line {
	char *buf;
	size_t used, room;
};

static void __attribute__((format(printf, 2, 3))) add(struct line *l, const char *fmt, ...)
{
	size_t left = l->room - l->used;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(l->buf + l->used, left, fmt, ap);
	va_end(ap);
	if (n > 0)
		l->used += (size_t)n < left ? (size_t)n : left - 1;
}

/* The length of the UTF-8 sequence at s (RFC 3629), or 0 when it is none. */
static unsigned int utf8_length(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	unsigned int n = u[0] < 0x80 ? 1 : u[0] < 0xc2 ? 0 : u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
	unsigned int i;

	if (u[0] > 0xf4)
		return 0;
	for (i = 1; i < n; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	/* Too long for their number, surrogates, beyond Unicode. */
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
		(u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	return n;
}

/* As a JSON string (RFC 8259, 7); cut between characters, with room kept for what follows it. */
static void add_json(struct line *l, const char *s)
{
	unsigned int n;

	add(l, "\"");
	for (; *s && l->room - l->used > 16; s += n ? n : 1) {
		n = utf8_length(s);
		if (n == 0)
			add(l, "?");
		else if (*s == '"' || *s == '\\')
			add(l, "\\%c", *s);
		else if (*s == '\n')
			add(l, "\\n");
		else if ((unsigned char)*s < 0x20)
			add(l, "\\u%04x", (unsigned int)(unsigned char)*s);
		else
			add(l, "%.*s", (int)n, s);
	}
	add(l, "\"");
}

/* gmtime_r wants the host's time zone, from a file: log_setup has had it read that. */
static void add_time(struct line *l, const struct timespec *now)
{
	struct tm t;

	if (!gmtime_r(&now->tv_sec, &t))
		memset(&t, 0, sizeof(t));
	add(l, "%04d-%02d-%02dT%02d:%02d:%02d.%09ld", t.tm_year + 1900, t.tm_mon + 1, t.tm_mday,
		t.tm_hour, t.tm_min, t.tm_sec, (long)now->tv_nsec);
}

/* Further lines of a text are set in: what somebody else has said cannot look like a line of ours. */
static void add_text(struct line *l, const char *text)
{
	const char *end;

	for (; (end = strchr(text, '\n')) != NULL; text = end + 1)
		add(l, "%.*s\n    ", (int)(end - text), text);
	add(l, "%s", text);
}

static void add_object(struct line *l, const struct log_look *look, const struct timespec *now,
	const struct log_origin *from, enum log_level level, const char *text)
{
	add(l, "{\"time\":\"");
	add_time(l, now);
	add(l, "Z\"");
	add(l, ",\"level\":\"%s\"", log_level_names[level]);
	if (look->id[0]) {
		add(l, ",\"id\":");
		add_json(l, look->id);
	}
	add(l, ",\"thread\":");
	add_json(l, thread_name());
	if (look->show_origin)
		add(l, ",\"file\":\"%s\",\"line\":%u", from->file, from->line);
	add(l, ",\"message\":");
	add_json(l, text);
	add(l, "}");
}

/* The names that Firecracker's readers look for. */
static const char *const tags[LOG_LEVELS] = {
	[LOG_OFF] = "OFF",
	[LOG_ERROR] = "ERROR",
	[LOG_WARN] = "WARN",
	[LOG_INFO] = "INFO",
	[LOG_DEBUG] = "DEBUG",
};

static void add_record(struct line *l, const struct log_look *look, const struct timespec *now,
	const struct log_origin *from, enum log_level level, const char *text)
{
	add_time(l, now);
	add(l, " [%s%s%s", look->id, look->id[0] ? ":" : "", thread_name());
	if (look->show_level)
		add(l, ":%s", tags[level]);
	if (look->show_origin)
		add(l, ":%s:%u", from->file, from->line);
	add(l, "] ");
	add_text(l, text);
}

size_t log_format_line(char line[LOG_LINE_MAX], const struct log_look *look,
	const struct timespec *now, const struct log_origin *from, enum log_level level,
	const char *text)
{
	struct line l = { .buf = line, .room = LOG_LINE_MAX - 1 };

	if (look->format == LOG_JSON) {
		add_object(&l, look, now, from, level, text);
	} else if (look->to_file) {
		add_record(&l, look, now, from, level, text);
	} else {
		add(&l, "nacre: %s: ", log_level_names[level]);
		if (look->show_origin)
			add(&l, "%s:%u: ", from->file, from->line);
		add_text(&l, text);
	}
	line[l.used++] = '\n';
	return l.used;
}
