/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "devices/probe.h"
#include "mem/guard.h"
#include "mem/probe.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

Suite *probe_suite(void);

/*
 * A real mem with slots that lead nowhere: 2 MiB of open memory and 2 MiB of private RAM. The "guest_memfd" of the split one is an empty file, whose mapping
 * answers as the real one does: SIGBUS.
 */
#define BASE  0x10000
#define SPLIT 0x20000000
#define SIZE  MIB(2)
#define PAGES (SIZE / PAGE_SIZE)
#define DEV   0xd0000000

static int slot_nop(void *ctx, const struct slot_desc *slot, struct err *e)
{
	(void)ctx;
	(void)slot;
	(void)e;
	return 0;
}

static int empty_gmem(void *ctx, uint64_t size, struct err *e)
{
	(void)ctx;
	(void)size;
	(void)e;
	return memfd_create("gmem", MFD_CLOEXEC);
}

static int discard(void *ctx, const struct backing *b, uint64_t off, uint64_t len)
{
	(void)ctx;
	return backing_discard(b, off, len);
}

static const struct slot_ops slot_ops = {
	.set = slot_nop, .del = slot_nop, .new_gmem = empty_gmem, .discard = discard
};

static struct slot_table *table;
static struct mem *mem;
static struct probe_dev *probe;
static struct bus bus;

static void setup(void)
{
	struct mem_region_desc open = { MEM_OPEN, "open", { BASE }, SIZE };
	struct mem_region_desc split = { MEM_SPLIT, "ram", { SPLIT }, SIZE };
	struct err e = { "" };

	ck_assert_int_eq(guard_init(&e), 0);
	table = slot_table_new(&slot_ops, NULL, 64);
	ck_assert_ptr_nonnull(table);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	ck_assert_msg(!mem_add(mem, &open, &e), "%s", e.msg);
	ck_assert_msg(!mem_add(mem, &split, &e), "%s", e.msg);
	ck_assert_int_eq(probe_dev_new(&probe, mem, &e), 0);
	bus_init(&bus, "test", UINT64_MAX);
	ck_assert_int_eq(bus_add(&bus,
				 &(struct bus_dev){ "probe", DEV, PROBE_SIZE, &probe_dev_ops, probe,
					 probe_dev_lock(probe) },
				 &e),
		0);
}

static void teardown(void)
{
	probe_dev_free(probe);
	mem_free(mem);
	slot_table_free(table);
}

static uint32_t get(unsigned int reg)
{
	uint32_t v;

	bus_read(&bus, DEV + reg, &v, 4);
	return v;
}

static void put(unsigned int reg, uint32_t v)
{
	bus_write(&bus, DEV + reg, &v, 4);
}

static void put64(unsigned int reg, uint64_t v)
{
	put(reg, (uint32_t)v);
	put(reg + 4, (uint32_t)(v >> 32));
}

static uint64_t get64(unsigned int reg)
{
	return get(reg) | (uint64_t)get(reg + 4) << 32;
}

static uint32_t run(uint32_t cmd, uint64_t at)
{
	put64(PROBE_GPA_LO, at);
	put(PROBE_CMD, cmd);
	return get(PROBE_RESULT);
}

START_TEST(registers_hold_what_was_written)
{
	for (unsigned int reg = PROBE_GPA_LO; reg <= PROBE_VALUE_LO; reg += 8)
		put64(reg, 0x1122334455667788ULL + reg);
	for (unsigned int reg = PROBE_GPA_LO; reg <= PROBE_VALUE_LO; reg += 8)
		ck_assert_uint_eq(get64(reg), 0x1122334455667788ULL + reg);
	/* Read-only and absent registers take nothing. */
	for (unsigned int reg = PROBE_RESULT; reg < PROBE_SIZE; reg += 4) {
		put(reg, 0xffffffff);
		ck_assert_uint_eq(get(reg), 0);
	}
	ck_assert_uint_eq(get(PROBE_CMD), 0);
}
END_TEST

