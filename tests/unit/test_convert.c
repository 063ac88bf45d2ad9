/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Conversions by exchanging slots against a bitmap model (test_sides.c): after each step, failed or not,
 * the share map and the slots that KVM has agree with the model.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mem/convert.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_sides.h"
#include "vmm/util/bits.h"

#define RAM_PAGES 18000u /* two chunks, the second one short */
#define RAM_SIZE  (RAM_PAGES * PAGE_SIZE)

static struct mem_region *ram(void)
{
	return mem_find(sides.mem, gpa(RAM_BASE), 1);
}

static void teardown(void)
{
	mem_free(sides.mem);
	slot_table_free(sides.table);
	ck_assert_uint_eq(fake_live(&sides.kvm), 0);
	ck_assert_uint_eq(sides.kvm.mistakes, 0);
}

/* Slots: no gap, no overlap, each page served from the side the model says. */
struct cover {
	uint64_t next;
	unsigned int count;
};

static bool check_slot(void *arg, const struct slot_desc *d)
{
	struct cover *c = arg;
	uint64_t page = (d->gpa.v - RAM_BASE) / PAGE_SIZE;
	const struct slot_desc *real = fake_find(&sides.kvm, d->gpa.v);
	uint64_t i;

	ck_assert_uint_eq(page, c->next);
	ck_assert_ptr_nonnull(real);
	ck_assert(real->id == d->id && real->size == d->size && real->gmem_fd == d->gmem_fd);
	/* Plain ifs in the loops over pages: each ck_assert costs a message to the runner. */
	for (i = 0; i < d->size / PAGE_SIZE; i++)
		if ((d->gmem_fd < 0) != sides.shared[page + i])
			ck_abort_msg("page %llu has a slot of the wrong side",
				(unsigned long long)(page + i));
	ck_assert_ptr_eq(d->hva,
		(d->gmem_fd < 0 ? ram()->shared.hva : ram()->private.hva) + d->gpa.v - RAM_BASE);
	c->next += d->size / PAGE_SIZE;
	c->count++;
	return true;
}

static void check_all(void)
{
	struct cover c = { 0 };
	uint64_t i, shared = 0;

	slot_range_visit(ram()->slots, check_slot, &c);
	ck_assert_uint_eq(c.next, RAM_PAGES);
	ck_assert_uint_eq(c.count, fake_live(&sides.kvm));
	ck_assert_uint_eq(c.count, slot_table_live(sides.table));
	for (i = 0; i < RAM_PAGES; i++) {
		shared += sides.shared[i];
		if (share_get(ram()->share, i) != sides.shared[i] ||
			!mem_host(sides.mem, gpa(RAM_BASE + i * PAGE_SIZE), 1) == sides.shared[i])
			ck_abort_msg("page %llu: share map or gate differ from the model",
				(unsigned long long)i);
	}
	ck_assert_uint_eq(mem_shared_bytes(sides.mem), shared * PAGE_SIZE);
	ck_assert_uint_eq(sides.kvm.mistakes, 0);
}

/* Memory both sides hold: never more than the guest's RAM (rule 4). */
static uint64_t held(void)
{
	struct stat a, b;

	ck_assert_int_eq(fstat(ram()->shared.fd, &a), 0);
	ck_assert_int_eq(fstat(ram()->private.fd, &b), 0);
	return (uint64_t)(a.st_blocks + b.st_blocks) * 512;
}

static void setup_with(uint32_t max)
{
	struct mem_region_desc d = { MEM_SPLIT, "ram", { RAM_BASE }, RAM_SIZE };
	struct err e = { "" };

	memset(&sides, 0, sizeof(sides));
	sides.pages = RAM_PAGES;
	sides.check = check_all;
	sides.held = held;
	sides.kvm.max = max;
	sides.table = slot_table_new(&fake_slot_ops, &sides.kvm, max);
	ck_assert_int_eq(mem_new(&sides.mem, sides.table, &e), 0);
	ck_assert_msg(mem_add(sides.mem, &d, &e) == 0, "%s", e.msg);
	sides.private_side = ram()->private.hva;
}

