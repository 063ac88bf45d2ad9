/* SPDX-License-Identifier: Apache-2.0 */

/* Log lines: how they look, where they go, that nobody waits for them, and who has to be silent. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"
#include "vmm/util/log_line.h"
#include "vmm/util/log_sink.h"
#include "vmm/util/thread.h"

static char dir[SCRATCH_PATH];
static char path[64];

static void setup(void)
{
	scratch_dir(dir);
	snprintf(path, sizeof(path), "%s/log", dir);
}

static void teardown(void)
{
	struct log_config back = { .level = LOG_WARN };

	log_setup(&back, NULL);
}

static struct blob content(void)
{
	struct blob b = { NULL, 0 };
	struct err e = { "" };

	log_finish();
	ck_assert_msg(!blob_read(path, 1 << 20, &b, &e), "%s", e.msg);
	return b;
}

static const struct timespec noon = { .tv_sec = 1795262400, .tv_nsec = 12345 };

static struct {
	const struct log_look *look;
	const char *text;
	char line[LOG_LINE_MAX + 1];
} formatted;

static void *format(void *arg)
{
	struct log_origin from = { "vmm/vm.c", 12 };

	(void)arg;
	formatted.line[log_format_line(
		formatted.line, formatted.look, &noon, &from, LOG_WARN, formatted.text)] = '\0';
	return NULL;
}

static void looks(const struct log_look *look, const char *text, const char *expected)
{
	struct err e = { "" };
	pthread_t thread;

	formatted.look = look;
	formatted.text = text;
	ck_assert_msg(!thread_start(&thread, THREAD_VCPU, "vcpu3", format, NULL, &e), "%s", e.msg);
	pthread_join(thread, NULL);
	ck_assert_str_eq(formatted.line, expected);
}

START_TEST(text_on_standard_error)
{
	struct log_look look = { .id = "" };

	looks(&look, "a disk", "nacre: warn: a disk\n");
	look.show_origin = true;
	looks(&look, "a disk", "nacre: warn: vmm/vm.c:12: a disk\n");
}
END_TEST

START_TEST(text_in_a_file)
{
	struct log_look look = { .id = "", .to_file = true, .show_level = true };

	looks(&look, "a disk", "2026-11-21T12:00:00.000012345 [vcpu3:WARN] a disk\n");
	look.id = "vm-1";
	look.show_origin = true;
	looks(&look, "a disk",
		"2026-11-21T12:00:00.000012345 [vm-1:vcpu3:WARN:vmm/vm.c:12] a disk\n");
	look.show_level = false;
	looks(&look, "a disk", "2026-11-21T12:00:00.000012345 [vm-1:vcpu3:vmm/vm.c:12] a disk\n");
	look.show_origin = false;
	looks(&look, "x\n2026-11-21T12:00:00.000000000 [vm-1] all is well",
		"2026-11-21T12:00:00.000012345 [vm-1:vcpu3] x\n"
		"    2026-11-21T12:00:00.000000000 [vm-1] all is well\n");
}
END_TEST

START_TEST(json_with_everything)
{
	struct log_look look = { .id = "vm\"1", .format = LOG_JSON, .show_origin = true };

	looks(&look, "a \"disk\"\\\nis \xc3\xa4\xff\x01",
		"{\"time\":\"2026-11-21T12:00:00.000012345Z\",\"level\":\"warn\",\"id\":"
		"\"vm\\\"1\","
		"\"thread\":\"vcpu3\",\"file\":\"vmm/vm.c\",\"line\":12,"
		"\"message\":\"a \\\"disk\\\"\\\\\\nis \xc3\xa4?\\u0001\"}\n");
}
END_TEST

/* The ends of days, months and years, leap years and those that are none. */
START_TEST(dates_are_those_of_the_calendar)
{
	static const long long days[] = { 0, 1, 58, 59, 364, 365, 789, 790, 11015, 11016, 11017,
		11322, 11323, 20777, 47540, 47541, 146096, 146097, 157112, 2932896 };
	struct log_look look = { .id = "", .to_file = true };
	struct log_origin from = { "vmm/vm.c", 12 };
	char line[LOG_LINE_MAX + 1], date[40];
	struct timespec t = { .tv_nsec = 0 };
	unsigned int i, k;
	struct tm tm;

	for (i = 0; i < ARRAY_SIZE(days); i++) {
		for (k = 0; k < 3; k++) {
			t.tv_sec = (time_t)(days[i] * 86400 + (k == 1 ? 86399 : k * 20000));
			log_format_line(line, &look, &t, &from, LOG_WARN, "");
			strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", gmtime_r(&t.tv_sec, &tm));
			line[strlen(date)] = '\0';
			ck_assert_str_eq(line, date);
		}
	}
}
END_TEST