START_TEST(reads_and_writes_open_memory)
{
	uint64_t *host = mem_host(mem, gpa(BASE + 8), 8);

	*host = 0x0123456789abcdefULL;
	ck_assert_uint_eq(run(PROBE_CMD_PEEK, BASE + 8), PROBE_OK);
	ck_assert_uint_eq(get64(PROBE_VALUE_LO), *host);
	put64(PROBE_VALUE_LO, 42);
	ck_assert_uint_eq(run(PROBE_CMD_POKE, BASE + 8), PROBE_OK);
	ck_assert_uint_eq(*host, 42);
	put64(PROBE_VALUE_LO, 0);
	ck_assert_uint_eq(run(PROBE_CMD_READ, BASE + 8), PROBE_OK);
	ck_assert_uint_eq(get64(PROBE_VALUE_LO), 42);
	put64(PROBE_VALUE_LO, 43);
	ck_assert_uint_eq(run(PROBE_CMD_WRITE, BASE + 8), PROBE_OK);
	ck_assert_uint_eq(*host, 43);
}
END_TEST

START_TEST(private_memory_is_refused)
{
	put64(PROBE_VALUE_LO, 1);
	ck_assert_uint_eq(run(PROBE_CMD_PEEK, SPLIT), PROBE_SIGBUS);
	ck_assert_uint_eq(get64(PROBE_VALUE_LO), 0);
	ck_assert_uint_eq(run(PROBE_CMD_POKE, SPLIT), PROBE_SIGBUS);
	put64(PROBE_VALUE_LO, 1);
	ck_assert_uint_eq(run(PROBE_CMD_READ, SPLIT), PROBE_GATE);
	ck_assert_uint_eq(get64(PROBE_VALUE_LO), 0);
	ck_assert_uint_eq(run(PROBE_CMD_WRITE, SPLIT), PROBE_GATE);
}
END_TEST

START_TEST(what_is_not_memory_is_said_to_be)
{
	static const uint64_t places[] = { 0, BASE - 8, BASE + SIZE, UINT64_MAX, UINT64_MAX - 7,
		DEV };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		ck_assert_uint_eq(run(PROBE_CMD_PEEK, places[i]), PROBE_NOT_MEMORY);
		ck_assert_uint_eq(run(PROBE_CMD_POKE, places[i]), PROBE_NOT_MEMORY);
		ck_assert_uint_eq(run(PROBE_CMD_READ, places[i]), PROBE_GATE);
		ck_assert_uint_eq(run(PROBE_CMD_WRITE, places[i]), PROBE_GATE);
	}
	ck_assert_uint_eq(run(PROBE_CMD_PEEK, BASE + PAGE_SIZE - 4), PROBE_NOT_MEMORY);
}
END_TEST

START_TEST(scan_counts)
{
	put64(PROBE_LEN_LO, SIZE);
	ck_assert_uint_eq(run(PROBE_CMD_SCAN, BASE), PROBE_OK);
	ck_assert_uint_eq(get(PROBE_READABLE), PAGES);
	ck_assert_uint_eq(get(PROBE_REFUSED), 0);
	ck_assert_uint_eq(run(PROBE_CMD_SCAN, SPLIT), PROBE_OK);
	ck_assert_uint_eq(get(PROBE_READABLE), 0);
	ck_assert_uint_eq(get(PROBE_REFUSED), PAGES);
}
END_TEST

static const struct {
	uint64_t at, len;
	uint32_t want;
} scans[] = {
	{ BASE, 0, PROBE_NOT_MEMORY },
	{ BASE, 1, PROBE_OK },
	{ BASE, UINT64_MAX, PROBE_NOT_MEMORY },
	{ BASE, PROBE_SCAN_MAX + 1, PROBE_NOT_MEMORY },
	{ UINT64_MAX, 1, PROBE_OK },
	{ UINT64_MAX, 2, PROBE_NOT_MEMORY },
	{ UINT64_MAX - 0xfff, 0x1000, PROBE_OK },
	{ UINT64_MAX - 0xfff, 0x1001, PROBE_NOT_MEMORY },
	{ SPLIT, PROBE_SCAN_MAX, PROBE_OK },
};

