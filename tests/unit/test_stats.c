/* SPDX-License-Identifier: Apache-2.0 */

/* Counters, what a report makes of them, and the lines that people see. */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/suites.h"
#include "vmm/stats.h"
#include "vmm/util/bits.h"

static struct stats stats;
static struct stats_report report;

static void setup(void)
{
	memset(&stats, 0, sizeof(stats));
	memset(&report, 0, sizeof(report));
}

static const struct stats_convert_report *read_to(bool to_private)
{
	stats_read(&stats, &report);
	return &report.convert[to_private];
}

START_TEST(nothing_has_happened)
{
	const struct stats_convert_report *c = read_to(_i);

	ck_assert_uint_eq(c->done, 0);
	ck_assert_uint_eq(c->refused + c->unchanged + c->bytes, 0);
	ck_assert_uint_eq(c->median + c->p90 + c->p99 + c->longest, 0);
}
END_TEST

START_TEST(directions_are_kept_apart)
{
	stats_converted(&stats, _i, PAGE_SIZE, 100);
	stats_refused(&stats, _i);
	stats_refused(&stats, _i);
	stats_unchanged(&stats, _i);
	stats_unchanged(&stats, _i);
	stats_unchanged(&stats, _i);
	ck_assert_uint_eq(read_to(_i)->done, 1);
	ck_assert_uint_eq(read_to(_i)->refused, 2);
	ck_assert_uint_eq(read_to(_i)->unchanged, 3);
	ck_assert_uint_eq(read_to(_i)->bytes, PAGE_SIZE);
	ck_assert_uint_eq(read_to(!_i)->done, 0);
	ck_assert_uint_eq(read_to(!_i)->refused, 0);
	ck_assert_uint_eq(read_to(!_i)->unchanged, 0);
}
END_TEST

static const struct {
	uint64_t bytes;
	unsigned int bucket;
} sizes[] = {
	{ KIB(4), 0 },
	{ KIB(8), 1 },
	{ KIB(12), 1 },
	{ KIB(16), 2 },
	{ MIB(2) - KIB(4), 8 },
	{ MIB(2), 9 },
	{ GIB(1), 18 },
	{ 1ULL << 43, 31 },
	{ 1ULL << 63, 31 },
};

START_TEST(sizes_by_powers_of_two)
{
	const struct stats_convert_report *c;
	unsigned int i, others = 0;

	stats_converted(&stats, true, sizes[_i].bytes, 1);
	c = read_to(true);
	for (i = 0; i < STATS_SIZES; i++)
		others += i != sizes[_i].bucket && c->sizes[i];
	ck_assert_uint_eq(c->sizes[sizes[_i].bucket], 1);
	ck_assert_uint_eq(others, 0);
	ck_assert_uint_eq(c->bytes, sizes[_i].bytes);
}
END_TEST

/* Of times all over the range: never too low, and at most a quarter too high. */
START_TEST(percentiles_are_near)
{
	unsigned int wrong = 0;
	uint64_t ns;

	for (ns = 0; ns < 60000000000u; ns += 1 + ns / 97) {
		const struct stats_convert_report *c;

		setup();
		stats_converted(&stats, false, PAGE_SIZE, ns);
		/* Else the longest one would cut the bucket short. */
		stats_converted(&stats, false, PAGE_SIZE, 100000000000u);
		c = read_to(false);
		wrong += c->median < ns || c->median > ns + ns / 4 || c->p90 != 100000000000u ||
			 c->longest != 100000000000u;
	}
	ck_assert_uint_eq(wrong, 0);
}
END_TEST

START_TEST(percentiles_take_their_share)
{
	const struct stats_convert_report *c;
	unsigned int i;

	for (i = 0; i < 50; i++)
		stats_converted(&stats, false, PAGE_SIZE, 1);
	for (i = 0; i < 40; i++)
		stats_converted(&stats, false, PAGE_SIZE, 2);
	for (i = 0; i < 9; i++)
		stats_converted(&stats, false, PAGE_SIZE, 3);
	c = read_to(false);
	ck_assert_uint_eq(c->p99, 3);
	stats_converted(&stats, false, PAGE_SIZE, 1000);
	c = read_to(false);
	ck_assert_uint_eq(c->done, 100);
	ck_assert_uint_eq(c->median, 1);
	ck_assert_uint_eq(c->p90, 2);
	ck_assert_uint_eq(c->p99, 3);
	ck_assert_uint_eq(c->longest, 1000);
	stats_converted(&stats, false, PAGE_SIZE, 1001);
	ck_assert_uint_eq(read_to(false)->median, 2);
	/* Hours. */
	stats_converted(&stats, false, PAGE_SIZE, UINT64_MAX);
	ck_assert_uint_eq(read_to(false)->longest, UINT64_MAX);
}
END_TEST

