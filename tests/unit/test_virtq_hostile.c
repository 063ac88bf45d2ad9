/* SPDX-License-Identifier: Apache-2.0 */

/* Drivers that break the rules: each is refused with its sentence, and nothing is taken. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/test_virtq.h"
#include "vmm/util/bits.h"

#define TABLE (GUEST_DATA + 0x10000)

static void one(uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	ring_desc(&vq_ring, 0, addr, len, flags, next);
	ring_offer(&vq_ring, 0);
}

static void two(uint16_t first, uint32_t len, uint16_t second, uint32_t second_len)
{
	ring_desc(&vq_ring, 1, GUEST_DATA, second_len, second, 0);
	one(GUEST_DATA, len, first | DESC_NEXT, 1);
}

/* A good descriptor in each place of an indirect table of n, the last one with these flags. */
static void table(uint16_t n, uint16_t flags, uint16_t next)
{
	for (uint16_t i = 0; i < n; i++)
		ring_desc_at(&vq_guest, TABLE, i, GUEST_DATA, 1, i < n - 1 ? DESC_NEXT : flags,
			i < n - 1 ? (uint16_t)(i + 1) : next);
}

static void indirect(uint32_t len, uint16_t flags)
{
	one(TABLE, len, DESC_INDIRECT | flags, 1);
}

static void idx_jumps(void)
{
	ring_set_idx(&vq_ring, 9);
}

static void idx_goes_back(void)
{
	ring_set_idx(&vq_ring, 65535);
}

static void head_outside(void)
{
	ring_offer(&vq_ring, 8);
}

static void next_outside(void)
{
	one(GUEST_DATA, 8, DESC_NEXT, 8);
}

static void self_loop(void)
{
	one(GUEST_DATA, 8, DESC_NEXT, 0);
}

static void loop(void)
{
	ring_desc(&vq_ring, 1, GUEST_DATA, 8, DESC_NEXT, 2);
	ring_desc(&vq_ring, 2, GUEST_DATA, 8, DESC_NEXT, 1);
	one(GUEST_DATA, 8, DESC_NEXT, 1);
}

static void empty(void)
{
	one(GUEST_DATA, 0, 0, 0);
}

static void read_behind_write(void)
{
	two(DESC_WRITE, 8, 0, 8);
}

static void four_gib(void)
{
	two(0, 8, DESC_WRITE, UINT32_MAX - 7);
}

static void too_many(void)
{
	vq_begin(512);
	for (uint16_t i = 0; i < 257; i++)
		ring_desc(&vq_ring, i, GUEST_DATA, 1, i < 256 ? DESC_NEXT : 0, (uint16_t)(i + 1));
	ring_offer(&vq_ring, 0);
}

static void below_ram(void)
{
	one(GUEST_RAM - 8, 16, 0, 0);
}

static void past_ram(void)
{
	guest_convert(&vq_guest, GUEST_END - PAGE_SIZE, PAGE_SIZE, true);
	one(GUEST_END - 8, 16, DESC_WRITE, 0);
}

static void wraps(void)
{
	one(UINT64_MAX - 7, 16, 0, 0);
}

static void is_private(void)
{
	one(GUEST_PRIVATE, 16, 0, 0);
}

static void runs_into_private(void)
{
	one(GUEST_PRIVATE - 8, 16, DESC_WRITE, 0);
}

static void private_in_between(void)
{
	guest_convert(&vq_guest, GUEST_DATA + PAGE_SIZE, PAGE_SIZE, false);
	one(GUEST_DATA, 3 * PAGE_SIZE, DESC_WRITE, 0);
}

static void indirect_not_negotiated(void)
{
	vq.indirect = false;
	table(1, 0, 0);
	indirect(16, 0);
}

static void indirect_with_next(void)
{
	table(1, 0, 0);
	indirect(16, DESC_NEXT);
}

static void indirect_empty(void)
{
	indirect(0, 0);
}

