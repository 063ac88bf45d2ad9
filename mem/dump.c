/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/dump.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* What one call looks at: what else the thread does waits for it. */
#define PAGES_AT_ONCE 1024u
#define READS_AT_ONCE (PAGES_AT_ONCE / MTE_WALK_PAGES)

enum stage { STAGE_HEADER, STAGE_MEMORY, STAGE_TAGS, STAGE_END, STAGE_DONE };

struct dump {
	const struct mem *mem;
	const struct mte *mte;
	enum stage stage;
	struct dump_summary summary;
	unsigned int region; /* of the stage */
	uint64_t off;	     /* into it; of memory */
	struct mte_walk walk;
	bool walks;	      /* it is one of this region */
	const uint8_t *found; /* a page's tags that did not fit into the part before */
	gpa_t found_at;
};

/* ---- the format ---- */

static void put32(uint8_t *to, uint32_t v)
{
	v = htole32(v);
	memcpy(to, &v, sizeof(v));
}

static void put64(uint8_t *to, uint64_t v)
{
	v = htole64(v);
	memcpy(to, &v, sizeof(v));
}

uint32_t dump_checksum(uint32_t so_far, const void *bytes, size_t len)
{
	return (uint32_t)crc32(so_far, bytes, (uInt)len);
}

void dump_put_header(uint8_t *to, const struct dump_summary *s)
{
	memset(to, 0, DUMP_HEADER);
	memcpy(to, DUMP_MAGIC, 8);
	put32(to + 8, DUMP_VERSION);
	put32(to + 12, DUMP_HEADER);
	put32(to + 16, s->arch);
	put32(to + 20, s->has_tags ? DUMP_HAS_TAGS : 0);
	put32(to + 24, (uint32_t)PAGE_SIZE);
	put32(to + 28, s->region_count);
	put64(to + 32, s->ram_bytes);
	put32(to + DUMP_HEADER - 4, dump_checksum(0, to, DUMP_HEADER - 4));
}

void dump_put_part(uint8_t *to, const struct dump_part *p)
{
	uint32_t sum;

	put32(to, p->kind);
	put32(to + 4, p->payload);
	put64(to + 8, p->gpa);
	put64(to + 16, p->len);
	put32(to + 24, 0);
	sum = dump_checksum(0, to, DUMP_PART_HEADER - 4);
	put32(to + DUMP_PART_HEADER - 4, dump_checksum(sum, to + DUMP_PART_HEADER, p->payload));
}

bool dump_has_ram(const struct dump_summary *s, uint64_t gpa, uint64_t len)
{
	const struct dump_region *r;

	for (r = s->regions; r < s->regions + s->region_count; r++)
		if (gpa >= r->gpa && gpa - r->gpa < r->len && len <= r->len - (gpa - r->gpa))
			return true;
	return false;
}

/* ---- making one ---- */

int dump_new(struct dump **out, const struct mem *m, const struct mte *mte, enum dump_arch arch,
	struct err *e)
{
	struct dump *d = calloc(1, sizeof(*d));
	struct dump_summary *s;
	unsigned int i;

	if (!d)
		return err_set(e, -ENOMEM, "dump of memory: out of memory");
	s = &d->summary;
	*s = (struct dump_summary){ .arch = arch, .has_tags = mte };
	d->mem = m;
	d->mte = mte;
	for (i = 0; i < m->count; i++) {
		const struct mem_region *r = m->regions[i];

		if (r->kind == MEM_STAGING)
			continue;
		if (r->kind != MEM_OPEN) {
			dump_free(d);
			return err_set(e, -EOPNOTSUPP,
				"a protected guest's memory cannot be dumped: it is not ours to "
				"read");
		}
		s->regions[s->region_count++] = (struct dump_region){ r->base.v, r->size };
		s->ram_bytes += r->size;
	}
	*out = d;
	return 0;
}

void dump_free(struct dump *d)
{
	free(d);
}

bool dump_done(const struct dump *d)
{
	return d->stage == STAGE_DONE;
}

static size_t put_start(struct dump *d, uint8_t *buf)
{
	const struct dump_summary *s = &d->summary;
	uint8_t *at = buf + DUMP_HEADER;
	unsigned int i;

	_Static_assert(MEM_REGIONS_MAX <= DUMP_REGIONS_MAX, "a reader takes them all");
	_Static_assert(DUMP_HEADER + MEM_REGIONS_MAX * DUMP_PART_HEADER <= DUMP_PART_MAX,
		"header and regions fit into the smallest buffer");
	dump_put_header(buf, s);
	for (i = 0; i < s->region_count; i++, at += DUMP_PART_HEADER)
		dump_put_part(at, &(struct dump_part){
					  DUMP_REGION, 0, s->regions[i].gpa, s->regions[i].len });
	d->stage = STAGE_MEMORY;
	return (size_t)(at - buf);
}

