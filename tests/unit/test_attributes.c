/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Conversions by memory attributes against a bitmap model: after each step, failed or not, KVM's
 * attributes, the share map, the gate, what our mapping lets anyone access and the contents of both
 * sides agree with the model.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem/convert.h"
#include "mem/guard.h"
#include "mem/probe.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define RAM_BASE  GIB(1)
#define RAM_PAGES 3000u
#define RAM_SIZE  (RAM_PAGES * PAGE_SIZE)

static struct fake_kvm kvm;
static struct slot_table *table;
static struct mem *mem;
static char *private_side;    /* a mapping that only this test has */
static bool model[RAM_PAGES]; /* true: shared */

static struct mem_region *ram(void)
{
	return mem_find(mem, gpa(RAM_BASE), 1);
}

static int start(struct err *e)
{
	struct mem_region_desc d = { MEM_ATTRIBUTES, "ram", { RAM_BASE }, RAM_SIZE };

	table = slot_table_new(&fake_attribute_ops, &kvm, FAKE_SLOTS_MAX);
	ck_assert_int_eq(mem_new(&mem, table, e), 0);
	return mem_add(mem, &d, e);
}

static void setup(void)
{
	struct err e = { "" };

	memset(&kvm, 0, sizeof(kvm));
	memset(model, 0, sizeof(model));
	kvm.max = FAKE_SLOTS_MAX;
	kvm.attribute_base = RAM_BASE;
	ck_assert_int_eq(guard_init(&e), 0);
	ck_assert_msg(start(&e) == 0, "%s", e.msg);
	private_side =
		mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram()->private.fd, 0);
	ck_assert_ptr_ne(private_side, MAP_FAILED);
}

static void teardown(void)
{
	munmap(private_side, RAM_SIZE);
	mem_free(mem);
	slot_table_free(table);
	ck_assert_uint_eq(fake_live(&kvm), 0);
	ck_assert_uint_eq(kvm.mistakes, 0);
}

/* As /proc/self/maps has it: an access that is allowed would change what memory is held. */
static void check_mapping(void)
{
	char *hva = ram()->shared.hva, line[256];
	uint64_t page = 0, end;
	FILE *f = fopen("/proc/self/maps", "re");

	ck_assert_ptr_nonnull(f);
	while (page < RAM_PAGES && fgets(line, sizeof(line), f)) {
		unsigned long lo, hi;
		char perms[8];

		if (sscanf(line, "%lx-%lx %4s", &lo, &hi, perms) != 3 ||
			hi <= (unsigned long)hva + page * PAGE_SIZE)
			continue;
		ck_assert_uint_le(lo, (unsigned long)hva + page * PAGE_SIZE);
		end = min_u64((hi - (unsigned long)hva) / PAGE_SIZE, RAM_PAGES);
		for (; page < end; page++)
			if (strcmp(perms, model[page] ? "rw-p" : "---p"))
				ck_abort_msg(
					"page %llu is mapped %s", (unsigned long long)page, perms);
	}
	ck_assert_uint_eq(page, RAM_PAGES);
	fclose(f);
}

static void check_all(void)
{
	const struct slot_desc *slot = fake_find(&kvm, RAM_BASE);
	uint64_t i, shared = 0;

	/* One slot, with both sides, whatever happened. */
	ck_assert_ptr_nonnull(slot);
	ck_assert(slot->gpa.v == RAM_BASE && slot->size == RAM_SIZE && slot->gmem_offset == 0);
	ck_assert_int_eq(slot->gmem_fd, ram()->private.fd);
	ck_assert_ptr_eq(slot->hva, ram()->shared.hva);
	for (i = 0; i < RAM_PAGES; i++) {
		shared += model[i];
		if (kvm.is_private[i] == model[i] || share_get(ram()->share, i) != model[i] ||
			!mem_host(mem, gpa(RAM_BASE + i * PAGE_SIZE), 1) == model[i])
			ck_abort_msg(
				"page %llu: attribute, share map or gate differ from the model",
				(unsigned long long)i);
	}
	ck_assert_uint_eq(mem_shared_bytes(mem), shared * PAGE_SIZE);
	ck_assert_uint_eq(kvm.mistakes, 0);
	check_mapping();
}

