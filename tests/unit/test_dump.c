/* SPDX-License-Identifier: Apache-2.0 */

/* Dumps of memory and tags: what is written is read back, and what is damaged is found. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem/dump.h"
#include "mem/guard.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define BASE	 GIB(1)
#define PAGES	 2600u
#define OTHER	 GIB(3)
#define PAGES2	 70u
#define FILE_MAX MIB(2)

static uint8_t tags[PAGES + PAGES2][MTE_PAGE_TAGS];
static bool kvm_fails;
static unsigned int kvm_calls;
static struct fake_kvm slots;
static struct slot_table *table;
static struct mem *mem;
static struct mte mte;
static uint8_t *file;
static size_t file_len;

static uint8_t *tags_of(uint64_t a)
{
	return a < OTHER ? tags[(a - BASE) / PAGE_SIZE] : tags[PAGES + (a - OTHER) / PAGE_SIZE];
}

static int64_t fake_copy(
	void *ctx, gpa_t a, uint64_t len, uint8_t *to, bool to_guest, struct err *e)
{
	(void)ctx;
	kvm_calls++;
	if (kvm_fails || to_guest)
		return err_set(e, -EFAULT, "injected");
	memcpy(to, tags_of(a.v), len / MTE_GRANULE);
	return (int64_t)len;
}

static const struct mte_ops ops = { .copy = fake_copy };

static void setup(void)
{
	struct mem_region_desc d[] = { { MEM_OPEN, "ram", { BASE }, PAGES * PAGE_SIZE },
		{ MEM_OPEN, "ram", { OTHER }, PAGES2 * PAGE_SIZE },
		{ MEM_STAGING, "staging", { MIB(16) }, PAGE_SIZE } };
	struct err e = { "" };
	unsigned int i;

	memset(tags, 0, sizeof(tags));
	memset(&slots, 0, sizeof(slots));
	kvm_fails = false;
	slots.max = FAKE_SLOTS_MAX;
	ck_assert_int_eq(guard_init(&e), 0);
	table = slot_table_new(&fake_slot_ops, &slots, FAKE_SLOTS_MAX);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	for (i = 0; i < ARRAY_SIZE(d); i++)
		ck_assert_msg(mem_add(mem, &d[i], &e) == 0, "%s", e.msg);
	memset(mem_host(mem, gpa(MIB(16)), PAGE_SIZE), 0x55, PAGE_SIZE);
	mte = (struct mte){ .mem = mem, .ops = &ops };
	file = malloc(FILE_MAX);
	file_len = 0;
}

static void teardown(void)
{
	free(file);
	mem_free(mem);
	slot_table_free(table);
}

/* Bytes and tags: runs that are longer than a part, single pages, first and last ones. */
static void fill(void)
{
	static const struct {
		unsigned int page, count;
	} runs[] = { { 0, 1 }, { 2, 130 }, { 200, 64 }, { 265, 1 }, { PAGES - 1, 1 } };
	uint8_t *bytes = mem_host(mem, gpa(BASE), PAGES * PAGE_SIZE);
	uint64_t i, k;

	for (i = 0; i < ARRAY_SIZE(runs); i++)
		for (k = runs[i].page; k < runs[i].page + runs[i].count; k++) {
			bytes[k * PAGE_SIZE + k % PAGE_SIZE] = (uint8_t)(1 + k % 255);
			tags[k][k % MTE_PAGE_TAGS] = (uint8_t)(1 + k % 15);
		}
	/* Of these one has bytes only, the other tags only: at the edges of a page. */
	bytes[300 * PAGE_SIZE + PAGE_SIZE - 1] = 1;
	/* All alike, but no zeros. */
	memset(bytes + 302 * PAGE_SIZE, 7, PAGE_SIZE);
	tags[301][MTE_PAGE_TAGS - 1] = 15;
	*(uint8_t *)mem_host(mem, gpa(OTHER), 1) = 9;
	tags[PAGES][0] = 9;
	tags[PAGES + PAGES2 - 1][3] = 7;
}

