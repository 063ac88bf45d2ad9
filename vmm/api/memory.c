/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What requests ask of the guest's memory: its tags, and all of it. A dump is sent by us, not written:
 * a machine that has started opens no files, and whoever may ask has the right to write its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "mem/dump.h"
#include "mem/mte.h"
#include "vmm/api/api_impl.h"
#include "vmm/api/options.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"
#include "vmm/util/number.h"
#include "vmm/util/text.h"

/* Room for the tags of whole pages, of which the first and the last are asked for in part. */
#define TAGS_ROOM ((API_TAGS_MAX + 2 * PAGE_SIZE) / MTE_GRANULE)

struct range {
	uint64_t gpa, len;
	/* The whole pages that it lies in. */
	uint64_t first, pages_len;
};

/* ---- numbers ---- */

static int no_number(const char *name, struct err *e)
{
	return err_set(e, -EINVAL, "%s: expected a number, decimal or with 0x", name);
}

/* The value of a parameter of the query; all of them must be gpa and len, once each. */
static int query_range(const char *query, struct range *r, struct err *e)
{
	bool has_gpa = false, has_len = false;
	char shown[TEXT_SHOWN];
	size_t n;

	for (; query && *query; query += n + (query[n] == '&')) {
		bool is_gpa = strncmp(query, "gpa=", 4) == 0;

		n = strcspn(query, "&");
		if (!is_gpa && strncmp(query, "len=", 4) != 0)
			return err_set(e, -EINVAL,
				"unknown parameter `%s`, expected gpa=ADDRESS&len=BYTES",
				text_show(shown, sizeof(shown), query));
		if (is_gpa ? has_gpa : has_len)
			return err_set(e, -EINVAL, "%.3s is given twice", query);
		if (!number_parse(query + 4, n - 4, is_gpa ? &r->gpa : &r->len))
			return no_number(is_gpa ? "gpa" : "len", e);
		*(is_gpa ? &has_gpa : &has_len) = true;
	}
	if (!has_gpa || !has_len)
		return err_set(e, -EINVAL,
			"missing parameter `%s` (as in ?gpa=0x40000000&len=4096)",
			has_gpa ? "len" : "gpa");
	return 0;
}

static int body_number(const json_t *body, const char *name, uint64_t *out, struct err *e)
{
	const json_t *v = json_object_get(body, name);
	const char *text = json_string_value(v);

	if (json_is_integer(v) && json_integer_value(v) >= 0)
		*out = (uint64_t)json_integer_value(v);
	else if (!text || !number_parse(text, json_string_length(v), out))
		return no_number(name, e);
	return 0;
}

static int check_range(struct range *r, struct err *e)
{
	if (!is_aligned(r->gpa | r->len, MTE_GRANULE) || !r->len)
		return err_set(e, -EINVAL,
			"gpa and len: expected multiples of %u, and not nothing: a tag is that of "
			"so many bytes",
			MTE_GRANULE);
	if (r->len > API_TAGS_MAX)
		return err_set(e, -EINVAL,
			"len: %llu is too much for one request, which takes up to %llu",
			(unsigned long long)r->len, (unsigned long long)API_TAGS_MAX);
	if (r->gpa + r->len < r->gpa)
		return err_set(e, -EINVAL, "gpa and len: this is no range of addresses");
	r->first = align_down(r->gpa, PAGE_SIZE);
	r->pages_len = align_up(r->gpa + r->len, PAGE_SIZE) - r->first;
	return 0;
}

static int find_tags(const struct api *a, const struct mte **out, struct err *e)
{
	*out = machine_tags(a->machine);
	if (!*out)
		return err_set(e, -ENOTSUP,
			"This guest has no memory tags (\"mte\" of /machine-config gives an arm64 "
			"guest some).");
	return 0;
}

/* ---- tags ---- */

/* A page's part of the range, when anything in it is not 0. */
static int add_page(json_t *pages, const struct range *r, uint64_t page, const uint8_t *tags)
{
	uint64_t from = max_u64(r->gpa, page), to = min_u64(r->gpa + r->len, page + PAGE_SIZE);
	size_t i, n = (to - from) / MTE_GRANULE;
	char digits[MTE_PAGE_TAGS + 1];
	bool any = false;

	tags += (from - page) / MTE_GRANULE;
	for (i = 0; i < n; i++) {
		digits[i] = "0123456789abcdef"[tags[i] & 15];
		any |= tags[i] & 15;
	}
	digits[n] = '\0';
	if (!any)
		return 0;
	return json_array_append_new(
		pages, json_pack("{s:I, s:s}", "gpa", (json_int_t)from, "tags", digits));
}

static json_t *tags_json(const struct range *r, const uint8_t *tags)
{
	json_t *pages = json_array();
	uint64_t off;
	int bad = !pages;

	for (off = 0; off < r->pages_len && !bad; off += PAGE_SIZE)
		bad = add_page(pages, r, r->first + off, tags + off / MTE_GRANULE);
	if (bad) {
		json_decref(pages);
		return NULL;
	}
	return json_pack("{s:I, s:I, s:i, s:o}", "gpa", (json_int_t)r->gpa, "len",
		(json_int_t)r->len, "granule", (int)MTE_GRANULE, "pages", pages);
}