START_TEST(peak_of_shared_memory_stays)
{
	stats_shared(&stats, MIB(3));
	stats_shared(&stats, MIB(64));
	stats_shared(&stats, MIB(1));
	stats_read(&stats, &report);
	ck_assert_uint_eq(report.shared_now, MIB(1));
	ck_assert_uint_eq(report.shared_peak, MIB(64));
}
END_TEST

#define EACH 300000u

static pthread_barrier_t together;

static void *convert_all(void *arg)
{
	unsigned int i;

	pthread_barrier_wait(&together);
	for (i = 0; i < EACH; i++)
		stats_converted(&stats, false, PAGE_SIZE, *(unsigned int *)arg + i);
	return NULL;
}

START_TEST(threads_lose_no_count)
{
	unsigned int start[4] = { 0, 100, 50000, 7 }, i;
	pthread_t threads[4];

	pthread_barrier_init(&together, NULL, 4);
	for (i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, convert_all, &start[i]), 0);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(read_to(false)->done, 4 * EACH);
	ck_assert_uint_eq(report.convert[0].bytes, 4ULL * EACH * PAGE_SIZE);
	ck_assert_uint_eq(report.convert[0].longest, 50000 + EACH - 1);
}
END_TEST

static void prints(const char *expected)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	stats_print(&report, out);
	fclose(out);
	ck_assert_str_eq(text, expected);
	free(text);
}

START_TEST(report_of_a_protected_guest)
{
	stats_converted(&stats, false, MIB(64), 250000);
	stats_converted(&stats, false, KIB(4), 20000);
	stats_converted(&stats, false, KIB(4), 20000);
	stats_refused(&stats, true);
	stats_shared(&stats, MIB(64) + KIB(8));
	stats_read(&stats, &report);
	report.is_split = true;
	report.uptime_ms = 12034;
	report.ram_bytes = GIB(1);
	report.device_count = 2;
	report.held_now = 4096;
	report.held_peak = MIB(2) + 1;
	report.devices[0] =
		(struct stats_device){ .name = "virtio-blk", .held = 4096, .held_peak = MIB(1) };
	report.devices[1] = (struct stats_device){
		.name = "virtio-net", .slot = 1, .is_broken = true, .failures = 3, .faults = 2
	};
	prints("nacre: statistics after 12.034 s\n"
	       "nacre: shared memory: 65544 KiB, at most 65544 KiB, of 1 GiB\n"
	       "nacre: conversions to shared: 3, 65544 KiB in all; 0 changed nothing, 0 refused\n"
	       "nacre: conversions to shared, by size from: 4 KiB 2, 64 MiB 1\n"
	       "nacre: conversions to shared took: median 20.5 us, 90% 250.0 us, 99% 250.0 us, "
	       "longest 250.0 us\n"
	       "nacre: conversions to private: 0, 0 KiB in all; 0 changed nothing, 1 refused\n"
	       "nacre: buffers of all devices: 4 KiB, at most 2049 KiB\n"
	       "nacre: device 0 virtio-blk: buffers 4 KiB, at most 1 MiB; failed 0 times, 0 of "
	       "them for memory that it may not touch\n"
	       "nacre: device 1 virtio-net: buffers 0 KiB, at most 0 KiB; failed 3 times, 2 of "
	       "them for memory that it may not touch; waits for its reset\n");
}
END_TEST

START_TEST(report_of_a_guest_without_anything)
{
	report.uptime_ms = 7;
	prints("nacre: statistics after 0.007 s\n");
}
END_TEST

Suite *stats_suite(void)
{
	Suite *s = suite_create("stats");
	TCase *t = tcase_create("stats");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, nothing_has_happened, 0, 2);
	tcase_add_loop_test(t, directions_are_kept_apart, 0, 2);
	tcase_add_loop_test(t, sizes_by_powers_of_two, 0, (int)ARRAY_SIZE(sizes));
	tcase_add_test(t, percentiles_are_near);
	tcase_add_test(t, percentiles_take_their_share);
	tcase_add_test(t, peak_of_shared_memory_stays);
	tcase_add_test(t, threads_lose_no_count);
	tcase_add_test(t, report_of_a_protected_guest);
	tcase_add_test(t, report_of_a_guest_without_anything);
	suite_add_tcase(s, t);
	return s;
}
