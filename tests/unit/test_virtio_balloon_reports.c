/* SPDX-License-Identifier: Apache-2.0 */

/* Free pages that a driver reports, and what it says of its memory. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "tests/unit/test_virtio_balloon.h"
#include "vmm/util/bits.h"

/* One chain of two ranges on queue q, which are ring 2. */
static void report(unsigned int q, uint64_t at, uint32_t len, uint64_t at2, uint32_t len2)
{
	ring_desc(&blt.rings[2], 0, at, len, DESC_WRITE | DESC_NEXT, 1);
	ring_desc(&blt.rings[2], 1, at2, len2, DESC_WRITE, 0);
	ring_offer(&blt.rings[2], 0);
	driver_put(&blt.drv, R_NOTIFY, q);
}

/* Numbers of the queue as the specification, as Linux, and as others count. */
static const struct {
	uint64_t features;
	unsigned int q;
} numbers[] = {
	{ F_REPORTING, 2 },
	{ F_REPORTING, 3 },
	{ F_REPORTING, 4 },
	{ F_REPORTING | F_STATS, 3 },
	{ F_REPORTING | F_STATS, 4 },
};

START_TEST(reported_pages_are_given_back)
{
	struct balloon_config cfg = blt_config();

	blt_begin(&cfg, numbers[_i].features, numbers[_i].q);
	blt_fill(PAGES_AT, 8);
	report(numbers[_i].q, PAGES_AT + 0x1000, 0x2000, PAGES_AT + 0x4ff0, 0x2020);
	blt_expect_used(2, 1);
	for (unsigned int i = 0; i < 8; i++) {
		/* Of the second range two pages are whole. */
		bool named = i == 1 || i == 2 || i == 5 || i == 6;

		ck_assert_int_eq(blt_holds_memory(PAGES_AT + i * 4096, false), !named);
		ck_assert(blt_holds_memory(PAGES_AT + i * 4096, true));
	}
	ck_assert_uint_eq(blt_given_back(), 4);
}
END_TEST

START_TEST(poisoned_pages_keep_their_pattern)
{
	struct balloon_config cfg = blt_config();

	blt_begin(&cfg, F_REPORTING | (_i < 2 ? F_POISON : 0), 2);
	/* Zero is a pattern that we can keep; without the feature nobody asked. */
	driver_put(&blt.drv, R_CONFIG + 12, _i == 1 ? 0 : 0xaaaaaaaa);
	blt_fill(PAGES_AT, 2);
	report(2, PAGES_AT, 0x1000, PAGES_AT + 0x1000, 0x1000);
	blt_expect_used(2, 1);
	ck_assert_int_eq(blt_holds_memory(PAGES_AT, false), _i == 0);
	ck_assert_int_eq(blt_holds_memory(PAGES_AT + 0x1000, false), _i == 0);
}
END_TEST

START_TEST(broken_report_breaks_the_device)
{
	struct balloon_config cfg = blt_config();

	blt_begin(&cfg, F_REPORTING, 2);
	blt_fill(PAGES_AT, 1);
	if (_i == 0)
		ring_desc(&blt.rings[2], 0, PAGES_AT, 4096, 0, 0);
	else if (_i == 1)
		ring_desc(&blt.rings[2], 0, GUEST_PRIVATE, 4096, DESC_WRITE, 0);
	else
		ring_desc(&blt.rings[2], 0, GUEST_END, 4096, DESC_WRITE, 0);
	ring_offer(&blt.rings[2], 0);
	driver_put(&blt.drv, R_NOTIFY, 2);
	blt_pump(5);
	ck_assert(blt_broken());
	ck_assert(blt_holds_memory(PAGES_AT, false));
	ck_assert_uint_eq(blt_given_back(), 0);
}
END_TEST

/* 128 buffers of 1 MiB less a page each: more than a turn's worth. */
START_TEST(large_report_takes_several_turns)
{
	struct balloon_config cfg = blt_config();
	const uint32_t len = 0x180000 - 0x120000;
	struct loop_event *other;
	struct err e;

	blt_begin(&cfg, F_REPORTING, 2);
	ck_assert_int_eq(loop_add_timer(blt.loop, blt_on_turn, &other, &other, &e), 0);
	blt.turns = 0;
	for (unsigned int n = 0; n < 50; n++) {
		for (uint16_t i = 0; i < 128; i++)
			ring_desc(&blt.rings[2], i, PAGES_AT, len,
				(uint16_t)(DESC_WRITE | (i < 127 ? DESC_NEXT : 0)),
				(uint16_t)(i + 1));
		ring_offer(&blt.rings[2], 0);
	}
	loop_timer_set(other, 0);
	driver_put(&blt.drv, R_NOTIFY, 2);
	blt_expect_used(2, 50);
	/* 614 thousand pages and 6400 calls; a turn has room for 32 thousand. */
	ck_assert_uint_ge(blt.turns, 15);
	ck_assert_uint_eq(blt_given_back(), 50 * 128 * (len / 4096));
	loop_event_free(other);
}
END_TEST

