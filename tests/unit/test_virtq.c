/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "devices/virtq.h"
#include "mem/guard.h"
#include "tests/unit/fake_driver.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_virtq.h"
#include "vmm/util/bits.h"

/* The rules of a queue one by one; what a hostile driver does is in test_virtq_hostile.c. */
struct guest vq_guest;
struct ring vq_ring;
struct virtq vq;
struct virtq_chain vq_chain;

void vq_begin(uint16_t size)
{
	struct err e = { "" };

	ring_new(&vq_ring, &vq_guest, GUEST_RAM, size);
	vq = (struct virtq){ .max = 1024, .size = size, .indirect = true };
	vq.desc = gpa(vq_ring.desc);
	vq.avail = gpa(vq_ring.avail);
	vq.used = gpa(vq_ring.used);
	ck_assert_msg(!virtq_start(&vq, vq_guest.mem, &e), "%s", e.msg);
}

void vq_setup(void)
{
	struct err e;

	ck_assert_int_eq(guard_init(&e), 0);
	guest_new(&vq_guest);
	vq_begin(8);
}

void vq_teardown(void)
{
	guest_free(&vq_guest);
}

int vq_pop(void)
{
	struct err e = { "" };
	int r = virtq_pop(&vq, vq_guest.mem, &vq_chain, &e);

	ck_assert_msg(r >= 0, "%s", e.msg);
	return r;
}

static void push(uint32_t written)
{
	struct err e = { "" };

	ck_assert_msg(!virtq_push(&vq, vq_guest.mem, &vq_chain, written, &e), "%s", e.msg);
}

static int should_notify(void)
{
	struct err e = { "" };

	return virtq_should_notify(&vq, vq_guest.mem, &e);
}

static int notify_on(void)
{
	struct err e = { "" };

	return virtq_notify_on(&vq, vq_guest.mem, &e);
}

/* One readable buffer in descriptor i. */
static void offer_simple(uint16_t i)
{
	ring_desc(&vq_ring, i, GUEST_DATA + i * 16ull, 16, 0, 0);
	ring_offer(&vq_ring, i);
}

/* 3 + 5 bytes to read and 4 + 4 to write, in descriptors 5, 2, 7, 0. */
static void offer_mixed(void)
{
	memcpy(guest_ptr(&vq_guest, GUEST_DATA), "abc", 3);
	memcpy(guest_ptr(&vq_guest, GUEST_DATA + 0x100), "defgh", 5);
	ring_desc(&vq_ring, 5, GUEST_DATA, 3, DESC_NEXT, 2);
	ring_desc(&vq_ring, 2, GUEST_DATA + 0x100, 5, DESC_NEXT, 7);
	ring_desc(&vq_ring, 7, GUEST_DATA + 0x200, 4, DESC_NEXT | DESC_WRITE, 0);
	ring_desc(&vq_ring, 0, GUEST_DATA + 0x300, 4, DESC_WRITE, 3);
	ring_offer(&vq_ring, 5);
}

START_TEST(empty_queue_gives_nothing)
{
	ck_assert_int_eq(vq_pop(), 0);
	ck_assert_uint_eq(vq.in_flight, 0);
}
END_TEST

START_TEST(chain_has_all_its_buffers)
{
	offer_mixed();
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_uint_eq(vq_chain.head, 5);
	ck_assert_uint_eq(vq_chain.readable, 2);
	ck_assert_uint_eq(vq_chain.writable, 2);
	ck_assert_uint_eq(vq_chain.read_len, 8);
	ck_assert_uint_eq(vq_chain.write_len, 8);
	ck_assert_uint_eq(vq_chain.gpa[1].v, GUEST_DATA + 0x100);
	ck_assert_uint_eq(vq_chain.iov[1].iov_len, 5);
	ck_assert_ptr_eq(vq_chain.iov[3].iov_base, guest_ptr(&vq_guest, GUEST_DATA + 0x300));
	ck_assert_int_eq(vq_pop(), 0);
}
END_TEST

