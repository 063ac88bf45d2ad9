/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/bits.h"

#define BLOCK_PAGES 512u
#define BLOCK_WORDS (BLOCK_PAGES / 64)

/* bits is NULL while the block has never been mixed; then `shared` is 0 or BLOCK_PAGES. */
struct share_block {
	uint64_t *bits;
	uint32_t shared;
};

struct share_map {
	uint64_t pages;
	uint64_t total_shared;
	struct share_block *blocks;
};

/* One block's part of a range. */
struct part {
	struct share_block *block;
	uint32_t first; /* page within the block */
	uint32_t pages;
};

static struct part part_at(const struct share_map *m, uint64_t page, uint64_t left)
{
	uint32_t first = (uint32_t)(page % BLOCK_PAGES);

	return (struct part){
		.block = &m->blocks[page / BLOCK_PAGES],
		.first = first,
		.pages = (uint32_t)min_u64(BLOCK_PAGES - first, left),
	};
}

struct share_map *share_new(uint64_t pages)
{
	struct share_map *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->pages = pages;
	m->blocks = calloc(pages / BLOCK_PAGES + 1, sizeof(*m->blocks));
	if (!m->blocks) {
		free(m);
		return NULL;
	}
	return m;
}

void share_free(struct share_map *m)
{
	uint64_t i;

	if (!m)
		return;
	for (i = 0; i <= m->pages / BLOCK_PAGES; i++)
		free(m->blocks[i].bits);
	free(m->blocks);
	free(m);
}

static bool is_uniform(const struct share_block *b)
{
	return b->shared == 0 || b->shared == BLOCK_PAGES;
}

int share_reserve(struct share_map *m, uint64_t first, uint64_t pages)
{
	while (pages) {
		struct part p = part_at(m, first, pages);

		if (p.pages != BLOCK_PAGES && !p.block->bits) {
			p.block->bits = malloc(BLOCK_WORDS * sizeof(uint64_t));
			if (!p.block->bits)
				return -ENOMEM;
			memset(p.block->bits, p.block->shared ? 0xff : 0,
				BLOCK_WORDS * sizeof(uint64_t));
		}
		first += p.pages;
		pages -= p.pages;
	}
	return 0;
}

/* The bits of word w that lie in pages [first, first + pages) of the block. */
static uint64_t word_mask(uint32_t w, uint32_t first, uint32_t pages)
{
	uint32_t lo = w * 64, hi = lo + 64, end = first + pages;
	uint64_t mask = ~0ULL;

	if (end <= lo || first >= hi)
		return 0;
	if (first > lo)
		mask &= ~0ULL << (first - lo);
	if (end < hi)
		mask &= ~0ULL >> (hi - end);
	return mask;
}

static uint32_t part_count(const struct part *p)
{
	uint32_t w, n = 0;

	if (!p->block->bits || is_uniform(p->block))
		return p->block->shared ? p->pages : 0;
	for (w = p->first / 64; w <= (p->first + p->pages - 1) / 64; w++)
		n += (uint32_t)__builtin_popcountll(
			p->block->bits[w] & word_mask(w, p->first, p->pages));
	return n;
}

static void part_set(const struct part *p, bool shared)
{
	uint32_t w;

	if (!p->block->bits)
		return;
	for (w = p->first / 64; w <= (p->first + p->pages - 1) / 64; w++) {
		uint64_t mask = word_mask(w, p->first, p->pages);

		if (shared)
			p->block->bits[w] |= mask;
		else
			p->block->bits[w] &= ~mask;
	}
}

void share_set(struct share_map *m, uint64_t first, uint64_t pages, bool shared)
{
	while (pages) {
		struct part p = part_at(m, first, pages);
		uint32_t before = part_count(&p);
		uint32_t after = shared ? p.pages : 0;

		part_set(&p, shared);
		p.block->shared = p.block->shared - before + after;
		m->total_shared = m->total_shared - before + after;
		first += p.pages;
		pages -= p.pages;
	}
}

bool share_get(const struct share_map *m, uint64_t page)
{
	struct part p = part_at(m, page, 1);

	return part_count(&p) == 1;
}

bool share_all(const struct share_map *m, uint64_t first, uint64_t pages, bool shared)
{
	while (pages) {
		struct part p = part_at(m, first, pages);

		if (part_count(&p) != (shared ? p.pages : 0))
			return false;
		first += p.pages;
		pages -= p.pages;
	}
	return true;
}

/* How many pages from p->first on are in that state, at most p->pages. */
static uint32_t part_run(const struct part *p, bool shared)
{
	uint32_t page = p->first, end = p->first + p->pages;

	if (!p->block->bits || is_uniform(p->block))
		return (p->block->shared != 0) == shared ? p->pages : 0;
	while (page < end) {
		uint64_t odd = p->block->bits[page / 64] ^ (shared ? ~0ULL : 0);

		odd >>= page % 64;
		if (odd) {
			page += (uint32_t)__builtin_ctzll(odd);
			break;
		}
		page = (page / 64 + 1) * 64;
	}
	return (page < end ? page : end) - p->first;
}

uint64_t share_run(const struct share_map *m, uint64_t first, uint64_t pages, bool *shared)
{
	uint64_t run = 0;

	*shared = share_get(m, first);
	while (run < pages) {
		struct part p = part_at(m, first + run, pages - run);
		uint32_t n = part_run(&p, *shared);

		run += n;
		if (n < p.pages)
			break;
	}
	return run;
}

uint64_t share_count(const struct share_map *m)
{
	return m->total_shared;
}