/* Each byte that JSON or UTF-8 forbids, and what is far too long, still make one object. */
START_TEST(json_is_always_json)
{
	struct log_look look = { .id = "", .format = LOG_JSON };
	struct log_origin from = { "a.c", 1 };
	char text[LOG_TEXT_MAX * 2], line[LOG_LINE_MAX];
	static const char *const bad[] = { "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"\xe2\x82", "\x80", "\xf8\x88\x80\x80\x80", "\"", "\\", "\x1f", "\xe2\x82\xac" };
	const char *one = bad[_i];
	unsigned int wrong = 0;
	size_t n, len;
	json_t *j;

	text[0] = '\0';
	for (n = 0; n + strlen(one) < sizeof(text); n += strlen(one)) {
		strcpy(text + n, one);
		len = log_format_line(line, &look, &noon, &from, LOG_ERROR, text);
		if (n % 16 && n < 600)
			continue;
		j = json_loadb(line, len, 0, NULL);
		wrong += !j || line[len - 1] != '\n' || memchr(line, '\n', len) != line + len - 1;
		json_decref(j);
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(file_is_made_for_us_alone)
{
	struct log_config c = { .path = path, .show_level = true, .level = LOG_INFO, .id = "x" };
	struct err e = { "" };
	struct stat st;
	struct blob b;

	ck_assert_msg(!log_setup(&c, &e), "%s", e.msg);
	ck_assert(log_has_file());
	log_info("first");
	log_debug("too much");
	log_write(LOG_WARN, "second");
	b = content();
	ck_assert_ptr_nonnull(strstr((char *)b.data, ":INFO] first\n"));
	ck_assert_ptr_nonnull(strstr((char *)b.data, ":WARN] second\n"));
	ck_assert_ptr_null(strstr((char *)b.data, "too much"));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 0777), 0600);
	blob_free(&b);
}
END_TEST

/* Moved away by who rotates logs: the same setup again opens it anew, and nothing is lost. */
START_TEST(setup_again_opens_again)
{
	struct log_config c = { .path = path, .show_level = true, .level = LOG_INFO };
	char moved[80];
	struct blob b;

	snprintf(moved, sizeof(moved), "%s.1", path);
	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_info("before");
	ck_assert_int_eq(rename(path, moved), 0);
	log_info("between");
	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_info("after");
	b = content();
	ck_assert_ptr_null(strstr((char *)b.data, "between"));
	ck_assert_ptr_nonnull(strstr((char *)b.data, "after"));
	blob_free(&b);
	ck_assert_int_eq(blob_read(moved, 1 << 20, &b, NULL), 0);
	ck_assert_ptr_nonnull(strstr((char *)b.data, "before"));
	ck_assert_ptr_nonnull(strstr((char *)b.data, "between"));
	blob_free(&b);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	struct log_config c = { .path = dir };
	struct err e = { "" };
	char link[80], by_way[96];

	ck_assert_int_lt(log_setup(&c, &e), 0);
	ck_assert_msg(strstr(e.msg, "Is a directory") != NULL, "%s", e.msg);
	snprintf(link, sizeof(link), "%s.link", path);
	ck_assert_int_eq(symlink("/etc/passwd", link), 0);
	c.path = link;
	ck_assert_int_eq(log_setup(&c, &e), -ELOOP);
	ck_assert_msg(strstr(e.msg, "symbolic link") != NULL, "%s", e.msg);
	/* Only the system's own links are followed, and /dev/shm is everybody's. */
	snprintf(by_way, sizeof(by_way), "/dev/..%s", link);
	c.path = by_way;
	ck_assert_int_eq(log_setup(&c, &e), -ELOOP);
	c.path = "/nonexistent/log";
	ck_assert_int_eq(log_setup(&c, &e), -ENOENT);
	ck_assert(!log_has_file());
}
END_TEST

/* Where we may not read, nobody would keep what we write. */
START_TEST(fifo_that_is_not_ours_wants_a_reader)
{
	struct log_config c = { .path = path };
	struct err e = { "" };
	int r;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(chmod(path, 0222), 0);
	ck_assert_int_eq(chmod(dir, 0777), 0);
	ck_assert(geteuid() != 0 || seteuid(65534) == 0);
	r = log_setup(&c, &e);
	ck_assert(getuid() != 0 || seteuid(0) == 0);
	ck_assert_int_eq(r, -ENXIO);
	ck_assert_msg(strstr(e.msg, "start its reader first") != NULL, "%s", e.msg);
}
END_TEST