START_TEST(copies_cross_buffers)
{
	struct err e = { "" };
	char text[9] = "";

	offer_mixed();
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_int_eq(virtq_chain_read(&vq_chain, vq_guest.mem, 0, text, 8, &e), 0);
	ck_assert_str_eq(text, "abcdefgh");
	memset(text, 0, sizeof(text));
	ck_assert_int_eq(virtq_chain_read(&vq_chain, vq_guest.mem, 4, text, 3, &e), 0);
	ck_assert_str_eq(text, "efg");
	ck_assert_int_eq(virtq_chain_write(&vq_chain, vq_guest.mem, 2, "wxyz", 4, &e), 0);
	ck_assert_mem_eq(guest_ptr(&vq_guest, GUEST_DATA + 0x200), "\0\0wx", 4);
	ck_assert_mem_eq(guest_ptr(&vq_guest, GUEST_DATA + 0x300), "yz\0\0", 4);
}
END_TEST

START_TEST(copies_do_not_pass_the_end)
{
	struct err e = { "" };
	char text[16];

	offer_mixed();
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_int_eq(virtq_chain_read(&vq_chain, vq_guest.mem, 0, text, 9, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "8 readable bytes where 9"));
	ck_assert_int_eq(virtq_chain_read(&vq_chain, vq_guest.mem, 9, text, 0, &e), -EINVAL);
	ck_assert_int_eq(virtq_chain_read(&vq_chain, vq_guest.mem, 8, text, 0, &e), 0);
	ck_assert_int_eq(
		virtq_chain_write(&vq_chain, vq_guest.mem, UINT32_MAX, text, 1, &e), -EINVAL);
	ck_assert_int_eq(
		virtq_chain_write(&vq_chain, vq_guest.mem, 1, text, SIZE_MAX, &e), -EINVAL);
}
END_TEST

START_TEST(page_that_became_private_is_not_copied)
{
	struct err e = { "" };
	char text[8];

	offer_mixed();
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_int_eq(virtq_chain_map(&vq_chain, vq_guest.mem, &e), 0);
	guest_convert(&vq_guest, GUEST_DATA, PAGE_SIZE, false);
	ck_assert_int_eq(virtq_chain_read(&vq_chain, vq_guest.mem, 0, text, 8, &e), -EFAULT);
	ck_assert_ptr_nonnull(strstr(e.msg, "private"));
	ck_assert_int_eq(virtq_chain_write(&vq_chain, vq_guest.mem, 0, text, 8, &e), -EFAULT);
	ck_assert_int_eq(virtq_chain_map(&vq_chain, vq_guest.mem, &e), -EFAULT);
	ck_assert_ptr_null(vq_chain.iov[0].iov_base);
}
END_TEST

START_TEST(pushed_chain_is_in_the_used_ring)
{
	uint32_t head, len;

	offer_mixed();
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_uint_eq(vq.in_flight, 1);
	ck_assert(!ring_take(&vq_ring, &head, &len));
	push(6);
	ck_assert_uint_eq(vq.in_flight, 0);
	ck_assert(ring_take(&vq_ring, &head, &len));
	ck_assert_uint_eq(head, 5);
	ck_assert_uint_eq(len, 6);
	ck_assert(!ring_take(&vq_ring, &head, &len));
}
END_TEST

START_TEST(indices_wrap)
{
	uint32_t head, len;

	for (uint32_t i = 0; i < 70000; i++) {
		offer_simple(i % 8);
		ck_assert_int_eq(vq_pop(), 1);
		ck_assert_uint_eq(vq_chain.head, i % 8);
		push(i);
		ck_assert(ring_take(&vq_ring, &head, &len));
		ck_assert_uint_eq(head, i % 8);
		ck_assert_uint_eq(len, i);
	}
	ck_assert_int_eq(vq_pop(), 0);
}
END_TEST

START_TEST(unpopped_chain_comes_again)
{
	offer_simple(3);
	offer_simple(4);
	ck_assert_int_eq(vq_pop(), 1);
	virtq_unpop(&vq, &vq_chain);
	ck_assert_uint_eq(vq.in_flight, 0);
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_uint_eq(vq_chain.head, 3);
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_uint_eq(vq_chain.head, 4);
	ck_assert_int_eq(vq_pop(), 0);
}
END_TEST

