/* SPDX-License-Identifier: Apache-2.0 */

/* Memory tags, with a KVM that keeps them in an array, does as much at a time as it likes, and fails. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "mem/guard.h"
#include "mem/mte.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define BASE   GIB(1)
#define PAGES  600u
#define LEN    (PAGES * PAGE_SIZE)
#define SECOND (BASE + LEN + MIB(2))
#define COUNT  (PAGES * MTE_PAGE_TAGS)

static struct {
	uint8_t tags[COUNT];
	uint64_t most;	     /* bytes that a call does */
	unsigned int calls;  /* so far */
	unsigned int fail;   /* this call fails; 0: none */
	int64_t answer;	     /* in place of what was done; 0: that */
	uint64_t first, end; /* all that was asked for */
} kvm;

static struct fake_kvm slots;
static struct slot_table *table;
static struct mem *mem;

static int64_t fake_copy(
	void *ctx, gpa_t a, uint64_t len, uint8_t *tags, bool to_guest, struct err *e)
{
	uint8_t *own = kvm.tags + (a.v - BASE) / MTE_GRANULE;
	uint64_t n = min_u64(len, kvm.most), i;

	(void)ctx;
	if (++kvm.calls == kvm.fail)
		return err_set(e, -EFAULT, "injected");
	if (kvm.answer)
		return kvm.answer;
	kvm.first = min_u64(kvm.first, a.v);
	kvm.end = max_u64(kvm.end, a.v + n);
	for (i = 0; i < n / MTE_GRANULE; i++) {
		if (to_guest)
			own[i] = tags[i] & 15;
		else
			tags[i] = own[i];
	}
	return (int64_t)n;
}

static const struct mte_ops ops = { .copy = fake_copy };
static struct mte mte;

static void setup(void)
{
	struct mem_region_desc d = { MEM_OPEN, "ram", { BASE }, LEN };
	struct mem_region_desc other = { MEM_OPEN, "more", { SECOND }, MIB(2) };
	struct err e = { "" };

	memset(&kvm, 0, sizeof(kvm));
	memset(&slots, 0, sizeof(slots));
	kvm.most = UINT64_MAX;
	kvm.first = UINT64_MAX;
	slots.max = FAKE_SLOTS_MAX;
	ck_assert_int_eq(guard_init(&e), 0);
	table = slot_table_new(&fake_slot_ops, &slots, FAKE_SLOTS_MAX);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	ck_assert_msg(mem_add(mem, &d, &e) == 0, "%s", e.msg);
	ck_assert_msg(mem_add(mem, &other, &e) == 0, "%s", e.msg);
	mte = (struct mte){ .mem = mem, .ops = &ops };
}

static void teardown(void)
{
	mem_free(mem);
	slot_table_free(table);
}

static uint8_t tag_of(uint64_t granule)
{
	return (uint8_t)(granule * 7 + granule / 256 + granule / 4096 * 3) & 15;
}

static void fill(void)
{
	uint64_t i;

	for (i = 0; i < COUNT; i++)
		kvm.tags[i] = tag_of(i);
}

/* How much KVM does at a time is its business. */
static const uint64_t steps[] = { PAGE_SIZE, 3 * PAGE_SIZE, 255 * PAGE_SIZE, UINT64_MAX };

START_TEST(reads_all_whatever_a_call_does)
{
	static uint8_t tags[COUNT];
	struct err e = { "" };

	fill();
	kvm.most = steps[_i];
	memset(tags, 0xff, sizeof(tags));
	ck_assert_msg(mte_read(&mte, gpa(BASE), LEN, tags, &e) == 0, "%s", e.msg);
	ck_assert_mem_eq(tags, kvm.tags, sizeof(tags));
}
END_TEST

