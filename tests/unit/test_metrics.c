/* SPDX-License-Identifier: Apache-2.0 */

/* Metrics: deltas and totals, Firecracker's layout, Prometheus' text, and who does not wait. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/metrics.h"
#include "vmm/metrics_set.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/fd.h"

static char path[SCRATCH_PATH + 8];
static struct loop *loop;
static struct metrics *metrics;
static struct stats_report report;

static void setup(void)
{
	char dir[SCRATCH_PATH];
	struct err e = { "" };

	scratch_dir(dir);
	snprintf(path, sizeof(path), "%s/metrics", dir);
	ck_assert_int_eq(loop_new(&loop, NULL, &e), 0);
	ck_assert_int_eq(metrics_new(&metrics, loop, "vm-1", &e), 0);
	report = (struct stats_report){ .protection = PROTECTION_SOFT_REALM,
		.device_count = 2,
		.devices = {
			{ .group = "block",
				.id = "rootfs",
				.counter_count = 2,
				.counters = { { "read_count", 3 }, { "read_bytes", 12288 } } },
			{ .group = "block",
				.id = "data",
				.counter_count = 2,
				.counters = { { "read_count", 1 }, { "read_bytes", 512 } } },
		} };
}

static void teardown(void)
{
	metrics_free(metrics);
	loop_free(loop);
}

static void read_report(void *arg, struct stats_report *out)
{
	(void)arg;
	*out = report;
}

static json_int_t number(const json_t *all, const char *group, const char *name)
{
	const json_t *n = json_object_get(json_object_get(all, group), name);

	ck_assert_msg(json_is_integer(n), "%s.%s is missing", group, name);
	return json_integer_value(n);
}

/* The i-th line of the file; the caller's. */
static json_t *line_of(unsigned int i)
{
	struct blob b;
	json_t *j;
	char *p;

	ck_assert_int_eq(blob_read(path, 1 << 20, &b, NULL), 0);
	for (p = (char *)b.data; i && p; i--)
		p = strchr(p, '\n') + 1;
	j = json_loadb(p, (size_t)(strchr(p, '\n') - p), 0, NULL);
	ck_assert_ptr_nonnull(j);
	blob_free(&b);
	return j;
}

static void wait_for(unsigned int lines)
{
	struct timespec tick = { 0, 1000000 };
	unsigned int i, seen = 0;

	for (i = 0; i < 20000 && seen < lines; i++) {
		struct blob b = { NULL, 0 };
		size_t k;

		seen = 0;
		if (!blob_read(path, 1 << 20, &b, NULL))
			for (k = 0; k < b.len; k++)
				seen += b.data[k] == '\n';
		blob_free(&b);
		nanosleep(&tick, NULL);
	}
	ck_assert_uint_ge(seen, lines);
}

/* The first line, which has everything. */
static json_t *first_line(void)
{
	struct err e = { "" };

	ck_assert_msg(!metrics_open(metrics, path, &e), "%s", e.msg);
	ck_assert_int_eq(metrics_flush(metrics, &e), 0);
	wait_for(1);
	return line_of(0);
}

/* Each line has what came since the one before; what is no counter stays. */
START_TEST(lines_have_deltas)
{
	struct err e = { "" };
	json_t *j;

	metrics_set_source(metrics, read_report, NULL);
	ck_assert_msg(!metrics_open(metrics, path, &e), "%s", e.msg);
	report.shared_now = 4096;
	report.vcpu.io_out = 100;
	ck_assert_int_eq(metrics_flush(metrics, &e), 0);
	report.devices[0].counters[0].value = 10;
	report.vcpu.io_out = 101;
	report.convert[0].done = 7;
	report.convert[0].median = 1500;
	ck_assert_int_eq(metrics_flush(metrics, &e), 0);
	ck_assert_int_eq(metrics_flush(metrics, &e), 0);
	wait_for(3);
	j = line_of(0);
	ck_assert_int_eq(number(j, "block_rootfs", "read_count"), 3);
	ck_assert_int_eq(number(j, "block", "read_count"), 4);
	ck_assert_int_eq(number(j, "block", "read_bytes"), 12800);
	ck_assert_int_eq(number(j, "vcpu", "exit_io_out"), 100);
	ck_assert_int_eq(number(j, "nacre", "shared_bytes"), 4096);
	json_decref(j);
	j = line_of(1);
	ck_assert_int_eq(number(j, "block_rootfs", "read_count"), 7);
	ck_assert_int_eq(number(j, "block_data", "read_count"), 0);
	ck_assert_int_eq(number(j, "block", "read_count"), 7);
	ck_assert_int_eq(number(j, "vcpu", "exit_io_out"), 1);
	ck_assert_int_eq(number(j, "nacre", "shared_bytes"), 4096);
	ck_assert_int_eq(number(j, "nacre", "conversions_to_shared"), 7);
	ck_assert_int_eq(number(j, "nacre", "conversion_median_ns_to_shared"), 1500);
	json_decref(j);
	j = line_of(2);
	ck_assert_int_eq(number(j, "block", "read_count"), 0);
	ck_assert_int_eq(number(j, "nacre", "conversions_to_shared"), 0);
	ck_assert_int_eq(number(j, "nacre", "conversion_median_ns_to_shared"), 1500);
	json_decref(j);
}
END_TEST