/* A FIFO without a reader takes lines until it is full; then they are lost, whole, and counted. */
START_TEST(full_pipe_blocks_nobody)
{
	struct log_config c = { .path = path, .show_level = true, .level = LOG_INFO };
	struct log_stats before, after;
	unsigned int i, got = 0;
	char buf[200];
	FILE *in;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_read_stats(&before);
	for (i = 0; i < 5000; i++)
		log_info("line %u with something to fill the pipe", i);
	log_read_stats(&after);
	ck_assert_uint_gt(after.lost, before.lost);
	in = fdopen(open(path, O_RDONLY | O_NONBLOCK), "r");
	ck_assert_ptr_nonnull(in);
	while (fgets(buf, sizeof(buf), in)) {
		got += buf[strlen(buf) - 1] == '\n' && buf[4] == '-' &&
		       strstr(buf, "fill the pipe\n") != NULL;
	}
	fclose(in);
	ck_assert_uint_eq(got + (after.lost - before.lost), 5000);
	/* There is room again. */
	log_info("line");
	log_read_stats(&before);
	ck_assert_uint_eq(before.lost, after.lost);
}
END_TEST

/* Longer than a FIFO takes at once: readers get it whole all the same, or not at all. */
START_TEST(long_lines_stay_whole)
{
	static char line[20000];
	unsigned int i, taken = 0, whole = 0, broken = 0;
	struct sink *s = NULL;
	struct err e;
	size_t have = 0;
	char byte;
	int fd;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(sink_open(&s, path, &e), 0);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	fd = open(path, O_RDONLY | O_NONBLOCK);
	for (i = 0; i < 20; i++) {
		taken += sink_write(s, line, sizeof(line));
		if (i % 5 < 3)
			continue;
		while (read(fd, &byte, 1) == 1) {
			have++;
			if (byte != '\n')
				continue;
			whole += have == sizeof(line);
			broken += have != sizeof(line);
			have = 0;
		}
	}
	ck_assert_uint_eq(broken, 0);
	ck_assert_uint_gt(whole, 6);
	ck_assert_uint_ge(taken, whole);
	ck_assert_uint_eq(sink_lost(s), 20 - taken);
	close(fd);
	sink_free(s);
}
END_TEST

/* A file that may not grow is what a full disk is. */
START_TEST(full_disk_is_counted)
{
	struct rlimit limit = { 100, RLIM_INFINITY }, none = { RLIM_INFINITY, RLIM_INFINITY };
	struct sink *s = NULL;
	struct err e;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(sink_open(&s, path, &e), 0);
	setrlimit(RLIMIT_FSIZE, &limit);
	while (sink_write(s, "1234567890\n", 11) && !sink_lost(s))
		sink_flush(s, 5000);
	/* Check writes a file too. */
	setrlimit(RLIMIT_FSIZE, &none);
	ck_assert_uint_gt(sink_lost(s), 0);
	sink_free(s);
}
END_TEST

static void *log_many(void *arg)
{
	unsigned int i;

	for (i = 0; i < 300; i++)
		log_info("%s %u", (char *)arg, i);
	return NULL;
}

START_TEST(threads_do_not_mix_lines)
{
	struct log_config c = { .path = path, .show_level = true, .level = LOG_INFO };
	struct log_stats before, after;
	unsigned int lines = 0, i;
	pthread_t t[3];
	struct blob b;
	char *p, *next;

	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_read_stats(&before);
	for (i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&t[i], NULL, log_many, "who"), 0);
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	b = content();
	for (p = (char *)b.data; *p; p = next, lines++) {
		next = strchr(p, '\n') + 1;
		if (p[4] != '-' || memmem(p, (size_t)(next - p), ":INFO] who ", 11) == NULL)
			break;
	}
	log_read_stats(&after);
	ck_assert_uint_eq(lines + (after.lost - before.lost), 900);
	blob_free(&b);
}
END_TEST

static enum log_gate_answer ask(struct log_gate *g, uint64_t second)
{
	unsigned int missed;

	return log_gate_ask(g, second, &missed);
}

START_TEST(gate_closes_and_opens_again)
{
	/* Also where the clock's seconds pass 32 bits. */
	static const uint64_t starts[] = { 0, 1, 1000, UINT32_MAX - 5 };
	uint64_t now = starts[_i];
	struct log_gate g = { 0 };
	unsigned int i, missed;

	for (i = 0; i < LOG_GATE_BURST; i++)
		ck_assert_int_eq(ask(&g, now), LOG_GATE_SPEAK);
	ck_assert_int_eq(ask(&g, now), LOG_GATE_LAST);
	for (i = 0; i < 41; i++)
		ck_assert_int_eq(ask(&g, now + i % 4), LOG_GATE_SILENT);
	if (now > UINT32_MAX - LOG_GATE_SECONDS)
		return;
	ck_assert_int_eq(ask(&g, now + LOG_GATE_SECONDS - 1), LOG_GATE_SILENT);
	ck_assert_int_eq(log_gate_ask(&g, now + LOG_GATE_SECONDS, &missed), LOG_GATE_SPEAK);
	ck_assert_uint_eq(missed, 43);
	ck_assert_int_eq(log_gate_ask(&g, now + LOG_GATE_SECONDS, &missed), LOG_GATE_SPEAK);
	ck_assert_uint_eq(missed, 0);
}
END_TEST