START_TEST(writes_all_whatever_a_call_does)
{
	static uint8_t tags[COUNT], before[COUNT];
	struct err e = { "" };
	unsigned int i;

	fill();
	memcpy(before, kvm.tags, sizeof(before));
	for (i = 0; i < COUNT; i++)
		tags[i] = (uint8_t)(tag_of(i) + 1) & 15;
	kvm.most = steps[_i];
	/* All but the first page and the last two. */
	ck_assert_int_eq(mte_write(&mte, gpa(BASE + PAGE_SIZE), LEN - 3 * PAGE_SIZE,
				 tags + MTE_PAGE_TAGS, &e),
		0);
	ck_assert_mem_eq(kvm.tags, before, MTE_PAGE_TAGS);
	ck_assert_mem_eq(kvm.tags + MTE_PAGE_TAGS, tags + MTE_PAGE_TAGS, COUNT - 3 * MTE_PAGE_TAGS);
	ck_assert_mem_eq(kvm.tags + COUNT - 2 * MTE_PAGE_TAGS, before + COUNT - 2 * MTE_PAGE_TAGS,
		2 * MTE_PAGE_TAGS);
}
END_TEST

static const struct {
	uint64_t gpa, len;
	int code;
	const char *says;
} bad[] = {
	{ BASE, 0, -EINVAL, "no range of whole pages" },
	{ BASE + 16, PAGE_SIZE, -EINVAL, "no range of whole pages" },
	{ BASE, 16, -EINVAL, "no range of whole pages" },
	{ BASE, PAGE_SIZE + 1, -EINVAL, "no range of whole pages" },
	{ BASE - PAGE_SIZE, PAGE_SIZE, -EFAULT, "not guest memory" },
	{ BASE - PAGE_SIZE, 2 * PAGE_SIZE, -EFAULT, "not guest memory" },
	{ BASE + LEN, PAGE_SIZE, -EFAULT, "not guest memory" },
	{ BASE + LEN - PAGE_SIZE, 2 * PAGE_SIZE, -EFAULT, "not guest memory" },
	/* Over a hole, to memory again. */
	{ BASE, SECOND + MIB(1) - BASE, -EFAULT, "not guest memory" },
	{ BASE, UINT64_MAX - PAGE_SIZE + 1, -EFAULT, "not guest memory" },
	{ UINT64_MAX - PAGE_SIZE + 1, 2 * PAGE_SIZE, -EFAULT, "not guest memory" },
};

START_TEST(bad_ranges_reach_nobody)
{
	static struct mte_walk walk;
	uint8_t tags[2 * MTE_PAGE_TAGS] = { 0 };
	gpa_t at = gpa(bad[_i].gpa), good = gpa(SECOND);
	uint64_t len = bad[_i].len;
	struct err e = { "" };

	ck_assert_int_eq(mte_read(&mte, at, len, tags, &e), bad[_i].code);
	ck_assert_ptr_nonnull(strstr(e.msg, bad[_i].says));
	ck_assert_int_eq(mte_write(&mte, at, len, tags, &e), bad[_i].code);
	ck_assert_int_eq(mte_clear(&mte, at, len, &e), bad[_i].code);
	ck_assert_int_eq(mte_walk_begin(&walk, &mte, at, len, &e), bad[_i].code);
	ck_assert_int_eq(mte_copy(&mte, at, good, len, &e), bad[_i].code);
	ck_assert_int_lt(mte_copy(&mte, good, at, len, &e), 0);
	ck_assert_uint_eq(kvm.calls, 0);
}
END_TEST

START_TEST(errors_of_kvm_come_back)
{
	uint8_t tags[4 * MTE_PAGE_TAGS];
	struct err e = { "" };

	kvm.most = PAGE_SIZE;
	kvm.fail = 3;
	ck_assert_int_eq(mte_read(&mte, gpa(BASE), 4 * PAGE_SIZE, tags, &e), -EFAULT);
	ck_assert_str_eq(e.msg, "injected");
	ck_assert_uint_eq(kvm.calls, 3);
}
END_TEST

/* An answer that no KVM gives ends in a sentence, not in a loop or behind the buffer. */
START_TEST(impossible_answers_end)
{
	static const int64_t answers[] = { 5, PAGE_SIZE + 16, 2 * PAGE_SIZE, INT64_MAX };
	uint8_t tags[MTE_PAGE_TAGS];
	struct err e = { "" };

	kvm.answer = answers[_i];
	ck_assert_int_eq(mte_read(&mte, gpa(BASE), PAGE_SIZE, tags, &e), -EIO);
	ck_assert_uint_eq(kvm.calls, 1);
	kvm.answer = 0;
	kvm.most = 0;
	ck_assert_int_eq(mte_read(&mte, gpa(BASE), PAGE_SIZE, tags, &e), -EIO);
}
END_TEST

