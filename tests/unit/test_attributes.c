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
#include "tests/unit/suites.h"
#include "tests/unit/test_sides.h"
#include "vmm/util/bits.h"

#define RAM_PAGES 3000u
#define RAM_SIZE  (RAM_PAGES * PAGE_SIZE)

static struct mem_region *ram(void)
{
	return mem_find(sides.mem, gpa(RAM_BASE), 1);
}

static int start(struct err *e)
{
	struct mem_region_desc d = { MEM_ATTRIBUTES, "ram", { RAM_BASE }, RAM_SIZE };

	sides.table = slot_table_new(&fake_attribute_ops, &sides.kvm, FAKE_SLOTS_MAX);
	ck_assert_int_eq(mem_new(&sides.mem, sides.table, e), 0);
	return mem_add(sides.mem, &d, e);
}

static void teardown(void)
{
	munmap(sides.private_side, RAM_SIZE);
	mem_free(sides.mem);
	slot_table_free(sides.table);
	ck_assert_uint_eq(fake_live(&sides.kvm), 0);
	ck_assert_uint_eq(sides.kvm.mistakes, 0);
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
			if (strcmp(perms, sides.shared[page] ? "rw-p" : "---p"))
				ck_abort_msg(
					"page %llu is mapped %s", (unsigned long long)page, perms);
	}
	ck_assert_uint_eq(page, RAM_PAGES);
	fclose(f);
}

static void check_all(void)
{
	const struct slot_desc *slot = fake_find(&sides.kvm, RAM_BASE);
	uint64_t i, shared = 0;

	/* One slot, with both sides, whatever happened. */
	ck_assert_ptr_nonnull(slot);
	ck_assert(slot->gpa.v == RAM_BASE && slot->size == RAM_SIZE && slot->gmem_offset == 0);
	ck_assert_int_eq(slot->gmem_fd, ram()->private.fd);
	ck_assert_ptr_eq(slot->hva, ram()->shared.hva);
	for (i = 0; i < RAM_PAGES; i++) {
		shared += sides.shared[i];
		if (sides.kvm.is_private[i] == sides.shared[i] ||
			share_get(ram()->share, i) != sides.shared[i] ||
			!mem_host(sides.mem, gpa(RAM_BASE + i * PAGE_SIZE), 1) == sides.shared[i])
			ck_abort_msg(
				"page %llu: attribute, share map or gate differ from the model",
				(unsigned long long)i);
	}
	ck_assert_uint_eq(mem_shared_bytes(sides.mem), shared * PAGE_SIZE);
	ck_assert_uint_eq(sides.kvm.mistakes, 0);
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

static void setup(void)
{
	struct err e = { "" };

	memset(&sides, 0, sizeof(sides));
	sides.pages = RAM_PAGES;
	sides.check = check_all;
	sides.held = held;
	sides.kvm.max = FAKE_SLOTS_MAX;
	sides.kvm.attribute_base = RAM_BASE;
	ck_assert_int_eq(guard_init(&e), 0);
	ck_assert_msg(start(&e) == 0, "%s", e.msg);
	sides.private_side =
		mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram()->private.fd, 0);
	ck_assert_ptr_ne(sides.private_side, MAP_FAILED);
}

START_TEST(all_starts_private)
{
	uint64_t v;

	sides.check();
	ck_assert_uint_eq(held(), 0);
	ck_assert_ptr_null(ram()->private.hva);
	ck_assert_int_eq(probe_peek(sides.mem, gpa(RAM_BASE), &v), PROBE_SIGSEGV);
	ck_assert_int_eq(probe_poke(sides.mem, gpa(RAM_BASE), 1), PROBE_SIGSEGV);
	ck_assert_uint_eq(held(), 0);
}
END_TEST

/* Whoever kept a pointer, the kernel for I/O under way as well, cannot fill the side that was left. */
START_TEST(old_pointers_do_not_work)
{
	struct guard_fault f = { 0 };
	int pipes[2];
	void *p;

	ck_assert_int_eq(sides_convert(20, 2, false), 0);
	p = mem_host(sides.mem, gpa(RAM_BASE + 20 * PAGE_SIZE), 2 * PAGE_SIZE);
	ck_assert_ptr_nonnull(p);
	ck_assert_int_eq(sides_convert(20, 2, true), 0);
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

	ck_assert_int_eq(sides_convert(100, 1, false), 0);
	*sides_word(100) = *sides_word(101) = 1;
	ck_assert_uint_eq(held(), 2 * PAGE_SIZE);
	ck_assert_int_eq(
		mem_discard(sides.mem, gpa(RAM_BASE + 100 * PAGE_SIZE), 2 * PAGE_SIZE, &e), 0);
	ck_assert_uint_eq(held(), 0);
	ck_assert_uint_eq(*sides_word(100) | *sides_word(101), 0);
	sides.check();
}
END_TEST

