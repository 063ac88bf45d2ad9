/* SPDX-License-Identifier: Apache-2.0 */

/* The real time clock: the host's time, the guest's own, and the alarm. */
#include <check.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/pl031.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define BASE 0x1003000

/* For what is to come for sure, however busy the machine. */
#define WAIT_MS 60000

static struct loop *loop;
static struct pl031 *rtc;
static struct bus bus;
static int irq;

static void setup(void)
{
	struct pl031_config c;
	struct bus_dev d = { "rtc", BASE, PL031_SIZE, &pl031_ops, NULL, NULL };
	struct err e = { "" };

	irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(loop_new(&loop, NULL, &e), 0);
	c = (struct pl031_config){ loop, { irq } };
	ck_assert_int_eq(pl031_new(&rtc, &c, &e), 0);
	ck_assert_int_eq(loop_start_thread(loop, THREAD_IO, "rtc", &e), 0);
	d.dev = rtc;
	d.lock = pl031_lock(rtc);
	bus_init(&bus, "test", UINT64_MAX);
	ck_assert_int_eq(bus_add(&bus, &d, &e), 0);
}

static void teardown(void)
{
	pl031_free(rtc);
	loop_free(loop);
	close(irq);
}

static uint32_t get(uint64_t off)
{
	uint32_t v = 0x55555555;

	bus_read(&bus, BASE + off, &v, 4);
	return v;
}

static void put(uint64_t off, uint32_t v)
{
	bus_write(&bus, BASE + off, &v, 4);
}

/* Edges since the last call; waits up to ms for the first. */
static uint64_t edges(int ms)
{
	struct pollfd p = { irq, POLLIN, 0 };
	uint64_t n = 0;

	poll(&p, 1, ms);
	return read(irq, &n, sizeof(n)) == (ssize_t)sizeof(n) ? n : 0;
}

/* Whether DR is the host's time plus that, asked between two looks at the host's clock. */
static void shows(uint32_t ahead)
{
	uint32_t before = (uint32_t)time(NULL) + ahead, v = get(PL031_DR);
	/* time() may lag behind clock_gettime by a tick of the kernel's timer. */
	uint32_t slack = (uint32_t)time(NULL) + ahead + 1 - v;

	ck_assert_uint_lt(v - before, 1u << 30);
	ck_assert_uint_lt(slack, 1u << 30);
}

START_TEST(shows_the_time_of_the_host)
{
	shows(0);
	ck_assert_uint_eq(get(PL031_CR), 1);
	put(PL031_CR, 0);
	ck_assert_uint_eq(get(PL031_CR), 1);
	put(PL031_DR, 7);
	shows(0);
}
END_TEST

/* Also one that is long ago, and one from which the counter soon begins again at 0. */
static const uint32_t loads[] = { 0, 1, 86400, 0x7fffffff, 0x80000000, 0xffffffff };

START_TEST(guest_sets_its_own_time)
{
	uint32_t before = (uint32_t)time(NULL), ahead;

	put(PL031_LR, loads[_i]);
	ahead = get(PL031_DR) - loads[_i];
	/* No further than the host's clock went meanwhile. */
	ck_assert_uint_le(ahead, (uint32_t)time(NULL) + 1 - before);
	ck_assert_uint_eq(get(PL031_LR), loads[_i]);
	ck_assert_uint_lt(get(PL031_DR) - loads[_i], WAIT_MS / 1000);
}
END_TEST

/* Linux tells PrimeCells by these: part and designer, then the same eight digits for all. */
START_TEST(identification)
{
	static const uint32_t want[] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(want); i++)
		ck_assert_uint_eq(get(PL031_ID + 4 * i), want[i]);
}
END_TEST

START_TEST(other_accesses_do_nothing)
{
	uint64_t off, v;
	unsigned int len;

	for (off = 0; off <= 0x40; off++) {
		for (len = 1; len <= 8; len++) {
			v = UINT64_MAX;
			if (len != 4 || off % 4)
				bus_write(&bus, BASE + off, &v, len);
			bus_read(&bus, BASE + off, &v, len);
			if (len != 4 || off % 4)
				ck_assert_uint_eq(v << (64 - 8 * len), 0);
		}
	}
	for (off = 0x20; off < PL031_ID; off += 4)
		put(off, UINT32_MAX);
	put(PL031_RIS, 1);
	put(PL031_MIS, 1);
	put(PL031_ID, 1);
	ck_assert_uint_eq(get(PL031_MR) | get(PL031_LR) | get(PL031_IMSC) | get(PL031_RIS), 0);
	ck_assert_uint_eq(get(0x20) | get(PL031_ID - 4), 0);
	ck_assert_uint_eq(edges(0), 0);
	shows(0);
}
END_TEST