static void write_dump(const struct mte *with)
{
	struct err e = { "" };
	struct dump *d;
	ssize_t n = 0;

	ck_assert_msg(
		dump_new(&d, mem, with, with ? DUMP_ARM64 : DUMP_X86_64, &e) == 0, "%s", e.msg);
	while (n >= 0 && !dump_done(d)) {
		ck_assert_uint_le(file_len, FILE_MAX - DUMP_PART_MAX);
		n = dump_next(d, file + file_len, DUMP_PART_MAX, &e);
		ck_assert_msg(n >= 0, "%s", e.msg);
		file_len += (size_t)n;
	}
	ck_assert_int_eq(dump_next(d, file + file_len, DUMP_PART_MAX, &e), 0);
	dump_free(d);
}

/* ---- reading ---- */

struct reading {
	size_t at, step;
	ssize_t fails; /* at its end */
	uint8_t *bytes, *tags;
};

static ssize_t take(void *ctx, void *buf, size_t len)
{
	struct reading *r = ctx;
	size_t n = min_u64(min_u64(len, r->step), file_len - r->at);

	if (!n && r->fails)
		return r->fails;
	memcpy(buf, file + r->at, n);
	r->at += n;
	return (ssize_t)n;
}

static uint64_t place(gpa_t a)
{
	return a.v < OTHER ? a.v - BASE : PAGES * PAGE_SIZE + (a.v - OTHER);
}

static void on_memory(void *ctx, gpa_t a, const uint8_t *bytes, uint64_t len)
{
	const struct reading *r = ctx;

	memcpy(r->bytes + place(a), bytes, len);
}

static void on_tags(void *ctx, gpa_t a, const uint8_t *packed, uint64_t pages)
{
	const struct reading *r = ctx;
	uint64_t i;

	for (i = 0; i < pages; i++)
		mte_unpack(packed + i * MTE_PAGE_PACKED,
			r->tags + place(a) / MTE_GRANULE + i * MTE_PAGE_TAGS);
}

static int read_dump(struct dump_summary *s, size_t step, struct err *e)
{
	struct reading r = { .step = step };
	struct dump_source src = { take, &r };

	e->msg[0] = '\0';
	return dump_read(&src, NULL, s, e);
}

static const size_t steps[] = { 1, 31, 4096, SIZE_MAX };

START_TEST(what_is_written_is_read)
{
	const size_t len = (PAGES + PAGES2) * PAGE_SIZE;
	struct reading r = {
		.step = steps[_i], .bytes = calloc(1, len), .tags = calloc(1, len / 16)
	};
	struct dump_visitor v = { on_memory, on_tags, &r };
	struct dump_summary s;
	struct err e = { "" };

	fill();
	write_dump(&mte);
	ck_assert_msg(dump_read(&(struct dump_source){ take, &r }, &v, &s, &e) == 0, "%s", e.msg);
	ck_assert_mem_eq(r.bytes, mem_host(mem, gpa(BASE), PAGES * PAGE_SIZE), PAGES * PAGE_SIZE);
	ck_assert_mem_eq(r.bytes + PAGES * PAGE_SIZE, mem_host(mem, gpa(OTHER), PAGES2 * PAGE_SIZE),
		PAGES2 * PAGE_SIZE);
	ck_assert_mem_eq(r.tags, tags, sizeof(tags));
	ck_assert_int_eq(s.arch, DUMP_ARM64);
	ck_assert(s.has_tags);
	ck_assert_uint_eq(s.ram_bytes, len);
	/* Staging memory is no RAM. */
	ck_assert_uint_eq(s.region_count, 2);
	ck_assert_uint_eq(s.memory_pages, 1 + 130 + 64 + 1 + 1 + 1 + 1 + 1);
	ck_assert_uint_eq(s.tagged_pages, 1 + 130 + 64 + 1 + 1 + 1 + 2);
	ck_assert_uint_eq(s.bytes, file_len);
	/* Nothing of what is zero, and parts as large as they may be: ten of each kind. */
	ck_assert_uint_eq(file_len, DUMP_HEADER + 2 * DUMP_PART_HEADER + 20 * DUMP_PART_HEADER +
					    s.memory_pages * PAGE_SIZE +
					    s.tagged_pages * MTE_PAGE_PACKED + DUMP_PART_HEADER);
	free(r.bytes);
	free(r.tags);
}
END_TEST

