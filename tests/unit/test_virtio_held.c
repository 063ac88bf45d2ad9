/* SPDX-License-Identifier: Apache-2.0 */

/* What a device counts for statistics: the bytes of buffers it holds, and how often it broke. */
#include <check.h>
#include <string.h>

#include "tests/unit/test_virtio.h"

/* Of each request of test_virtio.h, and of the larger one below. */
#define BYTES 16u
#define LARGE (8u + 4000u)

static struct virtio_held all;

static void setup(void)
{
	virtio_setup();
	all = (struct virtio_held){ 0 };
	model.dev.all = &all;
	model.hold = true;
}

/* A second chain in the same queue. */
static void request_large(unsigned int q)
{
	ring_desc(&rings[q], 2, GUEST_DATA, 8, DESC_NEXT, 3);
	ring_desc(&rings[q], 3, GUEST_DATA + 64, LARGE - 8, DESC_WRITE, 0);
	ring_offer(&rings[q], 2);
	driver_put(&drv, R_NOTIFY, q);
}

static void holds(uint64_t now, uint64_t peak)
{
	ck_assert_uint_eq(model.dev.held, now);
	ck_assert_uint_eq(model.dev.held_peak, peak);
	ck_assert_uint_eq(all.now, now);
	ck_assert_uint_eq(all.peak, peak);
}

START_TEST(buffers_count_until_they_are_given_back)
{
	start_both(0);
	request(0);
	request_large(0);
	request(1);
	pump();
	holds(2 * BYTES + LARGE, 2 * BYTES + LARGE);
	give_back(true);
	holds(BYTES + LARGE, 2 * BYTES + LARGE);
	give_back(true);
	holds(BYTES, 2 * BYTES + LARGE);
	give_back(true);
	holds(0, 2 * BYTES + LARGE);
	request(0);
	pump();
	holds(BYTES, 2 * BYTES + LARGE);
}
END_TEST

START_TEST(chains_left_in_the_queue_do_not_count)
{
	model.hold = false;
	model.later = true;
	start_both(0);
	request(0);
	pump();
	holds(0, BYTES);
}
END_TEST

/* A driver may not offer a chain again that it has not got back, but what if it does? */
START_TEST(chain_offered_twice_counts_once)
{
	start_both(0);
	request(0);
	request(0);
	pump();
	ck_assert_uint_eq(model.held_count, 2);
	holds(BYTES, BYTES);
	give_back(true);
	holds(0, BYTES);
	give_back(true);
	holds(0, BYTES);
}
END_TEST

START_TEST(frame_in_several_buffers_is_given_back_at_once)
{
	struct virtq_done done[2] = { { 0, 8 }, { 2, 8 } };

	start_both(0);
	request(0);
	request_large(0);
	pump();
	holds(BYTES + LARGE, BYTES + LARGE);
	pthread_mutex_lock(&model.dev.lock);
	virtio_push_all(&model.dev, 0, model.held[0].generation, done, 2);
	pthread_mutex_unlock(&model.dev.lock);
	holds(0, BYTES + LARGE);
	model.held_count = 0;
}
END_TEST

/* A reset, of the device or of one queue: the driver has its buffers again. */
START_TEST(reset_lets_go)
{
	start_both(F_RESET);
	request(0);
	request(1);
	pump();
	holds(2 * BYTES, 2 * BYTES);
	if (_i) {
		driver_put(&drv, R_QUEUE_SEL, 0);
		driver_put(&drv, R_QUEUE_RESET, 1);
	} else {
		driver_put(&drv, R_STATUS, 0);
	}
	holds(_i ? BYTES : 0, 2 * BYTES);
	/* What ends later belongs to the old life. */
	give_back(true);
	holds(_i ? BYTES : 0, 2 * BYTES);
	give_back(true);
	holds(0, 2 * BYTES);
}
END_TEST

START_TEST(broken_device_keeps_them_until_its_reset)
{
	start_both(0);
	request(0);
	pump();
	ring_set_idx(&rings[1], 1000);
	driver_put(&drv, R_NOTIFY, 1);
	pump();
	give_back(true);
	holds(BYTES, BYTES);
	driver_put(&drv, R_STATUS, 0);
	holds(0, BYTES);
}
END_TEST

START_TEST(devices_add_up)
{
	all.now = all.peak = 1000;
	start_both(0);
	request(0);
	pump();
	ck_assert_uint_eq(model.dev.held_peak, BYTES);
	ck_assert_uint_eq(all.peak, 1000 + BYTES);
	give_back(true);
	ck_assert_uint_eq(all.now, 1000);
}
END_TEST

static void failed(uint64_t times, uint64_t faults)
{
	ck_assert_uint_eq(model.dev.failed, times);
	ck_assert_uint_eq(model.dev.faults, faults);
}

START_TEST(failures_are_counted)
{
	start_both(0);
	failed(0, 0);
	ring_set_idx(&rings[0], 1000);
	driver_put(&drv, R_NOTIFY, 0);
	pump();
	failed(1, 0);
	/* Broken is broken. */
	virtio_fault(&model.dev, "once more");
	failed(1, 0);
	driver_put(&drv, R_STATUS, 0);
	failed(1, 0);
	virtio_fault(&model.dev, "memory");
	failed(2, 1);
}
END_TEST

static const uint64_t not_ours[] = { GUEST_DATA, 0x1000, GUEST_END - 4, UINT64_MAX - 7 };

/* Memory that is private, or none, in a buffer and under a ring. */
START_TEST(memory_faults_are_counted_apart)
{
	if (_i == 0)
		guest_convert(&vguest, GUEST_DATA, 4096, false);
	start_both(0);
	ring_desc(&rings[0], 0, not_ours[_i], 8, 0, 0);
	ring_offer(&rings[0], 0);
	driver_put(&drv, R_NOTIFY, 0);
	pump();
	failed(1, 1);
	driver_put(&drv, R_STATUS, 0);
	driver_negotiate(&drv, F_VERSION);
	rings[0].desc = 0x2000;
	ck_assert_uint_eq(driver_queue(&drv, 0, &rings[0]), 0);
	failed(2, 2);
}
END_TEST

TCase *virtio_held_case(void)
{
	TCase *t = tcase_create("held");

	tcase_add_checked_fixture(t, setup, virtio_teardown);
	tcase_add_test(t, buffers_count_until_they_are_given_back);
	tcase_add_test(t, chains_left_in_the_queue_do_not_count);
	tcase_add_test(t, chain_offered_twice_counts_once);
	tcase_add_test(t, frame_in_several_buffers_is_given_back_at_once);
	tcase_add_loop_test(t, reset_lets_go, 0, 2);
	tcase_add_test(t, broken_device_keeps_them_until_its_reset);
	tcase_add_test(t, devices_add_up);
	tcase_add_test(t, failures_are_counted);
	tcase_add_loop_test(t, memory_faults_are_counted_apart, 0, 4);
	return t;
}