static void indirect_ragged(void)
{
	table(1, 0, 0);
	indirect(17, 0);
}

static void indirect_too_long(void)
{
	table(257, 0, 0);
	indirect(257 * 16, 0);
}

static void indirect_huge(void)
{
	indirect(0xfffffff0, 0);
}

static void indirect_nested(void)
{
	table(2, DESC_INDIRECT, 0);
	indirect(32, 0);
}

static void indirect_next_outside(void)
{
	table(1, DESC_NEXT, 3);
	indirect(48, 0);
}

static void indirect_loops(void)
{
	table(3, DESC_NEXT, 1);
	indirect(48, 0);
}

static void indirect_too_many_behind_direct(void)
{
	table(256, 0, 0);
	ring_desc(&vq_ring, 1, TABLE, 256 * 16, DESC_INDIRECT, 0);
	one(GUEST_DATA, 8, DESC_NEXT, 1);
}

static void indirect_private(void)
{
	one(GUEST_PRIVATE, 16, DESC_INDIRECT, 0);
}

static void indirect_to_private(void)
{
	ring_desc_at(&vq_guest, TABLE, 0, GUEST_PRIVATE, 16, 0, 0);
	indirect(16, 0);
}

static void avail_became_private(void)
{
	one(GUEST_DATA, 8, 0, 0);
	guest_convert(&vq_guest, vq_ring.avail, PAGE_SIZE, false);
}

static void descs_became_private(void)
{
	one(GUEST_DATA, 8, 0, 0);
	guest_convert(&vq_guest, vq_ring.desc, PAGE_SIZE, false);
}

static const struct {
	void (*make)(void);
	const char *part;
	int code;
} mistakes[] = {
	{ idx_jumps, "available index jumps from 0 to 9", -EINVAL },
	{ idx_goes_back, "available index jumps from 0 to 65535", -EINVAL },
	{ head_outside, "descriptor 8 in a queue of 8", -EINVAL },
	{ next_outside, "descriptor 8 in a queue of 8", -EINVAL },
	{ self_loop, "loops", -EINVAL },
	{ loop, "the chain from descriptor 0 loops", -EINVAL },
	{ empty, "empty buffer at gpa 0x40100000", -EINVAL },
	{ read_behind_write, "behind a writable one", -EINVAL },
	{ four_gib, "4 GiB", -EINVAL },
	{ too_many, "more than 256 buffers", -EINVAL },
	{ below_ram, "gpa 0x3ffffff8, 16 bytes: not guest memory", -EFAULT },
	{ past_ram, "gpa 0x401ffff8, 16 bytes: not guest memory", -EFAULT },
	{ wraps, "gpa 0xfffffffffffffff8, 16 bytes: not guest memory", -EFAULT },
	{ is_private, "gpa 0x40180000, 16 bytes: private page", -EFAULT },
	{ runs_into_private, "gpa 0x4017fff8, 16 bytes: private page", -EFAULT },
	{ private_in_between, "private page", -EFAULT },
	{ indirect_not_negotiated, "without the feature", -EINVAL },
	{ indirect_with_next, "with a next one", -EINVAL },
	{ indirect_empty, "table of 0 bytes", -EINVAL },
	{ indirect_ragged, "table of 17 bytes", -EINVAL },
	{ indirect_too_long, "table of 4112 bytes", -EINVAL },
	{ indirect_huge, "table of 4294967280 bytes", -EINVAL },
	{ indirect_nested, "in an indirect table", -EINVAL },
	{ indirect_next_outside, "next is 3 in an indirect table of 3", -EINVAL },
	{ indirect_loops, "indirect table loops", -EINVAL },
	{ indirect_too_many_behind_direct, "more than 256 buffers", -EINVAL },
	{ indirect_private, "indirect table: gpa 0x40180000", -EFAULT },
	{ indirect_to_private, "buffer at gpa 0x40180000", -EFAULT },
	{ avail_became_private, "available ring: gpa", -EFAULT },
	{ descs_became_private, "descriptor table: gpa", -EFAULT },
};

