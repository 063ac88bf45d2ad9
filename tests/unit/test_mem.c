/* SPDX-License-Identifier: Apache-2.0 */

/* The gate, the guard and the probe: which bytes of guest memory we can get at, and how we fail. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mem/convert.h"
#include "mem/guard.h"
#include "mem/probe.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define BASE  GIB(2)
#define SIZE  MIB(4)
#define OPEN  MIB(16)
#define PAGES (SIZE / PAGE_SIZE)

static struct fake_kvm kvm;
static struct slot_table *table;
static struct mem *mem;

static void setup(void)
{
	struct mem_region_desc split = { MEM_SPLIT, "ram", { BASE }, SIZE };
	struct mem_region_desc open = { MEM_OPEN, "staging", { OPEN }, MIB(1) };
	struct err e = { "" };

	memset(&kvm, 0, sizeof(kvm));
	kvm.max = FAKE_SLOTS_MAX;
	table = slot_table_new(&fake_slot_ops, &kvm, kvm.max);
	ck_assert_int_eq(guard_init(&e), 0);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	ck_assert_int_eq(mem_add(mem, &split, &e), 0);
	ck_assert_int_eq(mem_add(mem, &open, &e), 0);
	ck_assert_int_eq(convert_apply(mem, gpa(BASE + PAGE_SIZE), 2 * PAGE_SIZE, false, &e), 0);
}

static void teardown(void)
{
	mem_free(mem);
	slot_table_free(table);
}

/* Pages 1 and 2 of RAM are shared. */
static const struct {
	uint64_t a, len;
	bool allowed;
} gate[] = {
	{ BASE, 1, false },
	{ BASE + PAGE_SIZE - 1, 1, false },
	{ BASE + PAGE_SIZE - 1, 2, false },
	{ BASE + PAGE_SIZE, 0, false },
	{ BASE + PAGE_SIZE, 1, true },
	{ BASE + PAGE_SIZE, PAGE_SIZE, true },
	{ BASE + PAGE_SIZE, 2 * PAGE_SIZE, true },
	{ BASE + PAGE_SIZE, 2 * PAGE_SIZE + 1, false },
	{ BASE + 3 * PAGE_SIZE - 1, 1, true },
	{ BASE + 3 * PAGE_SIZE - 1, 2, false },
	{ BASE + 3 * PAGE_SIZE, 1, false },
	{ BASE + SIZE - 1, 2, false },
	{ BASE + SIZE, 1, false },
	{ BASE - 1, 1, false },
	{ BASE - 1, 2, false },
	{ OPEN, MIB(1), true },
	{ OPEN, MIB(1) + 1, false },
	{ OPEN + MIB(1) - 1, 1, true },
	{ OPEN + 1, UINT64_MAX, false },
	{ OPEN, UINT64_MAX, false },
	{ UINT64_MAX, 1, false },
	{ UINT64_MAX, 2, false },
	{ 0, 1, false },
	{ BASE + PAGE_SIZE, UINT64_MAX - BASE, false },
};

START_TEST(the_gate)
{
	struct err e = { "" };
	char byte = 0;

	ck_assert_int_eq(mem_host(mem, gpa(gate[_i].a), gate[_i].len) != NULL, gate[_i].allowed);
	if (gate[_i].len != 1)
		return;
	ck_assert_int_eq(
		mem_read(mem, gpa(gate[_i].a), &byte, 1, &e), gate[_i].allowed ? 0 : -EFAULT);
	ck_assert_int_eq(
		mem_write(mem, gpa(gate[_i].a), &byte, 1, &e), gate[_i].allowed ? 0 : -EFAULT);
	if (!gate[_i].allowed)
		ck_assert(strstr(e.msg, "private page") || strstr(e.msg, "not guest memory"));
}
END_TEST

START_TEST(bytes_arrive)
{
	const char out[] = "over the page border";
	gpa_t at = gpa(BASE + 2 * PAGE_SIZE - 7);
	struct err e = { "" };
	char in[sizeof(out)];

	ck_assert_int_eq(mem_write(mem, at, out, sizeof(out), &e), 0);
	ck_assert_int_eq(mem_read(mem, at, in, sizeof(in), &e), 0);
	ck_assert_str_eq(in, out);
	ck_assert_ptr_eq(mem_host(mem, gpa_add(at, 7), 1), (char *)mem_host(mem, at, 1) + 7);
}
END_TEST

