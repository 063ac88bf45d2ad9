/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio_rng.h"
#include "mem/guard.h"
#include "tests/unit/fake_driver.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/log.h"

static struct guest guest;
static struct loop *loop;
static struct loop_event *end;
static struct virtio_rng *rng;
static struct driver drv;
static struct ring ring;
static int irq;
static uint16_t offered; /* before the device starts */

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void begin(struct ratelimit_config limit)
{
	struct virtio_rng_config cfg = { .limit = limit };
	struct err e = { "" };

	cfg.mem = guest.mem;
	cfg.loop = loop;
	cfg.irq.fd = irq;
	virtio_rng_free(rng);
	rng = NULL;
	ck_assert_msg(!virtio_rng_new(&rng, &cfg, &e), "%s", e.msg);
	driver_new(&drv, virtio_rng_dev(rng));
	ring_new(&ring, &guest, GUEST_RAM, 64);
	for (uint16_t i = 0; i < offered; i++) {
		ring_desc(&ring, i, GUEST_DATA, 50, DESC_WRITE, 0);
		ring_offer(&ring, i);
	}
	ck_assert_uint_eq(driver_start(&drv, F_VERSION, &ring),
		S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

static void setup(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(guard_init(&e), 0);
	guest_new(&guest);
	irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(loop_new(&loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(loop, on_end, NULL, &end, &e), 0);
	begin((struct ratelimit_config){ 0 });
}

static void teardown(void)
{
	virtio_rng_free(rng);
	rng = NULL;
	loop_event_free(end);
	loop_free(loop);
	close(irq);
	guest_free(&guest);
	log_set_level(LOG_WARN);
}

static void pump(unsigned int ms)
{
	loop_timer_set(end, ms * 1000ull);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void ask(uint16_t i, uint64_t at, uint32_t len)
{
	ring_desc(&ring, i, at, len, DESC_WRITE, 0);
	ring_offer(&ring, i);
	driver_put(&drv, R_NOTIFY, 0);
}

static unsigned int distinct(const uint8_t *p, size_t n)
{
	bool seen[256] = { false };
	unsigned int count = 0;

	for (; n; n--, p++) {
		count += !seen[*p];
		seen[*p] = true;
	}
	return count;
}

START_TEST(is_an_entropy_device)
{
	ck_assert_uint_eq(driver_get(&drv, R_DEVICE_ID), 4);
	driver_put(&drv, R_QUEUE_SEL, 0);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_MAX), 64);
	driver_put(&drv, R_QUEUE_SEL, 1);
	ck_assert_uint_eq(driver_get(&drv, R_QUEUE_MAX), 0);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG), 0);
}
END_TEST

START_TEST(buffers_are_filled_to_the_end_and_not_further)
{
	static const uint32_t sizes[] = { 1, 64, 255, 256, 257, 1000, 4096 };
	uint8_t *p = guest_ptr(&guest, GUEST_DATA);
	uint32_t head, len;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(p, 0, 0x10000);
		ask(0, GUEST_DATA, sizes[i]);
		pump(1);
		ck_assert(ring_take(&ring, &head, &len));
		ck_assert_uint_eq(len, sizes[i]);
		if (sizes[i] >= 64) {
			/* 64 random bytes at the end have 30 values or more, but for one in 10^10. */
			ck_assert_uint_ge(distinct(p, 64), 30);
			ck_assert_uint_ge(distinct(p + sizes[i] - 64, 64), 30);
		}
		ck_assert_uint_eq(distinct(p + sizes[i], 4096), 1);
	}
}
END_TEST

START_TEST(two_answers_differ)
{
	const uint8_t *p = guest_ptr(&guest, GUEST_DATA);

	ask(0, GUEST_DATA, 32);
	ask(1, GUEST_DATA + 32, 32);
	pump(1);
	ck_assert_uint_eq(ring_used_idx(&ring), 2);
	ck_assert_mem_ne(p, p + 32, 32);
	ck_assert_uint_eq(device_count(virtio_rng_dev(rng), "entropy_event_count"), 2);
	ck_assert_uint_eq(device_count(virtio_rng_dev(rng), "entropy_bytes"), 64);
}
END_TEST

START_TEST(several_buffers_are_one_answer)
{
	uint32_t head, len;

	memset(guest_ptr(&guest, GUEST_DATA), 0, 0x3000);
	ring_desc(&ring, 0, GUEST_DATA, 100, DESC_WRITE | DESC_NEXT, 1);
	ring_desc(&ring, 1, GUEST_DATA + 0x1000, 300, DESC_WRITE, 0);
	ring_offer(&ring, 0);
	driver_put(&drv, R_NOTIFY, 0);
	pump(1);
	ck_assert(ring_take(&ring, &head, &len));
	ck_assert_uint_eq(len, 400);
	ck_assert_uint_ge(distinct(guest_ptr(&guest, GUEST_DATA + 0x1000), 300), 100);
	ck_assert_uint_eq(distinct(guest_ptr(&guest, GUEST_DATA + 100), 0x1000 - 100), 1);
}
END_TEST