START_TEST(full_queue_is_popped_in_order)
{
	for (uint16_t i = 0; i < 8; i++)
		offer_simple(7 - i);
	for (uint16_t i = 0; i < 8; i++) {
		ck_assert_int_eq(vq_pop(), 1);
		ck_assert_uint_eq(vq_chain.head, 7 - i);
	}
	ck_assert_int_eq(vq_pop(), 0);
	ck_assert_uint_eq(vq.in_flight, 8);
}
END_TEST

/* ---- indirect tables ---- */

START_TEST(indirect_table_is_followed)
{
	uint64_t table = GUEST_DATA + 0x1000;

	ring_desc_at(&vq_guest, table, 0, GUEST_DATA, 16, DESC_NEXT, 2);
	ring_desc_at(&vq_guest, table, 2, GUEST_DATA + 16, 32, DESC_WRITE, 0);
	/* WRITE says nothing about a table (2.7.5.3.2). */
	ring_desc(&vq_ring, 1, table, 48, DESC_INDIRECT | DESC_WRITE, 0);
	ring_offer(&vq_ring, 1);
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_uint_eq(vq_chain.head, 1);
	ck_assert_uint_eq(vq_chain.read_len, 16);
	ck_assert_uint_eq(vq_chain.write_len, 32);
}
END_TEST

START_TEST(indirect_table_ends_a_direct_chain)
{
	uint64_t table = GUEST_DATA + 0x1000;

	ring_desc(&vq_ring, 0, GUEST_DATA, 8, DESC_NEXT, 1);
	ring_desc(&vq_ring, 1, table, 16, DESC_INDIRECT, 0);
	ring_desc_at(&vq_guest, table, 0, GUEST_DATA + 64, 16, 0, 0);
	ring_offer(&vq_ring, 0);
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_uint_eq(vq_chain.readable, 2);
	ck_assert_uint_eq(vq_chain.read_len, 24);
}
END_TEST

START_TEST(largest_indirect_table_fits)
{
	uint64_t table = GUEST_DATA + 0x1000;

	for (uint16_t i = 0; i < VIRTQ_SEGS_MAX; i++)
		ring_desc_at(&vq_guest, table, i, GUEST_DATA + i, 1,
			i < VIRTQ_SEGS_MAX - 1 ? DESC_NEXT : 0, (uint16_t)(i + 1));
	ring_desc(&vq_ring, 0, table, VIRTQ_SEGS_MAX * 16, DESC_INDIRECT, 0);
	ring_offer(&vq_ring, 0);
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_uint_eq(vq_chain.readable, VIRTQ_SEGS_MAX);
	ck_assert_uint_eq(vq_chain.gpa[VIRTQ_SEGS_MAX - 1].v, GUEST_DATA + VIRTQ_SEGS_MAX - 1);
}
END_TEST

/* ---- stop and start ---- */

START_TEST(stopped_queue_is_left_alone)
{
	offer_simple(0);
	virtq_stop(&vq);
	ck_assert_int_eq(vq_pop(), 0);
	ck_assert_int_eq(notify_on(), 0);
	ck_assert_int_eq(should_notify(), 0);
}
END_TEST

START_TEST(stale_chain_touches_nothing)
{
	struct virtq_chain old;
	uint32_t head, len;

	offer_simple(0);
	offer_simple(1);
	ck_assert_int_eq(vq_pop(), 1);
	old = vq_chain;
	ck_assert_int_eq(vq_pop(), 1);
	virtq_stop(&vq);
	push(16);
	ck_assert_uint_eq(ring_used_idx(&vq_ring), 0);
	ck_assert_uint_eq(vq.in_flight, 1);
	/* Even when the queue runs again, at the same place. */
	ring_new(&vq_ring, &vq_guest, GUEST_RAM, 8);
	ck_assert_int_eq(virtq_start(&vq, vq_guest.mem, NULL), 0);
	vq_chain = old;
	push(16);
	ck_assert_uint_eq(vq.in_flight, 0);
	ck_assert(!ring_take(&vq_ring, &head, &len));
	/* And unpopping it does not move what is to be popped next. */
	offer_simple(5);
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_uint_eq(vq_chain.head, 5);
	virtq_unpop(&vq, &old);
	ck_assert_int_eq(vq_pop(), 0);
}
END_TEST