/* Firecracker's readers look for these, with or without such a device. */
START_TEST(layout_is_firecrackers)
{
	static const struct {
		const char *group, *name;
	} wanted[] = { { "api_server", "process_startup_time_us" },
		{ "api_server", "process_startup_time_cpu_us" },
		{ "put_api_requests", "actions_count" }, { "put_api_requests", "drive_fails" },
		{ "put_api_requests", "boot_source_count" },
		{ "get_api_requests", "instance_info_count" },
		{ "get_api_requests", "vmm_version_count" },
		{ "patch_api_requests", "machine_cfg_count" },
		{ "deprecated_api", "deprecated_http_api_calls" }, { "latencies_us", "pause_vm" },
		{ "logger", "missed_log_count" }, { "logger", "missed_metrics_count" },
		{ "vcpu", "exit_mmio_read" }, { "vcpu", "failures" }, { "uart", "write_count" } };
	static const char *const groups[] = { "block", "net", "vsock", "balloon", "entropy" };
	json_t *j = first_line();
	const char *first;
	json_int_t ms;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wanted); i++)
		number(j, wanted[i].group, wanted[i].name);
	for (i = 0; i < ARRAY_SIZE(groups); i++)
		ck_assert_msg(json_is_object(json_object_get(j, groups[i])), "%s", groups[i]);
	first = json_object_iter_key(json_object_iter(j));
	ck_assert_str_eq(first, "utc_timestamp_ms");
	ms = json_integer_value(json_object_get(j, first));
	ck_assert_int_le(llabs(ms / 1000 - (json_int_t)time(NULL)), 2);
	json_decref(j);
	/* No mode is claimed before there is a machine. */
	metrics_set_source(metrics, read_report, NULL);
	ck_assert_int_eq(metrics_flush(metrics, NULL), 0);
	wait_for(2);
	j = line_of(1);
	ck_assert_str_eq(
		json_string_value(json_object_get(json_object_get(j, "nacre"), "protection")),
		"soft-realm");
	json_decref(j);
}
END_TEST

START_TEST(requests_by_path)
{
	json_t *j;

	metrics_request(metrics, "PUT", "/drives/rootfs", true);
	metrics_request(metrics, "PUT", "/drives/x", false);
	metrics_request(metrics, "PATCH", "/drives/x", true);
	metrics_request(metrics, "GET", "/", true);
	metrics_request(metrics, "GET", "/?x", true);
	metrics_request(metrics, "GET", "/version", true);
	metrics_request(metrics, "DELETE", "/drives/x", true);
	metrics_request(metrics, "GET", "/nothing", false);
	metrics_request(metrics, "GET", "", false);
	metrics_took(metrics, METRICS_PAUSE, 77);
	metrics_deprecated(metrics);
	metrics_ready(metrics, clock_ns() - 5000000);
	j = first_line();
	ck_assert_int_eq(number(j, "put_api_requests", "drive_count"), 2);
	ck_assert_int_eq(number(j, "put_api_requests", "drive_fails"), 1);
	ck_assert_int_eq(number(j, "patch_api_requests", "drive_count"), 1);
	ck_assert_int_eq(number(j, "get_api_requests", "instance_info_count"), 3);
	ck_assert_int_eq(number(j, "get_api_requests", "vmm_version_count"), 1);
	ck_assert_int_eq(number(j, "latencies_us", "pause_vm"), 77);
	ck_assert_int_eq(number(j, "deprecated_api", "deprecated_http_api_calls"), 1);
	ck_assert_int_ge(number(j, "api_server", "process_startup_time_us"), 5000);
	ck_assert_int_gt(number(j, "api_server", "process_startup_time_cpu_us"), 0);
	ck_assert_int_gt(number(j, "nacre", "resident_bytes"), 100000);
	json_decref(j);
}
END_TEST