START_TEST(alarm_interrupts)
{
	put(PL031_IMSC, 0xffffffff);
	ck_assert_uint_eq(get(PL031_IMSC), 1);
	put(PL031_LR, 1000);
	put(PL031_MR, 1002);
	ck_assert_uint_eq(edges(WAIT_MS), 1);
	ck_assert_uint_ge(get(PL031_DR), 1002);
	ck_assert_uint_eq(get(PL031_RIS), 1);
	ck_assert_uint_eq(get(PL031_MIS), 1);
	ck_assert_uint_eq(get(PL031_MR), 1002);
	/* It stays until it is cleared, and comes once. */
	put(PL031_ICR, 0xfffffffe);
	ck_assert_uint_eq(get(PL031_RIS), 1);
	put(PL031_ICR, 1);
	ck_assert_uint_eq(get(PL031_RIS), 0);
	ck_assert_uint_eq(get(PL031_MIS), 0);
	ck_assert_uint_eq(edges(0), 0);
}
END_TEST

/* Masked it only shows in RIS; let through later it interrupts then. */
START_TEST(masked_alarm)
{
	put(PL031_MR, get(PL031_DR) + 1000000);
	ck_assert_uint_eq(get(PL031_RIS), 0);
	/* Equal at once, when the counter is loaded. */
	put(PL031_LR, get(PL031_MR));
	ck_assert_uint_eq(get(PL031_RIS), 1);
	ck_assert_uint_eq(get(PL031_MIS), 0);
	ck_assert_uint_eq(edges(0), 0);
	put(PL031_IMSC, 1);
	ck_assert_uint_eq(edges(0), 1);
	put(PL031_IMSC, 1);
	ck_assert_uint_eq(edges(0), 0);
	put(PL031_IMSC, 0);
	put(PL031_IMSC, 1);
	ck_assert_uint_eq(edges(0), 1);
}
END_TEST

/* Across the end of the counter's 32 bits. */
START_TEST(alarm_after_the_counter_wraps)
{
	put(PL031_IMSC, 1);
	put(PL031_LR, 0xffffffff);
	put(PL031_MR, 1);
	ck_assert_uint_eq(edges(WAIT_MS), 1);
	ck_assert_uint_lt(get(PL031_DR), WAIT_MS / 1000);
}
END_TEST

/* An alarm in the past is one of the far future; loading the counter moves the alarm with it. */
START_TEST(alarm_of_the_past)
{
	put(PL031_IMSC, 1);
	put(PL031_MR, get(PL031_DR) - 10);
	ck_assert_uint_eq(get(PL031_RIS), 0);
	put(PL031_LR, get(PL031_MR) - 1);
	ck_assert_uint_eq(edges(WAIT_MS), 1);
}
END_TEST

START_TEST(alarm_that_is_moved_does_not_come)
{
	uint32_t now;

	put(PL031_IMSC, 1);
	now = get(PL031_DR);
	put(PL031_MR, now + 2);
	put(PL031_MR, now + 1000000);
	ck_assert_uint_eq(edges(3100), 0);
	ck_assert_uint_eq(get(PL031_RIS), 0);
}
END_TEST

Suite *pl031_suite(void)
{
	Suite *s = suite_create("pl031");
	TCase *t = tcase_create("pl031");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 2 * WAIT_MS / 1000);
	tcase_add_test(t, shows_the_time_of_the_host);
	tcase_add_loop_test(t, guest_sets_its_own_time, 0, (int)ARRAY_SIZE(loads));
	tcase_add_test(t, identification);
	tcase_add_test(t, other_accesses_do_nothing);
	tcase_add_test(t, alarm_interrupts);
	tcase_add_test(t, masked_alarm);
	tcase_add_test(t, alarm_after_the_counter_wraps);
	tcase_add_test(t, alarm_of_the_past);
	tcase_add_test(t, alarm_that_is_moved_does_not_come);
	suite_add_tcase(s, t);
	return s;
}