static struct virtio_dev *device_with_reports(void)
{
	struct balloon_config cfg = blt_config();

	blt_begin(&cfg, F_REPORTING, 2);
	return virtio_balloon_dev(blt.balloon);
}

/* One turn, without the loop. */
static void serve(struct virtio_dev *d, unsigned int q)
{
	pthread_mutex_lock(&d->lock);
	d->ops->queue_notify(d, q);
	pthread_mutex_unlock(&d->lock);
}

/* Pieces of less than a page are work too: here they make one turn two. */
START_TEST(pieces_of_nothing_take_time)
{
	struct virtio_dev *d = device_with_reports();

	/* 28672 pages' worth in all, and 16128 single bytes. */
	for (uint16_t i = 0; i < 128; i++)
		ring_desc(&blt.rings[2], i, PAGES_AT + (i < 126), i < 126 ? 1 : 0x60000,
			(uint16_t)(DESC_WRITE | (i < 127 ? DESC_NEXT : 0)), (uint16_t)(i + 1));
	for (unsigned int n = 0; n < 128; n++)
		ring_offer(&blt.rings[2], 0);
	serve(d, 2);
	ck_assert_uint_lt(ring_used_idx(&blt.rings[2]), 128);
	blt_expect_used(2, 128);
	ck_assert(!blt_broken());
}
END_TEST

/* However cheap it should be: where the kernel takes its time, the turn ends by the clock. */
START_TEST(slow_kernel_leaves_time_to_others)
{
	struct virtio_dev *d = device_with_reports();
	void *kvm;

	slot_table_ops(blt.guest.table, &kvm);
	((struct fake_kvm *)kvm)->discard_us = 1000;
	for (uint16_t i = 0; i < 20; i++) {
		ring_desc(&blt.rings[2], i, PAGES_AT + i * 4096, 4096, DESC_WRITE, 0);
		ring_offer(&blt.rings[2], i);
	}
	/* Something is done in each of them. */
	for (unsigned int n = 1; n <= 5; n++) {
		serve(d, 2);
		ck_assert_uint_ge(ring_used_idx(&blt.rings[2]), n);
		ck_assert_uint_le(ring_used_idx(&blt.rings[2]), 2 * n);
	}
	blt_expect_used(2, 20);
	ck_assert_uint_eq(blt_given_back(), 20);
}
END_TEST

/* ---- statistics ---- */

static void put_stat(uint8_t *at, uint16_t tag, uint64_t value)
{
	memcpy(at, &tag, 2);
	memcpy(at + 2, &value, 8);
}

static void offer_stats(uint16_t desc, uint32_t len)
{
	ring_desc(&blt.rings[2], desc, GUEST_DATA + 0x4000, len, 0, 0);
	ring_offer(&blt.rings[2], desc);
	driver_put(&blt.drv, R_NOTIFY, STATS);
}

START_TEST(statistics_come_again_and_again)
{
	struct balloon_config cfg = blt_config();
	uint8_t *p = guest_ptr(&blt.guest, GUEST_DATA + 0x4000);
	struct virtio_balloon_state s;

	blt_begin(&cfg, F_STATS, STATS);
	put_stat(p, BALLOON_TOTAL, MIB(200));
	put_stat(p + 10, BALLOON_STATS + (_i ? 999 : 0), 1);
	put_stat(p + 20, BALLOON_FREE, MIB(50));
	put_stat(p + 30, BALLOON_DIRECT_RECLAIMED, 4);
	offer_stats(0, 45);
	blt_pump(20);
	virtio_balloon_get(blt.balloon, &s);
	ck_assert_uint_eq(s.reports, 1);
	ck_assert_uint_eq(s.known, BIT(BALLOON_TOTAL) | BIT(BALLOON_FREE) | BIT(15));
	ck_assert_uint_eq(s.stats[BALLOON_TOTAL], MIB(200));
	ck_assert_uint_eq(s.stats[BALLOON_FREE], MIB(50));
	/* The device keeps the buffer, and gives it back a second later to ask anew. */
	ck_assert_uint_eq(ring_used_idx(&blt.rings[2]), 0);
	blt_irqs();
	blt_expect_used(2, 1);
	ck_assert_uint_eq(blt_irqs(), 1);
	put_stat(p, BALLOON_FREE, MIB(40));
	offer_stats(1, 10);
	blt_pump(20);
	virtio_balloon_get(blt.balloon, &s);
	ck_assert_uint_eq(s.reports, 2);
	ck_assert_uint_eq(s.known, BIT(BALLOON_FREE));
	ck_assert_uint_eq(s.stats[BALLOON_FREE], MIB(40));
}
END_TEST