START_TEST(two_bytes_at_once)
{
	gpa_t at = gpa(BASE + 3 * PAGE_SIZE - 2);
	struct err e = { "" };
	uint16_t v = 0;

	ck_assert_int_eq(mem_store16(mem, at, 0x1234, &e), 0);
	ck_assert_int_eq(mem_load16(mem, at, &v, &e), 0);
	ck_assert_uint_eq(v, 0x1234);
	/* The next one is private, and half of it stays with the other half. */
	ck_assert_int_eq(mem_store16(mem, gpa_add(at, 2), 1, &e), -EFAULT);
	ck_assert_int_eq(mem_load16(mem, gpa_add(at, 2), &v, &e), -EFAULT);
	ck_assert_ptr_nonnull(strstr(e.msg, "private page"));
	ck_assert_int_eq(mem_store16(mem, gpa(at.v - 1), 1, &e), -EINVAL);
	ck_assert_int_eq(mem_load16(mem, gpa(at.v - 1), &v, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "odd"));
	ck_assert_int_eq(mem_load16(mem, gpa(UINT64_MAX - 1), &v, &e), -EFAULT);
	ck_assert_uint_eq(v, 0x1234);
}
END_TEST

#define FLIPS 200000

static void *flip(void *arg)
{
	gpa_t at = gpa(BASE + PAGE_SIZE);
	unsigned int *failed = arg;
	struct err e;

	for (unsigned int i = 0; i < FLIPS; i++)
		*failed += mem_store16(mem, at, i & 1 ? 0xffff : 0, &e) != 0;
	return NULL;
}

START_TEST(two_bytes_are_never_torn)
{
	gpa_t at = gpa(BASE + PAGE_SIZE);
	unsigned int torn = 0, failed = 0;
	pthread_t thread;
	uint16_t v = 0;
	struct err e;

	ck_assert_int_eq(pthread_create(&thread, NULL, flip, &failed), 0);
	for (unsigned int i = 0; i < FLIPS; i++)
		torn += mem_load16(mem, at, &v, &e) || (v != 0 && v != 0xffff);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(failed, 0);
	ck_assert_uint_eq(torn, 0);
}
END_TEST

START_TEST(limit_of_file_sizes_is_named)
{
	const struct rlimit limit = { MIB(1), MIB(1) };
	struct err e = { "" };
	struct backing b;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(backing_memfd(&b, "test", MIB(2), &e), -EFBIG);
	ck_assert_msg(strstr(e.msg, "ulimit -f") != NULL, "%s", e.msg);
	ck_assert_int_eq(b.fd, -1);
}
END_TEST

static const struct {
	uint64_t a, size;
	int want;
} regions[] = {
	{ MIB(64), 0, -EINVAL },
	{ MIB(64), PAGE_SIZE - 1, -EINVAL },
	{ MIB(64) + 1, PAGE_SIZE, -EINVAL },
	{ -PAGE_SIZE, 2 * PAGE_SIZE, -EINVAL },
	{ BASE, PAGE_SIZE, -EEXIST },
	{ BASE - PAGE_SIZE, 2 * PAGE_SIZE, -EEXIST },
	{ BASE + SIZE - PAGE_SIZE, PAGE_SIZE, -EEXIST },
	{ BASE - PAGE_SIZE, PAGE_SIZE, 0 },
	{ BASE + SIZE, PAGE_SIZE, 0 },
};

START_TEST(region_edges)
{
	struct mem_region_desc d = { MEM_OPEN, "x", { regions[_i].a }, regions[_i].size };
	struct err e = { "" };
	unsigned int live = fake_live(&kvm);

	ck_assert_int_eq(mem_add(mem, &d, &e), regions[_i].want);
	if (regions[_i].want)
		ck_assert_uint_eq(fake_live(&kvm), live);
	else
		ck_assert_int_eq(mem_remove(mem, d.base, &e), 0);
	ck_assert_uint_eq(fake_live(&kvm), live);
}
END_TEST

