/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Pages with two addresses, against a bitmap model: after each step, failed or not, the share map,
 * the slots that KVM has, what they cost and the gate agree with it.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mem/alias.h"
#include "mem/convert.h"
#include "mem/guard.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define RAM_BASE    GIB(1)
#define RAM_PAGES   5000u /* nine blocks and a short one */
#define RAM_SIZE    (RAM_PAGES * PAGE_SIZE)
#define BLOCK_PAGES 512u
#define BLOCKS	    10u
#define BIT_ALIAS   GIB(512)
#define LIMIT	    MIB(8)

static struct fake_kvm kvm;
static struct slot_table *table;
static struct mem *mem;
static bool model[RAM_PAGES]; /* true: shared */
static bool private_has_bit;
static bool keeps;
static bool traps; /* blocks that are not open have a slot without memory */

static uint64_t shared_address(uint64_t page)
{
	return (RAM_BASE + page * PAGE_SIZE) | (private_has_bit ? 0 : BIT_ALIAS);
}

static uint64_t private_address(uint64_t page)
{
	return (RAM_BASE + page * PAGE_SIZE) | (private_has_bit ? BIT_ALIAS : 0);
}

static struct mem_region *ram(void)
{
	return mem_find(mem, gpa(RAM_BASE), 1);
}

static void setup_with(bool has_bit, bool with_traps, uint64_t limit)
{
	struct mem_region_desc d = { MEM_ALIAS, "ram", { RAM_BASE }, RAM_SIZE };
	struct err e = { "" };

	ck_assert_int_eq(guard_init(&e), 0);
	memset(&kvm, 0, sizeof(kvm));
	memset(model, 0, sizeof(model));
	private_has_bit = has_bit;
	traps = with_traps;
	kvm.max = FAKE_SLOTS_MAX;
	table = slot_table_new(&fake_slot_ops, &kvm, kvm.max);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	mem_alias_set(mem, BIT_ALIAS, has_bit, limit);
	if (traps)
		mem_alias_trap(mem, keeps);
	ck_assert_msg(mem_add(mem, &d, &e) == 0, "%s", e.msg);
}

static void teardown(void)
{
	mem_free(mem);
	slot_table_free(table);
	ck_assert_uint_eq(fake_live(&kvm), 0);
	ck_assert_uint_eq(kvm.mistakes, 0);
}

static void check_block(unsigned int b, uint64_t *bytes)
{
	const struct slot_desc *d = fake_find(&kvm, shared_address(b * BLOCK_PAGES));
	char ignored;
	uint64_t i, end = min_u64((b + 1) * BLOCK_PAGES, RAM_PAGES);

	for (i = b * BLOCK_PAGES; i < end; i++) {
		if (share_get(ram()->share, i) != model[i] ||
			!mem_host(mem, gpa(RAM_BASE + i * PAGE_SIZE), 1) == model[i])
			ck_abort_msg("page %u: share map or gate differ", (unsigned int)i);
		if (model[i] && (!d || d->gmem_fd >= 0))
			ck_abort_msg("page %u is shared and has no slot", (unsigned int)i);
	}
	if (!d)
		return;
	ck_assert_uint_eq(d->size, (end - b * BLOCK_PAGES) * PAGE_SIZE);
	if (traps && d->gmem_fd >= 0) {
		/* No copy of the page's is behind it, nor anything else. */
		ck_assert_ptr_ne(d->hva, ram()->shared.hva + b * MIB(2));
		ck_assert(!guard_copy(&ignored, d->hva, 1, &(struct guard_fault){ 0 }));
		return;
	}
	*bytes += d->size;
	ck_assert_int_eq(d->gmem_fd, -1);
	ck_assert_ptr_eq(d->hva, ram()->shared.hva + b * MIB(2));
}

static void check_all(void)
{
	const struct slot_desc *p = fake_find(&kvm, private_address(0));
	uint64_t bytes = 0;
	unsigned int b;

	for (b = 0; b < BLOCKS; b++)
		check_block(b, &bytes);
	ck_assert_uint_eq(mem_alias_bytes(mem), bytes);
	ck_assert_uint_le(bytes, mem->alias.limit);
	ck_assert_ptr_nonnull(p);
	ck_assert(p->size == RAM_SIZE && p->gmem_fd == ram()->private.fd);
	ck_assert_ptr_eq(p->hva, ram()->private.hva);
	ck_assert_uint_eq(fake_live(&kvm), slot_table_live(table));
	ck_assert_uint_eq(kvm.mistakes, 0);
}