static const struct {
	const char *part;
	uint16_t size;
	int64_t desc, avail, used; /* added to where they should be */
	int code;
} bad_starts[] = {
	{ "queue size 0", 0, 0, 0, 0, -EINVAL },
	{ "queue size 6", 6, 0, 0, 0, -EINVAL },
	{ "power of two up to 1024", 2048, 0, 0, 0, -EINVAL },
	{ "descriptor table at gpa 0x40000008 is not aligned to 16", 8, 8, 0, 0, -EINVAL },
	{ "available ring at gpa 0x40008001 is not aligned to 2", 8, 0, 1, 0, -EINVAL },
	{ "used ring at gpa 0x40010002 is not aligned to 4", 8, 0, 0, 2, -EINVAL },
	{ "descriptor table at gpa 0x3ffffff0, 128 bytes: not guest memory", 8, -16, 0, 0,
		-EFAULT },
	{ "available ring at gpa 0x4017fff0, 22 bytes: private page", 8, 0, 0x177ff0, 0, -EFAULT },
	{ "used ring at gpa 0x401ffffc, 70 bytes: not guest memory", 8, 0, 0, 0x1efffc, -EFAULT },
};

START_TEST(bad_setup_is_refused)
{
	struct virtq q = { .max = 1024, .size = bad_starts[_i].size };
	struct err e = { "" };

	q.desc = gpa(vq_ring.desc + (uint64_t)bad_starts[_i].desc);
	q.avail = gpa(vq_ring.avail + (uint64_t)bad_starts[_i].avail);
	q.used = gpa(vq_ring.used + (uint64_t)bad_starts[_i].used);
	ck_assert_int_eq(virtq_start(&q, vq_guest.mem, &e), bad_starts[_i].code);
	ck_assert_msg(strstr(e.msg, bad_starts[_i].part) != NULL, "%s", e.msg);
	ck_assert(!q.ready);
}
END_TEST

/* ---- notifications ---- */

/* Pops and pushes n chains. */
static void serve(unsigned int n)
{
	while (n--) {
		offer_simple(0);
		ck_assert_int_eq(vq_pop(), 1);
		push(0);
	}
}

START_TEST(flag_suppresses_interrupts)
{
	ck_assert_int_eq(should_notify(), 0);
	serve(1);
	ck_assert_int_eq(should_notify(), 1);
	ck_assert_int_eq(should_notify(), 0);
	ring_set_avail_flags(&vq_ring, 1);
	serve(1);
	ck_assert_int_eq(should_notify(), 0);
	ring_set_avail_flags(&vq_ring, 0);
	serve(1);
	ck_assert_int_eq(should_notify(), 1);
}
END_TEST

/* From `start`, push n: used_event is `event`; interrupt or not? */
static const struct {
	uint16_t start, n, event;
	int want;
} events[] = {
	{ 0, 1, 0, 1 },
	{ 0, 1, 1, 0 },
	{ 0, 3, 2, 1 },
	{ 0, 3, 3, 0 },
	{ 5, 1, 4, 0 },
	{ 5, 2, 6, 1 },
	{ 65535, 1, 65535, 1 },
	{ 65535, 1, 65534, 0 },
	{ 65535, 1, 0, 0 },
	{ 65535, 2, 0, 1 },
	{ 65534, 4, 1, 1 },
	{ 65534, 4, 2, 0 },
	{ 65534, 4, 65533, 0 },
};

