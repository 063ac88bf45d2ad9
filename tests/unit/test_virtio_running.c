/* SPDX-License-Identifier: Apache-2.0 */

/* A device that runs: requests, notifications, mistakes, threads. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/test_virtio.h"
#include "vmm/util/log.h"

#define TAKEN (S_ACK | S_DRIVER | S_FEATURES_OK)

START_TEST(request_is_served)
{
	uint32_t head, len;

	memcpy(guest_ptr(&vguest, GUEST_DATA), "question", 8);
	start_both(_i ? F_EVENT : 0);
	ck_assert_uint_eq(model.activated, 1);
	pump();
	/* Once each when it starts. */
	ck_assert_uint_eq(model.notified[0], 1);
	ck_assert_uint_eq(model.notified[1], 1);
	request(1);
	pump();
	ck_assert_uint_eq(model.notified[0], 1);
	ck_assert_uint_eq(model.notified[1], 2);
	ck_assert(ring_take(&rings[1], &head, &len));
	ck_assert_uint_eq(len, 8);
	ck_assert_mem_eq(guest_ptr(&vguest, GUEST_DATA + 64), "question", 8);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 1);
	/* Only what is acknowledged goes. */
	driver_put(&drv, R_ACK, 2);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 1);
	driver_put(&drv, R_ACK, 1);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 0);
}
END_TEST

START_TEST(nothing_is_served_before_driver_ok)
{
	driver_negotiate(&drv, F_VERSION);
	driver_queue(&drv, 0, &rings[0]);
	request(0);
	pump();
	ck_assert_uint_eq(model.notified[0], 0);
	/* What was offered early is found all the same. */
	driver_put(&drv, R_STATUS, TAKEN | S_DRIVER_OK);
	pump();
	ck_assert_uint_eq(model.served, 1);
}
END_TEST

START_TEST(driver_is_not_notified_against_its_wish)
{
	start_both(_i ? F_EVENT : 0);
	if (_i)
		ring_set_used_event(&rings[0], 1);
	else
		ring_set_avail_flags(&rings[0], 1);
	request(0);
	pump();
	ck_assert_uint_eq(model.served, 1);
	ck_assert_uint_eq(irqs(), 0);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 0);
	ring_set_avail_flags(&rings[0], 0);
	request(0);
	pump();
	ck_assert_uint_eq(irqs(), 1);
}
END_TEST

START_TEST(indirect_tables_must_be_negotiated)
{
	uint64_t table = GUEST_DATA + 0x1000;

	start_both(_i ? F_INDIRECT : 0);
	ring_desc_at(&vguest, table, 0, GUEST_DATA, 8, DESC_NEXT, 1);
	ring_desc_at(&vguest, table, 1, GUEST_DATA + 64, 8, DESC_WRITE, 0);
	ring_desc(&rings[0], 0, table, 32, DESC_INDIRECT, 0);
	ring_offer(&rings[0], 0);
	driver_put(&drv, R_NOTIFY, 0);
	pump();
	ck_assert_uint_eq(model.served, _i ? 1 : 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS) & S_NEEDS_RESET, _i ? 0 : S_NEEDS_RESET);
}
END_TEST

START_TEST(greedy_driver_gets_one_queue_length_at_a_time)
{
	start_both(0);
	pump();
	model.greedy = true;
	offer(0);
	/* One round of the loop, without a notification. */
	pthread_mutex_lock(&model.dev.lock);
	model.dev.ops->queue_notify(&model.dev, 0);
	pthread_mutex_unlock(&model.dev.lock);
	ck_assert_uint_eq(model.served, 16);
	/* Then the queue is looked at again, without the driver's help. */
	model.greedy = false;
	pump();
	ck_assert_uint_eq(model.served, 17);
	ck_assert_uint_eq(ring_used_flags(&rings[0]), 0);
}
END_TEST

START_TEST(left_chain_is_found_later)
{
	start_both(_i ? F_EVENT : 0);
	model.later = true;
	request(0);
	pump();
	ck_assert_uint_eq(model.served, 0);
	ck_assert_uint_eq(model.dev.queues[0].vq.in_flight, 0);
	model.later = false;
	virtio_kick(&model.dev, 0);
	pump();
	ck_assert_uint_eq(model.served, 1);
}
END_TEST