START_TEST(empty_memory_is_a_small_file)
{
	struct dump_summary s;
	struct err e;

	write_dump(&mte);
	ck_assert_uint_eq(file_len, DUMP_HEADER + 3 * DUMP_PART_HEADER);
	ck_assert_msg(read_dump(&s, SIZE_MAX, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(s.memory_pages + s.tagged_pages, 0);
}
END_TEST

START_TEST(without_tags)
{
	struct dump_summary s;
	struct err e;

	fill();
	write_dump(NULL);
	ck_assert_msg(read_dump(&s, SIZE_MAX, &e) == 0, "%s", e.msg);
	ck_assert(!s.has_tags);
	ck_assert_int_eq(s.arch, DUMP_X86_64);
	ck_assert_uint_eq(s.tagged_pages, 0);
}
END_TEST

START_TEST(nobody_need_look)
{
	struct reading r = { .step = SIZE_MAX };
	struct dump_visitor v = { NULL, NULL, &r };
	struct dump_summary s;
	struct err e = { "" };

	fill();
	write_dump(&mte);
	ck_assert_msg(dump_read(&(struct dump_source){ take, &r }, &v, &s, &e) == 0, "%s", e.msg);
	ck_assert_uint_gt(s.tagged_pages, 0);
}
END_TEST

/* Others wait for the thread: a call looks at a bounded part of memory. */
START_TEST(a_call_looks_at_little)
{
	unsigned int empty = 0;
	struct err e = { "" };
	struct dump *d;

	ck_assert_int_eq(dump_new(&d, mem, NULL, DUMP_X86_64, &e), 0);
	while (!dump_done(d))
		empty += !dump_next(d, file, DUMP_PART_MAX, &e);
	ck_assert_uint_ge(empty, PAGES / 1024 + 1);
	dump_free(d);
	/* Nor does it ask KVM often. */
	ck_assert_int_eq(dump_new(&d, mem, &mte, DUMP_ARM64, &e), 0);
	while (!dump_done(d)) {
		kvm_calls = 0;
		ck_assert_int_ge(dump_next(d, file, DUMP_PART_MAX, &e), 0);
		ck_assert_uint_le(kvm_calls, 1024 / MTE_WALK_PAGES);
	}
	dump_free(d);
}
END_TEST

START_TEST(kvms_errors_end_it)
{
	struct err e = { "" };
	struct dump *d;
	ssize_t n = 0;

	kvm_fails = true;
	ck_assert_int_eq(dump_new(&d, mem, &mte, DUMP_ARM64, &e), 0);
	while (n >= 0 && !dump_done(d))
		n = dump_next(d, file, DUMP_PART_MAX, &e);
	ck_assert_int_eq(n, -EFAULT);
	ck_assert_int_eq(dump_next(d, file, DUMP_PART_MAX - 1, &e), -EINVAL);
	dump_free(d);
}
END_TEST

START_TEST(protected_memory_is_refused)
{
	struct mem_region_desc d = { MEM_SPLIT, "ram", { GIB(5) }, MIB(2) };
	struct err e = { "" };
	struct dump *dump;

	ck_assert_msg(mem_add(mem, &d, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(dump_new(&dump, mem, NULL, DUMP_ARM64, &e), -EOPNOTSUPP);
	ck_assert_ptr_nonnull(strstr(e.msg, "protected"));
}
END_TEST

/* ---- damage ---- */

START_TEST(no_end_but_the_end)
{
	struct dump_summary s;
	struct err e;
	size_t whole;

	fill();
	write_dump(&mte);
	whole = file_len;
	/* Each length would take long: those around the edges, and some of the others. */
	for (file_len = 0; file_len < whole;
		file_len += file_len < 400 || whole - file_len < 400 ? 1 : 997)
		if (read_dump(&s, SIZE_MAX, &e) != -EBADMSG ||
			(file_len >= 8 && !strstr(e.msg, "cut short")))
			ck_abort_msg("%zu of %zu bytes: \"%s\"", file_len, whole, e.msg);
	file_len = whole;
	ck_assert_int_eq(read_dump(&s, SIZE_MAX, &e), 0);
	file[file_len++] = 0;
	ck_assert_int_eq(read_dump(&s, SIZE_MAX, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.msg, "goes on behind its end"));
}
END_TEST

START_TEST(no_bit_flips_unseen)
{
	struct dump_summary s;
	struct err e;
	size_t at;

	tags[3][4] = 5;
	*(uint8_t *)mem_host(mem, gpa(BASE), 1) = 1;
	write_dump(&mte);
	for (at = 0; at < file_len * 8; at += at < 512 * 8 ? 1 : 61) {
		file[at / 8] ^= (uint8_t)(1 << at % 8);
		if (read_dump(&s, SIZE_MAX, &e) != -EBADMSG || !e.msg[0])
			ck_abort_msg("bit %zu of byte %zu", at % 8, at / 8);
		file[at / 8] ^= (uint8_t)(1 << at % 8);
	}
	ck_assert_int_eq(read_dump(&s, SIZE_MAX, &e), 0);
}
END_TEST

START_TEST(errors_of_the_source_come_back)
{
	struct reading r = { .step = 100, .fails = -EIO };
	struct dump_summary s;
	struct err e = { "" };

	write_dump(&mte);
	file_len -= 10;
	ck_assert_int_eq(dump_read(&(struct dump_source){ take, &r }, NULL, &s, &e), -EIO);
	ck_assert_ptr_nonnull(strstr(e.msg, "at byte"));
}
END_TEST

/* Files with right checksums that no writer makes: header, then parts. */
static const struct forged {
	struct dump_summary head;
	struct dump_part parts[5];
	const char *says;
} forged[] = {
#define HEAD(flags, count, ram)                                      \
	{                                                            \
		DUMP_ARM64, flags, ram, count, { { 0, 0 } }, 0, 0, 0 \
	}
#define RAM                                  \
	{                                    \
		DUMP_REGION, 0, BASE, MIB(1) \
	}
	{ HEAD(1, 0, 0), { { DUMP_END, 0, 0, 0 } }, ": 0 regions of memory" },
	{ HEAD(1, 65, 0), { { DUMP_END, 0, 0, 0 } }, ": 65 regions of memory" },
	{ HEAD(1, 1, MIB(1)), { { DUMP_END, 0, 0, 0 } }, "tells of 1 regions" },
	{ HEAD(1, 1, MIB(2)), { RAM, { DUMP_END, 0, 0, 0 } }, "tells of 1 regions, 2097152 bytes" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_REGION, 0, GIB(2), MIB(1) } }, "a region more" },
	{ HEAD(1, 2, MIB(2)), { RAM, RAM }, "comes behind" },
	{ HEAD(1, 1, MIB(1)), { { DUMP_REGION, 4096, BASE, MIB(1) } }, "a region more, or larger" },
	{ HEAD(1, 1, MIB(1)), { { DUMP_REGION, 0, BASE + 1, MIB(1) } }, "no range of pages" },
	{ HEAD(1, 1, MIB(1)), { { DUMP_REGION, 0, BASE, 0 } }, "no range of pages" },
	{ HEAD(1, 1, MIB(1)), { { DUMP_REGION, 0, UINT64_MAX - 4095, 8192 } },
		"no range of pages" },
	{ HEAD(1, 1, MIB(1)), { { DUMP_REGION, 0, BIT(52) + PAGE_SIZE, PAGE_SIZE } },
		"no range of pages" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_MEMORY, 4096, BASE - PAGE_SIZE, 4096 } }, "in none" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_MEMORY, 4096, BASE + MIB(2), 4096 } }, "in none" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_TAGS, 65 * 128, BASE, 65 * PAGE_SIZE } },
		"8320 bytes for" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_MEMORY, 8192, BASE + MIB(1) - PAGE_SIZE, 8192 } },
		"in none" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_MEMORY, 4096, BASE, 8192 } }, "4096 bytes for 0x2000" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_TAGS, 0, BASE, MIB(1) } }, "0 bytes for" },
	{ HEAD(1, 1, MIB(1)),
		{ RAM, { DUMP_MEMORY, 4096, BASE, 4096 }, { DUMP_MEMORY, 4096, BASE, 4096 } },
		"comes behind" },
	{ HEAD(1, 1, MIB(1)),
		{ RAM, { DUMP_TAGS, 128, BASE, 4096 }, { DUMP_MEMORY, 4096, BASE, 4096 } },
		"kind memory behind one of kind tags" },
	{ HEAD(0, 1, MIB(1)), { RAM, { DUMP_TAGS, 128, BASE, 4096 } }, "a guest that has none" },
	{ HEAD(1, 1, MIB(1)), { RAM, { 5, 0, 0, 0 } }, "at byte 96: a part of unknown kind 5" },
	{ HEAD(1, 1, MIB(1)), { { 0, 0, 0, 0 } }, "unknown kind 0" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_END, 0, 1, 0 } }, "the end tells of 1 pages" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_END, 0, 0, 1 } }, "tags of 1" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_MEMORY, 4096, BASE, 4096 }, { DUMP_END, 0, 0, 0 } },
		"at byte 4224: the end tells" },
	{ HEAD(1, 1, MIB(1)), { RAM, { DUMP_END, 4096, 0, 0 } }, "the end tells of" },
};