static bool is_zero(const uint8_t *page)
{
	/* Equal to itself one byte on, and it begins with a zero. */
	return !page[0] && !memcmp(page, page + 1, PAGE_SIZE - 1);
}

/* The next pages side by side that are not zero; 0 when the first few are. */
static ssize_t put_memory(struct dump *d, uint8_t *buf, struct err *e)
{
	const struct dump_region *r = &d->summary.regions[d->region];
	struct dump_part p = { .kind = DUMP_MEMORY };
	unsigned int looked;
	uint8_t *to;
	bool zero;
	int ret;

	for (looked = 0;
		looked < PAGES_AT_ONCE && p.len < DUMP_PART_PAGES * PAGE_SIZE && d->off < r->len;
		looked++) {
		to = buf + DUMP_PART_HEADER + p.len;
		ret = mem_read(d->mem, gpa(r->gpa + d->off), to, PAGE_SIZE, e);
		if (ret)
			return ret;
		zero = is_zero(to);
		if (zero && p.len)
			break;
		if (!zero) {
			p.gpa = p.len ? p.gpa : r->gpa + d->off;
			p.len += PAGE_SIZE;
		}
		d->off += PAGE_SIZE;
	}
	if (d->off == r->len) {
		d->region++;
		d->off = 0;
	}
	if (d->region == d->summary.region_count) {
		d->stage = d->mte ? STAGE_TAGS : STAGE_END;
		d->region = 0;
	}
	if (!p.len)
		return 0;
	p.payload = (uint32_t)p.len;
	dump_put_part(buf, &p);
	d->summary.memory_pages += p.len / PAGE_SIZE;
	return (ssize_t)(DUMP_PART_HEADER + p.payload);
}

/* Has d->found be the next page that has tags. 0: none so far; the stage may have ended. */
static int find_tags(struct dump *d, struct err *e)
{
	const struct dump_region *r = &d->summary.regions[d->region];
	int ret = 0;

	if (!d->walks)
		ret = mte_walk_begin(&d->walk, d->mte, gpa(r->gpa), r->len, e);
	if (ret)
		return ret;
	d->walks = true;
	ret = mte_walk_next(&d->walk, &d->found_at, &d->found, e);
	if (ret)
		return ret;
	d->found = NULL;
	if (mte_walk_done(&d->walk)) {
		d->walks = false;
		d->region++;
	}
	if (d->region == d->summary.region_count)
		d->stage = STAGE_END;
	return 0;
}

/* The next pages side by side that have tags. */
static ssize_t put_tags(struct dump *d, uint8_t *buf, struct err *e)
{
	struct dump_part p = { .kind = DUMP_TAGS };
	unsigned int reads = 0;
	int ret;

	while (d->stage == STAGE_TAGS && p.len < DUMP_PART_PAGES * PAGE_SIZE) {
		/* Those that are found without asking KVM are bounded by the part's size. */
		if (!d->found && reads == READS_AT_ONCE)
			break;
		ret = d->found ? 1 : find_tags(d, e);
		if (ret < 0)
			return ret;
		reads += !ret;
		if (!ret)
			continue;
		if (p.len && d->found_at.v != p.gpa + p.len)
			break;
		p.gpa = p.len ? p.gpa : d->found_at.v;
		mte_pack(d->found, buf + DUMP_PART_HEADER + p.payload);
		p.payload += MTE_PAGE_PACKED;
		p.len += PAGE_SIZE;
		d->found = NULL;
	}
	if (!p.len)
		return 0;
	dump_put_part(buf, &p);
	d->summary.tagged_pages += p.len / PAGE_SIZE;
	return (ssize_t)(DUMP_PART_HEADER + p.payload);
}

static size_t put_end(struct dump *d, uint8_t *buf)
{
	dump_put_part(buf, &(struct dump_part){
				   DUMP_END, 0, d->summary.memory_pages, d->summary.tagged_pages });
	d->stage = STAGE_DONE;
	return DUMP_PART_HEADER;
}

ssize_t dump_next(struct dump *d, void *buf, size_t size, struct err *e)
{
	if (size < DUMP_PART_MAX)
		return err_set(e, -EINVAL, "dump of memory: no room for a part");
	switch (d->stage) {
	case STAGE_HEADER:
		return (ssize_t)put_start(d, buf);
	case STAGE_MEMORY:
		return put_memory(d, buf, e);
	case STAGE_TAGS:
		return put_tags(d, buf, e);
	case STAGE_END:
		return (ssize_t)put_end(d, buf);
	case STAGE_DONE:
		break;
	}
	return 0;
}