START_TEST(mistake_breaks_the_device_until_reset)
{
	uint32_t head, len;

	start_both(0);
	pump();
	ring_desc(&rings[0], 0, GUEST_PRIVATE, 8, 0, 0);
	ring_offer(&rings[0], 0);
	driver_put(&drv, R_NOTIFY, 0);
	pump();
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_DRIVER_OK | S_NEEDS_RESET);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 2);
	ck_assert_uint_eq(irqs(), 1);
	/* Both queues are ignored, and nobody is told twice. */
	virtio_fail(&model.dev, "again");
	request(1);
	driver_put(&drv, R_NOTIFY, 0);
	pump();
	ck_assert_uint_eq(model.served, 0);
	ck_assert_uint_eq(irqs(), 0);
	ck_assert(!ring_take(&rings[1], &head, &len));
	/* Not even the driver's own word mends it. */
	driver_put(&drv, R_STATUS, TAKEN | S_DRIVER_OK);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_DRIVER_OK | S_NEEDS_RESET);
	ring_new(&rings[0], &vguest, GUEST_RAM, 16);
	start_both(0);
	request(0);
	pump();
	ck_assert(ring_take(&rings[0], &head, &len));
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_DRIVER_OK);
}
END_TEST

START_TEST(short_request_breaks_the_device)
{
	start_both(0);
	ring_desc(&rings[0], 0, GUEST_DATA, 7, 0, 0);
	ring_offer(&rings[0], 0);
	driver_put(&drv, R_NOTIFY, 0);
	pump();
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_DRIVER_OK | S_NEEDS_RESET);
	ck_assert_uint_eq(ring_used_idx(&rings[0]), 0);
	/* The chain was given back: nothing keeps the reset waiting. */
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
}
END_TEST

static unsigned int count(const char *text, const char *what)
{
	unsigned int n = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		n++;
	return n;
}

/* A guest can fill the log with none of them, nor with one of them silence another. */
START_TEST(noisy_device_does_not_hide_another)
{
	static const struct virtio_ops quiet_ops = { .name = "quiet" };
	struct virtio_dev quiet = { .ops = &quiet_ops };
	int p[2], saved = dup(STDERR_FILENO);
	char said[8192] = "";

	ck_assert(saved >= 0 && !pipe(p));
	dup2(p[1], STDERR_FILENO);
	log_set_level(LOG_WARN);
	for (unsigned int i = 0; i < 50; i++) {
		virtio_fail(&model.dev, "noise");
		driver_put(&drv, R_STATUS, 0);
	}
	virtio_fail(&quiet, "once");
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(p[1]);
	ck_assert_int_gt(read(p[0], said, sizeof(said) - 1), 0);
	close(p[0]);
	ck_assert_uint_lt(count(said, "noise"), 20);
	ck_assert_msg(count(said, "quiet: once") == 1, "%s", said);
}
END_TEST

/*
 * The loop on its thread, a driver that works, and a vCPU that pokes at registers meanwhile. Guest
 * and device share the rings without a lock; the thread sanitizer sees whether each of our accesses
 * is on the right side of the index that tells of it.
 */
static atomic_bool poking;

static void *poke(void *arg)
{
	(void)arg;
	while (atomic_load(&poking)) {
		driver_get(&drv, R_ISR);
		driver_get(&drv, R_STATUS);
		driver_put(&drv, R_NOTIFY, 1);
	}
	return NULL;
}

START_TEST(works_with_threads)
{
	pthread_t thread;

	start_both(_i ? F_EVENT : 0);
	run_on_thread();
	atomic_store(&poking, true);
	ck_assert_int_eq(pthread_create(&thread, NULL, poke, NULL), 0);
	for (unsigned int i = 0; i < 500; i++) {
		unsigned int tries = 0;
		uint32_t head, len;

		ring_set_used_event(&rings[0], rings[0].last_used);
		offer(0);
		driver_put(&drv, R_NOTIFY, 0);
		while (!irqs() && tries++ < 500000)
			usleep(10);
		ck_assert(ring_take(&rings[0], &head, &len));
	}
	atomic_store(&poking, false);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), TAKEN | S_DRIVER_OK);
}
END_TEST

TCase *virtio_running_case(void)
{
	TCase *t = tcase_create("running");

	tcase_add_checked_fixture(t, virtio_setup, virtio_teardown);
	tcase_add_loop_test(t, request_is_served, 0, 2);
	tcase_add_test(t, nothing_is_served_before_driver_ok);
	tcase_add_loop_test(t, driver_is_not_notified_against_its_wish, 0, 2);
	tcase_add_loop_test(t, indirect_tables_must_be_negotiated, 0, 2);
	tcase_add_test(t, greedy_driver_gets_one_queue_length_at_a_time);
	tcase_add_loop_test(t, left_chain_is_found_later, 0, 2);
	tcase_add_test(t, mistake_breaks_the_device_until_reset);
	tcase_add_test(t, short_request_breaks_the_device);
	tcase_add_test(t, noisy_device_does_not_hide_another);
	tcase_add_loop_test(t, works_with_threads, 0, 2);
	tcase_set_timeout(t, 60);
	return t;
}
