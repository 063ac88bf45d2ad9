/* SPDX-License-Identifier: Apache-2.0 */

/* Requests for the guest's memory and its tags; the rest of the API is test_api.c's. */
#define machine_pause	   fake_machine_pause
#define machine_resume	   fake_machine_resume
#define machine_memory	   fake_memory
#define machine_tags	   fake_tags
#define server_send_stream fake_send_stream
#define arch_name	   fake_arch_name
#include "vmm/api/memory.c"

#include <check.h>

#include "mem/guard.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/test_api.h"

void fake_reply(
	struct server_request *rq, int status, const char *type, const char *body, size_t len);

static struct {
	struct mem *mem;
	bool has_tags, kvm_fails;
	struct server_stream stream;
	bool no_stream;
} ram;

static uint8_t tags_of_guest[MIB(4) / MTE_GRANULE];

static int64_t fake_copy_tags(
	void *ctx, gpa_t a, uint64_t len, uint8_t *tags, bool to_guest, struct err *e)
{
	uint8_t *own = tags_of_guest + (a.v - GIB(1)) / MTE_GRANULE;

	(void)ctx;
	if (ram.kvm_fails)
		return err_set(e, -EIO, "injected");
	memcpy(to_guest ? own : tags, to_guest ? tags : own, len / MTE_GRANULE);
	return (int64_t)len;
}

const struct mem *fake_memory(const struct machine *m)
{
	(void)m;
	return ram.mem;
}

const struct mte *fake_tags(const struct machine *m)
{
	static const struct mte_ops ops = { .copy = fake_copy_tags };
	static struct mte mte;

	(void)m;
	mte = (struct mte){ .mem = ram.mem, .ops = &ops };
	return ram.has_tags ? &mte : NULL;
}

int fake_send_stream(struct server_request *rq, const struct server_stream *s, struct err *e)
{
	if (ram.no_stream)
		return err_set(e, -ENOMEM, "no stream");
	fake_reply(rq, 200, s->type, "stream", 6);
	ram.stream = *s;
	return 0;
}

const char *fake_arch_name(void)
{
	return "arm64";
}

static struct fake_kvm slots;
static struct slot_table *table;

static void setup_memory(void)
{
	struct mem_region_desc d = { MEM_OPEN, "ram", { GIB(1) }, MIB(4) };
	struct err e = { "" };

	api_setup();
	memset(&ram, 0, sizeof(ram));
	memset(&slots, 0, sizeof(slots));
	memset(tags_of_guest, 0, sizeof(tags_of_guest));
	slots.max = 8;
	ck_assert_int_eq(guard_init(&e), 0);
	table = slot_table_new(&fake_slot_ops, &slots, 8);
	ck_assert_int_eq(mem_new(&ram.mem, table, &e), 0);
	ck_assert_int_eq(mem_add(ram.mem, &d, &e), 0);
	ram.has_tags = true;
	api_begin();
}

static void teardown_memory(void)
{
	mem_free(ram.mem);
	slot_table_free(table);
	api_teardown();
}

#define PAUSED	"{\"state\":\"Paused\"}"
#define RESUMED "{\"state\":\"Resumed\"}"

START_TEST(tags_are_told)
{
	tags_of_guest[256 + 3] = 5;
	tags_of_guest[512] = 15;
	ck_assert_int_eq(api_ask("GET", "/mte/tags?gpa=0x40000000&len=16384", NULL), 200);
	api_says("{\"gpa\":1073741824,\"len\":16384,\"granule\":16,\"pages\":[{\"gpa\":1073745920,"
		 "\"tags\":\"000500");
	api_says(",{\"gpa\":1073750016,\"tags\":\"f000");
	/* It was running, and stood still for it. */
	ck_assert_uint_eq(fake_api.pauses, 1);
	ck_assert_uint_eq(fake_api.resumes, 1);
	/* A part of two pages. */
	ck_assert_int_eq(api_ask("GET", "/mte/tags?len=0xfE0&gpa=1073745952", NULL), 200);
	api_says("[{\"gpa\":1073745952,\"tags\":\"0500");
	ck_assert_ptr_null(strstr(fake_api.text, "f00"));
	api_done("PATCH", "/vm", PAUSED);
	ck_assert_int_eq(api_ask("GET", "/mte/tags?gpa=1073741824&len=16", NULL), 200);
	api_says("\"pages\":[]");
	ck_assert_uint_eq(fake_api.pauses, 3);
	ck_assert_uint_eq(fake_api.resumes, 2);
}
END_TEST