START_TEST(scan_is_bounded)
{
	put64(PROBE_LEN_LO, scans[_i].len);
	ck_assert_uint_eq(run(PROBE_CMD_SCAN, scans[_i].at), scans[_i].want);
	if (scans[_i].want != PROBE_OK)
		ck_assert_uint_eq(get(PROBE_READABLE) | get(PROBE_REFUSED), 0);
}
END_TEST

START_TEST(resident_memory_grows_with_use)
{
	uint64_t before, after;

	ck_assert_uint_eq(run(PROBE_CMD_RSS, 0), PROBE_OK);
	before = get64(PROBE_VALUE_LO);
	ck_assert_uint_gt(before, 0);
	memset(mem_host(mem, gpa(BASE), SIZE), 1, SIZE);
	ck_assert_uint_eq(run(PROBE_CMD_RSS, 0), PROBE_OK);
	after = get64(PROBE_VALUE_LO);
	ck_assert_uint_ge(after, before + SIZE / 2);
}
END_TEST

/* Reads what is logged while fn runs. */
static size_t capture(uint32_t cmd, uint64_t at, char *text, size_t size)
{
	int p[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	ck_assert_int_eq(pipe(p), 0);
	dup2(p[1], STDERR_FILENO);
	close(p[1]);
	run(cmd, at);
	dup2(saved, STDERR_FILENO);
	close(saved);
	n = read(p[0], text, size - 1);
	close(p[0]);
	text[n > 0 ? n : 0] = 0;
	return (size_t)n;
}

START_TEST(says_what_it_found)
{
	static const struct {
		uint32_t cmd;
		uint64_t at;
		const char *part;
	} rows[] = {
		{ PROBE_CMD_PEEK, SPLIT + 0x1000, "gpa 0x20001000" },
		{ PROBE_CMD_PEEK, SPLIT, "refused by the host kernel (SIGBUS)" },
		{ PROBE_CMD_PEEK, BASE, "went through" },
		{ PROBE_CMD_READ, SPLIT, "refused by the gate" },
		{ PROBE_CMD_READ, SPLIT, "private" },
		{ PROBE_CMD_SCAN, SPLIT, "0 pages readable, 512 refused" },
		{ PROBE_CMD_REPORT, 0, "0 pages readable, 512 refused" },
	};
	char text[2048];

	log_set_level(LOG_INFO);
	put64(PROBE_LEN_LO, SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		capture(rows[i].cmd, rows[i].at, text, sizeof(text));
		ck_assert_msg(
			strstr(text, rows[i].part) != NULL, "'%s' in: %s", rows[i].part, text);
	}
	log_set_level(LOG_WARN);
}
END_TEST

START_TEST(any_access_is_survived)
{
	uint64_t v = 0x0101010101010101ULL;

	log_set_level(LOG_ERROR);
	for (unsigned int len = 1; len <= 8; len++) {
		for (uint64_t off = 0; off < PROBE_SIZE; off++) {
			uint64_t got = 0;

			bus_write(&bus, DEV + off, &v, len);
			bus_read(&bus, DEV + off, &got, len);
			if (len != 4 && off + len <= PROBE_SIZE)
				ck_assert_uint_eq(got, 0);
		}
	}
	for (uint32_t cmd = 0; cmd < 16; cmd++)
		put(PROBE_CMD, cmd);
	log_set_level(LOG_WARN);
}
END_TEST

Suite *probe_suite(void)
{
	Suite *s = suite_create("probe");
	TCase *t = tcase_create("probe");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, registers_hold_what_was_written);
	tcase_add_test(t, reads_and_writes_open_memory);
	tcase_add_test(t, private_memory_is_refused);
	tcase_add_test(t, what_is_not_memory_is_said_to_be);
	tcase_add_test(t, scan_counts);
	tcase_add_loop_test(t, scan_is_bounded, 0, (int)ARRAY_SIZE(scans));
	tcase_add_test(t, resident_memory_grows_with_use);
	tcase_add_test(t, says_what_it_found);
	tcase_add_test(t, any_access_is_survived);
	suite_add_tcase(s, t);
	return s;
}
