/* SPDX-License-Identifier: Apache-2.0 */

/* What guest memory is made of: addresses, huge pages, the hints to the kernel, prefaulting. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem/backing.h"
#include "mem/guard.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_ram.h"
#include "vmm/util/bits.h"

/* Once more, with parts so small that a test can have several. */
#define PART_MIN	 MIB(2)
#define backing_prefault prefault_in_parts
int prefault_in_parts(const struct backing *backing, struct err *err);
#include "mem/prefault.c"
#undef backing_prefault

static struct backing b;
static struct err e;

static void teardown(void)
{
	backing_free(&b);
}

/* ---- addresses ---- */

void test_ram_open(struct test_ram *t, const struct arch_layout *l)
{
	unsigned int i;

	memset(t, 0, sizeof(*t));
	t->kvm.max = FAKE_SLOTS_MAX;
	t->table = slot_table_new(&fake_slot_ops, &t->kvm, t->kvm.max);
	ck_assert_int_eq(mem_new(&t->mem, t->table, &e), 0);
	for (i = 0; i < l->ram_count; i++) {
		struct mem_region_desc d = { MEM_OPEN, "ram", l->ram[i].base, l->ram[i].size };

		ck_assert_msg(mem_add(t->mem, &d, &e) == 0, "%s", e.msg);
	}
}

void test_ram_close(struct test_ram *t)
{
	mem_free(t->mem);
	slot_table_free(t->table);
}

void test_ram_is(const struct test_ram *t, uint64_t base, uint64_t size)
{
	const struct slot_desc *slot = fake_find(&t->kvm, base);

	ck_assert_ptr_nonnull(slot);
	ck_assert_uint_eq(slot->gpa.v, base);
	ck_assert_uint_eq(slot->size, size);
	ck_assert_uint_eq(((uintptr_t)slot->hva ^ base) % GIB(1), 0);
	ck_assert_ptr_eq(mem_host(t->mem, gpa(base), size), slot->hva);
}

static const uint64_t sizes[] = { PAGE_SIZE, MIB(2) - PAGE_SIZE, MIB(2), MIB(2) + PAGE_SIZE,
	MIB(254), GIB(1) - PAGE_SIZE, GIB(1), GIB(3), GIB(3) + MIB(5) };

START_TEST(mapping_begins_where_large_pages_do)
{
	uint64_t size = sizes[_i], align = size < MIB(2) ? PAGE_SIZE : MIB(2);

	if (size >= GIB(1))
		align = GIB(1);
	ck_assert_int_eq(backing_anon(&b, size, &e), 0);
	ck_assert_uint_eq((uintptr_t)b.hva % align, 0);
	b.hva[0] = b.hva[size - 1] = 1;
	backing_free(&b);
	ck_assert_int_eq(backing_memfd(&b, "test", size, &e), 0);
	ck_assert_uint_eq((uintptr_t)b.hva % align, 0);
	b.hva[0] = b.hva[size - 1] = 1;
}
END_TEST

/* The process's address space in pages (proc(5), statm). */
static unsigned long address_space(void)
{
	FILE *f = fopen("/proc/self/statm", "r");
	unsigned long pages = 0;

	ck_assert_int_eq(fscanf(f, "%lu", &pages), 1);
	fclose(f);
	return pages;
}

START_TEST(room_for_alignment_is_given_back)
{
	unsigned long before = address_space();

	ck_assert_int_eq(backing_anon(&b, GIB(1) + PAGE_SIZE, &e), 0);
	ck_assert_uint_lt(address_space() - before, (GIB(1) + MIB(64)) / PAGE_SIZE);
	backing_free(&b);
	ck_assert_uint_lt(address_space() - before, MIB(64) / PAGE_SIZE);
}
END_TEST

START_TEST(no_room_is_an_error)
{
	ck_assert_int_eq(backing_anon(&b, 1ULL << 62, &e), -ENOMEM);
	ck_assert_int_eq((int)b.kind, BACKING_NONE);
}
END_TEST