START_TEST(clears_no_more_than_it_is_told)
{
	static uint8_t zeros[COUNT], before[COUNT];
	struct err e = { "" };
	uint64_t n = 37;

	fill();
	memcpy(before, kvm.tags, sizeof(before));
	kvm.most = 5 * PAGE_SIZE;
	ck_assert_int_eq(mte_clear(&mte, gpa(BASE + 2 * PAGE_SIZE), n * PAGE_SIZE, &e), 0);
	ck_assert_mem_eq(kvm.tags, before, 2 * MTE_PAGE_TAGS);
	ck_assert_mem_eq(kvm.tags + 2 * MTE_PAGE_TAGS, zeros, n * MTE_PAGE_TAGS);
	ck_assert_mem_eq(kvm.tags + (2 + n) * MTE_PAGE_TAGS, before + (2 + n) * MTE_PAGE_TAGS,
		COUNT - (2 + n) * MTE_PAGE_TAGS);
}
END_TEST

START_TEST(copies_bytes_and_tags)
{
	static uint8_t before[COUNT];
	const uint64_t from = BASE + 3 * PAGE_SIZE, to = BASE + 400 * PAGE_SIZE, n = 100;
	struct err e = { "" };
	char *bytes = mem_host(mem, gpa(BASE), LEN);
	uint64_t i;

	fill();
	memcpy(before, kvm.tags, sizeof(before));
	for (i = 0; i < LEN; i++)
		bytes[i] = (char)(i * 31 + i / PAGE_SIZE);
	ck_assert_int_eq(mte_copy(&mte, gpa(to), gpa(from), n * PAGE_SIZE, &e), 0);
	ck_assert_mem_eq(bytes + (to - BASE), bytes + (from - BASE), n * PAGE_SIZE);
	ck_assert_mem_eq(kvm.tags + (to - BASE) / MTE_GRANULE, before + (from - BASE) / MTE_GRANULE,
		n * MTE_PAGE_TAGS);
	ck_assert_mem_eq(kvm.tags, before, (to - BASE) / MTE_GRANULE);
	ck_assert_mem_eq(kvm.tags + (to - BASE) / MTE_GRANULE + n * MTE_PAGE_TAGS,
		before + (to - BASE) / MTE_GRANULE + n * MTE_PAGE_TAGS,
		COUNT - (to - BASE) / MTE_GRANULE - n * MTE_PAGE_TAGS);
}
END_TEST

START_TEST(ranges_that_overlap_are_not_copied)
{
	struct err e = { "" };

	ck_assert_int_eq(
		mte_copy(&mte, gpa(BASE + PAGE_SIZE), gpa(BASE), 2 * PAGE_SIZE, &e), -EINVAL);
	ck_assert_int_eq(
		mte_copy(&mte, gpa(BASE), gpa(BASE + PAGE_SIZE), 2 * PAGE_SIZE, &e), -EINVAL);
	ck_assert_int_eq(mte_copy(&mte, gpa(BASE), gpa(BASE), PAGE_SIZE, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "overlap"));
	ck_assert_uint_eq(kvm.calls, 0);
	ck_assert_int_eq(mte_copy(&mte, gpa(BASE), gpa(BASE + PAGE_SIZE), PAGE_SIZE, &e), 0);
}
END_TEST

/* ---- walks ---- */

/* Pages with a tag somewhere, in order; ends of buffers among them. */
static const unsigned int tagged[] = { 0, 1, 63, 64, 65, 130, 191, 192, 400, 599 };

static unsigned int walk_all(struct mte_walk *w, gpa_t a, uint64_t len, unsigned int *found)
{
	const uint8_t *tags;
	struct err e = { "" };
	unsigned int n = 0, rounds = 0;
	gpa_t page;
	int r = mte_walk_begin(w, &mte, a, len, &e);

	while (r >= 0 && !mte_walk_done(w)) {
		unsigned int before = kvm.calls;

		r = mte_walk_next(w, &page, &tags, &e);
		ck_assert_uint_le(kvm.calls - before, 1);
		ck_assert_uint_lt(rounds++, 2 * PAGES);
		if (r != 1)
			continue;
		ck_assert_mem_eq(tags, kvm.tags + (page.v - BASE) / MTE_GRANULE, MTE_PAGE_TAGS);
		found[n++] = (unsigned int)((page.v - BASE) / PAGE_SIZE);
	}
	ck_assert_msg(r >= 0, "%s", e.msg);
	return n;
}

