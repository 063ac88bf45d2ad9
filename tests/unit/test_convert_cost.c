/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a conversion by swap costs, counted in calls to KVM and to the host: the same in a large guest
 * as in a small one, and bounded whatever conversions there were before.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "mem/convert.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define RAM_BASE GIB(1)
#define SMALL	 MIB(256)
#define STEPS	 3000u
/* One page at worst: a slot of a whole chunk goes, the page and eleven pieces around it come. */
#define ONE_PAGE_MAX 16u
/* What each conversion may cost in the long run, the cuts that it leaves behind included. */
#define LONG_RUN_MAX 12u

static struct fake_kvm kvm;
static struct slot_table *table;
static struct mem *mem;

static void make(uint64_t size)
{
	struct mem_region_desc d = { MEM_SPLIT, "ram", { RAM_BASE }, size };
	struct err e = { "" };

	memset(&kvm, 0, sizeof(kvm));
	kvm.max = FAKE_SLOTS_MAX;
	table = slot_table_new(&fake_slot_ops, &kvm, kvm.max);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	ck_assert_msg(mem_add(mem, &d, &e) == 0, "%s", e.msg);
	srandom(42);
}

static void unmake(void)
{
	mem_free(mem);
	slot_table_free(table);
}

/* How many calls one conversion in the first 256 MiB takes. */
static unsigned int cost(uint64_t pages, bool to_private)
{
	uint64_t first = (uint64_t)random() % (SMALL / PAGE_SIZE - pages);
	unsigned int before = kvm.calls;
	struct err e = { "" };
	int r = convert_apply(
		mem, gpa(RAM_BASE + first * PAGE_SIZE), pages * PAGE_SIZE, to_private, &e);

	ck_assert_msg(r == 0, "%s", e.msg);
	return kvm.calls - before;
}

static uint64_t any_size(void)
{
	static const uint64_t sizes[] = { 1, 1, 1, 16, 512, 5000 };

	return sizes[(unsigned int)random() % ARRAY_SIZE(sizes)];
}

START_TEST(a_larger_guest_pays_the_same)
{
	static const uint64_t sizes[] = { SMALL, GIB(4), GIB(16) };
	static unsigned int costs[STEPS];
	unsigned int i, k;

	for (k = 0; k < ARRAY_SIZE(sizes); k++) {
		make(sizes[k]);
		for (i = 0; i < STEPS; i++) {
			unsigned int c = cost(any_size(), random() % 2);

			if (k == 0)
				costs[i] = c;
			else if (c != costs[i])
				ck_abort_msg(
					"step %u: %u calls, %u in the small guest", i, c, costs[i]);
		}
		unmake();
	}
}
END_TEST

START_TEST(one_page_is_cheap_after_any_history)
{
	unsigned int i, worst = 0;

	make(SMALL);
	for (i = 0; i < STEPS; i++) {
		unsigned int c = cost(1, random() % 2);

		worst = c > worst ? c : worst;
		cost(any_size(), random() % 2);
	}
	ck_assert_uint_le(worst, ONE_PAGE_MAX);
	unmake();
}
END_TEST

/* A large range that was cut into pieces costs a call for each, once: whoever cut has paid for it. */
START_TEST(the_long_run_is_linear)
{
	unsigned int i, start;

	make(SMALL);
	start = kvm.calls;
	for (i = 0; i < STEPS; i++)
		cost(_i ? any_size() : 1, random() % 2);
	for (i = 0; i < 8; i++)
		cost(32768, i & 1);
	ck_assert_uint_le(kvm.calls - start, STEPS * LONG_RUN_MAX);
	unmake();
}
END_TEST

Suite *convert_cost_suite(void)
{
	Suite *s = suite_create("convert-cost");
	TCase *t = tcase_create("convert-cost");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, a_larger_guest_pays_the_same);
	tcase_add_test(t, one_page_is_cheap_after_any_history);
	tcase_add_loop_test(t, the_long_run_is_linear, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