START_TEST(removed_region_is_gone)
{
	struct err e = { "" };

	ck_assert_ptr_nonnull(mem_host(mem, gpa(OPEN), 1));
	ck_assert_int_eq(mem_remove(mem, gpa(OPEN), &e), 0);
	ck_assert_ptr_null(mem_host(mem, gpa(OPEN), 1));
	ck_assert_ptr_null(fake_find(&kvm, OPEN));
	ck_assert_int_eq(mem_remove(mem, gpa(OPEN), &e), -ENOENT);
}
END_TEST

/* A device may have I/O under way there, by a pointer that it got while it could. */
START_TEST(removed_region_keeps_its_addresses)
{
	unsigned char resident[MIB(1) / PAGE_SIZE];
	char *hva = mem_host(mem, gpa(OPEN), 1), *again;
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	struct guard_fault fault;
	struct err e = { "" };
	uint8_t byte;

	memset(hva, 0x5a, MIB(1));
	ck_assert_int_eq(mem_remove(mem, gpa(OPEN), &e), 0);
	ck_assert(!guard_copy(&byte, hva, 1, &fault));
	ck_assert_ptr_eq(mmap(hva, MIB(1), PROT_READ, flags, -1, 0), MAP_FAILED);
	/* The memory is the host's again. */
	ck_assert_int_eq(mincore(hva, MIB(1), resident), 0);
	ck_assert_ptr_null(memchr(resident, 1, sizeof(resident)));
	mem_free(mem);
	mem = NULL;
	again = mmap(hva, MIB(1), PROT_READ, flags, -1, 0);
	ck_assert_ptr_eq(again, hva);
	munmap(again, MIB(1));
}
END_TEST