START_TEST(mistake_is_refused)
{
	struct err e = { "" };
	int again;

	mistakes[_i].make();
	ck_assert_int_eq(virtq_pop(&vq, vq_guest.mem, &vq_chain, &e), mistakes[_i].code);
	ck_assert_msg(strstr(e.msg, mistakes[_i].part) != NULL, "%s", e.msg);
	ck_assert_uint_eq(vq.in_flight, 0);
	ck_assert_uint_eq(vq.last_avail, 0);
	for (again = 0; again < 3; again++)
		ck_assert_int_eq(virtq_pop(&vq, vq_guest.mem, &vq_chain, &e), mistakes[_i].code);
}
END_TEST

START_TEST(head_offered_twice_does_not_pile_up)
{
	struct err e = { "" };

	/* The driver takes nothing back, and offers the same chain again and again. */
	for (unsigned int i = 0; i < 8; i++) {
		one(GUEST_DATA, 8, 0, 0);
		ck_assert_int_eq(vq_pop(), 1);
	}
	one(GUEST_DATA, 8, 0, 0);
	ck_assert_int_eq(virtq_pop(&vq, vq_guest.mem, &vq_chain, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "more chains under way"));
	ck_assert_uint_eq(vq.in_flight, 8);
}
END_TEST

START_TEST(used_ring_became_private)
{
	struct err e = { "" };

	one(GUEST_DATA, 8, 0, 0);
	ck_assert_int_eq(vq_pop(), 1);
	guest_convert(&vq_guest, vq_ring.used, PAGE_SIZE, false);
	ck_assert_int_eq(virtq_push(&vq, vq_guest.mem, &vq_chain, 0, &e), -EFAULT);
	ck_assert_ptr_nonnull(strstr(e.msg, "used ring: gpa 0x40010004"));
	ck_assert_uint_eq(vq.in_flight, 0);
	/* What the page holds now is not ours to write. */
	ck_assert_uint_eq(ring_used_idx(&vq_ring), 0);
	ck_assert_int_eq(virtq_notify_off(&vq, vq_guest.mem, &e), -EFAULT);
	vq.event_idx = true;
	ck_assert_int_eq(virtq_notify_on(&vq, vq_guest.mem, &e), -EFAULT);
}
END_TEST

START_TEST(event_page_became_private)
{
	struct err e = { "" };

	one(GUEST_DATA, 8, 0, 0);
	ck_assert_int_eq(vq_pop(), 1);
	ck_assert_int_eq(virtq_push(&vq, vq_guest.mem, &vq_chain, 0, &e), 0);
	guest_convert(&vq_guest, vq_ring.avail, PAGE_SIZE, false);
	vq.event_idx = _i;
	ck_assert_int_eq(virtq_should_notify(&vq, vq_guest.mem, &e), -EFAULT);
	ck_assert_int_eq(virtq_notify_on(&vq, vq_guest.mem, &e), -EFAULT);
}
END_TEST

START_TEST(index_that_jumps_is_found_when_switching_too)
{
	struct err e = { "" };

	idx_jumps();
	ck_assert_int_eq(virtq_notify_on(&vq, vq_guest.mem, &e), -EINVAL);
}
END_TEST

TCase *virtq_hostile_case(void)
{
	TCase *t = tcase_create("hostile");

	tcase_add_checked_fixture(t, vq_setup, vq_teardown);
	tcase_add_loop_test(t, mistake_is_refused, 0, (int)ARRAY_SIZE(mistakes));
	tcase_add_test(t, head_offered_twice_does_not_pile_up);
	tcase_add_test(t, used_ring_became_private);
	tcase_add_loop_test(t, event_page_became_private, 0, 2);
	tcase_add_test(t, index_that_jumps_is_found_when_switching_too);
	return t;
}