/* The guest stands still for it, so that what is read is of one moment. */
static int read_still(
	struct api *a, const struct mte *mte, const struct range *r, uint8_t *tags, struct err *e)
{
	bool runs = !a->is_paused && !a->is_dumping;
	int ret;

	if (runs)
		machine_pause(a->machine);
	ret = mte_read(mte, gpa(r->first), r->pages_len, tags, e);
	if (runs)
		machine_resume(a->machine);
	return ret;
}

int api_get_tags(struct api_call *call, struct err *e)
{
	_free uint8_t *tags = malloc(TAGS_ROOM);
	const struct mte *mte;
	struct range r;
	int ret = tags ? find_tags(call->api, &mte, e) : err_set(e, -ENOMEM, "Out of memory.");

	if (!ret)
		ret = query_range(call->rq->query, &r, e);
	if (!ret)
		ret = check_range(&r, e);
	if (!ret)
		ret = read_still(call->api, mte, &r, tags, e);
	if (ret)
		return ret;
	call->json = tags_json(&r, tags);
	return call->json ? 0 : err_set(e, -ENOMEM, "Out of memory.");
}

/* The digits, over and over until the range is full. */
static int fill(const struct range *r, const char *digits, uint8_t *tags, struct err *e)
{
	uint64_t i, n = r->len / MTE_GRANULE, count = strlen(digits);

	for (i = 0; i < count; i++)
		if (number_hex_digit(digits[i]) < 0)
			return err_set(e, -EINVAL,
				"tags: expected hexadecimal digits, one for each %u bytes",
				MTE_GRANULE);
	if (!count || count > n)
		return err_set(e, -EINVAL, "tags: %llu digits, expected 1 to %llu for %llu bytes",
			(unsigned long long)count, (unsigned long long)n,
			(unsigned long long)r->len);
	tags += (r->gpa - r->first) / MTE_GRANULE;
	for (i = 0; i < n; i++)
		tags[i] = (uint8_t)number_hex_digit(digits[i % count]);
	return 0;
}

static int body_range(const json_t *body, struct range *r, const char **digits, struct err *e)
{
	static const char *const names[] = { "gpa", "tags", "len", NULL };
	const json_t *tags = json_object_get(body, "tags");
	int ret = api_only_fields(body, names, e);

	*digits = json_string_value(tags);
	if (!ret && !*digits)
		ret = err_set(e, -EINVAL, "tags: expected a string of hexadecimal digits");
	if (!ret)
		ret = body_number(body, "gpa", &r->gpa, e);
	if (!ret && json_object_get(body, "len"))
		ret = body_number(body, "len", &r->len, e);
	else if (!ret)
		r->len = json_string_length(tags) * MTE_GRANULE;
	return ret ? ret : check_range(r, e);
}

int api_put_tags(struct api_call *call, struct err *e)
{
	_free uint8_t *tags = malloc(TAGS_ROOM);
	const struct api *a = call->api;
	const char *digits;
	const struct mte *mte;
	struct range r;
	int ret = tags ? find_tags(a, &mte, e) : err_set(e, -ENOMEM, "Out of memory.");

	if (!ret)
		ret = body_range(call->body, &r, &digits, e);
	if (!ret && (!a->is_paused || a->is_dumping))
		ret = err_set(e, -EBUSY,
			"Tags are written only while the guest is paused (PATCH /vm) and no dump "
			"of it is being sent.");
	/* KVM knows pages only: of the first and the last, the rest stays. */
	if (!ret)
		ret = mte_read(mte, gpa(r.first), r.pages_len, tags, e);
	if (!ret)
		ret = fill(&r, digits, tags, e);
	return ret ? ret : mte_write(mte, gpa(r.first), r.pages_len, tags, e);
}

/* ---- dumps ---- */

struct sending {
	struct api *api;
	struct dump *dump;
};

static ssize_t on_next(void *ctx, void *buf)
{
	struct sending *s = ctx;
	struct err e = { "" };
	ssize_t n;

	if (dump_done(s->dump))
		return 0;
	n = dump_next(s->dump, buf, DUMP_PART_MAX, &e);
	if (n < 0)
		log_warn("the dump of the guest's memory breaks off: %s", e.msg);
	return n ? n : -EAGAIN;
}

static void on_done(void *ctx)
{
	struct sending *s = ctx;

	dump_free(s->dump);
	s->api->is_dumping = false;
	if (!s->api->is_paused)
		machine_resume(s->api->machine);
	free(s);
}

/* What was running goes on when the dump has ended, be it because the client is gone. */
int api_get_dump(struct api_call *call, struct err *e)
{
	struct api *a = call->api;
	enum dump_arch arch = strcmp(arch_name(), "arm64") == 0 ? DUMP_ARM64 : DUMP_X86_64;
	struct sending *s;
	int r;

	if (a->is_dumping)
		return err_set(e, -EBUSY, "A dump of the guest's memory is being sent already.");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "Out of memory.");
	s->api = a;
	/* The memory map is looked at: nobody may change it. */
	machine_pause(a->machine);
	a->is_dumping = true;
	r = dump_new(&s->dump, machine_memory(a->machine), machine_tags(a->machine), arch, e);
	if (!r)
		r = server_send_stream(call->rq,
			&(struct server_stream){
				"application/octet-stream", DUMP_PART_MAX, on_next, on_done, s },
			e);
	if (r)
		on_done(s);
	call->is_streamed = !r;
	return r;
}