/* A page whose access really faults, of either kind. */
static void *page_that_faults(int signo)
{
	int fd = memfd_create("empty", MFD_CLOEXEC);
	void *p;

	/* A mapping beyond the end of its file gives SIGBUS, like guest_memfd does. */
	if (signo == SIGBUS)
		p = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	else
		p = mmap(NULL, PAGE_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(p, MAP_FAILED);
	close(fd);
	return p;
}

/* The thread sanitizer's atomic operations hold a lock of its own, which a fault would not release. */
#ifdef __SANITIZE_THREAD__
#define SANITIZED_ATOMICS true
#else
#define SANITIZED_ATOMICS false
#endif

static const int fault_signals[] = { SIGBUS, SIGSEGV };

START_TEST(guard_turns_faults_into_results)
{
	char *bad = page_that_faults(fault_signals[_i]);
	struct guard_fault f = { 0 };
	uint16_t word = 7;
	char buf[64];
	int again;

	for (again = 0; again < 3; again++) {
		ck_assert(!guard_copy(buf, bad + 8, sizeof(buf), &f));
		ck_assert_int_eq(f.signo, fault_signals[_i]);
		ck_assert_uint_ge(f.addr, (uintptr_t)bad);
		ck_assert_uint_lt(f.addr, (uintptr_t)bad + PAGE_SIZE);
		ck_assert(!guard_copy(bad, buf, sizeof(buf), &f));
		if (SANITIZED_ATOMICS)
			continue;
		f = (struct guard_fault){ 0 };
		ck_assert(!guard_store16(bad, 1, &f));
		ck_assert_int_eq(f.signo, fault_signals[_i]);
		ck_assert(!guard_load16(&word, bad, &f));
		ck_assert_uint_eq(word, 7);
	}
	ck_assert(guard_copy(buf, "fine", 5, &f));
	ck_assert_str_eq(buf, "fine");
}
END_TEST

static void crash_hook(void)
{
	if (write(STDOUT_FILENO, "", 0) < 0)
		_exit(1);
	_exit(42);
}

START_TEST(fault_elsewhere_is_a_crash)
{
	volatile char *bad = page_that_faults(fault_signals[_i]);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* Its message is not for the test's output. */
		close(STDERR_FILENO);
		if (_i)
			guard_set_crash_hook(crash_hook);
		*bad = 1;
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	if (_i)
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	else
		ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
}
END_TEST

START_TEST(probe_goes_past_the_gate)
{
	struct mem_region *r = mem_find(mem, gpa(BASE), 1);
	struct probe_count c;
	uint64_t v = 1;

	/* The fake guest_memfd is readable: a probe that is not refused says so. */
	ck_assert_int_eq(probe_poke(mem, gpa(BASE + 8), 77), PROBE_OK);
	ck_assert_int_eq(probe_peek(mem, gpa(BASE + 8), &v), PROBE_OK);
	ck_assert_uint_eq(v, 77);
	ck_assert_int_eq(probe_peek(mem, gpa(BASE + PAGE_SIZE - 4), &v), PROBE_NOT_MEMORY);
	ck_assert_int_eq(probe_peek(mem, gpa(0), &v), PROBE_NOT_MEMORY);
	ck_assert_int_eq(probe_peek(mem, gpa(BASE + SIZE - 4), &v), PROBE_NOT_MEMORY);
	c = probe_scan(mem, gpa(BASE), SIZE);
	ck_assert_uint_eq(c.readable, PAGES);
	/* A file without pages answers like a real one: SIGBUS. */
	ck_assert_int_eq(ftruncate(r->private.fd, 0), 0);
	ck_assert_int_eq(probe_peek(mem, gpa(BASE + 8), &v), PROBE_SIGBUS);
	ck_assert_uint_eq(v, 0);
	ck_assert_int_eq(probe_poke(mem, gpa(BASE + 8), 78), PROBE_SIGBUS);
	c = probe_scan(mem, gpa(BASE), SIZE);
	ck_assert_uint_eq(c.readable, 2);
	ck_assert_uint_eq(c.refused, PAGES - 2);
}
END_TEST

/* ---- giving back ---- */

#define STAGING MIB(64)
#define NATIVE	MIB(128)
#define NEXT	(BASE + SIZE) /* a region that begins where RAM ends */

static const struct {
	uint64_t a, len;
	int want;
} discards[] = {
	{ BASE, 0, -EINVAL },
	{ BASE + 1, PAGE_SIZE, -EINVAL },
	{ BASE, PAGE_SIZE - 1, -EINVAL },
	{ -PAGE_SIZE, 2 * PAGE_SIZE, -EINVAL },
	{ BASE - PAGE_SIZE, 2 * PAGE_SIZE, -EFAULT },
	{ BASE, SIZE + 2 * PAGE_SIZE, -EFAULT },
	{ NEXT + PAGE_SIZE, PAGE_SIZE, -EFAULT },
	{ 0, PAGE_SIZE, -EFAULT },
	{ STAGING, PAGE_SIZE, -EFAULT },
	{ NATIVE, PAGE_SIZE, -EOPNOTSUPP },
	{ NEXT, PAGE_SIZE, 0 },
	{ BASE, SIZE, 0 },
	{ BASE + SIZE - PAGE_SIZE, 2 * PAGE_SIZE, 0 },
	{ OPEN, MIB(1), 0 },
};

/* Puts that byte into every page of every region, on both sides. */
static void fill_all(void)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		memset(mem->regions[i]->shared.hva, 0x55, mem->regions[i]->size);
		if (mem->regions[i]->kind == MEM_SPLIT)
			memset(mem->regions[i]->private.hva, 0x66, mem->regions[i]->size);
	}
}

/* Pages that hold zeroes where the guest sees them, and whether any on its other side do. */
static uint64_t zeroed(bool *other)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < mem->count; i++) {
		const struct mem_region *r = mem->regions[i];

		for (uint64_t off = 0; off < r->size; off += PAGE_SIZE) {
			bool private =
				r->kind == MEM_SPLIT && !share_get(r->share, off / PAGE_SIZE);

			n += (private ? r->private.hva : r->shared.hva)[off] == 0;
			if (r->kind == MEM_SPLIT)
				*other |= !(private ? r->shared.hva : r->private.hva)[off];
		}
	}
	return n;
}

