/* SPDX-License-Identifier: Apache-2.0 */

/* nacre inspect: what it prints of a dump, where memory or the disk is short. That dumps are read: test_dump.c. */
#include <check.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem/dump.h"
#include "mem/guard.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/inspect.h"
#include "vmm/util/bits.h"

#define PAGES 2u

static char path[SCRATCH_PATH];
static char at[] = "0x40000000", len[] = "8192";
static const struct inspect_options options = { .json = true, .gpa = at, .len = len };

static int64_t fake_copy(void *ctx, gpa_t a, uint64_t n, uint8_t *to, bool to_guest, struct err *e)
{
	(void)ctx;
	(void)a;
	if (to_guest)
		return err_set(e, -EINVAL, "not expected");
	memset(to, 5, n / MTE_GRANULE);
	return (int64_t)n;
}

static const struct mte_ops ops = { .copy = fake_copy };

static void write_dump(int fd, const struct mte *mte)
{
	uint8_t *part = malloc(DUMP_PART_MAX);
	struct err e = { "" };
	struct dump *d;
	ssize_t n = 0;

	ck_assert_msg(!dump_new(&d, mte->mem, mte, DUMP_ARM64, &e), "%s", e.msg);
	while (!dump_done(d)) {
		n = dump_next(d, part, DUMP_PART_MAX, &e);
		ck_assert_msg(n >= 0, "%s", e.msg);
		ck_assert_int_eq(write(fd, part, (size_t)n), n);
	}
	dump_free(d);
	free(part);
}

static void setup(void)
{
	const struct mem_region_desc ram = { MEM_OPEN, "ram", { GIB(1) }, PAGES * PAGE_SIZE };
	struct fake_kvm slots = { .max = FAKE_SLOTS_MAX };
	struct slot_table *table;
	struct err e = { "" };
	struct mem *mem;
	int fd = scratch_file(path);

	ck_assert_int_eq(guard_init(&e), 0);
	table = slot_table_new(&fake_slot_ops, &slots, FAKE_SLOTS_MAX);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	ck_assert_msg(!mem_add(mem, &ram, &e), "%s", e.msg);
	memset(mem_host(mem, gpa(GIB(1)), PAGE_SIZE), 7, PAGE_SIZE);
	write_dump(fd, &(struct mte){ .mem = mem, .ops = &ops });
	close(fd);
	mem_free(mem);
	slot_table_free(table);
}

/* What the caller then says of its output: that is no want of memory. */
START_TEST(a_full_disk_is_an_error_of_the_output)
{
	FILE *out = fopen("/dev/full", "w");
	struct err e = { "" };

	ck_assert_ptr_nonnull(out);
	ck_assert_msg(!inspect_run(&options, path, out, &e), "%s", e.msg);
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert(ferror(out));
	fclose(out);
}
END_TEST

static int left; /* allocations before the one that fails */

static void *allocate(size_t size)
{
	return left-- == 0 ? NULL : malloc(size);
}

/* What it prints when that allocation of a value fails: to free, or NULL. */
static char *shown_without(int count)
{
	struct err e = { "" };
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int r;

	left = count;
	r = inspect_run(&options, path, out, &e);
	fclose(out);
	if (!r)
		return text;
	ck_assert_int_eq(r, -ENOMEM);
	free(text);
	return NULL;
}

START_TEST(nothing_is_left_out_for_want_of_memory)
{
	char *whole = shown_without(0), *text = NULL;
	int i;

	ck_assert_ptr_nonnull(strstr(whole, "\"tags\": \"55555555"));
	ck_assert_ptr_nonnull(strstr(whole, "\"bytes\": \"07070707"));
	json_set_alloc_funcs(allocate, free);
	for (i = 0; i < 1000 && !text; i++)
		text = shown_without(i);
	ck_assert_int_gt(i, 10);
	ck_assert_ptr_nonnull(text);
	ck_assert_str_eq(text, whole);
	free(text);
	free(whole);
}
END_TEST

static const struct {
	const char *gpa, *len, *why; /* NULL: fine */
} views[] = {
	{ "0x40000000", "1048576", NULL },
	{ "0x40000000", "1048577", "inspect: --len: expected 1 to 1048576 bytes" },
	{ "0x40000000", "0", "inspect: --len: expected 1 to 1048576 bytes" },
	{ "0xfffffffffffffeff", NULL, NULL },
	{ "0xffffffffffffff00", NULL,
		"inspect: --gpa: 0xffffffffffffff00, 256 bytes: no range of addresses" },
	{ NULL, "1", "inspect: --len is for what --gpa shows (add --gpa)" },
};

/* By the option that has it. */
START_TEST(what_is_wrong_with_a_view_is_named)
{
	struct inspect_options o = { .gpa = (char *)views[_i].gpa, .len = (char *)views[_i].len };
	const char *const file = "vm.dump";
	struct err e = { "" };

	ck_assert_int_eq(inspect_check(&o, &file, 1, &e), views[_i].why ? -EINVAL : 0);
	ck_assert_str_eq(e.msg, views[_i].why ? views[_i].why : "");
}
END_TEST

Suite *inspect_suite(void)
{
	Suite *s = suite_create("inspect");
	TCase *t = tcase_create("inspect");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_full_disk_is_an_error_of_the_output);
	tcase_add_test(t, nothing_is_left_out_for_want_of_memory);
	tcase_add_loop_test(t, what_is_wrong_with_a_view_is_named, 0, (int)ARRAY_SIZE(views));
	suite_add_tcase(s, t);
	return s;
}
