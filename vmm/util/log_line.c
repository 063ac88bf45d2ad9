/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/log_line.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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

/*
 * Universal time, by the Gregorian calendar. gmtime_r would read the zone that we are in from a file,
 * which a thread in the sandbox has no way to.
 */
static void add_time(struct line *l, const struct timespec *now)
{
	long long seconds = now->tv_sec < 0 ? 0 : now->tv_sec;
	long long days = seconds / 86400, rest = seconds % 86400, year = 1970;
	static const int lengths[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int month = 0, leap;

	/* 400 years have 146097 days; after whole ones of these the rest is soon counted. */
	year += days / 146097 * 400;
	days %= 146097;
	for (;; year++) {
		leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
		if (days < 365 + leap)
			break;
		days -= 365 + leap;
	}
	for (; days >= lengths[month] + (month == 1 ? leap : 0); month++)
		days -= lengths[month] + (month == 1 ? leap : 0);
	add(l, "%04lld-%02d-%02lldT%02lld:%02lld:%02lld.%09ld", year, month + 1, days + 1,
		rest / 3600, rest / 60 % 60, rest % 60, (long)now->tv_nsec);
}

static const char *thread_name(char name[16])
{
	if (pthread_getname_np(pthread_self(), name, 16) || !name[0])
		return "-";
	return name;
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
	char name[16];

	add(l, "{\"time\":\"");
	add_time(l, now);
	add(l, "Z\"");
	add(l, ",\"level\":\"%s\"", log_level_names[level]);
	if (look->id[0]) {
		add(l, ",\"id\":");
		add_json(l, look->id);
	}
	add(l, ",\"thread\":");
	add_json(l, thread_name(name));
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
	char name[16];

	add_time(l, now);
	add(l, " [%s%s%s", look->id, look->id[0] ? ":" : "", thread_name(name));
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
