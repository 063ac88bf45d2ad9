/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem/alias_range.h"
#include "mem/attributes.h"
#include "mem/hold.h"
#include "vmm/util/bits.h"

int mem_new(struct mem **out, struct slot_table *table, struct err *e)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return err_set(e, -ENOMEM, "guest memory: out of memory");
	(*out)->table = table;
	(*out)->holds = mem_holds_new();
	if (!(*out)->holds) {
		free(*out);
		*out = NULL;
		return err_set(e, -ENOMEM, "guest memory: out of memory");
	}
	return 0;
}

static int clear_slots(struct mem_region *r, struct err *e)
{
	int ret = 0;

	if (r->alias)
		ret = alias_range_clear(r->alias, e);
	else if (r->attributes)
		ret = attribute_range_clear(r->attributes, e);
	else if (r->slots)
		ret = slot_range_clear(r->slots, e);
	return ret || !r->twin ? ret : slot_range_clear(r->twin, e);
}

static void region_free(struct mem_region *r)
{
	struct err ignored;

	if (!r)
		return;
	/* Best effort: at this point the VM goes away, or never ran. */
	clear_slots(r, &ignored);
	slot_range_free(r->slots);
	slot_range_free(r->twin);
	alias_range_free(r->alias);
	attribute_range_free(r->attributes);
	share_free(r->share);
	backing_free(&r->shared);
	backing_free(&r->private);
	free(r);
}

void mem_free(struct mem *m)
{
	struct mem_region *next;
	unsigned int i;

	if (!m)
		return;
	for (; m->removed; m->removed = next) {
		next = m->removed->next;
		region_free(m->removed);
	}
	for (i = 0; i < m->count; i++)
		region_free(m->regions[i]);
	mem_holds_free(m->holds);
	free(m);
}

static int check_desc(const struct mem *m, const struct mem_region_desc *d, struct err *e)
{
	uint64_t last = d->base.v + d->size - 1;
	unsigned int i;

	if (!d->size || !is_aligned(d->base.v | d->size, PAGE_SIZE) || last < d->base.v)
		return err_set(e, -EINVAL, "memory region %s: bad range 0x%llx + 0x%llx", d->name,
			(unsigned long long)d->base.v, (unsigned long long)d->size);
	if (m->count == MEM_REGIONS_MAX)
		return err_set(e, -ENOSPC, "memory region %s: more than %d regions", d->name,
			MEM_REGIONS_MAX);
	for (i = 0; i < m->count; i++) {
		const struct mem_region *r = m->regions[i];

		if (d->base.v <= r->base.v + (r->size - 1) && r->base.v <= last)
			return err_set(
				e, -EEXIST, "memory region %s overlaps %s", d->name, r->name);
	}
	return 0;
}

static int add_private_side(struct mem *m, struct mem_region *r, struct err *e)
{
	const struct slot_ops *ops;
	void *ctx;
	int fd, ret = 0;

	ops = slot_table_ops(m->table, &ctx);
	fd = ops->new_gmem(ctx, r->size, e);
	if (fd < 0)
		return fd;
	if (r->kind == MEM_ATTRIBUTES)
		backing_gmem_unmapped(&r->private, fd, r->size);
	else
		ret = backing_gmem(&r->private, fd, r->size, e);
	if (ret)
		return ret;
	r->share = share_new(r->size / PAGE_SIZE);
	return r->share ? 0 : err_set(e, -ENOMEM, "share map: out of memory");
}

static int add_shared_side(struct mem_region *r, struct err *e)
{
	if (r->kind == MEM_ATTRIBUTES)
		return backing_guarded(&r->shared, r->size, e);
	return backing_memfd(&r->shared, "nacre-shared", r->size, e);
}

static int make_region(struct mem *m, struct mem_region *r, const struct mem_region_desc *d,
	const struct backing_options *o, struct err *e)
{
	bool two_sides = d->kind == MEM_SPLIT || d->kind == MEM_ALIAS || d->kind == MEM_ATTRIBUTES;
	int ret;

	*r = (struct mem_region){ .kind = d->kind,
		.name = d->name,
		.base = d->base,
		.size = d->size,
		.shared = { .fd = -1 },
		.private = { .fd = -1 } };
	if (two_sides)
		ret = add_shared_side(r, e);
	else
		ret = backing_ram(&r->shared, r->size, o, e);
	if (!ret && two_sides)
		ret = add_private_side(m, r, e);
	if (!ret && o->prefault)
		ret = backing_prefault(two_sides ? &r->private : &r->shared, e);
	if (!ret && d->kind == MEM_ALIAS)
		ret = alias_range_new(
			&r->alias, m->table, &m->alias, r->base, &r->shared, &r->private, e);
	else if (!ret && d->kind == MEM_ATTRIBUTES)
		ret = attribute_range_new(
			&r->attributes, m->table, r->base, &r->shared, &r->private, e);
	else if (!ret)
		ret = slot_range_new(&r->slots, m->table, r->base, &r->shared,
			two_sides ? &r->private : NULL, e);
	if (!ret && d->kind == MEM_BOTH)
		ret = slot_range_new(
			&r->twin, m->table, gpa(r->base.v | m->alias.bit), &r->shared, NULL, e);
	return ret;
}

