/* SPDX-License-Identifier: Apache-2.0 */

/* Conversions of either kind: by exchanging slots (test_convert.c), by attributes (test_attributes.c). */
#include "tests/unit/test_sides.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem/convert.h"

struct sides sides;

uint64_t *sides_word(uint64_t page)
{
	const struct mem_region *ram = mem_find(sides.mem, gpa(RAM_BASE), 1);
	char *side = sides.shared[page] ? ram->shared.hva : sides.private_side;

	return (uint64_t *)(void *)(side + page * PAGE_SIZE);
}

int sides_convert(uint64_t first, uint64_t pages, bool to_private)
{
	struct err e = { "" };
	uint64_t i;
	int r = convert_apply(
		sides.mem, gpa(RAM_BASE + first * PAGE_SIZE), pages * PAGE_SIZE, to_private, &e);

	ck_assert_msg(r == 0 || e.msg[0], "an error without a sentence");
	for (i = first; !r && i < first + pages; i++)
		sides.shared[i] = !to_private;
	return r;
}

START_TEST(one_page_and_back)
{
	ck_assert_int_eq(sides_convert(5, 1, false), 0);
	sides.check();
	*sides_word(5) = 0x5ec2e7;
	ck_assert_int_eq(sides_convert(5, 1, true), 0);
	sides.check();
	ck_assert_uint_eq(*sides_word(5), 0);
	ck_assert_int_eq(sides_convert(5, 1, false), 0);
	ck_assert_uint_eq(*sides_word(5), 0);
}
END_TEST

START_TEST(private_bytes_never_show)
{
	*sides_word(7) = 0x5ec2e7;
	*sides_word(8) = 0x5ec2e8;
	ck_assert_int_eq(sides_convert(7, 1, false), 0);
	ck_assert_uint_eq(*sides_word(7), 0);
	ck_assert_uint_eq(*sides_word(8), 0x5ec2e8);
	ck_assert_int_eq(sides_convert(7, 1, true), 0);
	ck_assert_uint_eq(*sides_word(7), 0);
}
END_TEST

START_TEST(same_state_changes_nothing)
{
	unsigned int calls;

	*sides_word(9) = 9;
	calls = sides.kvm.calls;
	ck_assert_int_eq(sides_convert(0, sides.pages, true), 0);
	ck_assert_uint_eq(sides.kvm.calls, calls);
	ck_assert(convert_is_noop(sides.mem, gpa(RAM_BASE), sides.pages * PAGE_SIZE, true));
	ck_assert_int_eq(sides_convert(9, 2, false), 0);
	*sides_word(9) = 99;
	ck_assert_int_eq(sides_convert(8, 3, false), 0);
	ck_assert_uint_eq(*sides_word(9), 99);
	sides.check();
}
END_TEST

static void random_range(uint64_t *first, uint64_t *pages)
{
	const uint64_t sizes[] = { 1, 1, 1, 2, 16, 511, 512, 513, sides.pages / 6, sides.pages };

	*pages = sizes[(uint64_t)rand() % ARRAY_SIZE(sizes)];
	*first = (uint64_t)rand() % (sides.pages - *pages + 1);
	if (rand() % 4 == 0)
		*first &= ~511ULL;
}

START_TEST(random_conversions_match_the_model)
{
	uint64_t first, pages, i;

	srand((unsigned int)_i + 1);
	for (i = 0; i < 400; i++) {
		random_range(&first, &pages);
		ck_assert_int_eq(sides_convert(first, pages, rand() % 2), 0);
		*sides_word(first) = i + 1;
		if (i % 20 == 0)
			sides.check();
	}
	sides.check();
	ck_assert_uint_le(sides.held(), sides.pages * PAGE_SIZE);
}
END_TEST

/* Every operation of a conversion fails once, at every step. */
START_TEST(injected_failures_leave_the_old_state)
{
	uint64_t first, pages, i;
	unsigned int step;
	bool to_private;
	int r;

	srand((unsigned int)_i + 77);
	for (i = 0; i < 12; i++) {
		random_range(&first, &pages);
		to_private = rand() % 2;
		for (step = 1;; step++) {
			sides.kvm.fail_at = sides.kvm.calls + step;
			r = sides_convert(first, pages, to_private);
			if (sides.kvm.calls < sides.kvm.fail_at)
				break;
			ck_assert_int_eq(r, -EIO);
			sides.check();
		}
		sides.kvm.fail_at = 0;
		ck_assert_int_eq(r, 0);
		sides.check();
	}
}
END_TEST

/* When the VM is gone its slots are, too: nothing is asked of a KVM that is not there. */
START_TEST(forgotten_slots_are_not_deleted)
{
	unsigned int calls;

	ck_assert_int_eq(sides_convert(0, 3, false), 0);
	calls = sides.kvm.calls;
	slot_table_forget(sides.table);
	mem_free(sides.mem);
	sides.mem = NULL;
	ck_assert_uint_eq(sides.kvm.calls, calls);
	ck_assert_uint_eq(slot_table_live(sides.table), 0);
	memset(sides.kvm.live, 0, sizeof(sides.kvm.live));
}
END_TEST

void sides_add_tests(TCase *t)
{
	tcase_add_test(t, one_page_and_back);
	tcase_add_test(t, private_bytes_never_show);
	tcase_add_test(t, same_state_changes_nothing);
	tcase_add_loop_test(t, random_conversions_match_the_model, 0, 6);
	tcase_add_loop_test(t, injected_failures_leave_the_old_state, 0, 6);
	tcase_add_test(t, forgotten_slots_are_not_deleted);
}