static const struct {
	const char *query, *says;
} bad_ranges[] = {
	{ "", "missing parameter `gpa`" },
	{ "?", "missing parameter `gpa`" },
	{ "?gpa=0", "missing parameter `len`" },
	{ "?gpa=0&len=", "len: expected a number" },
	{ "?gpa=&len=16", "gpa: expected a number" },
	{ "?gpa=0x&len=16", "gpa: expected a number" },
	{ "?gpa=-16&len=16", "gpa: expected a number" },
	{ "?gpa=0x10000000000000000&len=16", "gpa: expected a number" },
	{ "?gpa=0&gpa=0&len=16", "gpa is given twice" },
	{ "?gpa=0&len=16&len=16", "len is given twice" },
	{ "?gpa=0&len=16&x=1", "unknown parameter `x=1`" },
	{ "?gpa=8&len=16", "multiples of 16" },
	{ "?gpa=0&len=8", "multiples of 16" },
	{ "?gpa=0&len=0", "multiples of 16" },
	{ "?gpa=0&len=1048592", "1048592 is too much" },
	{ "?gpa=0xfffffffffffffff0&len=32", "no range" },
	{ "?gpa=0xfffffffffffffff0&len=16", "no range" },
	{ "?gpa=0&len=16", "not guest memory" },
	{ "?gpa=0x403fff00&len=4096", "not guest memory" },
};

START_TEST(ranges_are_checked)
{
	char path[80];

	snprintf(path, sizeof(path), "/mte/tags%s", bad_ranges[_i].query);
	api_refused("GET", path, NULL, bad_ranges[_i].says);
	ck_assert_uint_eq(fake_api.pauses, fake_api.resumes);
}
END_TEST

START_TEST(tags_are_written_while_paused)
{
	static const uint8_t some[] = { 0, 1, 2, 10, 15, 0 }, more[] = { 7, 3, 9, 3, 9, 3, 7 };

	api_refused("PUT", "/mte/tags", "{\"gpa\":1073741840,\"tags\":\"12aF\"}",
		"only while the guest is paused");
	ck_assert_uint_eq(tags_of_guest[1], 0);
	api_done("PATCH", "/vm", PAUSED);
	api_done("PUT", "/mte/tags", "{\"gpa\":1073741840,\"tags\":\"12aF\"}");
	ck_assert_mem_eq(tags_of_guest, some, sizeof(some));
	/* What is around it stays, over the end of a page too. */
	memset(tags_of_guest, 7, 1024);
	api_done("PUT", "/mte/tags", "{\"gpa\":\"0x40000fe0\",\"len\":\"80\",\"tags\":\"39\"}");
	ck_assert_mem_eq(tags_of_guest + 253, more, sizeof(more) - 1);
	ck_assert_mem_eq(tags_of_guest + 258, "\3\7", 2);
}
END_TEST

static const struct {
	const char *body, *says;
} bad_tags[] = {
	{ "{}", "missing field `gpa`" },
	{ "{\"gpa\":1073741824}", "tags: expected a string" },
	{ "{\"gpa\":1073741824,\"tags\":5}", "tags: expected a string" },
	{ "{\"gpa\":1073741824,\"tags\":\"\"}", "multiples of 16" },
	{ "{\"gpa\":1073741824,\"tags\":\"0x1\"}", "hexadecimal digits" },
	{ "{\"gpa\":1073741824,\"tags\":\"12\",\"len\":16}", "2 digits, expected 1 to 1" },
	{ "{\"gpa\":1073741824,\"tags\":\"\",\"len\":16}", "0 digits, expected 1 to 1" },
	{ "{\"gpa\":1073741824,\"tags\":\"12\",\"len\":20}", "multiples of 16" },
	{ "{\"gpa\":1073741824,\"tags\":\"12\",\"len\":1048592}", "too much" },
	{ "{\"gpa\":-16,\"tags\":\"12\"}", "gpa: expected a number" },
	{ "{\"gpa\":\"x\",\"tags\":\"12\"}", "gpa: expected a number" },
	{ "{\"gpa\":true,\"tags\":\"12\"}", "gpa: expected a number" },
	{ "{\"gpa\":0,\"tags\":\"12\"}", "not guest memory" },
	{ "{\"gpa\":1073741824,\"tags\":\"12\",\"x\":1}", "unknown field `x`" },
};

START_TEST(wrong_tags_change_nothing)
{
	static const uint8_t zeros[1024];

	api_done("PATCH", "/vm", PAUSED);
	api_refused("PUT", "/mte/tags", bad_tags[_i].body, bad_tags[_i].says);
	ck_assert_mem_eq(tags_of_guest, zeros, sizeof(zeros));
}
END_TEST

START_TEST(guests_without_tags)
{
	ram.has_tags = false;
	api_refused("GET", "/mte/tags?gpa=1073741824&len=16", NULL, "has no memory tags");
	api_refused(
		"PUT", "/mte/tags", "{\"gpa\":1073741824,\"tags\":\"1\"}", "has no memory tags");
}
END_TEST