int mem_add(struct mem *m, const struct mem_region_desc *d, struct err *e)
{
	static const struct backing_options plain;

	return mem_add_ram(m, d, &plain, e);
}

int mem_add_ram(struct mem *m, const struct mem_region_desc *d, const struct backing_options *o,
	struct err *e)
{
	struct mem_region *r;
	unsigned int at;
	int ret = check_desc(m, d, e);

	if (ret)
		return ret;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_set(e, -ENOMEM, "memory region %s: out of memory", d->name);
	ret = make_region(m, r, d, o, e);
	if (ret) {
		region_free(r);
		return err_prefix(e, ret, "memory region %s", d->name);
	}
	for (at = m->count; at > 0 && m->regions[at - 1]->base.v > d->base.v; at--)
		m->regions[at] = m->regions[at - 1];
	m->regions[at] = r;
	m->count++;
	return 0;
}

/* Both sides, as far as there are two. */
static int retire(struct mem_region *r, struct err *e)
{
	int ret = backing_retire(&r->shared, e);

	return ret ? ret : backing_retire(&r->private, e);
}

int mem_remove(struct mem *m, gpa_t base, struct err *e)
{
	struct mem_region *r;
	unsigned int i;
	int ret;

	for (i = 0; i < m->count && m->regions[i]->base.v != base.v; i++)
		continue;
	if (i == m->count)
		return err_set(
			e, -ENOENT, "no memory region at 0x%llx", (unsigned long long)base.v);
	r = m->regions[i];
	ret = clear_slots(r, e);
	if (ret)
		return err_prefix(e, ret, "remove memory region %s", r->name);
	/* From here on the gate knows nothing of it, whether or not the rest succeeds. */
	m->count--;
	for (; i < m->count; i++)
		m->regions[i] = m->regions[i + 1];
	r->next = m->removed;
	m->removed = r;
	ret = retire(r, e);
	return ret ? err_prefix(e, ret, "remove memory region %s", r->name) : 0;
}

struct mem_region *mem_find(const struct mem *m, gpa_t a, uint64_t len)
{
	unsigned int i;

	/* At most eight regions: a scan beats a search. */
	for (i = 0; i < m->count; i++) {
		struct mem_region *r = m->regions[i];

		if (a.v >= r->base.v && a.v - r->base.v < r->size)
			return len && len <= r->size - (a.v - r->base.v) ? r : NULL;
	}
	return NULL;
}

/* ---- giving back ---- */

/* 0 when all of the range is RAM that can be given back. */
static int check_discard(const struct mem *m, gpa_t a, uint64_t len, struct err *e)
{
	unsigned long long at = a.v, size = len;

	if (!len || !is_aligned(a.v | len, PAGE_SIZE) || a.v + (len - 1) < a.v)
		return err_set(e, -EINVAL, "gpa 0x%llx, %llu bytes: empty, misaligned or wrapping",
			at, size);
	while (len) {
		const struct mem_region *r = mem_find(m, a, 1);
		uint64_t here;

		if (!r || r->kind == MEM_STAGING)
			return err_set(e, -EFAULT, "gpa 0x%llx: not the guest's RAM",
				(unsigned long long)a.v);
		if (r->kind == MEM_NATIVE)
			return err_set(e, -EOPNOTSUPP, "gpa 0x%llx: pinned by the hypervisor",
				(unsigned long long)a.v);
		/* Nor are smaller pieces of a huge page: the kernel only fills them with zeroes. */
		if (r->shared.kind == BACKING_HUGE)
			return err_set(e, -EOPNOTSUPP, "gpa 0x%llx: a reserved huge page",
				(unsigned long long)a.v);
		here = min_u64(len, r->size - (a.v - r->base.v));
		a = gpa_add(a, here);
		len -= here;
	}
	return 0;
}

/* The backing behind the page at off, and how many bytes from there on lie in it. */
static const struct backing *backing_of(const struct mem_region *r, uint64_t off, uint64_t *len)
{
	bool shared;

	if (!r->share)
		return &r->shared;
	*len = PAGE_SIZE * share_run(r->share, off / PAGE_SIZE, *len / PAGE_SIZE, &shared);
	return shared ? &r->shared : &r->private;
}

int mem_discard(const struct mem *m, gpa_t a, uint64_t len, struct err *e)
{
	const struct slot_ops *ops;
	void *ctx;
	int ret = check_discard(m, a, len, e);

	ops = slot_table_ops(m->table, &ctx);
	while (!ret && len) {
		const struct mem_region *r = mem_find(m, a, 1);
		uint64_t off = a.v - r->base.v, here = min_u64(len, r->size - off);
		const struct backing *b = backing_of(r, off, &here);

		ret = ops->discard(ctx, b, off, here);
		if (ret)
			return err_set(e, ret, "give back gpa 0x%llx, %llu bytes: %s",
				(unsigned long long)a.v, (unsigned long long)here, strerror(-ret));
		a = gpa_add(a, here);
		len -= here;
	}
	return ret;
}

uint64_t mem_shared_bytes(const struct mem *m)
{
	uint64_t pages = 0;
	unsigned int i;

	for (i = 0; i < m->count; i++)
		if (m->regions[i]->share)
			pages += share_count(m->regions[i]->share);
	return pages * PAGE_SIZE;
}