START_TEST(pages_are_given_back)
{
	const struct mem_region_desc more[] = { { MEM_STAGING, "staging", { STAGING }, MIB(1) },
		{ MEM_NATIVE, "ram", { NATIVE }, MIB(1) },
		{ MEM_OPEN, "ram", { NEXT }, PAGE_SIZE } };
	struct err e = { "" };
	bool other = false;

	for (size_t i = 0; i < ARRAY_SIZE(more); i++)
		ck_assert_int_eq(mem_add(mem, &more[i], &e), 0);
	fill_all();
	ck_assert_int_eq(
		mem_discard(mem, gpa(discards[_i].a), discards[_i].len, &e), discards[_i].want);
	ck_assert_uint_eq(zeroed(&other), discards[_i].want ? 0 : discards[_i].len / PAGE_SIZE);
	ck_assert(!other);
	if (discards[_i].want)
		ck_assert_ptr_nonnull(strstr(e.msg, "gpa 0x"));
	/* Pages 1 and 2 are shared as before. */
	ck_assert_uint_eq(mem_shared_bytes(mem), 2 * PAGE_SIZE);
}
END_TEST

START_TEST(kernel_that_takes_nothing_back)
{
	struct err e = { "" };

	kvm.fail_at = kvm.calls + 2;
	ck_assert_int_eq(mem_discard(mem, gpa(BASE), 4 * PAGE_SIZE, &e), -EIO);
	ck_assert_ptr_nonnull(strstr(e.msg, "give back gpa 0x80001000, 8192 bytes: "));
}
END_TEST

/* A pool of huge pages need not be there: to mem.c ordinary ones that are called so are the same. */
START_TEST(huge_pages_stay_reserved)
{
	struct mem_region *r = mem_find(mem, gpa(OPEN), 1);
	struct err e = { "" };
	uint64_t len = _i ? MIB(1) : PAGE_SIZE;

	r->shared.kind = BACKING_HUGE;
	memset(r->shared.hva, 0x55, MIB(1));
	ck_assert_int_eq(mem_discard(mem, gpa(OPEN), len, &e), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(e.msg, "reserved huge page"));
	ck_assert_int_eq(r->shared.hva[0], 0x55);
	r->shared.kind = BACKING_ANON;
}
END_TEST

/* Where nothing is private, a fault is no guest's doing. */
START_TEST(fault_in_open_memory_says_so)
{
	struct mem_region *r = mem_find(mem, gpa(OPEN), 1);
	struct err e = { "" };
	uint16_t word = 0;

	ck_assert_int_eq(mprotect(r->shared.hva, PAGE_SIZE, PROT_NONE), 0);
	ck_assert_int_eq(_i ? mem_load16(mem, gpa(OPEN), &word, &e)
			    : mem_write(mem, gpa(OPEN), &word, sizeof(word), &e),
		-EFAULT);
	ck_assert_ptr_nonnull(strstr(e.msg, "the host has no memory for it (SIGSEGV"));
}
END_TEST

/* A chain of buffers that are all of RAM would keep a device's thread busy for minutes. */
START_TEST(native_memory_is_tried_in_bounds)
{
	const struct mem_region_desc d = { MEM_NATIVE, "ram", { NATIVE }, MIB(64) };
	struct err e = { "" };

	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	ck_assert_ptr_nonnull(mem_host(mem, gpa(NATIVE), MIB(16)));
	ck_assert_ptr_null(mem_host(mem, gpa(NATIVE), MIB(16) + 1));
	ck_assert_str_eq(
		mem_refusal(mem, gpa(NATIVE), MIB(16) + 1), "a buffer of more than 16 MiB");
	ck_assert_ptr_nonnull(mem_host(mem, gpa(OPEN), MIB(1)));
}
END_TEST