static void setup(void)
{
	setup_with(FAKE_SLOTS_MAX);
}

/* How much a conversion of one page disturbs, once its surroundings have been carved. */
START_TEST(blast_radius_is_bounded)
{
	const struct slot_desc *d;

	ck_assert_int_eq(sides_convert(6000, 1, false), 0);
	d = fake_find(&sides.kvm, RAM_BASE + 6001 * PAGE_SIZE);
	ck_assert_uint_le(d->size, MIB(2));
	d = fake_find(&sides.kvm, RAM_BASE + 5999 * PAGE_SIZE);
	ck_assert_uint_le(d->size, MIB(2));
	ck_assert_uint_lt(fake_live(&sides.kvm), 20);
	sides.check();
}
END_TEST

/* Later conversions do not pay for the pieces that earlier ones left in their range. */
START_TEST(pieces_are_joined)
{
	const struct slot_desc *d;
	uint32_t large;
	uint64_t i;

	for (i = 512; i < 600; i += 2)
		ck_assert_int_eq(sides_convert(i, 1, false), 0);
	ck_assert_int_eq(sides_convert(2048, 4096, false), 0);
	large = fake_find(&sides.kvm, RAM_BASE + 2048 * PAGE_SIZE)->id;
	ck_assert_int_eq(sides_convert(512, 10000, false), 0);
	sides.check();
	d = fake_find(&sides.kvm, RAM_BASE + 512 * PAGE_SIZE);
	ck_assert_uint_ge(d->size, MIB(2));
	/* A large one keeps its mappings. */
	d = fake_find(&sides.kvm, RAM_BASE + 2048 * PAGE_SIZE);
	ck_assert_uint_eq(d->id, large);
	ck_assert_uint_eq(d->size, 4096 * PAGE_SIZE);
}
END_TEST

static const struct {
	uint64_t a, len;
	int want;
} edges[] = {
	{ RAM_BASE, 0, -EINVAL },
	{ RAM_BASE, 1, -EINVAL },
	{ RAM_BASE, PAGE_SIZE - 1, -EINVAL },
	{ RAM_BASE, PAGE_SIZE, 0 },
	{ RAM_BASE, PAGE_SIZE + 1, -EINVAL },
	{ RAM_BASE + 1, PAGE_SIZE, -EINVAL },
	{ RAM_BASE - PAGE_SIZE, PAGE_SIZE, -EFAULT },
	{ RAM_BASE - PAGE_SIZE, 2 * PAGE_SIZE, -EFAULT },
	{ RAM_BASE + RAM_SIZE - PAGE_SIZE, PAGE_SIZE, 0 },
	{ RAM_BASE + RAM_SIZE - PAGE_SIZE, 2 * PAGE_SIZE, -EFAULT },
	{ RAM_BASE + RAM_SIZE, PAGE_SIZE, -EFAULT },
	{ RAM_BASE, RAM_SIZE, 0 },
	{ RAM_BASE, RAM_SIZE + PAGE_SIZE, -EFAULT },
	{ -PAGE_SIZE, PAGE_SIZE, -EFAULT },
	{ -PAGE_SIZE, 2 * PAGE_SIZE, -EINVAL },
	{ RAM_BASE, -PAGE_SIZE, -EINVAL },
	{ RAM_BASE, -RAM_BASE, -EFAULT },
	{ RAM_BASE, -RAM_BASE + PAGE_SIZE, -EINVAL },
};

START_TEST(range_edges)
{
	struct err e = { "" };

	ck_assert_int_eq(
		convert_check(sides.mem, gpa(edges[_i].a), edges[_i].len, &e), edges[_i].want);
	ck_assert_int_eq(convert_apply(sides.mem, gpa(edges[_i].a), edges[_i].len, true, &e),
		edges[_i].want);
	sides.check();
}
END_TEST

