/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Changing slots: plan, apply, undo, commit (see slots.h). Work is done per chunk on a window of
 * its sorted slots: the ones that overlap the range. The plan says which slots of the window go and
 * which come; slots that stay as they are, are not touched at all.
 */
#include "mem/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem/slot_range.h"
#include "vmm/util/bits.h"

/* Remainders inside the 2 MiB block of a converted page are not cut further. */
#define BLOCK_PAGES 512u
#define NO_ID	    UINT32_MAX

struct slot_vec {
	struct slot *v;
	uint32_t count;
	uint32_t room;
	bool is_open; /* the last slot is one to come, which may still grow */
};

/* The change of one chunk: slots [from, to) of it are replaced by `want`. */
struct chunk_plan {
	uint64_t chunk;
	uint32_t from, to;
	struct slot_vec want;
};

struct slot_swap {
	struct slot_range *range;
	struct chunk_plan *plans;
	uint64_t plan_count;
	struct slot_desc *del, *add; /* what leaves and what comes, in the order of work */
	uint32_t del_count, add_count;
	bool has_ids; /* fresh ids are held until commit or free */
};

static int vec_push(struct slot_vec *vec, uint32_t first, uint32_t pages, bool private)
{
	if (vec->count == vec->room) {
		uint32_t room = vec->room ? vec->room * 2 : 16;
		struct slot *v = realloc(vec->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		vec->v = v;
		vec->room = room;
	}
	vec->v[vec->count++] = (struct slot){ NO_ID, first, pages, private };
	vec->is_open = false;
	return 0;
}

/* Lengthens the last slot if that is open and of the same state, else adds an open one. */
static int vec_extend(struct slot_vec *vec, uint32_t first, uint32_t pages, bool private)
{
	int r = 0;

	if (vec->is_open && vec->v[vec->count - 1].private == private)
		vec->v[vec->count - 1].pages += pages;
	else
		r = vec_push(vec, first, pages, private);
	vec->is_open = !r;
	return r;
}

/* Largest power of two that v is a multiple of and that is at most max (above zero). */
static uint32_t buddy(uint32_t v, uint32_t max)
{
	uint32_t size = 1u << (31 - __builtin_clz(max));

	while (v % size)
		size /= 2;
	return size;
}

/*
 * Cuts what remains of a slot beside a converted range into buddies of whole blocks: they come out
 * small near the range and large away from it, on either side. Part blocks at the ends stay whole.
 */
static int carve(struct slot_vec *vec, uint32_t first, uint32_t end, bool private)
{
	uint32_t at = (uint32_t)min_u64(align_up(first, BLOCK_PAGES), end);
	uint32_t cut = (uint32_t)align_down(end, BLOCK_PAGES);
	uint32_t size;
	int r = 0;

	if (at > first)
		r = vec_push(vec, first, at - first, private);
	for (; !r && at < cut; at += size) {
		size = buddy(at, cut - at);
		r = vec_push(vec, at, size, private);
	}
	if (!r && at < end)
		r = vec_push(vec, at, end - at, private);
	return r;
}

/*
 * Whether a slot of the wanted state stays as it is. Small ones inside the range are joined with
 * what is converted around them: else the pieces that earlier conversions left would stay for
 * every later one to delete. A large one stays: its mappings are worth more.
 */
static bool is_kept(const struct slot *s, uint32_t first, uint32_t end, bool private)
{
	bool inside = s->first >= first && s->first + s->pages <= end;

	return s->private == private && !(inside && s->pages <= BLOCK_PAGES);
}

/* Plans one slot of the window: kept, or replaced by rest, converted part, rest. */
static int plan_slot(
	struct slot_vec *want, const struct slot *s, uint32_t first, uint32_t end, bool private)
{
	uint32_t s_end = s->first + s->pages;
	uint32_t lo = first > s->first ? first : s->first;
	uint32_t hi = end < s_end ? end : s_end;
	int r = 0;

	if (is_kept(s, first, end, private))
		return vec_push(want, s->first, s->pages, s->private);
	if (lo > s->first)
		r = carve(want, s->first, lo, s->private);
	if (!r)
		r = vec_extend(want, lo, hi - lo, private);
	if (!r && hi < s_end)
		r = carve(want, hi, s_end, s->private);
	return r;
}

/* Plans a slot when slots are scarce: neighbours of one state become one. */
static int plan_merged(
	struct slot_vec *want, const struct slot *s, uint32_t first, uint32_t end, bool private)
{
	uint32_t s_end = s->first + s->pages;
	uint32_t lo = first > s->first ? first : s->first;
	uint32_t hi = end < s_end ? end : s_end;
	int r = 0;

	if (lo >= hi)
		return vec_extend(want, s->first, s->pages, s->private);
	if (lo > s->first)
		r = vec_extend(want, s->first, lo - s->first, s->private);
	if (!r)
		r = vec_extend(want, lo, hi - lo, private);
	if (!r && hi < s_end)
		r = vec_extend(want, hi, s_end - hi, s->private);
	return r;
}

/* Index of the slot that holds page (within the chunk). */
static uint32_t slot_index(const struct slot_chunk *c, uint32_t page)
{
	uint32_t lo = 0, hi = c->count;

	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (c->slots[mid].first <= page)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

static int plan_chunk(const struct slot_range *r, struct chunk_plan *p, uint32_t first,
	uint32_t end, bool private, bool merge)
{
	const struct slot_chunk *c = &r->chunks[p->chunk];
	uint32_t i;
	int ret = 0;

	p->from = merge ? 0 : slot_index(c, first);
	p->to = merge ? c->count : slot_index(c, end - 1) + 1;
	p->want.count = 0;
	p->want.is_open = false;
	for (i = p->from; i < p->to && !ret; i++)
		ret = (merge ? plan_merged : plan_slot)(
			&p->want, &c->slots[i], first, end, private);
	return ret;
}

static bool same_slot(const struct slot *a, const struct slot *b)
{
	return a->first == b->first && a->pages == b->pages && a->private == b->private;
}

/* Walks old and wanted slots side by side: what is in both keeps its id, other old ones leave. */
static void diff_chunk(struct slot_swap *s, struct chunk_plan *p)
{
	struct slot_range *r = s->range;
	const struct slot *old = r->chunks[p->chunk].slots;
	uint32_t i, k = 0;

	for (i = p->from; i < p->to; i++) {
		while (k < p->want.count && p->want.v[k].first < old[i].first)
			k++;
		if (k < p->want.count && same_slot(&old[i], &p->want.v[k])) {
			p->want.v[k].id = old[i].id;
			s->add_count--;
		} else {
			s->del[s->del_count++] = slot_describe(r, p->chunk, &old[i]);
		}
	}
}

/* Fills del, and counts what will be added. */
static int find_leaving(struct slot_swap *s)
{
	uint64_t i, olds = 0;

	s->del_count = s->add_count = 0;
	for (i = 0; i < s->plan_count; i++) {
		olds += s->plans[i].to - s->plans[i].from;
		s->add_count += s->plans[i].want.count;
	}
	free(s->del);
	s->del = malloc((olds + 1) * sizeof(*s->del));
	if (!s->del)
		return -ENOMEM;
	for (i = 0; i < s->plan_count; i++)
		diff_chunk(s, &s->plans[i]);
	return 0;
}

/* Fills add. A new slot takes the id of one that leaves, or a fresh one when those run out. */
static int give_ids(struct slot_swap *s)
{
	uint32_t k, n = 0;
	uint64_t i;

	s->add = malloc((s->add_count + 1) * sizeof(*s->add));
	if (!s->add)
		return -ENOMEM;
	for (i = 0; i < s->plan_count; i++) {
		struct chunk_plan *p = &s->plans[i];

		for (k = 0; k < p->want.count; k++) {
			struct slot *want = &p->want.v[k];

			if (want->id != NO_ID)
				continue;
			want->id = n < s->del_count ? s->del[n].id : slot_id_take(s->range->table);
			s->add[n++] = slot_describe(s->range, p->chunk, want);
		}
	}
	s->has_ids = true;
	return 0;
}

/* Makes sure that commit will not need memory. */
static int reserve_room(struct slot_swap *s)
{
	uint64_t i;

	for (i = 0; i < s->plan_count; i++) {
		struct chunk_plan *p = &s->plans[i];
		struct slot_chunk *c = &s->range->chunks[p->chunk];
		uint32_t need = c->count - (p->to - p->from) + p->want.count;
		struct slot *v;

		if (need <= c->room)
			continue;
		v = realloc(c->slots, need * 2 * sizeof(*v));
		if (!v)
			return -ENOMEM;
		c->slots = v;
		c->room = need * 2;
	}
	return 0;
}

static int plan_all(struct slot_swap *s, uint64_t first, uint64_t pages, bool private, bool merge)
{
	struct slot_range *r = s->range;
	uint64_t i, end = first + pages;

	for (i = 0; i < s->plan_count; i++) {
		struct chunk_plan *p = &s->plans[i];
		uint64_t base, lo, hi;

		p->chunk = first / r->chunk_pages + i;
		base = p->chunk * r->chunk_pages;
		lo = max_u64(first, base) - base;
		hi = min_u64(end, base + r->chunk_pages) - base;
		if (plan_chunk(r, p, (uint32_t)lo, (uint32_t)hi, private, merge))
			return -ENOMEM;
	}
	return find_leaving(s);
}

static uint64_t slots_after(const struct slot_swap *s)
{
	return (uint64_t)s->range->table->live - s->del_count + s->add_count;
}

int slot_swap_prepare(struct slot_range *r, uint64_t first, uint64_t pages, bool private,
	struct slot_swap **out, struct err *e)
{
	struct slot_swap *s = calloc(1, sizeof(*s));
	uint32_t max = r->table->max;
	int ret = -ENOMEM;

	if (!s)
		goto fail;
	s->range = r;
	s->plan_count = (first + pages - 1) / r->chunk_pages - first / r->chunk_pages + 1;
	s->plans = calloc(s->plan_count, sizeof(*s->plans));
	if (!s->plans || plan_all(s, first, pages, private, false))
		goto fail;
	/* Locality is bought with slots. Past three quarters of them, thrift goes first. */
	if (slots_after(s) > max - max / 4 && plan_all(s, first, pages, private, true))
		goto fail;
	if (slots_after(s) > max) {
		ret = -ENOSPC;
		goto fail;
	}
	if (reserve_room(s) || give_ids(s))
		goto fail;
	*out = s;
	return 0;
fail:
	slot_swap_free(s);
	if (ret == -ENOSPC)
		return err_set(e, ret,
			"the guest's sharing pattern needs more than the %u memory slots of this "
			"KVM",
			max);
	return err_set(e, ret, "conversion: out of memory");
}

/* Takes back the first `added` new slots and puts back the first `deleted` old ones. */
static int roll_back(struct slot_swap *s, uint32_t added, uint32_t deleted, struct err *e)
{
	struct slot_table *t = s->range->table;
	struct err why = { "" };
	uint32_t i;
	int lost = 0;

	for (i = added; i-- > 0;)
		if (t->ops->del(t->ctx, &s->add[i], &why) < 0)
			lost = 1;
	for (i = deleted; i-- > 0 && !lost;)
		if (t->ops->set(t->ctx, &s->del[i], &why) < 0)
			lost = 1;
	if (lost)
		return err_set(e, -ENOTRECOVERABLE,
			"a conversion failed and the memory slots cannot be restored: %s", why.msg);
	return 0;
}

int slot_swap_apply(struct slot_swap *s, struct err *e)
{
	struct slot_table *t = s->range->table;
	uint32_t deleted, added = 0;
	int r = 0;

	for (deleted = 0; deleted < s->del_count; deleted++) {
		r = t->ops->del(t->ctx, &s->del[deleted], e);
		if (r < 0)
			goto fail;
	}
	for (; added < s->add_count; added++) {
		r = t->ops->set(t->ctx, &s->add[added], e);
		if (r < 0)
			goto fail;
	}
	return 0;
fail:
	/* A lost slot outweighs the first failure: the VM cannot go on. */
	return roll_back(s, added, deleted, e) ? -ENOTRECOVERABLE : r;
}

int slot_swap_undo(struct slot_swap *s, struct err *e)
{
	return roll_back(s, s->add_count, s->del_count, e);
}

static void splice(struct slot_chunk *c, const struct chunk_plan *p)
{
	uint32_t tail = c->count - p->to;

	memmove(&c->slots[p->from + p->want.count], &c->slots[p->to], tail * sizeof(*c->slots));
	memcpy(&c->slots[p->from], p->want.v, p->want.count * sizeof(*c->slots));
	c->count = p->from + p->want.count + tail;
}

void slot_swap_commit(struct slot_swap *s)
{
	uint32_t k;
	uint64_t i;

	for (i = 0; i < s->plan_count; i++)
		splice(&s->range->chunks[s->plans[i].chunk], &s->plans[i]);
	for (k = s->add_count; k < s->del_count; k++)
		slot_id_give(s->range->table, s->del[k].id);
	s->has_ids = false;
}

void slot_swap_free(struct slot_swap *s)
{
	uint32_t k;
	uint64_t i;

	if (!s)
		return;
	/* Not committed: fresh ids go back, borrowed ones were never given away. */
	for (k = s->del_count; s->has_ids && k < s->add_count; k++)
		slot_id_give(s->range->table, s->add[k].id);
	for (i = 0; s->plans && i < s->plan_count; i++)
		free(s->plans[i].want.v);
	free(s->plans);
	free(s->del);
	free(s->add);
	free(s);
}