static uint64_t held(const struct backing *b)
{
	struct stat st;

	ck_assert_int_eq(fstat(b->fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static int convert(uint64_t first, uint64_t pages, bool to_private)
{
	struct err e = { "" };
	uint64_t i;
	int r = convert_apply(
		mem, gpa(RAM_BASE + first * PAGE_SIZE), pages * PAGE_SIZE, to_private, &e);

	ck_assert_msg(r == 0 || e.msg[0], "an error without a sentence");
	for (i = first; !r && i < first + pages; i++)
		model[i] = !to_private;
	return r;
}

START_TEST(starts_private_with_one_slot)
{
	setup_with(_i & 1, _i & 2, LIMIT);
	check_all();
	ck_assert_uint_eq(fake_live(&kvm), traps ? 1 + BLOCKS : 1);
	ck_assert_uint_eq(mem_alias_bytes(mem), 0);
	teardown();
}
END_TEST

START_TEST(sharing_a_page_adds_its_block_once)
{
	setup_with(_i & 1, _i & 2, LIMIT);
	ck_assert_int_eq(convert(700, 1, false), 0);
	check_all();
	ck_assert_uint_eq(fake_live(&kvm), traps ? 1 + BLOCKS : 2);
	kvm.calls = 0;
	ck_assert_int_eq(convert(600, 100, false), 0);
	ck_assert_int_eq(convert(600, 101, true), 0);
	/* Only what the pages left was given back: one run, and two the other way. */
	ck_assert_uint_eq(kvm.calls, 2);
	check_all();
	teardown();
}
END_TEST

START_TEST(each_conversion_gives_the_left_copy_back)
{
	setup_with(_i & 1, _i & 2, LIMIT);
	memset(ram()->private.hva, 1, 4 * PAGE_SIZE);
	ck_assert_int_eq(convert(0, 4, false), 0);
	ck_assert_uint_eq(held(&ram()->private), 0);
	memset(ram()->shared.hva, 2, 4 * PAGE_SIZE);
	ck_assert_int_eq(convert(1, 2, true), 0);
	ck_assert_uint_eq(held(&ram()->shared), 2 * PAGE_SIZE);
	ck_assert_int_eq(ram()->private.hva[PAGE_SIZE], 0);
	teardown();
}
END_TEST

/* The limit counts blocks: a guest cannot have a page here and a page there everywhere. */
START_TEST(the_limit_holds_for_scattered_pages)
{
	unsigned int b;

	setup_with(_i & 1, _i & 2, LIMIT);
	for (b = 0; b < 4; b++)
		ck_assert_int_eq(convert(b * BLOCK_PAGES, 1, false), 0);
	ck_assert_int_eq(convert(4 * BLOCK_PAGES, 1, false), -ENOSPC);
	check_all();
	/* One that it unshares makes room for another, and what it left there is gone. */
	memset(ram()->shared.hva + MIB(2), 3, MIB(2));
	ck_assert_int_eq(convert(BLOCK_PAGES, 1, true), 0);
	ck_assert_int_eq(convert(4 * BLOCK_PAGES, 1, false), 0);
	check_all();
	ck_assert_uint_eq(held(&ram()->shared), 0);
	/* Too large at once: nothing happens. */
	ck_assert_int_eq(convert(0, RAM_PAGES, false), -ENOSPC);
	check_all();
	teardown();
}
END_TEST

START_TEST(touched_memory_counts_and_is_not_shared)
{
	uint64_t v = 0x1122334455667788, got = 0;
	unsigned int b;
	struct err e = { "" };

	setup_with(_i & 1, _i & 2, LIMIT);
	for (b = 0; b < 4; b++)
		ck_assert_int_eq(
			mem_alias_touch(mem, gpa(shared_address(b * BLOCK_PAGES + 7)), 1, &e), 0);
	check_all();
	ck_assert_uint_eq(mem_alias_bytes(mem), LIMIT);
	/* None of the blocks holds a shared page, so the next one takes the place of one. */
	ck_assert_int_eq(mem_alias_touch(mem, gpa(shared_address(4999)), 1, &e), 0);
	check_all();
	ck_assert_int_eq(mem_alias_access(mem, gpa(shared_address(4999) + 8), &v, 8, true, &e), 0);
	ck_assert_int_eq(
		mem_alias_access(mem, gpa(shared_address(4999) + 8), &got, 8, false, &e), 0);
	ck_assert_uint_eq(got, v);
	ck_assert_ptr_null(mem_host(mem, gpa(shared_address(4999)), 8));
	teardown();
}
END_TEST

/* Else what it writes behind a border would be memory that the limit knows nothing of. */
START_TEST(an_access_across_blocks_touches_both)
{
	struct err e = { "" };
	uint64_t v = 1;
	gpa_t at;

	setup_with(_i & 1, _i & 2, LIMIT);
	at = gpa(shared_address(BLOCK_PAGES) - 4);
	ck_assert_int_eq(mem_alias_touch(mem, at, 8, &e), 0);
	check_all();
	ck_assert_uint_eq(mem_alias_bytes(mem), MIB(4));
	ck_assert_int_eq(mem_alias_access(mem, at, &v, 8, true, &e), 0);
	ck_assert_uint_eq(held(&ram()->shared), 2 * PAGE_SIZE);
	/* That nothing was missing is told. */
	ck_assert_int_eq(mem_alias_touch(mem, at, 8, &e), 1);
	ck_assert_int_eq(mem_alias_touch(mem, gpa(shared_address(2 * BLOCK_PAGES) - 4), 8, &e), 0);
	ck_assert_int_eq(mem_alias_touch(mem, gpa(shared_address(RAM_PAGES) - 4), 8, &e), -EFAULT);
	check_all();
	teardown();
}
END_TEST

/* Who cannot tell that it is done with a block keeps it. */
START_TEST(a_guest_without_calls_loses_nothing)
{
	uint64_t v = 42;
	unsigned int b;
	struct err e = { "" };

	keeps = true;
	setup_with(_i & 1, true, LIMIT);
	keeps = false;
	for (b = 0; b < 4; b++)
		ck_assert_int_eq(
			mem_alias_touch(mem, gpa(shared_address(b * BLOCK_PAGES + 7)), 1, &e), 0);
	ck_assert_int_eq(mem_alias_access(mem, gpa(shared_address(7)), &v, 8, true, &e), 0);
	ck_assert_int_eq(mem_alias_touch(mem, gpa(shared_address(4999)), 1, &e), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(e.msg, "--shared-limit"));
	check_all();
	ck_assert_int_eq(mem_alias_touch(mem, gpa(shared_address(9)), 1, &e), 1);
	ck_assert_int_eq(mem_alias_access(mem, gpa(shared_address(7)), &v, 8, false, &e), 0);
	ck_assert_uint_eq(v, 42);
	teardown();
}
END_TEST

START_TEST(only_shared_addresses_of_ram_can_be_touched)
{
	struct err e = { "" };
	uint64_t v;

	setup_with(_i & 1, _i & 2, LIMIT);
	ck_assert(mem_alias_is_shared_address(mem, gpa(shared_address(0))));
	ck_assert(!mem_alias_is_shared_address(mem, gpa(private_address(0))));
	ck_assert(!mem_alias_is_shared_address(mem, gpa(shared_address(RAM_PAGES))));
	ck_assert(!mem_alias_is_shared_address(mem, gpa(shared_address(0) | BIT(60))));
	ck_assert_int_eq(mem_alias_touch(mem, gpa(private_address(5)), 1, &e), -EFAULT);
	ck_assert_int_eq(
		mem_alias_access(mem, gpa(shared_address(RAM_PAGES) - 4), &v, 8, false, &e),
		-EFAULT);
	check_all();
	teardown();
}
END_TEST

/* Drivers hand out the shared address where that is the one with the bit; never the private one. */
START_TEST(the_gate_takes_shared_addresses)
{
	setup_with(_i & 1, _i & 2, LIMIT);
	ck_assert_int_eq(convert(9, 1, false), 0);
	ck_assert_ptr_eq(mem_host(mem, gpa(RAM_BASE + 9 * PAGE_SIZE), 1),
		mem_host(mem, gpa(shared_address(9)), 1));
	ck_assert_ptr_nonnull(mem_host(mem, gpa(shared_address(9)), 1));
	ck_assert_ptr_null(mem_host(mem, gpa(shared_address(10)), 1));
	if (private_has_bit)
		ck_assert_ptr_null(mem_host(mem, gpa(private_address(9)), 1));
	teardown();
}
END_TEST

/* What could not be given back is not lost count of: the block stays open, and another try works. */
START_TEST(a_block_that_cannot_be_emptied_counts)
{
	struct err e = { "" };
	uint64_t v = 42, before;
	unsigned int b;

	setup_with(_i & 1, _i & 2, LIMIT);
	for (b = 0; b < 4; b++)
		ck_assert_int_eq(
			mem_alias_touch(mem, gpa(shared_address(b * BLOCK_PAGES)), 1, &e), 0);
	ck_assert_int_eq(mem_alias_access(mem, gpa(shared_address(7)), &v, 8, true, &e), 0);
	before = mem_alias_bytes(mem);
	/* The discard, or the slot. */
	kvm.fail_at = kvm.calls + (_i & 4 ? 2 : 1);
	ck_assert_int_eq(convert(4 * BLOCK_PAGES, 1, false), -EIO);
	kvm.fail_at = 0;
	ck_assert_uint_eq(mem_alias_bytes(mem), before);
	ck_assert_uint_eq(held(&ram()->shared), _i & 4 ? 0 : PAGE_SIZE);
	check_all();
	ck_assert_int_eq(convert(4 * BLOCK_PAGES, 1, false), 0);
	ck_assert_uint_eq(held(&ram()->shared), 0);
	check_all();
	teardown();
}
END_TEST

START_TEST(a_failed_call_leaves_the_old_state)
{
	/* Three blocks, each of them a trap before, and a discard. */
	unsigned int calls = _i & 2 ? 7 : 4, at;

	for (at = 1; at <= calls + 1; at++) {
		setup_with(_i & 1, _i & 2, LIMIT);
		memset(ram()->private.hva, 1, MIB(8));
		kvm.calls = 0;
		kvm.fail_at = at;
		ck_assert_int_eq(convert(100, 1200, false), at <= calls ? -EIO : 0);
		kvm.fail_at = 0;
		check_all();
		ck_assert_int_eq(convert(100, 1200, false), 0);
		check_all();
		teardown();
	}
}
END_TEST

START_TEST(random_steps)
{
	unsigned int i;

	setup_with(_i & 1, _i & 2, LIMIT);
	srandom(4711u + (unsigned int)_i);
	for (i = 0; i < 400; i++) {
		uint64_t first = (uint64_t)random() % RAM_PAGES;
		uint64_t pages = 1 + (uint64_t)random() % 700;
		struct err e = { "" };

		pages = min_u64(pages, RAM_PAGES - first);
		kvm.calls = 0;
		kvm.fail_at = random() % 4 ? 0 : 1 + (unsigned int)random() % 6;
		if (random() % 8)
			convert(first, pages, random() % 2);
		else
			mem_alias_touch(mem, gpa(shared_address(first)), 1, &e);
		kvm.fail_at = 0;
		if (i % 8 == 0)
			check_all();
	}
	check_all();
	teardown();
}
END_TEST

START_TEST(bases_with_the_bit_are_refused)
{
	struct mem_region_desc d = { MEM_ALIAS, "ram2", { BIT_ALIAS - MIB(2) }, MIB(4) };
	struct err e = { "" };

	setup_with(_i & 1, _i & 2, LIMIT);
	ck_assert_int_eq(mem_add(mem, &d, &e), -EINVAL);
	ck_assert_str_ne(e.msg, "");
	check_all();
	teardown();
}
END_TEST

START_TEST(a_region_that_cannot_be_made_leaves_nothing)
{
	struct mem_region_desc d = { MEM_ALIAS, "ram2", { RAM_BASE + GIB(1) }, MIB(8) };
	unsigned int at, live;
	struct err e = { "" };

	setup_with(_i & 1, true, LIMIT);
	live = fake_live(&kvm);
	for (at = 1; at <= 5; at++) {
		kvm.calls = 0;
		kvm.fail_at = at;
		ck_assert_int_eq(mem_add(mem, &d, &e), -EIO);
		ck_assert_uint_eq(fake_live(&kvm), live);
	}
	kvm.fail_at = 0;
	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	check_all();
	teardown();
}
END_TEST

/* Low memory of a guest whose processors start without the bit: right below other RAM here. */
START_TEST(memory_at_both_addresses)
{
	struct mem_region_desc d = { MEM_BOTH, "low", { RAM_BASE - MIB(1) }, MIB(1) };
	const struct slot_desc *plain, *bit;
	struct err e = { "" };

	setup_with(_i & 1, _i & 2, LIMIT);
	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	plain = fake_find(&kvm, d.base.v + PAGE_SIZE);
	bit = fake_find(&kvm, (d.base.v + PAGE_SIZE) | BIT_ALIAS);
	ck_assert(plain && bit && plain != bit);
	ck_assert_ptr_eq(plain->hva, bit->hva);
	ck_assert(plain->size == MIB(1) && bit->size == MIB(1) && bit->gmem_fd == -1);
	ck_assert_ptr_eq(mem_host(mem, d.base, MIB(1)), plain->hva);
	/* Whatever the guest says of it, it stays as it is; the page behind is another matter. */
	memset(plain->hva, 7, MIB(1));
	kvm.calls = 0;
	ck_assert(convert_is_noop(mem, d.base, MIB(1), false));
	ck_assert_int_eq(convert_apply(mem, d.base, MIB(1), true, &e), 0);
	ck_assert_uint_eq(kvm.calls, 0);
	ck_assert_int_eq(*(char *)mem_host(mem, d.base, 1), 7);
	ck_assert(!convert_is_noop(mem, d.base, MIB(1) + PAGE_SIZE, false));
	ck_assert_int_eq(convert_apply(mem, d.base, MIB(1) + PAGE_SIZE, false, &e), 0);
	model[0] = true;
	ck_assert_ptr_nonnull(mem_host(mem, gpa(RAM_BASE), 1));
	ck_assert(!mem_alias_is_shared_address(mem, d.base));
	ck_assert_int_eq(mem_remove(mem, d.base, &e), 0);
	ck_assert(!fake_find(&kvm, d.base.v) && !fake_find(&kvm, d.base.v | BIT_ALIAS));
	check_all();
	teardown();
}
END_TEST

/* Where RAM begins in the middle of one, blocks still lie where guests align what they share. */
START_TEST(blocks_lie_at_multiples_of_their_size)
{
	struct mem_region_desc d = { MEM_ALIAS, "ram2", { RAM_BASE + GIB(1) + MIB(1) }, MIB(8) };
	const struct slot_desc *slot;
	struct err e = { "" };

	setup_with(_i & 1, _i & 2, MIB(3));
	ck_assert_msg(mem_add(mem, &d, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(convert_apply(mem, gpa(d.base.v + MIB(1)), MIB(2), false, &e), 0);
	ck_assert_uint_eq(mem_alias_bytes(mem), MIB(2));
	slot = fake_find(&kvm, (d.base.v + MIB(1)) | (private_has_bit ? 0 : BIT_ALIAS));
	ck_assert_ptr_nonnull(slot);
	ck_assert_uint_eq(slot->size, MIB(2));
	ck_assert_ptr_eq(slot->hva, mem_host(mem, gpa(d.base.v + MIB(1)), 1));
	/* The first and the last one are half as large. */
	ck_assert_int_eq(convert_apply(mem, d.base, PAGE_SIZE, false, &e), 0);
	ck_assert_uint_eq(mem_alias_bytes(mem), MIB(3));
	ck_assert_int_eq(convert_apply(mem, gpa(d.base.v + MIB(7)), PAGE_SIZE, false, &e), -ENOSPC);
	ck_assert_int_eq(convert_apply(mem, d.base, MIB(1), true, &e), 0);
	ck_assert_int_eq(
		convert_apply(mem, gpa(d.base.v + MIB(8) - PAGE_SIZE), PAGE_SIZE, false, &e), 0);
	ck_assert_uint_eq(mem_alias_bytes(mem), MIB(3));
	teardown();
}
END_TEST

Suite *alias_suite(void)
{
	Suite *s = suite_create("alias");
	TCase *tc = tcase_create("alias");

	/* With the shared or the private copy at the address that has the bit, and without traps or with. */
	tcase_add_loop_test(tc, starts_private_with_one_slot, 0, 4);
	tcase_add_loop_test(tc, sharing_a_page_adds_its_block_once, 0, 4);
	tcase_add_loop_test(tc, each_conversion_gives_the_left_copy_back, 0, 4);
	tcase_add_loop_test(tc, the_limit_holds_for_scattered_pages, 0, 4);
	tcase_add_loop_test(tc, touched_memory_counts_and_is_not_shared, 0, 4);
	tcase_add_loop_test(tc, an_access_across_blocks_touches_both, 0, 4);
	tcase_add_loop_test(tc, a_guest_without_calls_loses_nothing, 0, 2);
	tcase_add_loop_test(tc, only_shared_addresses_of_ram_can_be_touched, 0, 4);
	tcase_add_loop_test(tc, the_gate_takes_shared_addresses, 0, 4);
	tcase_add_loop_test(tc, a_block_that_cannot_be_emptied_counts, 0, 8);
	tcase_add_loop_test(tc, a_failed_call_leaves_the_old_state, 0, 4);
	tcase_add_loop_test(tc, random_steps, 0, 16);
	tcase_add_loop_test(tc, bases_with_the_bit_are_refused, 0, 4);
	tcase_add_loop_test(tc, a_region_that_cannot_be_made_leaves_nothing, 0, 2);
	tcase_add_loop_test(tc, memory_at_both_addresses, 0, 4);
	tcase_add_loop_test(tc, blocks_lie_at_multiples_of_their_size, 0, 4);
	suite_add_tcase(s, tc);
	return s;
}