/* Runs the stream to its end; the bytes of it, and the first piece. */
static size_t take_stream(uint8_t *first)
{
	static uint8_t buf[DUMP_PART_MAX];
	size_t all = 0;
	ssize_t n;

	ck_assert_uint_eq(ram.stream.piece, sizeof(buf));
	while ((n = ram.stream.next(ram.stream.ctx, buf)) != 0) {
		ck_assert(n > 0 || n == -EAGAIN);
		if (!all)
			memcpy(first, buf, DUMP_HEADER);
		all += n > 0 ? (size_t)n : 0;
	}
	return all;
}

START_TEST(a_dump_has_the_guest_stand_still)
{
	uint8_t head[DUMP_HEADER];

	tags_of_guest[0] = 1;
	*(uint8_t *)mem_host(ram.mem, gpa(GIB(1)), 1) = 1;
	ck_assert_int_eq(api_ask("GET", "/memory/dump", NULL), 200);
	api_says("stream");
	ck_assert_uint_eq(fake_api.pauses, 1);
	ck_assert_uint_eq(fake_api.resumes, 0);
	api_refused("PATCH", "/vm", PAUSED, "being sent");
	api_refused("PATCH", "/vm", RESUMED, "being sent");
	api_refused("PUT", "/mte/tags", "{\"gpa\":1073741824,\"tags\":\"1\"}", "no dump of it");
	api_refused("GET", "/memory/dump", NULL, "being sent already");
	ck_assert_int_eq(api_ask("GET", "/mte/tags?gpa=1073741824&len=16", NULL), 200);
	ck_assert_uint_eq(fake_api.resumes, 0);
	/* Header; a region, a page, its tags, the end. */
	ck_assert_uint_eq(take_stream(head), 64 + 4 * 32 + 4096 + 128);
	ck_assert_uint_eq(head[16], DUMP_ARM64);
	ck_assert_str_eq(ram.stream.type, "application/octet-stream");
	ram.stream.done(ram.stream.ctx);
	ck_assert_uint_eq(fake_api.resumes, 1);
	api_done("PATCH", "/vm", PAUSED);
}
END_TEST

START_TEST(a_paused_guest_stays_paused)
{
	api_done("PATCH", "/vm", PAUSED);
	ck_assert_int_eq(api_ask("GET", "/memory/dump", NULL), 200);
	api_refused("PUT", "/mte/tags", "{\"gpa\":1073741824,\"tags\":\"1\"}", "no dump of it");
	ram.stream.done(ram.stream.ctx);
	ck_assert_uint_eq(fake_api.resumes, 0);
	api_done("PUT", "/mte/tags", "{\"gpa\":1073741824,\"tags\":\"1\"}");
	api_done("PATCH", "/vm", RESUMED);
	ck_assert_uint_eq(fake_api.resumes, 1);
}
END_TEST

START_TEST(a_dump_that_fails_ends_with_an_error)
{
	static uint8_t buf[DUMP_PART_MAX];
	ssize_t n;

	ram.kvm_fails = true;
	ck_assert_int_eq(api_ask("GET", "/memory/dump", NULL), 200);
	while ((n = ram.stream.next(ram.stream.ctx, buf)) > 0 || n == -EAGAIN)
		;
	ck_assert_int_eq(n, -EIO);
	ram.stream.done(ram.stream.ctx);
	ck_assert_uint_eq(fake_api.resumes, 1);
}
END_TEST

START_TEST(a_dump_that_cannot_be_sent_leaves_no_trace)
{
	ram.no_stream = true;
	api_refused("GET", "/memory/dump", NULL, "no stream");
	ck_assert_uint_eq(fake_api.pauses, 1);
	ck_assert_uint_eq(fake_api.resumes, 1);
	api_done("PATCH", "/vm", PAUSED);
}
END_TEST

TCase *api_memory_case(void)
{
	TCase *t = tcase_create("memory");

	tcase_add_checked_fixture(t, setup_memory, teardown_memory);
	tcase_add_test(t, tags_are_told);
	tcase_add_loop_test(t, ranges_are_checked, 0, (int)ARRAY_SIZE(bad_ranges));
	tcase_add_test(t, tags_are_written_while_paused);
	tcase_add_loop_test(t, wrong_tags_change_nothing, 0, (int)ARRAY_SIZE(bad_tags));
	tcase_add_test(t, guests_without_tags);
	tcase_add_test(t, a_dump_has_the_guest_stand_still);
	tcase_add_test(t, a_paused_guest_stays_paused);
	tcase_add_test(t, a_dump_that_fails_ends_with_an_error);
	tcase_add_test(t, a_dump_that_cannot_be_sent_leaves_no_trace);
	return t;
}