/* A page that a hypervisor keeps from us is found before a pointer to it goes anywhere. */
START_TEST(native_memory_is_tried)
{
	const struct mem_region_desc d = { MEM_NATIVE, "ram", { NATIVE }, MIB(1) };
	struct err e = { "" };
	uint8_t *hva;
	char byte;

	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	hva = mem_host(mem, gpa(NATIVE), MIB(1));
	ck_assert_ptr_nonnull(hva);
	ck_assert_int_eq(mprotect(hva + 3 * PAGE_SIZE, PAGE_SIZE, PROT_NONE), 0);
	ck_assert_ptr_null(mem_host(mem, gpa(NATIVE), MIB(1)));
	ck_assert_ptr_null(mem_host(mem, gpa(NATIVE + 3 * PAGE_SIZE - 1), 2));
	ck_assert_ptr_null(mem_host(mem, gpa(NATIVE + 4 * PAGE_SIZE - 1), 1));
	ck_assert_ptr_eq(mem_host(mem, gpa(NATIVE + 7), 3 * PAGE_SIZE - 7), hva + 7);
	ck_assert_ptr_eq(mem_host(mem, gpa(NATIVE + 4 * PAGE_SIZE), 1), hva + 4 * PAGE_SIZE);
	ck_assert_str_eq(mem_refusal(mem, gpa(NATIVE + 3 * PAGE_SIZE), 1), "private page");
	ck_assert_int_eq(mem_read(mem, gpa(NATIVE + 3 * PAGE_SIZE), &byte, 1, &e), -EFAULT);
	ck_assert_ptr_nonnull(strstr(e.msg, "private page (SIGSEGV"));
}
END_TEST

START_TEST(devices_are_limited_to_a_range)
{
	const uint64_t base = OPEN + 4 * PAGE_SIZE, len = 2 * PAGE_SIZE;
	struct err e = { "" };
	uint16_t word = 0;

	mem_limit_devices(mem, gpa(base), len);
	ck_assert_ptr_nonnull(mem_host(mem, gpa(base), len));
	ck_assert_ptr_nonnull(mem_host(mem, gpa(base + len - 1), 1));
	ck_assert_ptr_null(mem_host(mem, gpa(base), len + 1));
	ck_assert_ptr_null(mem_host(mem, gpa(base + len), 1));
	ck_assert_ptr_null(mem_host(mem, gpa(base - 1), 2));
	ck_assert_ptr_null(mem_host(mem, gpa(base + 1), UINT64_MAX));
	ck_assert_ptr_null(mem_host(mem, gpa(BASE + PAGE_SIZE), 1));
	ck_assert_int_eq(mem_read(mem, gpa(base), &word, 2, &e), 0);
	ck_assert_int_eq(mem_store16(mem, gpa(base + len - 2), 0, &e), 0);
	ck_assert_int_eq(mem_write(mem, gpa(base + len - 1), &word, 2, &e), -EFAULT);
	ck_assert_ptr_nonnull(strstr(e.msg, "outside the pool"));
	ck_assert_int_eq(mem_load16(mem, gpa(OPEN), &word, &e), -EFAULT);
	ck_assert_ptr_nonnull(strstr(e.msg, "outside the pool"));
	ck_assert_int_eq(mem_read(mem, gpa(0), &word, 2, &e), -EFAULT);
	ck_assert_ptr_nonnull(strstr(e.msg, "not guest memory"));
	mem_limit_devices(mem, gpa(0), 0);
	ck_assert_ptr_nonnull(mem_host(mem, gpa(OPEN), 1));
}
END_TEST

Suite *mem_suite(void)
{
	Suite *s = suite_create("mem");
	TCase *t = tcase_create("mem");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, the_gate, 0, (int)ARRAY_SIZE(gate));
	tcase_add_test(t, native_memory_is_tried);
	tcase_add_test(t, native_memory_is_tried_in_bounds);
	tcase_add_test(t, devices_are_limited_to_a_range);
	tcase_add_test(t, bytes_arrive);
	tcase_add_test(t, two_bytes_at_once);
	tcase_add_test(t, two_bytes_are_never_torn);
	tcase_add_test(t, limit_of_file_sizes_is_named);
	tcase_add_loop_test(t, region_edges, 0, (int)ARRAY_SIZE(regions));
	tcase_add_test(t, removed_region_is_gone);
	tcase_add_test(t, removed_region_keeps_its_addresses);
	tcase_add_loop_test(t, guard_turns_faults_into_results, 0, 2);
	tcase_add_loop_test(t, fault_elsewhere_is_a_crash, 0, 2);
	tcase_add_test(t, probe_goes_past_the_gate);
	tcase_add_loop_test(t, pages_are_given_back, 0, (int)ARRAY_SIZE(discards));
	tcase_add_test(t, kernel_that_takes_nothing_back);
	tcase_add_loop_test(t, huge_pages_stay_reserved, 0, 2);
	tcase_add_loop_test(t, fault_in_open_memory_says_so, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
