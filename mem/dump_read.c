/* SPDX-License-Identifier: Apache-2.0 */

/* The reader of dumps: nothing of a file is believed before its checksum, nor then what cannot be. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem/dump.h"
#include "vmm/util/fd.h"

struct reader {
	const struct dump_source *src;
	const struct dump_visitor *visitor;
	struct dump_summary *out;
	uint64_t at;	    /* where the part begins */
	uint32_t last;	    /* kind of the part before */
	uint64_t next_gpa;  /* parts of that kind begin there or behind */
	uint32_t expected;  /* regions, says the header */
	uint64_t ram_bytes; /* says the header */
	uint8_t *buf;	    /* DUMP_PART_MAX */
};

static uint32_t get32(const uint8_t *from)
{
	uint32_t v;

	memcpy(&v, from, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *from)
{
	uint64_t v;

	memcpy(&v, from, sizeof(v));
	return le64toh(v);
}

#define WRONG(r, e, fmt, ...) \
	err_set(e, -EBADMSG, "at byte %llu: " fmt, (unsigned long long)(r)->at, ##__VA_ARGS__)

static int cut_short(const struct reader *r, struct err *e)
{
	return WRONG(r, e, "the file ends in the middle of this part: it was cut short");
}

/* Exactly len bytes. *got: how many there are before its end. */
static int fetch(struct reader *r, uint8_t *to, size_t len, size_t *got, struct err *e)
{
	ssize_t n = 1;

	for (*got = 0; *got < len && n; *got += (size_t)n) {
		n = r->src->read(r->src->ctx, to + *got, len - *got);
		if (n < 0)
			return err_set(e, (int)n, "at byte %llu: %s",
				(unsigned long long)(r->at + *got), strerror((int)-n));
	}
	return 0;
}

/* ---- header ---- */

static int check_header(struct reader *r, const uint8_t *h, struct err *e)
{
	static const uint8_t zeros[DUMP_HEADER];
	struct dump_summary *s = r->out;

	if (get32(h + 8) != DUMP_VERSION)
		return WRONG(r, e, "a dump of version %u; this program knows version %u",
			get32(h + 8), DUMP_VERSION);
	if (get32(h + DUMP_HEADER - 4) != dump_checksum(0, h, DUMP_HEADER - 4))
		return WRONG(r, e, "the header's checksum is wrong: the file is damaged");
	s->arch = (enum dump_arch)get32(h + 16);
	s->has_tags = get32(h + 20) & DUMP_HAS_TAGS;
	r->expected = get32(h + 28);
	r->ram_bytes = get64(h + 32);
	if (get32(h + 12) != DUMP_HEADER || get32(h + 24) != PAGE_SIZE)
		return WRONG(r, e, "a header of %u bytes and pages of %u; expected %u and %llu",
			get32(h + 12), get32(h + 24), DUMP_HEADER, (unsigned long long)PAGE_SIZE);
	if ((s->arch != DUMP_X86_64 && s->arch != DUMP_ARM64) ||
		get32(h + 20) & ~(uint32_t)DUMP_HAS_TAGS || memcmp(h + 40, zeros, 20) != 0)
		return WRONG(
			r, e, "the header has values that version %u does not know", DUMP_VERSION);
	if (!r->expected || r->expected > DUMP_REGIONS_MAX)
		return WRONG(r, e, "%u regions of memory; there are 1 to %u", r->expected,
			DUMP_REGIONS_MAX);
	return 0;
}

static int read_header(struct reader *r, struct err *e)
{
	uint8_t h[DUMP_HEADER];
	size_t got;
	int ret = fetch(r, h, sizeof(h), &got, e);

	if (ret)
		return ret;
	if (got < 8 || memcmp(h, DUMP_MAGIC, 8) != 0)
		return err_set(e, -EBADMSG,
			"no dump of a guest's memory (it does not begin with %s)", DUMP_MAGIC);
	if (got < sizeof(h))
		return cut_short(r, e);
	ret = check_header(r, h, e);
	r->at += sizeof(h);
	return ret;
}

/* ---- parts ---- */

static const char *const kind_names[] = {
	[DUMP_REGION] = "region",
	[DUMP_MEMORY] = "memory",
	[DUMP_TAGS] = "tags",
	[DUMP_END] = "end",
};

/* Header and payload are in r->buf, and belong together. */
static int read_part(struct reader *r, struct dump_part *p, struct err *e)
{
	size_t got;
	int ret = fetch(r, r->buf, DUMP_PART_HEADER, &got, e);

	if (ret)
		return ret;
	if (!got)
		return WRONG(r, e, "the file ends without an end part: it was cut short");
	if (got < DUMP_PART_HEADER)
		return cut_short(r, e);
	*p = (struct dump_part){ get32(r->buf), get32(r->buf + 4), get64(r->buf + 8),
		get64(r->buf + 16) };
	if (p->payload > DUMP_PART_MAX - DUMP_PART_HEADER)
		return WRONG(r, e, "a part of %u bytes: no part has more than %llu", p->payload,
			(unsigned long long)(DUMP_PART_MAX - DUMP_PART_HEADER));
	ret = fetch(r, r->buf + DUMP_PART_HEADER, p->payload, &got, e);
	if (ret)
		return ret;
	if (got < p->payload)
		return cut_short(r, e);
	if (get32(r->buf + DUMP_PART_HEADER - 4) !=
		dump_checksum(dump_checksum(0, r->buf, DUMP_PART_HEADER - 4),
			r->buf + DUMP_PART_HEADER, p->payload))
		return WRONG(r, e, "this part's checksum is wrong: the file is damaged");
	if (p->kind < DUMP_REGION || p->kind > DUMP_END || get32(r->buf + 24))
		return WRONG(r, e, "a part of unknown kind %u", p->kind);
	if (p->kind < r->last)
		return WRONG(r, e, "a part of kind %s behind one of kind %s", kind_names[p->kind],
			kind_names[r->last]);
	if (p->kind != r->last)
		r->next_gpa = 0;
	r->last = p->kind;
	return 0;
}

/* No architecture has longer addresses. Sums of two of ours never wrap. */
#define GPA_END BIT(52)

/* Whole pages, behind all parts of this kind so far. */
static int check_range(struct reader *r, const struct dump_part *p, struct err *e)
{
	if (!p->len || !is_aligned(p->gpa | p->len, PAGE_SIZE) || p->gpa >= GPA_END ||
		p->len > GPA_END - p->gpa)
		return WRONG(r, e, "gpa 0x%llx, 0x%llx bytes: no range of pages",
			(unsigned long long)p->gpa, (unsigned long long)p->len);
	if (p->gpa < r->next_gpa)
		return WRONG(r, e, "gpa 0x%llx comes behind gpa 0x%llx", (unsigned long long)p->gpa,
			(unsigned long long)(r->next_gpa - 1));
	r->next_gpa = p->gpa + p->len;
	return 0;
}

static int take_region(struct reader *r, const struct dump_part *p, struct err *e)
{
	struct dump_summary *s = r->out;
	int ret = check_range(r, p, e);

	if (ret)
		return ret;
	if (p->payload || s->region_count == r->expected)
		return WRONG(r, e, "a region more, or larger, than the header tells of");
	s->regions[s->region_count++] = (struct dump_region){ p->gpa, p->len };
	s->ram_bytes += p->len;
	return 0;
}

/* All of them have come. */
static int check_regions(const struct reader *r, struct err *e)
{
	const struct dump_summary *s = r->out;

	if (s->region_count == r->expected && s->ram_bytes == r->ram_bytes)
		return 0;
	return WRONG(r, e, "the header tells of %u regions, %llu bytes; here are %u, %llu",
		r->expected, (unsigned long long)r->ram_bytes, s->region_count,
		(unsigned long long)s->ram_bytes);
}

/* The bytes that a page of memory, or its tags, have in a part. */
static int take_pages(struct reader *r, const struct dump_part *p, uint64_t each, struct err *e)
{
	const struct dump_summary *s = r->out;
	int ret = check_regions(r, e);

	if (!ret)
		ret = check_range(r, p, e);
	if (ret)
		return ret;
	if (p->len > DUMP_PART_PAGES * PAGE_SIZE || p->payload != p->len / PAGE_SIZE * each)
		return WRONG(r, e, "%u bytes for 0x%llx bytes of memory", p->payload,
			(unsigned long long)p->len);
	if (!dump_has_ram(s, p->gpa, p->len))
		return WRONG(r, e, "gpa 0x%llx, 0x%llx bytes: in none of the regions",
			(unsigned long long)p->gpa, (unsigned long long)p->len);
	return 0;
}

static int take_memory(struct reader *r, const struct dump_part *p, struct err *e)
{
	int ret = take_pages(r, p, PAGE_SIZE, e);

	if (ret)
		return ret;
	r->out->memory_pages += p->len / PAGE_SIZE;
	if (r->visitor && r->visitor->memory)
		r->visitor->memory(r->visitor->ctx, gpa(p->gpa), r->buf + DUMP_PART_HEADER, p->len);
	return 0;
}

static int take_tags(struct reader *r, const struct dump_part *p, struct err *e)
{
	int ret = take_pages(r, p, MTE_PAGE_PACKED, e);

	if (ret)
		return ret;
	if (!r->out->has_tags)
		return WRONG(r, e, "tags of a guest that has none, says the header");
	r->out->tagged_pages += p->len / PAGE_SIZE;
	if (r->visitor && r->visitor->tags)
		r->visitor->tags(r->visitor->ctx, gpa(p->gpa), r->buf + DUMP_PART_HEADER,
			p->len / PAGE_SIZE);
	return 0;
}

static int take_end(struct reader *r, const struct dump_part *p, struct err *e)
{
	const struct dump_summary *s = r->out;
	uint8_t byte;
	size_t got;
	int ret = check_regions(r, e);

	if (ret)
		return ret;
	if (p->payload || p->gpa != s->memory_pages || p->len != s->tagged_pages)
		return WRONG(r, e,
			"the end tells of %llu pages and tags of %llu; here are %llu and %llu",
			(unsigned long long)p->gpa, (unsigned long long)p->len,
			(unsigned long long)s->memory_pages, (unsigned long long)s->tagged_pages);
	r->at += DUMP_PART_HEADER;
	ret = fetch(r, &byte, 1, &got, e);
	if (!ret && got)
		return WRONG(r, e, "the file goes on behind its end");
	r->out->bytes = r->at;
	return ret;
}

static int take_part(struct reader *r, const struct dump_part *p, struct err *e)
{
	switch (p->kind) {
	case DUMP_REGION:
		return take_region(r, p, e);
	case DUMP_MEMORY:
		return take_memory(r, p, e);
	case DUMP_TAGS:
		return take_tags(r, p, e);
	default:
		return take_end(r, p, e);
	}
}

int dump_read(const struct dump_source *src, const struct dump_visitor *v, struct dump_summary *out,
	struct err *e)
{
	_free uint8_t *buf = malloc(DUMP_PART_MAX);
	struct reader r = { .src = src, .visitor = v, .out = out, .buf = buf };
	struct dump_part p = { 0 };
	int ret;

	*out = (struct dump_summary){ 0 };
	if (!buf)
		return err_set(e, -ENOMEM, "out of memory");
	ret = read_header(&r, e);
	while (!ret && p.kind != DUMP_END) {
		ret = read_part(&r, &p, e);
		if (!ret)
			ret = take_part(&r, &p, e);
		if (!ret && p.kind != DUMP_END)
			r.at += DUMP_PART_HEADER + p.payload;
	}
	return ret;
}