START_TEST(what_cannot_be_is_refused)
{
	const struct forged *f = &forged[_i];
	struct dump_summary s;
	struct err e;
	unsigned int i;

	dump_put_header(file, &f->head);
	file_len = DUMP_HEADER;
	for (i = 0; i < ARRAY_SIZE(f->parts); i++) {
		memset(file + file_len, 0, DUMP_PART_MAX);
		dump_put_part(file + file_len, &f->parts[i]);
		file_len += DUMP_PART_HEADER + f->parts[i].payload;
	}
	ck_assert_int_eq(read_dump(&s, SIZE_MAX, &e), -EBADMSG);
	ck_assert_msg(strstr(e.msg, f->says) != NULL, "\"%s\", not \"%s\"", e.msg, f->says);
}
END_TEST

static const struct {
	unsigned int at;
	uint32_t value;
	const char *says;
} heads[] = {
	{ 8, 2, "version 2; this program knows version 1" },
	{ 12, 65, "header of 65 bytes" },
	{ 24, 8192, "pages of 8192" },
	{ 16, 0, "does not know" },
	{ 16, 3, "does not know" },
	{ 20, 3, "does not know" },
	{ 40, 1, "does not know" },
	{ 56, 1 << 24, "does not know" },
	/* The part behind it. */
	{ 64 + 24, 1, "unknown kind 1" },
};

