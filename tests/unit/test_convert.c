/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Conversions against a bitmap model: after each step, failed or not, the share map, the slots that
 * KVM has, the contents of both sides and the answer agree with the model.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "mem/convert.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define RAM_BASE  GIB(1)
#define RAM_PAGES 18000u /* two chunks, the second one short */
#define RAM_SIZE  (RAM_PAGES * PAGE_SIZE)

static struct fake_kvm kvm;
static struct slot_table *table;
static struct mem *mem;
static bool model[RAM_PAGES]; /* true: shared */

static struct mem_region *ram(void)
{
	return mem_find(mem, gpa(RAM_BASE), 1);
}

static void setup_with(uint32_t max)
{
	struct mem_region_desc d = { MEM_SPLIT, "ram", { RAM_BASE }, RAM_SIZE };
	struct err e = { "" };

	memset(&kvm, 0, sizeof(kvm));
	memset(model, 0, sizeof(model));
	kvm.max = max;
	table = slot_table_new(&fake_slot_ops, &kvm, max);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	ck_assert_msg(mem_add(mem, &d, &e) == 0, "%s", e.msg);
}

static void setup(void)
{
	setup_with(FAKE_SLOTS_MAX);
}

static void teardown(void)
{
	mem_free(mem);
	slot_table_free(table);
	ck_assert_uint_eq(fake_live(&kvm), 0);
	ck_assert_uint_eq(kvm.mistakes, 0);
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
	const struct slot_desc *real = fake_find(&kvm, d->gpa.v);
	uint64_t i;

	ck_assert_uint_eq(page, c->next);
	ck_assert_ptr_nonnull(real);
	ck_assert(real->id == d->id && real->size == d->size && real->gmem_fd == d->gmem_fd);
	/* Plain ifs in the loops over pages: each ck_assert costs a message to the runner. */
	for (i = 0; i < d->size / PAGE_SIZE; i++)
		if ((d->gmem_fd < 0) != model[page + i])
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
	ck_assert_uint_eq(c.count, fake_live(&kvm));
	ck_assert_uint_eq(c.count, slot_table_live(table));
	for (i = 0; i < RAM_PAGES; i++) {
		shared += model[i];
		if (share_get(ram()->share, i) != model[i] ||
			!mem_host(mem, gpa(RAM_BASE + i * PAGE_SIZE), 1) == model[i])
			ck_abort_msg("page %llu: share map or gate differ from the model",
				(unsigned long long)i);
	}
	ck_assert_uint_eq(mem_shared_bytes(mem), shared * PAGE_SIZE);
	ck_assert_uint_eq(kvm.mistakes, 0);
}

/* Memory both sides hold: never more than the guest's RAM (rule 4). */
static uint64_t held(void)
{
	struct stat a, b;

	ck_assert_int_eq(fstat(ram()->shared.fd, &a), 0);
	ck_assert_int_eq(fstat(ram()->private.fd, &b), 0);
	return (uint64_t)(a.st_blocks + b.st_blocks) * 512;
}

