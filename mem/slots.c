/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem/slot_range.h"
#include "vmm/util/bits.h"

/* Smallest chunk, and how many chunks a region has at most before chunks grow with it. */
#define CHUNK_MIN  MIB(64)
#define CHUNKS_MAX 8192u
/* KVM counts the pages of a slot in 31 bits. */
#define PLAIN_MAX GIB(4096)

struct slot_table *slot_table_new(const struct slot_ops *ops, void *ctx, uint32_t max)
{
	struct slot_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->free_ids = malloc(max * sizeof(*t->free_ids));
	if (!t->free_ids) {
		free(t);
		return NULL;
	}
	t->ops = ops;
	t->ctx = ctx;
	t->max = max;
	return t;
}

void slot_table_free(struct slot_table *t)
{
	if (!t)
		return;
	free(t->free_ids);
	free(t);
}

void slot_table_forget(struct slot_table *t)
{
	t->forgotten = true;
}

uint32_t slot_table_live(const struct slot_table *t)
{
	return t->live;
}

const struct slot_ops *slot_table_ops(const struct slot_table *t, void **ctx)
{
	*ctx = t->ctx;
	return t->ops;
}

/* Ids below next_id were used once; returned ones are taken first. */
uint32_t slot_id_take(struct slot_table *t)
{
	t->live++;
	return t->free_count ? t->free_ids[--t->free_count] : t->next_id++;
}

void slot_id_give(struct slot_table *t, uint32_t id)
{
	t->live--;
	t->free_ids[t->free_count++] = id;
}

int slot_add(struct slot_table *t, uint32_t *id, struct slot_desc d, struct err *e)
{
	int r;

	if (t->live == t->max)
		return err_set(e, -ENOSPC, "all %u KVM memory slots are in use", t->max);
	*id = d.id = slot_id_take(t);
	r = t->ops->set(t->ctx, &d, e);
	if (r >= 0)
		return 0;
	slot_id_give(t, *id);
	*id = SLOT_NONE;
	return r;
}

int slot_remove(struct slot_table *t, uint32_t *id, struct slot_desc d, struct err *e)
{
	int r = t->forgotten ? 0 : t->ops->del(t->ctx, &d, e);

	if (r < 0)
		return r;
	slot_id_give(t, *id);
	*id = SLOT_NONE;
	return 0;
}

struct slot_desc slot_describe(const struct slot_range *r, uint64_t chunk, const struct slot *s)
{
	uint64_t off = chunk * r->chunk_pages * PAGE_SIZE + (uint64_t)s->first * PAGE_SIZE;
	const struct backing *b = s->private ? r->private : r->shared;

	return (struct slot_desc){
		.id = s->id,
		.gpa = gpa_add(r->base, off),
		.size = (uint64_t)s->pages * PAGE_SIZE,
		.hva = b->hva + off,
		.gmem_fd = s->private ? b->fd : -1,
		.gmem_offset = off,
	};
}

/* A plain region is never carved: one chunk. A split one gets chunks of a power of two. */
static uint64_t chunk_size(uint64_t size, bool split)
{
	uint64_t chunk = CHUNK_MIN;

	if (!split && size <= PLAIN_MAX)
		return size;
	if (!split)
		return PLAIN_MAX;
	while (size / chunk > CHUNKS_MAX)
		chunk *= 2;
	return chunk;
}

static int fill_chunk(struct slot_range *r, uint64_t i, struct err *e)
{
	struct slot_chunk *c = &r->chunks[i];
	int ret;

	c->slots = malloc(sizeof(*c->slots));
	if (!c->slots)
		return err_set(e, -ENOMEM, "memory slots: out of memory");
	c->room = 1;
	c->slots[0] = (struct slot){
		.id = SLOT_NONE,
		.pages = (uint32_t)min_u64(r->chunk_pages, r->pages - i * r->chunk_pages),
		.private = r->private != NULL,
	};
	ret = slot_add(r->table, &c->slots[0].id, slot_describe(r, i, &c->slots[0]), e);
	if (ret < 0)
		return ret;
	c->count = 1;
	return 0;
}

int slot_range_new(struct slot_range **out, struct slot_table *t, gpa_t base,
	const struct backing *shared, const struct backing *private, struct err *e)
{
	struct slot_range *r = calloc(1, sizeof(*r));
	struct err ignored;
	uint64_t i;
	int ret;

	if (!r)
		return err_set(e, -ENOMEM, "memory slots: out of memory");
	*r = (struct slot_range){ .table = t, .base = base, .shared = shared, .private = private };
	r->pages = shared->size / PAGE_SIZE;
	r->chunk_pages = chunk_size(shared->size, private != NULL) / PAGE_SIZE;
	r->chunk_count = (r->pages + r->chunk_pages - 1) / r->chunk_pages;
	r->chunks = calloc(r->chunk_count, sizeof(*r->chunks));
	if (!r->chunks) {
		ret = err_set(e, -ENOMEM, "memory slots: out of memory");
		goto fail;
	}
	for (i = 0; i < r->chunk_count; i++) {
		ret = fill_chunk(r, i, e);
		if (ret)
			goto fail;
	}
	*out = r;
	return 0;
fail:
	slot_range_clear(r, &ignored);
	slot_range_free(r);
	return ret;
}

int slot_range_clear(struct slot_range *r, struct err *e)
{
	uint64_t i;

	for (i = 0; r->chunks && i < r->chunk_count; i++) {
		struct slot_chunk *c = &r->chunks[i];

		while (c->count) {
			struct slot *s = &c->slots[c->count - 1];
			int ret = slot_remove(r->table, &s->id, slot_describe(r, i, s), e);

			if (ret < 0)
				return ret;
			c->count--;
		}
	}
	return 0;
}

void slot_range_free(struct slot_range *r)
{
	uint64_t i;

	if (!r)
		return;
	for (i = 0; r->chunks && i < r->chunk_count; i++)
		free(r->chunks[i].slots);
	free(r->chunks);
	free(r);
}

void slot_range_visit(
	const struct slot_range *r, bool (*fn)(void *arg, const struct slot_desc *d), void *arg)
{
	uint64_t i;
	uint32_t k;

	for (i = 0; i < r->chunk_count; i++) {
		for (k = 0; k < r->chunks[i].count; k++) {
			struct slot_desc d = slot_describe(r, i, &r->chunks[i].slots[k]);

			if (!fn(arg, &d))
				return;
		}
	}
}