/* Fields of another version of the format: all else is right. */
START_TEST(no_field_is_passed_over)
{
	struct dump_summary s;
	struct err e;
	uint32_t sum;

	write_dump(&mte);
	memcpy(file + heads[_i].at, &heads[_i].value, 4);
	sum = dump_checksum(0, file, DUMP_HEADER - 4);
	memcpy(file + DUMP_HEADER - 4, &sum, 4);
	sum = dump_checksum(0, file + DUMP_HEADER, DUMP_PART_HEADER - 4);
	memcpy(file + DUMP_HEADER + DUMP_PART_HEADER - 4, &sum, 4);
	ck_assert_int_eq(read_dump(&s, SIZE_MAX, &e), -EBADMSG);
	ck_assert_msg(strstr(e.msg, heads[_i].says) != NULL, "%s", e.msg);
}
END_TEST

/* Before anything of that size is looked at. */
START_TEST(no_part_is_too_large)
{
	struct dump_part p = { DUMP_REGION, 0, BASE, MIB(1) };
	uint32_t much = DUMP_PART_PAGES * 4096 + 1;
	struct dump_summary s;
	struct err e;

	write_dump(&mte);
	dump_put_part(file + DUMP_HEADER, &p);
	memcpy(file + DUMP_HEADER + 4, &much, 4);
	ck_assert_int_eq(read_dump(&s, SIZE_MAX, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.msg, "no part has more than"));
	memset(file, 'x', FILE_MAX);
	file_len = FILE_MAX;
	ck_assert_int_eq(read_dump(&s, SIZE_MAX, &e), -EBADMSG);
	ck_assert_ptr_nonnull(strstr(e.msg, "no dump"));
}
END_TEST

Suite *dump_suite(void)
{
	Suite *s = suite_create("dump");
	TCase *t = tcase_create("dump");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, what_is_written_is_read, 0, ARRAY_SIZE(steps));
	tcase_add_test(t, empty_memory_is_a_small_file);
	tcase_add_test(t, without_tags);
	tcase_add_test(t, nobody_need_look);
	tcase_add_test(t, a_call_looks_at_little);
	tcase_add_test(t, kvms_errors_end_it);
	tcase_add_test(t, protected_memory_is_refused);
	tcase_add_test(t, no_end_but_the_end);
	tcase_add_test(t, no_bit_flips_unseen);
	tcase_add_test(t, errors_of_the_source_come_back);
	tcase_add_loop_test(t, what_cannot_be_is_refused, 0, ARRAY_SIZE(forged));
	tcase_add_loop_test(t, no_field_is_passed_over, 0, ARRAY_SIZE(heads));
	tcase_add_test(t, no_part_is_too_large);
	suite_add_tcase(s, t);
	return s;
}