START_TEST(across_two_regions)
{
	struct mem_region_desc d = { MEM_SPLIT, "ram2", { RAM_BASE + RAM_SIZE }, MIB(4) };
	struct mem_region_desc hole = { MEM_OPEN, "staging", { RAM_BASE + RAM_SIZE + MIB(4) },
		MIB(1) };
	gpa_t border = gpa(RAM_BASE + RAM_SIZE - PAGE_SIZE);
	struct err e = { "" };
	unsigned int calls;

	ck_assert_int_eq(mem_add(sides.mem, &d, &e), 0);
	ck_assert_int_eq(mem_add(sides.mem, &hole, &e), 0);
	ck_assert_int_eq(convert_apply(sides.mem, border, 2 * PAGE_SIZE, false, &e), 0);
	ck_assert_uint_eq(mem_shared_bytes(sides.mem), 2 * PAGE_SIZE);
	/* Each page has a pointer, both together have none: the regions are two mappings. */
	ck_assert_ptr_nonnull(mem_host(sides.mem, border, PAGE_SIZE));
	ck_assert_ptr_null(mem_host(sides.mem, border, 2 * PAGE_SIZE));
	ck_assert_int_eq(
		convert_apply(sides.mem, border, MIB(4) + 2 * PAGE_SIZE, true, &e), -EFAULT);
	ck_assert_uint_eq(mem_shared_bytes(sides.mem), 2 * PAGE_SIZE);
	/* The second region's slots fail: the first one's are put back too. */
	calls = sides.kvm.calls;
	sides.kvm.fail_at = calls + 3;
	ck_assert_int_eq(convert_apply(sides.mem, border, 2 * PAGE_SIZE, true, &e), -EIO);
	ck_assert_uint_eq(mem_shared_bytes(sides.mem), 2 * PAGE_SIZE);
	ck_assert_int_eq(fake_find(&sides.kvm, border.v)->gmem_fd, -1);
	sides.kvm.fail_at = 0;
	ck_assert_int_eq(convert_apply(sides.mem, border, 2 * PAGE_SIZE, true, &e), 0);
}
END_TEST

START_TEST(failing_undo_stops_the_vm)
{
	struct err e = { "" };
	int r;

	/* The first set fails, and so does every call of the undo. */
	sides.kvm.fail_from = sides.kvm.calls + 2;
	r = convert_apply(sides.mem, gpa(RAM_BASE), PAGE_SIZE, false, &e);
	ck_assert_int_eq(r, -ENOTRECOVERABLE);
	ck_assert_ptr_nonnull(strstr(e.msg, "restored"));
	/* The books still say what was there before; KVM has lost that one slot. */
	ck_assert(!share_get(ram()->share, 0));
	sides.kvm.fail_from = 0;
	sides.kvm.live[0] = true;
	sides.kvm.mistakes = 0;
}
END_TEST

START_TEST(slots_run_short)
{
	struct err e = { "" };
	uint64_t i, done = 0;

	teardown();
	setup_with(64);
	/* Every other page: each wants a slot of its own, until none is left. */
	for (i = 0; i < 200; i += 2) {
		int r = sides_convert(i, 1, false);

		if (r == 0)
			done++;
		else
			ck_assert_int_eq(r, -ENOSPC);
	}
	ck_assert_uint_ge(done, 28);
	ck_assert_uint_lt(done, 64);
	ck_assert_int_eq(
		convert_apply(sides.mem, gpa(RAM_BASE + 400 * PAGE_SIZE), PAGE_SIZE, false, &e),
		-ENOSPC);
	ck_assert_ptr_nonnull(strstr(e.msg, "memory slots"));
	sides.check();
	/* Going back to one state needs fewer slots and always works. */
	ck_assert_int_eq(sides_convert(0, RAM_PAGES, true), 0);
	sides.check();
	ck_assert_uint_le(fake_live(&sides.kvm), 48);
}
END_TEST

Suite *convert_suite(void)
{
	Suite *s = suite_create("convert");
	TCase *t = tcase_create("convert");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	sides_add_tests(t);
	tcase_add_test(t, blast_radius_is_bounded);
	tcase_add_test(t, pieces_are_joined);
	tcase_add_loop_test(t, range_edges, 0, (int)ARRAY_SIZE(edges));
	tcase_add_test(t, across_two_regions);
	tcase_add_test(t, failing_undo_stops_the_vm);
	tcase_add_test(t, slots_run_short);
	suite_add_tcase(s, t);
	return s;
}