/* Memory both sides hold: never more than the guest's RAM (rule 4). */
static uint64_t held(void)
{
	static unsigned char in_core[RAM_PAGES];
	uint64_t i, pages = 0;
	struct stat b;

	ck_assert_int_eq(mincore(ram()->shared.hva, RAM_SIZE, in_core), 0);
	for (i = 0; i < RAM_PAGES; i++)
		pages += in_core[i] & 1;
	ck_assert_int_eq(fstat(ram()->private.fd, &b), 0);
	return pages * PAGE_SIZE + (uint64_t)b.st_blocks * 512;
}

/* What the guest sees of a page: the first word, on the side that its attribute names. */
static uint64_t *guest_word(uint64_t page)
{
	char *side = model[page] ? ram()->shared.hva : private_side;

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

START_TEST(all_starts_private)
{
	uint64_t v;

	check_all();
	ck_assert_uint_eq(held(), 0);
	ck_assert_ptr_null(ram()->private.hva);
	ck_assert_int_eq(probe_peek(mem, gpa(RAM_BASE), &v), PROBE_SIGSEGV);
	ck_assert_int_eq(probe_poke(mem, gpa(RAM_BASE), 1), PROBE_SIGSEGV);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

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
	ck_assert_int_eq(convert(9, 2, false), 0);
	*guest_word(9) = 99;
	ck_assert_int_eq(convert(8, 3, false), 0);
	ck_assert_uint_eq(*guest_word(9), 99);
	check_all();
}
END_TEST

/* Whoever kept a pointer, the kernel for I/O under way as well, cannot fill the side that was left. */
START_TEST(old_pointers_do_not_work)
{
	struct guard_fault f = { 0 };
	int pipes[2];
	void *p;

	ck_assert_int_eq(convert(20, 2, false), 0);
	p = mem_host(mem, gpa(RAM_BASE + 20 * PAGE_SIZE), 2 * PAGE_SIZE);
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(convert(20, 2, true), 0);
	ck_assert(!guard_copy(p, "secret", 6, &f));
	ck_assert_int_eq(f.signo, SIGSEGV);
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(write(pipes[1], "secret", 6), 6);
	ck_assert_int_eq(read(pipes[0], p, 6), -1);
	ck_assert_int_eq(errno, EFAULT);
	ck_assert_uint_eq(held(), 0);
	close(pipes[0]);
	close(pipes[1]);
}
END_TEST

START_TEST(both_sides_can_be_given_back)
{
	struct err e = { "" };

	ck_assert_int_eq(convert(100, 1, false), 0);
	*guest_word(100) = *guest_word(101) = 1;
	ck_assert_uint_eq(held(), 2 * PAGE_SIZE);
	ck_assert_int_eq(mem_discard(mem, gpa(RAM_BASE + 100 * PAGE_SIZE), 2 * PAGE_SIZE, &e), 0);
	ck_assert_uint_eq(held(), 0);
	ck_assert_uint_eq(*guest_word(100) | *guest_word(101), 0);
	check_all();
}
END_TEST

START_TEST(across_two_regions)
{
	struct mem_region_desc d = { MEM_ATTRIBUTES, "ram2", { RAM_BASE + RAM_SIZE }, MIB(4) };
	gpa_t border = gpa(RAM_BASE + RAM_SIZE - PAGE_SIZE);
	struct err e = { "" };

	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	ck_assert_int_eq(convert_apply(mem, border, 2 * PAGE_SIZE, false, &e), 0);
	ck_assert_uint_eq(mem_shared_bytes(mem), 2 * PAGE_SIZE);
	/* The second region fails: the first one is put back too. */
	kvm.fail_at = kvm.calls + 3;
	ck_assert_int_eq(convert_apply(mem, border, 2 * PAGE_SIZE, true, &e), -EIO);
	ck_assert_uint_eq(mem_shared_bytes(mem), 2 * PAGE_SIZE);
	ck_assert(!kvm.is_private[RAM_PAGES - 1] && !kvm.is_private[RAM_PAGES]);
	*(char *)mem_host(mem, border, 1) = 1;
	kvm.fail_at = 0;
	ck_assert_int_eq(convert_apply(mem, border, 2 * PAGE_SIZE, true, &e), 0);
	check_all();
}
END_TEST

static void random_range(uint64_t *first, uint64_t *pages)
{
	static const uint64_t sizes[] = { 1, 1, 1, 2, 16, 511, 512, 513, RAM_PAGES };

	*pages = sizes[(uint64_t)rand() % ARRAY_SIZE(sizes)];
	*first = (uint64_t)rand() % (RAM_PAGES - *pages + 1);
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
			kvm.fail_at = kvm.calls + step;
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

	/* The second step fails, and so does every call of the undo. */
	kvm.fail_from = kvm.calls + 2;
	ck_assert_int_eq(convert_apply(mem, gpa(RAM_BASE), PAGE_SIZE, false, &e), -ENOTRECOVERABLE);
	ck_assert_ptr_nonnull(strstr(e.msg, "cannot be undone"));
	ck_assert(!share_get(ram()->share, 0));
	ck_assert_ptr_null(mem_host(mem, gpa(RAM_BASE), 1));
	kvm.fail_from = 0;
}
END_TEST

/* Attributes, mapping, slot: whichever of them fails, no region comes of it. */
START_TEST(a_start_that_fails_leaves_nothing)
{
	struct err e = { "" };
	unsigned int step;

	for (step = 1; step <= 3; step++) {
		teardown();
		memset(&kvm, 0, sizeof(kvm));
		kvm.max = FAKE_SLOTS_MAX;
		kvm.attribute_base = RAM_BASE;
		kvm.fail_at = step;
		ck_assert_int_eq(start(&e), -EIO);
		ck_assert_uint_eq(slot_table_live(table), 0);
		ck_assert_ptr_null(ram());
		private_side = NULL;
	}
}
END_TEST

START_TEST(a_region_can_be_removed)
{
	unsigned char in_core;
	char *hva = ram()->shared.hva, c;
	struct guard_fault f;
	struct err e = { "" };

	ck_assert_int_eq(convert(0, 1, false), 0);
	ck_assert_int_eq(mem_remove(mem, gpa(RAM_BASE), &e), 0);
	ck_assert_ptr_null(ram());
	/* The addresses of the shared side stay taken; the private side never had any. */
	ck_assert(!guard_copy(&c, hva, 1, &f));
	ck_assert_int_eq(mincore(NULL, PAGE_SIZE, &in_core), -1);
}
END_TEST

START_TEST(a_kvm_without_attributes)
{
	struct mem_region_desc d = { MEM_ATTRIBUTES, "ram", { RAM_BASE }, RAM_SIZE };
	struct err e = { "" };

	teardown();
	table = slot_table_new(&fake_slot_ops, &kvm, FAKE_SLOTS_MAX);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	ck_assert_int_eq(mem_add(mem, &d, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "no memory attributes"));
	private_side = NULL;
}
END_TEST

START_TEST(a_forgotten_slot_is_not_deleted)
{
	unsigned int calls = kvm.calls;

	slot_table_forget(table);
	mem_free(mem);
	mem = NULL;
	ck_assert_uint_eq(kvm.calls, calls);
	ck_assert_uint_eq(slot_table_live(table), 0);
	memset(kvm.live, 0, sizeof(kvm.live));
}
END_TEST

Suite *attributes_suite(void)
{
	Suite *s = suite_create("attributes");
	TCase *t = tcase_create("attributes");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, all_starts_private);
	tcase_add_test(t, one_page_and_back);
	tcase_add_test(t, private_bytes_never_show);
	tcase_add_test(t, same_state_changes_nothing);
	tcase_add_test(t, old_pointers_do_not_work);
	tcase_add_test(t, both_sides_can_be_given_back);
	tcase_add_test(t, across_two_regions);
	tcase_add_loop_test(t, random_conversions_match_the_model, 0, 6);
	tcase_add_loop_test(t, injected_failures_leave_the_old_state, 0, 6);
	tcase_add_test(t, failing_undo_stops_the_vm);
	tcase_add_test(t, a_start_that_fails_leaves_nothing);
	tcase_add_test(t, a_region_can_be_removed);
	tcase_add_test(t, a_kvm_without_attributes);
	tcase_add_test(t, a_forgotten_slot_is_not_deleted);
	suite_add_tcase(s, t);
	return s;
}