START_TEST(answer_is_limited)
{
	uint32_t head, len;

	memset(guest_ptr(&guest, GUEST_DATA), 0, 0x20000);
	ask(0, GUEST_DATA, 0x20000);
	pump(10);
	ck_assert(ring_take(&ring, &head, &len));
	ck_assert_uint_eq(len, VIRTIO_RNG_MAX);
	ck_assert_uint_eq(distinct(guest_ptr(&guest, GUEST_DATA + VIRTIO_RNG_MAX), 0x10000), 1);
}
END_TEST

START_TEST(bad_request_breaks_the_device)
{
	if (_i == 0)
		ring_desc(&ring, 0, GUEST_DATA, 8, 0, 0);
	else if (_i == 1)
		ring_desc(&ring, 0, GUEST_PRIVATE, 8, DESC_WRITE, 0);
	ring_desc(&ring, 1, GUEST_DATA, 8, DESC_WRITE, 0);
	if (_i == 2)
		ring_desc(&ring, 0, GUEST_DATA, 8, DESC_NEXT, 1);
	ring_offer(&ring, 0);
	driver_put(&drv, R_NOTIFY, 0);
	pump(1);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS) & S_NEEDS_RESET, S_NEEDS_RESET);
	ck_assert_uint_eq(ring_used_idx(&ring), 0);
	/* Nothing is under way, so a reset is over at once, and all is well again. */
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
	ring_new(&ring, &guest, GUEST_RAM, 64);
	driver_start(&drv, F_VERSION, &ring);
	ask(0, GUEST_DATA, 8);
	pump(1);
	ck_assert_uint_eq(ring_used_idx(&ring), 1);
}
END_TEST

START_TEST(rate_is_limited)
{
	/* 1000 bytes at once, then 1000 in 100 ms: 20 requests of 100 bytes take 100 ms. */
	struct ratelimit_config by_bytes = { { 1000, 0, 100 }, { 0 } };
	struct ratelimit_config by_ops = { { 0 }, { 10, 0, 100 } };
	uint64_t before, took;

	begin(_i ? by_ops : by_bytes);
	before = clock_ms();
	for (uint16_t i = 0; i < 20; i++)
		ask(i, GUEST_DATA, 100);
	pump(1);
	ck_assert_uint_ge(ring_used_idx(&ring), 10);
	ck_assert(ring_used_idx(&ring) < 20 || clock_ms() - before >= 95);
	/* The rest comes without another notification. */
	while (ring_used_idx(&ring) < 20 && clock_ms() < before + 60000)
		pump(5);
	took = clock_ms() - before;
	ck_assert_uint_eq(ring_used_idx(&ring), 20);
	ck_assert_uint_ge(took, 95);
}
END_TEST

START_TEST(reset_while_waiting_for_tokens)
{
	struct ratelimit_config slow = { { 100, 0, 50 }, { 0 } };

	begin(slow);
	ask(0, GUEST_DATA, 100);
	ask(1, GUEST_DATA, 100);
	pump(1);
	ck_assert_uint_eq(ring_used_idx(&ring), 1);
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
	pump(100);
	ck_assert_uint_eq(ring_used_idx(&ring), 1);
}
END_TEST

START_TEST(may_go_away_while_waiting_for_tokens)
{
	struct ratelimit_config slow = { { 100, 0, 20 }, { 0 } };

	begin(slow);
	ask(0, GUEST_DATA, 100);
	ask(1, GUEST_DATA, 100);
	pump(1);
	ask(2, GUEST_DATA, 100);
	virtio_rng_free(rng);
	rng = NULL;
	pump(50);
	ck_assert_uint_eq(ring_used_idx(&ring), 1);
	virtio_rng_free(NULL);
}
END_TEST

START_TEST(may_go_away_while_the_loop_runs)
{
	struct ratelimit_config quick = { { 100, 0, 1 }, { 0 } };
	struct err e;

	loop_event_free(end);
	end = NULL;
	ck_assert_int_eq(loop_start_thread(loop, THREAD_IO, "io", &e), 0);
	/* Work at once and for some time, and the end comes at any point of it. */
	offered = 40;
	for (unsigned int i = 0; i < 200; i++) {
		begin(quick);
		usleep(i * 20);
	}
}
END_TEST

Suite *virtio_rng_suite(void)
{
	Suite *s = suite_create("virtio_rng");
	TCase *t = tcase_create("virtio_rng");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, is_an_entropy_device);
	tcase_add_test(t, buffers_are_filled_to_the_end_and_not_further);
	tcase_add_test(t, two_answers_differ);
	tcase_add_test(t, several_buffers_are_one_answer);
	tcase_add_test(t, answer_is_limited);
	tcase_add_loop_test(t, bad_request_breaks_the_device, 0, 3);
	tcase_add_loop_test(t, rate_is_limited, 0, 2);
	tcase_add_test(t, reset_while_waiting_for_tokens);
	tcase_add_test(t, may_go_away_while_waiting_for_tokens);
	tcase_add_test(t, may_go_away_while_the_loop_runs);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}