/* What the guest sees of a page: the first word, on the side that its slot has. */
static uint64_t *guest_word(uint64_t page)
{
	char *side = model[page] ? ram()->shared.hva : ram()->private.hva;

	return (uint64_t *)(void *)(side + page * PAGE_SIZE);
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

START_TEST(one_page_and_back)
{
	ck_assert_int_eq(convert(5, 1, false), 0);
	check_all();
	*guest_word(5) = 0x5ec2e7;
	ck_assert_int_eq(convert(5, 1, true), 0);
	check_all();
	ck_assert_uint_eq(*guest_word(5), 0);
	ck_assert_int_eq(convert(5, 1, false), 0);
	ck_assert_uint_eq(*guest_word(5), 0);
}
END_TEST

START_TEST(private_bytes_never_show)
{
	*guest_word(7) = 0x5ec2e7;
	*guest_word(8) = 0x5ec2e8;
	ck_assert_int_eq(convert(7, 1, false), 0);
	ck_assert_uint_eq(*guest_word(7), 0);
	ck_assert_uint_eq(*guest_word(8), 0x5ec2e8);
	ck_assert_int_eq(convert(7, 1, true), 0);
	ck_assert_uint_eq(*guest_word(7), 0);
}
END_TEST

START_TEST(same_state_changes_nothing)
{
	unsigned int calls;

	*guest_word(9) = 9;
	calls = kvm.calls;
	ck_assert_int_eq(convert(0, RAM_PAGES, true), 0);
	ck_assert_uint_eq(kvm.calls, calls);
	ck_assert(convert_is_noop(mem, gpa(RAM_BASE), RAM_SIZE, true));
	ck_assert_int_eq(convert(9, 2, false), 0);
	*guest_word(9) = 99;
	ck_assert_int_eq(convert(8, 3, false), 0);
	ck_assert_uint_eq(*guest_word(9), 99);
	check_all();
}
END_TEST

/* How much a conversion of one page disturbs, once its surroundings have been carved. */
START_TEST(blast_radius_is_bounded)
{
	const struct slot_desc *d;

	ck_assert_int_eq(convert(6000, 1, false), 0);
	d = fake_find(&kvm, RAM_BASE + 6001 * PAGE_SIZE);
	ck_assert_uint_le(d->size, MIB(2));
	d = fake_find(&kvm, RAM_BASE + 5999 * PAGE_SIZE);
	ck_assert_uint_le(d->size, MIB(2));
	ck_assert_uint_lt(fake_live(&kvm), 20);
	check_all();
}
END_TEST

/* Later conversions do not pay for the pieces that earlier ones left in their range. */
START_TEST(pieces_are_joined)
{
	const struct slot_desc *d;
	uint32_t large;
	uint64_t i;

	for (i = 512; i < 600; i += 2)
		ck_assert_int_eq(convert(i, 1, false), 0);
	ck_assert_int_eq(convert(2048, 4096, false), 0);
	large = fake_find(&kvm, RAM_BASE + 2048 * PAGE_SIZE)->id;
	ck_assert_int_eq(convert(512, 10000, false), 0);
	check_all();
	d = fake_find(&kvm, RAM_BASE + 512 * PAGE_SIZE);
	ck_assert_uint_ge(d->size, MIB(2));
	/* A large one keeps its mappings. */
	d = fake_find(&kvm, RAM_BASE + 2048 * PAGE_SIZE);
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

	ck_assert_int_eq(convert_check(mem, gpa(edges[_i].a), edges[_i].len, &e), edges[_i].want);
	ck_assert_int_eq(
		convert_apply(mem, gpa(edges[_i].a), edges[_i].len, true, &e), edges[_i].want);
	check_all();
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

	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	ck_assert_int_eq(mem_add(mem, &hole, &e), 0);
	ck_assert_int_eq(convert_apply(mem, border, 2 * PAGE_SIZE, false, &e), 0);
	ck_assert_uint_eq(mem_shared_bytes(mem), 2 * PAGE_SIZE);
	/* Each page has a pointer, both together have none: the regions are two mappings. */
	ck_assert_ptr_nonnull(mem_host(mem, border, PAGE_SIZE));
	ck_assert_ptr_null(mem_host(mem, border, 2 * PAGE_SIZE));
	ck_assert_int_eq(convert_apply(mem, border, MIB(4) + 2 * PAGE_SIZE, true, &e), -EFAULT);
	ck_assert_uint_eq(mem_shared_bytes(mem), 2 * PAGE_SIZE);
	/* The second region's slots fail: the first one's are put back too. */
	calls = kvm.calls;
	kvm.fail_at = calls + 3;
	ck_assert_int_eq(convert_apply(mem, border, 2 * PAGE_SIZE, true, &e), -EIO);
	ck_assert_uint_eq(mem_shared_bytes(mem), 2 * PAGE_SIZE);
	ck_assert_int_eq(fake_find(&kvm, border.v)->gmem_fd, -1);
	kvm.fail_at = 0;
	ck_assert_int_eq(convert_apply(mem, border, 2 * PAGE_SIZE, true, &e), 0);
}
END_TEST

static void random_range(uint64_t *first, uint64_t *pages)
{
	static const uint64_t sizes[] = { 1, 1, 1, 2, 16, 511, 512, 513, 3000, RAM_PAGES };

	*pages = sizes[(uint64_t)rand() % ARRAY_SIZE(sizes)];
	*first = (uint64_t)rand() % (RAM_PAGES - *pages + 1);
	if (rand() % 4 == 0)
		*first &= ~511ULL;
}

START_TEST(random_conversions_match_the_model)
{
	uint64_t first, pages, i;

	srand((unsigned int)_i + 1);
	for (i = 0; i < 400; i++) {
		random_range(&first, &pages);
		ck_assert_int_eq(convert(first, pages, rand() % 2), 0);
		*guest_word(first) = i + 1;
		if (i % 20 == 0)
			check_all();
	}
	check_all();
	ck_assert_uint_le(held(), RAM_SIZE);
}
END_TEST

/* Every operation of a conversion fails once, at every step; and then a second time, while the
 * first failure is being undone. */
START_TEST(injected_failures_leave_the_old_state)
{
	uint64_t first, pages, i;
	unsigned int step, base;
	bool to_private;
	int r;

	srand((unsigned int)_i + 77);
	for (i = 0; i < 12; i++) {
		random_range(&first, &pages);
		to_private = rand() % 2;
		for (step = 1;; step++) {
			base = kvm.calls;
			kvm.fail_at = base + step;
			r = convert(first, pages, to_private);
			if (kvm.calls < kvm.fail_at)
				break;
			ck_assert_int_eq(r, -EIO);
			check_all();
		}
		kvm.fail_at = 0;
		ck_assert_int_eq(r, 0);
		check_all();
	}
}
END_TEST

START_TEST(failing_undo_stops_the_vm)
{
	struct err e = { "" };
	int r;

	/* The first set fails, and so does every call of the undo. */
	kvm.fail_from = kvm.calls + 2;
	r = convert_apply(mem, gpa(RAM_BASE), PAGE_SIZE, false, &e);
	ck_assert_int_eq(r, -ENOTRECOVERABLE);
	ck_assert_ptr_nonnull(strstr(e.msg, "restored"));
	/* The books still say what was there before; KVM has lost that one slot. */
	ck_assert(!share_get(ram()->share, 0));
	kvm.fail_from = 0;
	kvm.live[0] = true;
	kvm.mistakes = 0;
}
END_TEST

/* When the VM is gone its slots are, too: nothing is asked of a KVM that is not there. */
START_TEST(forgotten_slots_are_not_deleted)
{
	struct err e = { "" };
	unsigned int calls;

	ck_assert_int_eq(convert_apply(mem, gpa(RAM_BASE), 3 * PAGE_SIZE, false, &e), 0);
	calls = kvm.calls;
	slot_table_forget(table);
	mem_free(mem);
	mem = NULL;
	ck_assert_uint_eq(kvm.calls, calls);
	ck_assert_uint_eq(slot_table_live(table), 0);
	memset(kvm.live, 0, sizeof(kvm.live));
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
		int r = convert(i, 1, false);

		if (r == 0)
			done++;
		else
			ck_assert_int_eq(r, -ENOSPC);
	}
	ck_assert_uint_ge(done, 28);
	ck_assert_uint_lt(done, 64);
	ck_assert_int_eq(
		convert_apply(mem, gpa(RAM_BASE + 400 * PAGE_SIZE), PAGE_SIZE, false, &e), -ENOSPC);
	ck_assert_ptr_nonnull(strstr(e.msg, "memory slots"));
	check_all();
	/* Going back to one state needs fewer slots and always works. */
	ck_assert_int_eq(convert(0, RAM_PAGES, true), 0);
	check_all();
	ck_assert_uint_le(fake_live(&kvm), 48);
}
END_TEST

Suite *convert_suite(void)
{
	Suite *s = suite_create("convert");
	TCase *t = tcase_create("convert");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, one_page_and_back);
	tcase_add_test(t, private_bytes_never_show);
	tcase_add_test(t, same_state_changes_nothing);
	tcase_add_test(t, blast_radius_is_bounded);
	tcase_add_test(t, pieces_are_joined);
	tcase_add_loop_test(t, range_edges, 0, (int)ARRAY_SIZE(edges));
	tcase_add_test(t, across_two_regions);
	tcase_add_loop_test(t, random_conversions_match_the_model, 0, 6);
	tcase_add_loop_test(t, injected_failures_leave_the_old_state, 0, 6);
	tcase_add_test(t, failing_undo_stops_the_vm);
	tcase_add_test(t, slots_run_short);
	tcase_add_test(t, forgotten_slots_are_not_deleted);
	suite_add_tcase(s, t);
	return s;
}