START_TEST(event_index_asks_for_interrupts)
{
	vq.event_idx = true;
	/* Nothing is asked for on the way to the start. */
	vq.last_avail = vq.avail_idx = vq.used_idx = vq.signalled = events[_i].start;
	ring_set_idx(&vq_ring, events[_i].start);
	/* The flag does not count with event indices. */
	ring_set_avail_flags(&vq_ring, 1);
	ring_set_used_event(&vq_ring, events[_i].event);
	serve(events[_i].n);
	ck_assert_int_eq(should_notify(), events[_i].want);
	ck_assert_int_eq(should_notify(), 0);
}
END_TEST

START_TEST(flag_switches_notifications)
{
	serve(3);
	ck_assert_int_eq(virtq_notify_off(&vq, vq_guest.mem, NULL), 0);
	ck_assert_uint_eq(ring_used_flags(&vq_ring), 1);
	ck_assert_uint_eq(ring_used_idx(&vq_ring), 3);
	ck_assert_int_eq(notify_on(), 0);
	ck_assert_uint_eq(ring_used_flags(&vq_ring), 0);
	ck_assert_uint_eq(ring_used_idx(&vq_ring), 3);
	/* A push while they are off keeps them off. */
	virtq_notify_off(&vq, vq_guest.mem, NULL);
	serve(1);
	ck_assert_uint_eq(ring_used_flags(&vq_ring), 1);
}
END_TEST

START_TEST(event_index_switches_notifications)
{
	vq.event_idx = true;
	vq.last_avail = vq.avail_idx = vq.used_idx = 65534;
	ring_set_idx(&vq_ring, 65534);
	serve(1);
	ck_assert_int_eq(virtq_notify_off(&vq, vq_guest.mem, NULL), 0);
	ck_assert_uint_eq(ring_used_flags(&vq_ring), 0);
	ck_assert_int_eq(notify_on(), 0);
	ck_assert_uint_eq(ring_avail_event(&vq_ring), 65535);
	serve(1);
	ck_assert_int_eq(notify_on(), 0);
	ck_assert_uint_eq(ring_avail_event(&vq_ring), 0);
}
END_TEST

START_TEST(chain_that_came_meanwhile_is_told)
{
	vq.event_idx = _i;
	ck_assert_int_eq(vq_pop(), 0);
	virtq_notify_off(&vq, vq_guest.mem, NULL);
	offer_simple(0);
	ck_assert_int_eq(notify_on(), 1);
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_int_eq(notify_on(), 0);
}
END_TEST

Suite *virtq_suite(void)
{
	Suite *s = suite_create("virtq");
	TCase *t = tcase_create("rules");

	tcase_add_checked_fixture(t, vq_setup, vq_teardown);
	tcase_add_test(t, empty_queue_gives_nothing);
	tcase_add_test(t, chain_has_all_its_buffers);
	tcase_add_test(t, copies_cross_buffers);
	tcase_add_test(t, copies_do_not_pass_the_end);
	tcase_add_test(t, page_that_became_private_is_not_copied);
	tcase_add_test(t, pushed_chain_is_in_the_used_ring);
	tcase_add_test(t, indices_wrap);
	tcase_add_test(t, unpopped_chain_comes_again);
	tcase_add_test(t, full_queue_is_popped_in_order);
	tcase_add_test(t, indirect_table_is_followed);
	tcase_add_test(t, indirect_table_ends_a_direct_chain);
	tcase_add_test(t, largest_indirect_table_fits);
	tcase_add_test(t, stopped_queue_is_left_alone);
	tcase_add_test(t, stale_chain_touches_nothing);
	tcase_add_loop_test(t, bad_setup_is_refused, 0, (int)ARRAY_SIZE(bad_starts));
	tcase_add_test(t, flag_suppresses_interrupts);
	tcase_add_loop_test(t, event_index_asks_for_interrupts, 0, (int)ARRAY_SIZE(events));
	tcase_add_test(t, flag_switches_notifications);
	tcase_add_test(t, event_index_switches_notifications);
	tcase_add_loop_test(t, chain_that_came_meanwhile_is_told, 0, 2);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	suite_add_tcase(s, virtq_hostile_case());
	suite_add_tcase(s, virtq_shared_case());
	return s;
}