START_TEST(walk_finds_the_pages_that_have_tags)
{
	static struct mte_walk w;
	unsigned int found[PAGES], i;

	/* One granule each, the first and last of a page among them. */
	for (i = 0; i < ARRAY_SIZE(tagged); i++)
		kvm.tags[tagged[i] * MTE_PAGE_TAGS + i * 255 / 9] = (uint8_t)(i % 15 + 1);
	ck_assert_uint_eq(walk_all(&w, gpa(BASE), LEN, found), ARRAY_SIZE(tagged));
	ck_assert_mem_eq(found, tagged, sizeof(tagged));
	/* A part of it, and nothing beyond. */
	kvm.first = UINT64_MAX;
	kvm.end = 0;
	ck_assert_uint_eq(walk_all(&w, gpa(BASE + 64 * PAGE_SIZE), 128 * PAGE_SIZE, found), 4);
	ck_assert_mem_eq(found, tagged + 3, 4 * sizeof(tagged[0]));
	ck_assert_uint_eq(kvm.first, BASE + 64 * PAGE_SIZE);
	ck_assert_uint_eq(kvm.end, BASE + 192 * PAGE_SIZE);
}
END_TEST

START_TEST(walk_of_untagged_memory_finds_nothing)
{
	static struct mte_walk w;
	unsigned int found[1];

	ck_assert_uint_eq(walk_all(&w, gpa(BASE), LEN, found), 0);
	ck_assert_uint_eq(kvm.calls, (PAGES + MTE_WALK_PAGES - 1) / MTE_WALK_PAGES);
}
END_TEST

START_TEST(walk_tells_of_errors)
{
	static struct mte_walk w;
	struct err e = { "" };
	const uint8_t *tags;
	gpa_t page;
	int r = 0;

	kvm.fail = 2;
	ck_assert_int_eq(mte_walk_begin(&w, &mte, gpa(BASE), LEN, &e), 0);
	while (!r && !mte_walk_done(&w))
		r = mte_walk_next(&w, &page, &tags, &e);
	ck_assert_int_eq(r, -EFAULT);
}
END_TEST

START_TEST(packed_is_low_address_first)
{
	uint8_t tags[MTE_PAGE_TAGS], packed[MTE_PAGE_PACKED], again[MTE_PAGE_TAGS];
	unsigned int i;

	for (i = 0; i < MTE_PAGE_TAGS; i++)
		tags[i] = tag_of(i);
	tags[0] = 1;
	tags[1] = 2;
	tags[254] = 14;
	tags[255] = 15;
	mte_pack(tags, packed);
	ck_assert_uint_eq(packed[0], 0x21);
	ck_assert_uint_eq(packed[127], 0xfe);
	mte_unpack(packed, again);
	ck_assert_mem_eq(again, tags, sizeof(tags));
	/* What is above the low four bits does not get into the neighbour. */
	tags[0] = 0xf1;
	mte_pack(tags, packed);
	ck_assert_uint_eq(packed[0], 0x21);
}
END_TEST

Suite *mte_suite(void)
{
	Suite *s = suite_create("mte");
	TCase *t = tcase_create("tags");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, reads_all_whatever_a_call_does, 0, ARRAY_SIZE(steps));
	tcase_add_loop_test(t, writes_all_whatever_a_call_does, 0, ARRAY_SIZE(steps));
	tcase_add_loop_test(t, bad_ranges_reach_nobody, 0, ARRAY_SIZE(bad));
	tcase_add_test(t, errors_of_kvm_come_back);
	tcase_add_loop_test(t, impossible_answers_end, 0, 4);
	tcase_add_test(t, clears_no_more_than_it_is_told);
	tcase_add_test(t, copies_bytes_and_tags);
	tcase_add_test(t, ranges_that_overlap_are_not_copied);
	tcase_add_test(t, walk_finds_the_pages_that_have_tags);
	tcase_add_test(t, walk_of_untagged_memory_finds_nothing);
	tcase_add_test(t, walk_tells_of_errors);
	tcase_add_test(t, packed_is_low_address_first);
	suite_add_tcase(s, t);
	return s;
}