/* Whatever a guest does, a place in the source has its share per time and no more. */
START_TEST(gate_is_bounded_for_ever)
{
	struct log_gate g = { 0 };
	unsigned int said = 0;
	uint64_t now;

	for (now = 0; now < 100 * LOG_GATE_SECONDS; now++)
		said += ask(&g, now) != LOG_GATE_SILENT;
	ck_assert_uint_eq(said, 100 * (LOG_GATE_BURST + 1));
}
END_TEST

START_TEST(held_back_messages_are_counted)
{
	struct log_config c = { .path = path, .show_level = true, .level = LOG_INFO };
	struct log_stats before, after;
	unsigned int i;
	struct blob b;

	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_read_stats(&before);
	for (i = 0; i < LOG_GATE_BURST + 7; i++)
		log_limited(LOG_INFO, "again");
	log_read_stats(&after);
	ck_assert_uint_eq(after.held_back - before.held_back, 7);
	b = content();
	ck_assert_ptr_nonnull(strstr(
		(char *)b.data, "(further messages of this kind are not shown for 10 minutes)"));
	blob_free(&b);
}
END_TEST

START_TEST(one_part_of_the_source)
{
	struct log_config c = { .path = path, .level = LOG_INFO, .module = "tests/unit/test_lo" };
	struct blob b;

	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_info("ours");
	c.module = "vmm/";
	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_info("not theirs");
	b = content();
	ck_assert_ptr_nonnull(strstr((char *)b.data, "] ours\n"));
	ck_assert_ptr_null(strstr((char *)b.data, "not theirs"));
	blob_free(&b);
}
END_TEST

/* The buffer in front of a file has an end: what is too much is lost, whole. */
START_TEST(full_buffer_loses_whole_lines)
{
	static char line[30000];
	unsigned int i, taken = 0;
	struct sink *s = NULL;
	struct err e;
	struct stat st;

	ck_assert_int_eq(sink_open(&s, path, &e), 0);
	memset(line, 'x', sizeof(line) - 1);
	line[sizeof(line) - 1] = '\n';
	for (i = 0; i < 2000; i++)
		taken += sink_write(s, line, sizeof(line));
	ck_assert_uint_eq(sink_lost(s), 2000 - taken);
	sink_free(s);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, taken * sizeof(line));
}
END_TEST

START_TEST(levels_by_both_names)
{
	enum log_level l = LOG_OFF;

	ck_assert(log_find_level("Warning", &l) && l == LOG_WARN);
	ck_assert(log_find_level("warn", &l) && l == LOG_WARN);
	ck_assert(log_find_level("Trace", &l) && l == LOG_DEBUG);
	ck_assert(log_find_level("Off", &l) && l == LOG_OFF);
	ck_assert(log_find_level("ERROR", &l) && l == LOG_ERROR);
	ck_assert(!log_find_level("loud", &l) && l == LOG_ERROR);
	log_set_level(LOG_OFF);
	ck_assert(!log_enabled(LOG_ERROR));
}
END_TEST

Suite *log_suite(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, text_on_standard_error);
	tcase_add_test(t, text_in_a_file);
	tcase_add_test(t, dates_are_those_of_the_calendar);
	tcase_add_test(t, json_with_everything);
	tcase_add_loop_test(t, json_is_always_json, 0, 10);
	tcase_add_test(t, file_is_made_for_us_alone);
	tcase_add_test(t, setup_again_opens_again);
	tcase_add_test(t, what_is_no_file_is_refused);
	tcase_add_test(t, fifo_that_is_not_ours_wants_a_reader);
	tcase_add_test(t, full_pipe_blocks_nobody);
	tcase_add_test(t, long_lines_stay_whole);
	tcase_add_test(t, full_disk_is_counted);
	tcase_add_test(t, threads_do_not_mix_lines);
	tcase_add_loop_test(t, gate_closes_and_opens_again, 0, 4);
	tcase_add_test(t, gate_is_bounded_for_ever);
	tcase_add_test(t, held_back_messages_are_counted);
	tcase_add_test(t, one_part_of_the_source);
	tcase_add_test(t, full_buffer_loses_whole_lines);
	tcase_add_test(t, levels_by_both_names);
	suite_add_tcase(s, t);
	return s;
}