/* ---- hints ---- */

/* Whether the kernel's flags of the mapping (proc(5), VmFlags) have this one. */
static bool has_flag(const char *flag)
{
	char line[512], want[8];
	unsigned long start, end;
	bool ours = false, found = false;
	FILE *f = fopen("/proc/self/smaps", "r");

	snprintf(want, sizeof(want), " %s ", flag);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			ours = start == (uintptr_t)b.hva;
		else if (ours && !strncmp(line, "VmFlags:", 8))
			found = strstr(line, want) != NULL;
	}
	fclose(f);
	return found;
}

static bool kernel_has(const char *path)
{
	return !access(path, F_OK);
}

START_TEST(hints_reach_the_kernel)
{
	struct backing_options o = { .hugepages = HUGEPAGES_AUTO };
	bool thp = kernel_has(HUGE_SYSFS "/transparent_hugepage/enabled");

	ck_assert_int_eq(backing_ram(&b, MIB(4), &o, &e), 0);
	ck_assert(has_flag("dd"));
	ck_assert(has_flag("dc"));
	ck_assert(!has_flag("hg") && !has_flag("nh") && !has_flag("mg"));
	backing_free(&b);
	o.hugepages = HUGEPAGES_THP;
	ck_assert_int_eq(backing_ram(&b, MIB(4), &o, &e), 0);
	ck_assert_int_eq(has_flag("hg"), thp);
	backing_free(&b);
	o.hugepages = HUGEPAGES_OFF;
	ck_assert_int_eq(backing_ram(&b, MIB(4), &o, &e), 0);
	ck_assert_int_eq(has_flag("nh"), thp);
}
END_TEST

START_TEST(mergeable_reaches_the_kernel)
{
	struct backing_options o = { .mergeable = true };
	int r = backing_ram(&b, MIB(4), &o, &e);

	if (kernel_has(HUGE_SYSFS "/ksm/run")) {
		ck_assert_int_eq(r, 0);
		ck_assert(has_flag("mg"));
	} else {
		ck_assert_int_eq(r, -EINVAL);
		ck_assert_ptr_nonnull(strstr(e.msg, "KSM"));
		ck_assert_int_eq((int)b.kind, BACKING_NONE);
	}
}
END_TEST

/* A guest that shares one page of 2 MiB must not make the host hold the others too. */
START_TEST(shared_side_has_small_pages)
{
	if (_i)
		ck_assert_int_eq(backing_guarded(&b, MIB(4), &e), 0);
	else
		ck_assert_int_eq(backing_memfd(&b, "test", MIB(4), &e), 0);
	ck_assert_int_eq(has_flag("nh"), kernel_has(HUGE_SYSFS "/transparent_hugepage/enabled"));
}
END_TEST

/* ---- the pools of huge pages ---- */

/* A folder like the kernel's. */
static char sysfs[SCRATCH_PATH];

