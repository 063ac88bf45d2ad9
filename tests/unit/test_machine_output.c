/* SPDX-License-Identifier: Apache-2.0 */

/* What the guest writes to its console goes to a file or a FIFO, within a limit. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/test_machine.h"
#include "vmm/util/fd.h"

static char path[SCRATCH_PATH + 8];

static void setup(void)
{
	char dir[SCRATCH_PATH];

	machine_setup();
	scratch_dir(dir);
	snprintf(path, sizeof(path), "%s/serial", dir);
	machine_config.serial_path = path;
}

/* Runs a guest that prints so many bytes and powers off; returns what the machine has counted. */
static struct stats_report run(unsigned int prints)
{
	struct stats_report report;
	struct err e = { "" };

	machine_fake.prints = prints;
	machine_fake.powers_off = true;
	machine_ready();
	ck_assert_msg(machine_run(test_machine, &e) == 0, "%s", e.msg);
	machine_stats(test_machine, &report);
	machine_free(test_machine);
	return report;
}

static void assert_content(const char *expected)
{
	struct blob b;

	ck_assert_int_eq(blob_read(path, 1 << 20, &b, NULL), 0);
	ck_assert_str_eq((char *)b.data, expected);
	blob_free(&b);
}

static size_t waiting_in(int fd)
{
	static char buf[1 << 20];
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	n = read(fd, buf, sizeof(buf));
	return n > 0 ? (size_t)n : 0;
}

/* Made for us alone; the next run appends. Standard output gets nothing. */
START_TEST(output_goes_to_the_file)
{
	struct stat st;

	run(4);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq((int)(st.st_mode & 0777), 0600);
	assert_content("abcd");
	run(2);
	assert_content("abcdab");
	ck_assert_uint_eq(waiting_in(machine_out[0]), 0);
}
END_TEST

/* Read once the machine has ended, or (1) never: no wait, and what did not fit is counted. */
START_TEST(output_goes_to_the_fifo)
{
	struct stats_report report;
	int fd = -1;
	size_t got;

	ck_assert_int_eq(mkfifo(path, 0600), 0);
	if (!_i)
		fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	report = run(300000);
	ck_assert_uint_eq(report.uart.writes, 300000);
	ck_assert_uint_gt(report.uart.dropped, 0);
	if (_i)
		return;
	got = waiting_in(fd);
	ck_assert_uint_gt(got, 0);
	ck_assert_uint_eq(got + report.uart.dropped, 300000);
	close(fd);
}
END_TEST

START_TEST(what_exceeds_the_limit_is_counted)
{
	struct stats_report report;

	machine_config.serial_limit = (struct bucket_config){ 3, 0, 3600000 };
	report = run(10);
	assert_content("abc");
	ck_assert_uint_eq(report.uart.writes, 10);
	ck_assert_uint_eq(report.uart.limited, 7);
	ck_assert_uint_eq(report.uart.dropped, 0);
	/* Standard output has limits too. */
	machine_config.serial_path = NULL;
	report = run(10);
	ck_assert_uint_eq(waiting_in(machine_out[0]), 3);
	ck_assert_uint_eq(report.uart.limited, 7);
}
END_TEST

START_TEST(links_are_refused)
{
	struct err e = { "" };
	char expected[160];

	ck_assert_int_eq(symlink("/dev/null", path), 0);
	ck_assert_int_eq(machine_build(&test_machine, &machine_config, NULL, &e), -ELOOP);
	snprintf(expected, sizeof(expected), "serial-path: open %s: ", path);
	ck_assert_msg(strncmp(e.msg, expected, strlen(expected)) == 0, "%s", e.msg);
	ck_assert_msg(strstr(e.msg, "symbolic link") != NULL, "%s", e.msg);
}
END_TEST

TCase *machine_output_case(void)
{
	TCase *t = tcase_create("output");

	tcase_add_checked_fixture(t, setup, machine_teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, output_goes_to_the_file);
	tcase_add_loop_test(t, output_goes_to_the_fifo, 0, 2);
	tcase_add_test(t, what_exceeds_the_limit_is_counted);
	tcase_add_test(t, links_are_refused);
	return t;
}
