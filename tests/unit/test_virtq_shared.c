/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A queue between two threads that share nothing else: what one tells, the other sees whole and in
 * order, which the thread sanitizer judges, and neither sleeps while there is work.
 */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "tests/unit/test_virtq.h"

#define REQUESTS 20000u
#define SLOTS	 8u /* requests under way, two descriptors each */
#define PATIENCE 60 /* seconds, for a machine that is busy */

static sem_t kick, irq;
static atomic_bool stop;

static bool sleep_until(sem_t *s)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE;
	while (sem_timedwait(s, &end))
		if (errno != EINTR)
			return false;
	return true;
}

/* ---- the device ---- */

/* Answers one request, if there is one. 1, 0 or -errno. */
static int serve_one(struct virtq_chain *c, struct err *e)
{
	uint64_t v;
	int r = virtq_pop(&vq, vq_guest.mem, c, e);

	if (r <= 0)
		return r;
	r = virtq_chain_read(c, vq_guest.mem, 0, &v, sizeof(v), e);
	v *= 3;
	if (!r)
		r = virtq_chain_write(c, vq_guest.mem, 0, &v, sizeof(v), e);
	if (!r)
		r = virtq_push(&vq, vq_guest.mem, c, sizeof(v), e);
	if (!r)
		r = virtq_should_notify(&vq, vq_guest.mem, e);
	if (r > 0)
		sem_post(&irq);
	return r < 0 ? r : 1;
}

static int serve_all(struct virtq_chain *c, struct err *e)
{
	int r;

	do {
		virtq_notify_off(&vq, vq_guest.mem, e);
		do
			r = serve_one(c, e);
		while (r > 0);
		if (!r)
			r = virtq_notify_on(&vq, vq_guest.mem, e);
	} while (r > 0);
	return r;
}

/* Its argument tells what went wrong. */
static void *device(void *arg)
{
	static struct virtq_chain c;
	struct err *e = arg;

	while (!atomic_load(&stop)) {
		if (serve_all(&c, e))
			return NULL;
		if (!sleep_until(&kick)) {
			err_set(e, -ETIMEDOUT, "the device was not woken");
			return NULL;
		}
	}
	return NULL;
}

/* ---- the driver ---- */

static bool device_wants_kick(void)
{
	/* What we offered is told before we look whether the device wants to know. */
	__sync_synchronize();
	if (vq.event_idx)
		return ring_avail_event(&vq_ring) == (uint16_t)(vq_ring.idx - 1);
	return !(ring_used_flags(&vq_ring) & 1);
}

static void ask(uint64_t n)
{
	uint16_t head = (uint16_t)(n % SLOTS * 2);
	uint64_t at = GUEST_DATA + n % SLOTS * 64;

	memcpy(guest_ptr(&vq_guest, at), &n, sizeof(n));
	ring_desc(&vq_ring, head, at, sizeof(n), DESC_NEXT, (uint16_t)(head + 1));
	ring_desc(&vq_ring, (uint16_t)(head + 1), at + 32, sizeof(n), DESC_WRITE, 0);
	ring_offer(&vq_ring, head);
	if (device_wants_kick())
		sem_post(&kick);
}

/* 1, 0 when there is no answer yet, -1 when it is a wrong one. */
static int take_answer(uint64_t n)
{
	uint32_t head, len;
	uint64_t v;

	if (!ring_take(&vq_ring, &head, &len))
		return 0;
	memcpy(&v, guest_ptr(&vq_guest, GUEST_DATA + n % SLOTS * 64 + 32), sizeof(v));
	return head == n % SLOTS * 2 && len == sizeof(v) && v == n * 3 ? 1 : -1;
}

static bool wait_for_irq(void)
{
	bool woken = true;

	ring_set_used_event(&vq_ring, vq_ring.last_used);
	ring_set_avail_flags(&vq_ring, 0);
	__sync_synchronize();
	if (ring_used_idx(&vq_ring) == vq_ring.last_used)
		woken = sleep_until(&irq);
	ring_set_avail_flags(&vq_ring, 1);
	return woken;
}

START_TEST(two_threads_share_a_queue)
{
	struct err e = { "" };
	uint64_t sent = 0, taken = 0;
	pthread_t thread;
	int r = 1;

	vq_begin(SLOTS * 2);
	vq.event_idx = _i;
	atomic_store(&stop, false);
	ck_assert(!sem_init(&kick, 0, 0) && !sem_init(&irq, 0, 0));
	ck_assert_int_eq(pthread_create(&thread, NULL, device, &e), 0);
	while (r >= 0 && taken < REQUESTS) {
		while (sent < REQUESTS && sent - taken < SLOTS)
			ask(sent++);
		r = take_answer(taken);
		if (r > 0)
			taken++;
		else if (!r && !wait_for_irq())
			break;
	}
	atomic_store(&stop, true);
	sem_post(&kick);
	pthread_join(thread, NULL);
	ck_assert_str_eq(e.msg, "");
	ck_assert_int_ge(r, 0);
	ck_assert_uint_eq(taken, REQUESTS);
	sem_destroy(&kick);
	sem_destroy(&irq);
}
END_TEST

TCase *virtq_shared_case(void)
{
	TCase *t = tcase_create("shared");

	tcase_add_checked_fixture(t, vq_setup, vq_teardown);
	tcase_add_loop_test(t, two_threads_share_a_queue, 0, 2);
	tcase_set_timeout(t, 120);
	return t;
}