static void put_file(const char *name, const char *text)
{
	char path[160];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", sysfs, name);
	f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void put_dir(const char *name)
{
	char path[160];

	snprintf(path, sizeof(path), "%s/%s", sysfs, name);
	ck_assert_int_eq(mkdir(path, 0700), 0);
}

static void sysfs_setup(void)
{
	scratch_dir(sysfs);
}

static const struct {
	const char *total, *unused, *reserved, *overcommit, *surplus;
	const char *refused; /* for 64 pages; NULL: enough */
} pools[] = {
	{ "64", "64", "0", "0", "0", NULL },
	{ "0", "0", "0", "0", "0", "this host has 0 free (as root: echo 64 >" },
	{ "100", "70", "7", "0", "0", "this host has 63 free (as root: echo 101 >" },
	{ "100", "70", "6", "0", "0", NULL },
	{ "10", "10", "0", "54", "0", NULL },
	{ "11", "10", "0", "54", "1", "this host has 63" },
	{ "5", "0", "5", "2", "5", "this host has 0 free (as root: echo 69 >" },
	{ "x", "", "", "", "", NULL },
};

START_TEST(pool_is_counted)
{
	char want[160];
	int r;

	put_dir("hugepages");
	put_dir("hugepages/hugepages-2048kB");
	put_file("hugepages/hugepages-2048kB/nr_hugepages", pools[_i].total);
	put_file("hugepages/hugepages-2048kB/free_hugepages", pools[_i].unused);
	put_file("hugepages/hugepages-2048kB/resv_hugepages", pools[_i].reserved);
	put_file("hugepages/hugepages-2048kB/nr_overcommit_hugepages", pools[_i].overcommit);
	put_file("hugepages/hugepages-2048kB/surplus_hugepages", pools[_i].surplus);
	r = huge_pool_check(sysfs, MIB(2), MIB(128), &e);
	ck_assert_int_eq(r, pools[_i].refused ? -ENOMEM : 0);
	if (!r)
		return;
	ck_assert_msg(strstr(e.msg, pools[_i].refused) != NULL, "%s", e.msg);
	snprintf(want, sizeof(want), "%s/hugepages/hugepages-2048kB/nr_hugepages", sysfs);
	ck_assert_msg(strstr(e.msg, want) != NULL, "%s", e.msg);
}
END_TEST

START_TEST(size_the_host_lacks)
{
	ck_assert_int_eq(huge_pool_check(sysfs, GIB(1), GIB(2), &e), 0);
	put_dir("hugepages");
	ck_assert_int_eq(huge_pool_check(sysfs, GIB(1), GIB(2), &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "no huge pages of 1 GiB"));
}
END_TEST

START_TEST(thp_that_never_come)
{
	ck_assert(!huge_thp_never(sysfs));
	put_dir("transparent_hugepage");
	put_file("transparent_hugepage/enabled", "always madvise [never]\n");
	ck_assert(huge_thp_never(sysfs));
	put_file("transparent_hugepage/enabled", "always [madvise] never\n");
	ck_assert(!huge_thp_never(sysfs));
}
END_TEST

/* Of this host's own pool, whatever it holds: reserved as a whole, or an error, never SIGBUS. */
START_TEST(pages_are_reserved_at_the_start)
{
	struct backing_options o = { .hugepages = HUGEPAGES_2M };
	uint64_t size = MIB(64), off;
	int enough = huge_pool_check(HUGE_SYSFS, MIB(2), size, &e);
	int r = backing_ram(&b, size, &o, &e);

	ck_assert_uint_eq(huge_page_size(HUGEPAGES_2M), MIB(2));
	if (r) {
		ck_assert_int_ne(enough, 0);
		ck_assert_msg(strstr(e.msg, "huge pages") != NULL, "%s", e.msg);
		ck_assert_int_eq((int)b.kind, BACKING_NONE);
		return;
	}
	ck_assert(has_flag("ht"));
	for (off = 0; off < size; off += MIB(2))
		b.hva[off] = 1;
	ck_assert_int_eq(backing_discard(&b, 0, MIB(2)), 0);
	ck_assert_int_eq(b.hva[0], 0);
}
END_TEST

/* ---- prefaulting ---- */

#define FILLED (MIB(5) + PAGE_SIZE)

static uint64_t resident(void)
{
	unsigned char *v = malloc(b.size / PAGE_SIZE);
	uint64_t n = 0, i;

	ck_assert_int_eq(mincore(b.hva, b.size, v), 0);
	for (i = 0; i < b.size / PAGE_SIZE; i++)
		n += v[i] & 1;
	free(v);
	return n * PAGE_SIZE;
}

static uint64_t file_bytes(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static int (*const fillers[])(
	const struct backing *b, struct err *e) = { backing_prefault, prefault_in_parts };

START_TEST(prefault_fills_all)
{
	ck_assert_int_eq(backing_anon(&b, FILLED, &e), 0);
	ck_assert_uint_lt(resident(), FILLED);
	ck_assert_msg(fillers[_i](&b, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(resident(), FILLED);
	backing_free(&b);
	ck_assert_int_eq(backing_memfd(&b, "test", FILLED, &e), 0);
	ck_assert_uint_eq(resident(), 0);
	ck_assert_int_eq(fillers[_i](&b, &e), 0);
	ck_assert_uint_eq(resident(), FILLED);
	backing_free(&b);
	/* Pages of a guest_memfd are not ours to touch: the file alone is filled. */
	ck_assert_int_eq(backing_memfd(&b, "test", FILLED, &e), 0);
	mprotect(b.hva, FILLED, PROT_NONE);
	b.kind = BACKING_GMEM;
	ck_assert_int_eq(fillers[_i](&b, &e), 0);
	ck_assert_uint_eq(file_bytes(b.fd), FILLED);
}
END_TEST

START_TEST(prefault_that_fails_says_so)
{
	ck_assert_int_eq(backing_memfd(&b, "test", FILLED, &e), 0);
	/* As if the host had no memory for a page in the middle. */
	munmap(b.hva + MIB(3), PAGE_SIZE);
	ck_assert_int_eq(fillers[_i](&b, &e), -ENOMEM);
	ck_assert_msg(strstr(e.msg, "prefault 5 MiB of guest memory") != NULL, "%s", e.msg);
}
END_TEST

/* A file that takes no more. */
START_TEST(file_that_cannot_be_filled)
{
	ck_assert_int_eq(backing_anon(&b, FILLED, &e), 0);
	b.kind = BACKING_GMEM;
	b.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	ck_assert_int_lt(fillers[_i](&b, &e), 0);
	ck_assert_ptr_nonnull(strstr(e.msg, "prefault"));
}
END_TEST

START_TEST(ram_is_prefaulted_on_its_side)
{
	enum mem_kind kinds[] = { MEM_OPEN, MEM_SPLIT, MEM_NATIVE };
	struct backing_options o = { .prefault = true };
	struct mem_region_desc d = { kinds[_i], "ram", { GIB(1) }, FILLED };
	struct arch_layout none = { .ram_count = 0 };
	struct mem_region *r;
	struct test_ram ram;

	test_ram_open(&ram, &none);
	ck_assert_msg(mem_add_ram(ram.mem, &d, &o, &e) == 0, "%s", e.msg);
	r = mem_find(ram.mem, gpa(GIB(1)), 1);
	if (d.kind == MEM_SPLIT)
		ck_assert_uint_eq(file_bytes(r->private.fd), FILLED);
	b = r->shared;
	ck_assert_uint_eq(resident(), d.kind == MEM_SPLIT ? 0 : FILLED);
	b = (struct backing){ .fd = -1 };
	test_ram_close(&ram);
}
END_TEST

/* Neither we nor the kernel on our behalf get at it, not even by /proc/self/mem, which may a lot. */
START_TEST(protected_memory_faults)
{
	struct guard_fault f = { 0 };
	int r, fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	char c = 'x';

	ck_assert_int_eq(guard_init(&e), 0);
	ck_assert_int_eq(backing_memfd(&b, "test", 4 * PAGE_SIZE, &e), 0);
	memset(b.hva, 'a', 4 * PAGE_SIZE);
	r = backing_protect(&b, PAGE_SIZE, 2 * PAGE_SIZE, false);
	if (r == 0) {
		ck_assert(!guard_copy(&c, b.hva + PAGE_SIZE, 1, &f));
		ck_assert_int_eq(f.signo, SIGSEGV);
		ck_assert(!guard_copy(b.hva + 3 * PAGE_SIZE - 1, &c, 1, &f));
		ck_assert_int_eq(pread(fd, &c, 1, (off_t)(uintptr_t)b.hva + (off_t)PAGE_SIZE), -1);
		ck_assert_int_eq(pwrite(fd, &c, 1, (off_t)(uintptr_t)b.hva + (off_t)PAGE_SIZE), -1);
		ck_assert(b.hva[PAGE_SIZE - 1] == 'a' && b.hva[3 * PAGE_SIZE] == 'a');
		ck_assert_int_eq(backing_discard(&b, 2 * PAGE_SIZE, PAGE_SIZE), 0);
		ck_assert_int_eq(backing_protect(&b, 0, 4 * PAGE_SIZE, true), 0);
		ck_assert(b.hva[PAGE_SIZE] == 'a' && b.hva[2 * PAGE_SIZE] == 0);
	} else {
		/* Linux before 6.15: whoever asks is told. */
		ck_assert_int_eq(r, -EINVAL);
	}
	close(fd);
}
END_TEST

/* Whole pages take the places of others, and are guest memory from then on. */
START_TEST(pages_are_taken)
{
	uint8_t *from = aligned_alloc(PAGE_SIZE, 4 * PAGE_SIZE);

	memset(from, 7, 4 * PAGE_SIZE);
	ck_assert_int_eq(backing_anon(&b, MIB(4), &e), 0);
	memset(b.hva, 9, MIB(1));
	ck_assert_int_eq(backing_take(&b, 0, from + PAGE_SIZE, 2 * PAGE_SIZE), 0);
	ck_assert_int_eq(b.hva[0], 7);
	ck_assert_int_eq(b.hva[2 * PAGE_SIZE - 1], 7);
	ck_assert_int_eq(b.hva[2 * PAGE_SIZE], 9);
	ck_assert_int_eq(from[PAGE_SIZE - 1], 7);
	ck_assert_int_eq(from[PAGE_SIZE], 0);
	ck_assert_int_eq(from[3 * PAGE_SIZE], 7);
	ck_assert(has_flag("dd"));
	ck_assert(has_flag("dc"));
	ck_assert_int_eq(backing_take(&b, 1, from, PAGE_SIZE), -EINVAL);
	ck_assert_int_eq(backing_take(&b, 0, from + 1, PAGE_SIZE), -EINVAL);
	ck_assert_int_eq(backing_take(&b, 0, from, PAGE_SIZE - 1), -EINVAL);
	ck_assert_int_eq(b.hva[0], 7);
	free(from);
}
END_TEST

static TCase *memory_case(void)
{
	TCase *t = tcase_create("memory");
	int n = (int)ARRAY_SIZE(fillers);

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_loop_test(t, mapping_begins_where_large_pages_do, 0, (int)ARRAY_SIZE(sizes));
	tcase_add_test(t, room_for_alignment_is_given_back);
	tcase_add_test(t, no_room_is_an_error);
	tcase_add_test(t, hints_reach_the_kernel);
	tcase_add_test(t, mergeable_reaches_the_kernel);
	tcase_add_loop_test(t, shared_side_has_small_pages, 0, 2);
	tcase_add_test(t, pages_are_reserved_at_the_start);
	tcase_add_loop_test(t, prefault_fills_all, 0, n);
	tcase_add_loop_test(t, prefault_that_fails_says_so, 0, n);
	tcase_add_loop_test(t, file_that_cannot_be_filled, 0, n);
	tcase_add_loop_test(t, ram_is_prefaulted_on_its_side, 0, 3);
	tcase_add_test(t, protected_memory_faults);
	tcase_add_test(t, pages_are_taken);
	return t;
}

Suite *backing_suite(void)
{
	Suite *s = suite_create("backing");
	TCase *t = tcase_create("pools");

	tcase_add_checked_fixture(t, sysfs_setup, NULL);
	tcase_add_loop_test(t, pool_is_counted, 0, (int)ARRAY_SIZE(pools));
	tcase_add_test(t, size_the_host_lacks);
	tcase_add_test(t, thp_that_never_come);
	suite_add_tcase(s, memory_case());
	suite_add_tcase(s, t);
	return s;
}
