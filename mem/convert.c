/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/convert.h"

#include <errno.h>

#include "mem/alias_range.h"
#include "mem/attributes.h"
#include "mem/hold.h"
#include "vmm/util/bits.h"

/* The part of a range that lies in one region, in pages of that region. */
struct part {
	struct mem_region *region;
	uint64_t first;
	uint64_t pages;
	struct slot_swap *swap;
	bool applied;
};

/*
 * Cuts a range at region borders, *n parts; those that are the same in both states do not count.
 * False if any byte is not convertible.
 */
static bool split(const struct mem *m, gpa_t a, uint64_t len, struct part *parts, unsigned int *n)
{
	*n = 0;
	while (len) {
		struct mem_region *r = mem_find(m, a, 1);
		uint64_t here;

		if (!r || (!r->share && r->kind != MEM_BOTH) || *n == MEM_REGIONS_MAX)
			return false;
		here = min_u64(len, r->size - (a.v - r->base.v));
		if (r->share)
			parts[(*n)++] = (struct part){
				.region = r,
				.first = (a.v - r->base.v) / PAGE_SIZE,
				.pages = here / PAGE_SIZE,
			};
		a = gpa_add(a, here);
		len -= here;
	}
	return true;
}

/* The range as a whole, and its parts. */
static int check(const struct mem *m, gpa_t a, uint64_t len, struct part *parts, unsigned int *n,
	struct err *e)
{
	unsigned long long at = a.v, size = len;

	if (!len || !is_aligned(a.v | len, PAGE_SIZE))
		return err_set(
			e, -EINVAL, "conversion of 0x%llx + 0x%llx: empty or misaligned", at, size);
	if (a.v + (len - 1) < a.v)
		return err_set(e, -EINVAL, "conversion of 0x%llx + 0x%llx: wraps around", at, size);
	if (!split(m, a, len, parts, n))
		return err_set(e, -EFAULT,
			"conversion of 0x%llx + 0x%llx: not all of it is RAM that "
			"can be converted",
			at, size);
	return 0;
}

int convert_check(const struct mem *m, gpa_t a, uint64_t len, struct err *e)
{
	struct part parts[MEM_REGIONS_MAX];
	unsigned int n;

	return check(m, a, len, parts, &n, e);
}

bool convert_is_noop(const struct mem *m, gpa_t a, uint64_t len, bool to_private)
{
	struct part parts[MEM_REGIONS_MAX];
	unsigned int i, n;

	split(m, a, len, parts, &n);
	for (i = 0; i < n; i++)
		if (!share_all(parts[i].region->share, parts[i].first, parts[i].pages, !to_private))
			return false;
	return true;
}

static int prepare(struct part *p, bool to_private, struct err *e)
{
	int r = 0;

	if (p->region->slots)
		r = slot_swap_prepare(
			p->region->slots, p->first, p->pages, to_private, &p->swap, e);
	if (!r && share_reserve(p->region->share, p->first, p->pages))
		r = err_set(e, -ENOMEM, "share map: out of memory");
	return r;
}

/* Punches out the side that the pages leave; runs that were converted before are left alone. */
static int discard_left_side(
	const struct mem *m, const struct part *p, bool to_private, struct err *e)
{
	const struct mem_region *r = p->region;
	const struct backing *left = to_private ? &r->shared : &r->private;
	uint64_t page = p->first, end = p->first + p->pages;
	const struct slot_ops *ops;
	void *ctx;

	/* The guards have done it. */
	if (r->attributes && to_private)
		return 0;
	ops = slot_table_ops(m->table, &ctx);
	while (page < end) {
		bool shared;
		uint64_t run = share_run(r->share, page, end - page, &shared);
		int ret = 0;

		if (shared == to_private)
			ret = ops->discard(ctx, left, page * PAGE_SIZE, run * PAGE_SIZE);
		if (ret < 0)
			return err_set(
				e, ret, "give back memory of converted pages: error %d", -ret);
		page += run;
	}
	return 0;
}

/* With two addresses for each page there is nothing to swap, and what is added need not be undone. */
static int apply_slots(struct mem *m, struct part *p, bool to_private, struct err *e)
{
	int r = 0;

	if (p->swap) {
		r = slot_swap_apply(p->swap, e);
		p->applied = !r;
	} else if (p->region->attributes) {
		r = attribute_set(
			p->region->attributes, p->region->share, p->first, p->pages, to_private, e);
		p->applied = !r;
	} else if (!to_private) {
		r = alias_cover(m, p->region, p->first, p->pages, e);
	}
	return r;
}

static int apply(struct mem *m, struct part *parts, unsigned int n, bool to_private, struct err *e)
{
	unsigned int i;
	int r;

	for (i = 0; i < n; i++) {
		r = prepare(&parts[i], to_private, e);
		if (r)
			return r;
	}
	for (i = 0; i < n; i++) {
		r = apply_slots(m, &parts[i], to_private, e);
		if (r)
			return r;
	}
	for (i = 0; i < n; i++) {
		r = discard_left_side(m, &parts[i], to_private, e);
		if (r)
			return r;
	}
	return 0;
}

static int undo_part(struct part *p, bool to_private, struct err *e)
{
	const struct mem_region *r = p->region;

	if (!p->applied)
		return 0;
	if (r->attributes)
		return attribute_undo(r->attributes, r->share, p->first, p->pages, to_private, e);
	return slot_swap_undo(p->swap, e);
}

/* Returns r, or -ENOTRECOVERABLE when a part cannot be undone. */
static int undo(struct part *parts, unsigned int n, bool to_private, int r, struct err *e)
{
	struct err why;
	unsigned int i;

	for (i = n; i-- > 0;) {
		if (undo_part(&parts[i], to_private, &why))
			r = err_set(e, -ENOTRECOVERABLE, "%s", why.msg);
	}
	return r;
}

int convert_apply(struct mem *m, gpa_t a, uint64_t len, bool to_private, struct err *e)
{
	struct part parts[MEM_REGIONS_MAX];
	unsigned int i, n;
	int r = check(m, a, len, parts, &n, e);

	if (r)
		return r;
	if (to_private && mem_is_held(m, a, len))
		return err_set(e, -EBUSY,
			"conversion of 0x%llx + 0x%llx: a device has I/O under way there",
			(unsigned long long)a.v, (unsigned long long)len);
	r = apply(m, parts, n, to_private, e);
	if (r)
		r = undo(parts, n, to_private, r, e);
	for (i = 0; i < n; i++) {
		if (!r) {
			if (parts[i].swap)
				slot_swap_commit(parts[i].swap);
			share_set(parts[i].region->share, parts[i].first, parts[i].pages,
				!to_private);
		}
		slot_swap_free(parts[i].swap);
	}
	return r;
}