START_TEST(across_two_regions)
{
	struct mem_region_desc d = { MEM_ATTRIBUTES, "ram2", { RAM_BASE + RAM_SIZE }, MIB(4) };
	gpa_t border = gpa(RAM_BASE + RAM_SIZE - PAGE_SIZE);
	struct err e = { "" };

	ck_assert_int_eq(mem_add(sides.mem, &d, &e), 0);
	ck_assert_int_eq(convert_apply(sides.mem, border, 2 * PAGE_SIZE, false, &e), 0);
	ck_assert_uint_eq(mem_shared_bytes(sides.mem), 2 * PAGE_SIZE);
	/* The second region fails: the first one is put back too. */
	sides.kvm.fail_at = sides.kvm.calls + 3;
	ck_assert_int_eq(convert_apply(sides.mem, border, 2 * PAGE_SIZE, true, &e), -EIO);
	ck_assert_uint_eq(mem_shared_bytes(sides.mem), 2 * PAGE_SIZE);
	ck_assert(!sides.kvm.is_private[RAM_PAGES - 1] && !sides.kvm.is_private[RAM_PAGES]);
	*(char *)mem_host(sides.mem, border, 1) = 1;
	sides.kvm.fail_at = 0;
	ck_assert_int_eq(convert_apply(sides.mem, border, 2 * PAGE_SIZE, true, &e), 0);
	sides.check();
}
END_TEST

START_TEST(failing_undo_stops_the_vm)
{
	struct err e = { "" };

	/* The second step fails, and so does every call of the undo. */
	sides.kvm.fail_from = sides.kvm.calls + 2;
	ck_assert_int_eq(
		convert_apply(sides.mem, gpa(RAM_BASE), PAGE_SIZE, false, &e), -ENOTRECOVERABLE);
	ck_assert_ptr_nonnull(strstr(e.msg, "cannot be undone"));
	ck_assert(!share_get(ram()->share, 0));
	ck_assert_ptr_null(mem_host(sides.mem, gpa(RAM_BASE), 1));
	sides.kvm.fail_from = 0;
}
END_TEST

/* Attributes, mapping, slot: whichever of them fails, no region comes of it. */
START_TEST(a_start_that_fails_leaves_nothing)
{
	struct err e = { "" };
	unsigned int step;

	for (step = 1; step <= 3; step++) {
		teardown();
		memset(&sides.kvm, 0, sizeof(sides.kvm));
		sides.kvm.max = FAKE_SLOTS_MAX;
		sides.kvm.attribute_base = RAM_BASE;
		sides.kvm.fail_at = step;
		ck_assert_int_eq(start(&e), -EIO);
		ck_assert_uint_eq(slot_table_live(sides.table), 0);
		ck_assert_ptr_null(ram());
		sides.private_side = NULL;
	}
}
END_TEST

START_TEST(a_region_can_be_removed)
{
	unsigned char in_core;
	char *hva = ram()->shared.hva, c;
	struct guard_fault f;
	struct err e = { "" };

	ck_assert_int_eq(sides_convert(0, 1, false), 0);
	ck_assert_int_eq(mem_remove(sides.mem, gpa(RAM_BASE), &e), 0);
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
	sides.table = slot_table_new(&fake_slot_ops, &sides.kvm, FAKE_SLOTS_MAX);
	ck_assert_int_eq(mem_new(&sides.mem, sides.table, &e), 0);
	ck_assert_int_eq(mem_add(sides.mem, &d, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "no memory attributes"));
	sides.private_side = NULL;
}
END_TEST

Suite *attributes_suite(void)
{
	Suite *s = suite_create("attributes");
	TCase *t = tcase_create("attributes");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	sides_add_tests(t);
	tcase_add_test(t, all_starts_private);
	tcase_add_test(t, old_pointers_do_not_work);
	tcase_add_test(t, both_sides_can_be_given_back);
	tcase_add_test(t, across_two_regions);
	tcase_add_test(t, failing_undo_stops_the_vm);
	tcase_add_test(t, a_start_that_fails_leaves_nothing);
	tcase_add_test(t, a_region_can_be_removed);
	tcase_add_test(t, a_kvm_without_attributes);
	suite_add_tcase(s, t);
	return s;
}
