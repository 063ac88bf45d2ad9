/* SPDX-License-Identifier: Apache-2.0 */

/* The staging area: what it is said to hold is what it holds, also where memory was moved there. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arch/arch.h"
#include "mem/guard.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

#define STAGING MIB(256)
#define LARGE	(MIB(2) + 5)
#define SOURCE	MIB(8)

static struct fake_kvm kvm;
static struct slot_table *table;
static struct mem *mem;
static uint8_t *source, *copy;
static struct boot_plan plan;
static struct err e;

static void setup(void)
{
	memset(&kvm, 0, sizeof(kvm));
	kvm.max = FAKE_SLOTS_MAX;
	table = slot_table_new(&fake_slot_ops, &kvm, kvm.max);
	ck_assert_int_eq(guard_init(&e), 0);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	source = blob_alloc(SOURCE);
	copy = malloc(SOURCE);
	for (size_t i = 0; i < SOURCE / 4; i++)
		((uint32_t *)source)[i] = (uint32_t)i * 2654435761u;
	memcpy(copy, source, SOURCE);
	plan = (struct boot_plan){ .count = 0 };
}

static void teardown(void)
{
	boot_plan_free(&plan);
	mem_free(mem);
	slot_table_free(table);
	free(source);
	free(copy);
}

static void add(uint64_t at, uint64_t len)
{
	ck_assert_int_eq(boot_plan_add(&plan, source + at, NULL, len, gpa(MIB(64)), &e), 0);
}

static bool is_there(const struct boot_item *piece, uint64_t at)
{
	const void *p = mem_host(mem, piece->dst, piece->len);

	return p && !memcmp(p, copy + at, piece->len);
}

/* The pieces of the plan are those behind information block, program and tables. */
struct seen {
	unsigned int count, right, aligned;
};

static int look(void *ctx, const struct boot_item *piece, struct err *err)
{
	struct seen *s = ctx;

	(void)err;
	if (s->count++ < 3)
		return 0;
	s->right += is_there(piece, (uint64_t)((const uint8_t *)piece->data - source));
	s->aligned += is_aligned(piece->dst.v, piece->len < MIB(2) ? PAGE_SIZE : MIB(2));
	return 0;
}

/* Fills it, and finds every piece where it should be, as it was. */
static void fill(void)
{
	struct arch_layout layout = { .staging = { STAGING }, .staging_max = MIB(64) };
	struct boot_stage stage = {
		.plan = &plan, .program = "program", .program_len = 8, .layout = &layout, .cpus = 1
	};
	struct mem_region_desc d = { MEM_STAGING, "staging", { STAGING }, 0 };
	struct boot_entry entry;
	struct seen seen = { 0 };

	ck_assert_int_eq(boot_stage_size(&stage, &d.size, &e), 0);
	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	ck_assert_msg(boot_stage_fill(&stage, mem, d.size, &entry, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(boot_stage_each(&stage, look, &seen, &entry, &e), 0);
	ck_assert_uint_eq(seen.count, 3 + plan.count);
	ck_assert_uint_eq(seen.right, plan.count);
	ck_assert_uint_eq(seen.aligned, plan.count);
}

static bool is_zero(const uint8_t *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

START_TEST(small_pieces_are_copied)
{
	add(0, 5000);
	add(MIB(1), PAGE_SIZE);
	add(MIB(4) + 7, MIB(2) - 1);
	fill();
	ck_assert(!memcmp(source, copy, SOURCE));
}
END_TEST

START_TEST(pages_of_large_pieces_move)
{
	add(0, LARGE);
	add(MIB(4), MIB(2));
	fill();
	ck_assert(is_zero(source, MIB(2)));
	ck_assert(is_zero(source + MIB(4), MIB(2)));
	/* The rest of its last page is not the piece's. */
	ck_assert(!memcmp(source + MIB(2), copy + MIB(2), MIB(2)));
	ck_assert(!memcmp(source + MIB(6), copy + MIB(6), MIB(2)));
}
END_TEST

/* Where pages cannot change places, as those of a kernel behind its setup code. */
START_TEST(pieces_off_page_borders_are_copied)
{
	add(512, LARGE);
	fill();
	ck_assert(!memcmp(source, copy, SOURCE));
}
END_TEST

/* An ELF file may load the same bytes to two places; the second would find the first one's zeros. */
START_TEST(bytes_named_twice_are_copied)
{
	add(0, MIB(4));
	add(MIB(4) - 1, MIB(2));
	fill();
	ck_assert(!memcmp(source, copy, SOURCE));
}
END_TEST

/* Memory of a file's, such as a program's constants, is not for the taking. */
START_TEST(what_cannot_be_taken_is_copied)
{
	struct mem_region_desc d = { MEM_STAGING, "staging", { STAGING }, MIB(4) };
	uint8_t *p;
	int fd = memfd_create("file", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, MIB(2)), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, MIB(1)), 1);
	p = mmap(NULL, MIB(2) + PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	/* Of two mappings at once the kernel moves none; older ones clear the way first. */
	ck_assert_ptr_eq(mmap(p, MIB(2), PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0), p);
	p[MIB(2)] = 'y';
	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	ck_assert_int_eq(mem_take(mem, gpa(STAGING), p, MIB(2) + PAGE_SIZE, &e), 0);
	p = mem_host(mem, gpa(STAGING), MIB(4));
	ck_assert_int_eq(p[MIB(1)], 'x');
	ck_assert_int_eq(p[MIB(2)], 'y');
	ck_assert(is_zero(p + MIB(2) + PAGE_SIZE, MIB(2) - PAGE_SIZE));
	close(fd);
}
END_TEST

START_TEST(taking_keeps_to_the_gate)
{
	struct mem_region_desc open = { MEM_OPEN, "ram", { 0 }, MIB(4) };
	struct mem_region_desc d = { MEM_STAGING, "staging", { STAGING }, MIB(4) };

	ck_assert_int_eq(mem_add(mem, &open, &e), 0);
	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	ck_assert_int_eq(mem_take(mem, gpa(STAGING + MIB(3)), source, MIB(2), &e), -EFAULT);
	ck_assert_int_eq(mem_take(mem, gpa(STAGING - MIB(1)), source, MIB(2), &e), -EFAULT);
	ck_assert(!memcmp(source, copy, SOURCE));
	/* RAM is the guest's, with hints of its own. */
	ck_assert_int_eq(mem_take(mem, gpa(0), source, MIB(2), &e), 0);
	ck_assert(!memcmp(source, copy, SOURCE));
	ck_assert(!memcmp(mem_host(mem, gpa(0), MIB(2)), copy, MIB(2)));
}
END_TEST

Suite *stage_suite(void)
{
	Suite *s = suite_create("stage");
	TCase *t = tcase_create("stage");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, small_pieces_are_copied);
	tcase_add_test(t, pages_of_large_pieces_move);
	tcase_add_test(t, pieces_off_page_borders_are_copied);
	tcase_add_test(t, bytes_named_twice_are_copied);
	tcase_add_test(t, what_cannot_be_taken_is_copied);
	tcase_add_test(t, taking_keeps_to_the_gate);
	suite_add_tcase(s, t);
	return s;
}
