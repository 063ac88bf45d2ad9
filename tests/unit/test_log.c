/* SPDX-License-Identifier: Apache-2.0 */

/* Log lines: how they look, and where they go. */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "tests/unit/test_log.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"
#include "vmm/util/log_line.h"
#include "vmm/util/thread.h"

char log_dir[SCRATCH_PATH], log_path[SCRATCH_PATH + 8];

void log_test_setup(void)
{
	scratch_dir(log_dir);
	snprintf(log_path, sizeof(log_path), "%s/log", log_dir);
}

void log_test_teardown(void)
{
	struct log_config back = { .level = LOG_WARN };

	log_setup(&back, NULL);
}

struct blob log_content(void)
{
	struct blob b = { NULL, 0 };
	struct err e = { "" };

	log_finish();
	ck_assert_msg(!blob_read(log_path, 1 << 20, &b, &e), "%s", e.msg);
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
	struct log_config c = {
		.path = log_path, .show_level = true, .level = LOG_INFO, .id = "x"
	};
	struct err e = { "" };
	struct stat st;
	struct blob b;

	ck_assert_msg(!log_setup(&c, &e), "%s", e.msg);
	ck_assert(log_has_file());
	log_info("first");
	log_debug("too much");
	log_write(LOG_WARN, "second");
	b = log_content();
	ck_assert_ptr_nonnull(strstr((char *)b.data, ":INFO] first\n"));
	ck_assert_ptr_nonnull(strstr((char *)b.data, ":WARN] second\n"));
	ck_assert_ptr_null(strstr((char *)b.data, "too much"));
	ck_assert_int_eq(stat(log_path, &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 0777), 0600);
	blob_free(&b);
}
END_TEST

/* Moved away by who rotates logs: the same setup again opens it anew, and nothing is lost. */
START_TEST(setup_again_opens_again)
{
	struct log_config c = { .path = log_path, .show_level = true, .level = LOG_INFO };
	char moved[80];
	struct blob b;

	snprintf(moved, sizeof(moved), "%s.1", log_path);
	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_info("before");
	ck_assert_int_eq(rename(log_path, moved), 0);
	log_info("between");
	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_info("after");
	b = log_content();
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
	struct log_config c = { .path = log_dir };
	struct err e = { "" };
	char link[80], by_way[96];

	ck_assert_int_lt(log_setup(&c, &e), 0);
	ck_assert_msg(strstr(e.msg, "Is a directory") != NULL, "%s", e.msg);
	snprintf(link, sizeof(link), "%s.link", log_path);
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
	struct log_config c = { .path = log_path };
	struct err e = { "" };
	int r;

	ck_assert_int_eq(mkfifo(log_path, 0600), 0);
	ck_assert_int_eq(chmod(log_path, 0222), 0);
	ck_assert_int_eq(chmod(log_dir, 0777), 0);
	ck_assert(geteuid() != 0 || seteuid(65534) == 0);
	r = log_setup(&c, &e);
	ck_assert(getuid() != 0 || seteuid(0) == 0);
	ck_assert_int_eq(r, -ENXIO);
	ck_assert_msg(strstr(e.msg, "start its reader first") != NULL, "%s", e.msg);
}
END_TEST

START_TEST(one_part_of_the_source)
{
	struct log_config c = {
		.path = log_path, .level = LOG_INFO, .module = "tests/unit/test_lo"
	};
	struct blob b;

	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_info("ours");
	c.module = "vmm/";
	ck_assert_int_eq(log_setup(&c, NULL), 0);
	log_info("not theirs");
	b = log_content();
	ck_assert_ptr_nonnull(strstr((char *)b.data, "] ours\n"));
	ck_assert_ptr_null(strstr((char *)b.data, "not theirs"));
	blob_free(&b);
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

	tcase_add_checked_fixture(t, log_test_setup, log_test_teardown);
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
	tcase_add_test(t, one_part_of_the_source);
	tcase_add_test(t, levels_by_both_names);
	suite_add_tcase(s, t);
	suite_add_tcase(s, log_loss_case());
	return s;
}