START_TEST(memory_is_known_behind_walls)
{
	const struct sandbox_plan plan = { .is_protected = false };
	struct err e = { "" };
	char *text, *line;
	size_t len;

	sandbox_begin();
	ck_assert_int_eq(sandbox_raise(&plan, &e), 0);
	text = metrics_prometheus(metrics, &len);
	line = strstr(text, "\nnacre_resident_bytes ");
	ck_assert_ptr_nonnull(line);
	ck_assert_int_gt(strtoll(line + strlen("\nnacre_resident_bytes "), NULL, 10), 100000);
	/* A search for leaks would want files that are behind the walls. */
	_exit(0);
}
END_TEST

/* A FIFO that nobody reads: the flush says so, goes on, and the next line has what was lost. */
START_TEST(full_fifo_loses_no_count)
{
	struct err e = { "" };
	unsigned int i, failed = 0;
	static char buf[1 << 20];
	char *p, *last = NULL;
	ssize_t n = 0, got;
	json_int_t sum = 0;
	json_t *j;
	int fd;

	metrics_set_source(metrics, read_report, NULL);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(metrics_open(metrics, path, &e), 0);
	for (i = 1; i <= 100; i++) {
		report.vcpu.mmio_read = i;
		failed += metrics_flush(metrics, &e) == -EAGAIN;
	}
	ck_assert_uint_gt(failed, 0);
	ck_assert_msg(strstr(e.msg, "FIFO") != NULL, "%s", e.msg);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	do {
		while ((got = read(fd, buf + n, sizeof(buf) - (size_t)n - 1)) > 0)
			n += got;
	} while (metrics_flush(metrics, &e));
	while ((got = read(fd, buf + n, sizeof(buf) - (size_t)n - 1)) > 0)
		n += got;
	for (p = buf; *p; p = last + 1) {
		last = strchr(p, '\n');
		j = json_loadb(p, (size_t)(last - p), 0, NULL);
		ck_assert_ptr_nonnull(j);
		sum += number(j, "vcpu", "exit_mmio_read");
		ck_assert_int_le(number(j, "logger", "missed_metrics_count"), failed);
		json_decref(j);
	}
	ck_assert_int_eq(sum, 100);
	close(fd);
}
END_TEST

START_TEST(last_line_when_it_ends)
{
	struct err e = { "" };
	json_t *j;

	metrics_set_source(metrics, read_report, NULL);
	ck_assert_int_eq(metrics_open(metrics, path, &e), 0);
	ck_assert_int_eq(metrics_open(metrics, path, &e), -EBUSY);
	report.uart.writes = 42;
	metrics_set_source(metrics, NULL, NULL);
	report.uart.writes = 43;
	metrics_free(metrics);
	metrics = NULL;
	j = line_of(0);
	ck_assert_int_eq(number(j, "uart", "write_count"), 42);
	json_decref(j);
}
END_TEST

/* Taken out and put in again under its name, a device starts from nothing. */
START_TEST(counter_that_falls_starts_anew)
{
	static struct metrics_set before, now;
	json_t *j;

	metrics_add_labelled(&before, METRIC_COUNTER, "block", "read_count", "id", "a", 100);
	metrics_add(&now, METRIC_GAUGE, "x", "y", 1);
	metrics_add_labelled(&now, METRIC_COUNTER, "block", "read_count", "id", "a", 5);
	metrics_add_labelled(&now, METRIC_COUNTER, "block", "read_count", "id", "b", 6);
	j = metrics_set_json(&now, &before);
	ck_assert_int_eq(number(j, "block_a", "read_count"), 5);
	ck_assert_int_eq(number(j, "block_b", "read_count"), 6);
	ck_assert_int_eq(number(j, "block", "read_count"), 11);
	json_decref(j);
}
END_TEST