START_TEST(more_statistics_than_there_are)
{
	struct balloon_config cfg = blt_config();
	struct virtio_balloon_state s;

	blt_begin(&cfg, F_STATS, STATS);
	memset(guest_ptr(&blt.guest, GUEST_DATA + 0x4000), 0, 0x10000);
	offer_stats(0, 0x10000);
	blt_pump(20);
	virtio_balloon_get(blt.balloon, &s);
	ck_assert_uint_eq(s.known, 1);
	ck_assert(!blt_broken());
}
END_TEST

START_TEST(broken_statistics_break_the_device)
{
	struct balloon_config cfg = blt_config();

	blt_begin(&cfg, F_STATS, STATS);
	offer_stats(0, 10);
	blt_pump(10);
	if (_i == 0) {
		offer_stats(1, 10);
	} else {
		driver_put(&blt.drv, R_STATUS, 0);
		ck_assert_uint_eq(driver_get(&blt.drv, R_STATUS), 0);
		blt_begin(&cfg, F_STATS, STATS);
		ring_desc(&blt.rings[2], 0, GUEST_DATA, 10, DESC_WRITE, 0);
		ring_offer(&blt.rings[2], 0);
		driver_put(&blt.drv, R_NOTIFY, STATS);
	}
	blt_pump(10);
	ck_assert(blt_broken());
	driver_put(&blt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&blt.drv, R_STATUS), 0);
}
END_TEST

/* The buffer that the device keeps holds up no reset, of the device or of its queue. */
START_TEST(reset_takes_the_buffer_back)
{
	struct balloon_config cfg = blt_config();

	blt_begin(&cfg, F_STATS | F_RESET, STATS);
	offer_stats(0, 10);
	blt_pump(10);
	if (_i == 0) {
		driver_put(&blt.drv, R_STATUS, 0);
		ck_assert_uint_eq(driver_get(&blt.drv, R_STATUS), 0);
	} else {
		driver_put(&blt.drv, R_QUEUE_SEL, STATS);
		driver_put(&blt.drv, R_QUEUE_RESET, 1);
		ck_assert_uint_eq(driver_get(&blt.drv, R_QUEUE_RESET), 0);
		ring_new(&blt.rings[2], &blt.guest, GUEST_RAM + 2 * RING_BYTES, 128);
		ck_assert_uint_eq(driver_queue(&blt.drv, STATS, &blt.rings[2]), 1);
		offer_stats(0, 10);
	}
	/* The timer ends, of which the new life knows nothing. */
	blt_pump(1100);
	ck_assert_uint_eq(ring_used_idx(&blt.rings[2]), _i == 0 ? 0 : 1);
}
END_TEST

/* From a day to a second, with the buffer here already; and not to or from none. */
START_TEST(interval_may_change)
{
	struct balloon_config cfg = blt_config();
	struct err e = { "" };

	cfg.stats_seconds = _i ? 86400 : 0;
	blt_begin(&cfg, _i ? F_STATS : 0, _i ? STATS : 0);
	if (!_i) {
		ck_assert_int_eq(virtio_balloon_set_interval(blt.balloon, 1, &e), -EINVAL);
		ck_assert_ptr_nonnull(strstr(e.msg, "without statistics"));
		ck_assert_int_eq(virtio_balloon_set_interval(blt.balloon, 0, &e), 0);
		return;
	}
	offer_stats(0, 10);
	blt_pump(20);
	ck_assert_int_eq(virtio_balloon_set_interval(blt.balloon, 0, &e), -EINVAL);
	ck_assert_int_eq(virtio_balloon_set_interval(blt.balloon, 1, &e), 0);
	blt_expect_used(2, 1);
}
END_TEST

TCase *virtio_balloon_reports_case(void)
{
	TCase *t = tcase_create("reports");

	tcase_add_checked_fixture(t, blt_setup, blt_teardown);
	tcase_add_loop_test(t, reported_pages_are_given_back, 0, ARRAY_SIZE(numbers));
	tcase_add_loop_test(t, poisoned_pages_keep_their_pattern, 0, 3);
	tcase_add_loop_test(t, broken_report_breaks_the_device, 0, 3);
	tcase_add_test(t, large_report_takes_several_turns);
	tcase_add_test(t, pieces_of_nothing_take_time);
	tcase_add_test(t, slow_kernel_leaves_time_to_others);
	tcase_add_loop_test(t, statistics_come_again_and_again, 0, 2);
	tcase_add_test(t, more_statistics_than_there_are);
	tcase_add_loop_test(t, interval_may_change, 0, 2);
	tcase_add_loop_test(t, broken_statistics_break_the_device, 0, 2);
	tcase_add_loop_test(t, reset_takes_the_buffer_back, 0, 2);
	tcase_set_timeout(t, 120);
	return t;
}