START_TEST(too_many_are_left_out)
{
	static struct metrics_set s;
	unsigned int i;

	for (i = 0; i < METRICS_MAX + 10; i++)
		metrics_add(&s, METRIC_COUNTER, "g", "n", i);
	ck_assert_uint_eq(s.count, METRICS_MAX);
}
END_TEST

/* Each line is a comment or a sample; a name's samples stand together behind its TYPE, once. */
static void check_syntax(char *text)
{
	char *line, *save = NULL, type[200] = "", name[200], seen[20000] = "", needle[210];
	regex_t sample, head;

	ck_assert_int_eq(regcomp(&sample,
				 "^[a-zA-Z_:][a-zA-Z0-9_:]*([{][a-z]+=\"([^\"\\]|\\\\[\\\"n])*\""
				 "(,[a-z]+=\"[^\"]*\")*[}])? [0-9]+$",
				 REG_EXTENDED | REG_NOSUB),
		0);
	ck_assert_int_eq(regcomp(&head, "^# (HELP [a-z0-9_]+ .+|TYPE [a-z0-9_]+ (counter|gauge))$",
				 REG_EXTENDED | REG_NOSUB),
		0);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (*line == '#') {
			ck_assert_msg(!regexec(&head, line, 0, NULL, 0), "%s", line);
			if (sscanf(line, "# TYPE %199s", type) != 1)
				continue;
			snprintf(needle, sizeof(needle), " %s ", type);
			ck_assert_msg(!strstr(seen, needle), "%s twice", type);
			strcat(seen, needle);
			continue;
		}
		ck_assert_msg(!regexec(&sample, line, 0, NULL, 0), "%s", line);
		ck_assert_int_eq(sscanf(line, "%199[^{ ]", name), 1);
		ck_assert_str_eq(name, type);
	}
	regfree(&sample);
	regfree(&head);
}

START_TEST(prometheus_text)
{
	size_t len = 0;
	char *text;

	report.convert[1].done = 9;
	snprintf(report.devices[1].id, sizeof(report.devices[1].id), "d\"a\\t");
	metrics_set_source(metrics, read_report, NULL);
	text = metrics_prometheus(metrics, &len);
	ck_assert_uint_eq(len, strlen(text));
	ck_assert_ptr_nonnull(strstr(text, "# TYPE nacre_block_read_total counter\n"
					   "nacre_block_read_total{id=\"rootfs\"} 3\n"
					   "nacre_block_read_total{id=\"d\\\"a\\\\t\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(text, "nacre_block_read_bytes_total{id=\"rootfs\"} 12288\n"));
	ck_assert_ptr_nonnull(strstr(text, "nacre_conversions_total{to=\"private\"} 9\n"));
	ck_assert_ptr_nonnull(strstr(text, "# TYPE nacre_shared_bytes gauge\n"));
	ck_assert_ptr_nonnull(strstr(text, "protection=\"soft-realm\",id=\"vm-1\"} 1\n"));
	check_syntax(text);
	free(text);
}
END_TEST

/* A reader of this text does not change what the lines say. */
START_TEST(prometheus_takes_no_delta)
{
	struct err e;
	size_t len;
	json_t *j;

	metrics_set_source(metrics, read_report, NULL);
	ck_assert_int_eq(metrics_open(metrics, path, &e), 0);
	free(metrics_prometheus(metrics, &len));
	ck_assert_int_eq(metrics_flush(metrics, &e), 0);
	wait_for(1);
	j = line_of(0);
	ck_assert_int_eq(number(j, "block", "read_count"), 4);
	json_decref(j);
}
END_TEST

Suite *metrics_suite(void)
{
	Suite *s = suite_create("metrics");
	TCase *t = tcase_create("metrics");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, lines_have_deltas);
	tcase_add_test(t, layout_is_firecrackers);
	tcase_add_test(t, requests_by_path);
	tcase_add_exit_test(t, memory_is_known_behind_walls, 0);
	tcase_add_test(t, full_fifo_loses_no_count);
	tcase_add_test(t, last_line_when_it_ends);
	tcase_add_test(t, counter_that_falls_starts_anew);
	tcase_add_test(t, too_many_are_left_out);
	tcase_add_test(t, prometheus_text);
	tcase_add_test(t, prometheus_takes_no_delta);
	suite_add_tcase(s, t);
	return s;
}
