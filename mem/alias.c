/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/alias.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "mem/alias_range.h"
#include "mem/guard.h"
#include "mem/slot_range.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

/* Smallest block of shared addresses, and how many a region has before blocks grow with it. */
#define BLOCK_MIN  MIB(2)
#define BLOCKS_MAX 8192u
/* KVM counts the pages of a slot in 31 bits. */
#define SIZE_MAX_ALIAS GIB(4096)

struct block {
	uint32_t id; /* its slot, or SLOT_NONE */
	bool open;   /* it is a slot with memory */
};

struct alias_range {
	struct slot_table *table;
	gpa_t private_base, shared_base;
	uint64_t size, block;
	uint64_t lead;	/* what the first block lacks, since they lie at multiples of their size */
	uint32_t count; /* of blocks */
	uint32_t private_id; /* the slot of all private copies */
	struct block *blocks;
	void *nowhere; /* a block of addresses without memory, when blocks trap; else NULL */
	const struct backing *shared, *private;
};

static uint64_t block_size(uint64_t size)
{
	uint64_t block = BLOCK_MIN;

	while (size / block > BLOCKS_MAX)
		block *= 2;
	return block;
}

/* Where in the region the block begins; also the end of the one before it. */
static uint64_t block_start(const struct alias_range *a, uint32_t i)
{
	return i ? min_u64(i * a->block - a->lead, a->size) : 0;
}

static uint64_t block_len(const struct alias_range *a, uint32_t i)
{
	return block_start(a, i + 1) - block_start(a, i);
}

static uint32_t block_of(const struct alias_range *a, uint64_t off)
{
	return (uint32_t)((off + a->lead) / a->block);
}

static struct slot_desc block_slot(const struct alias_range *a, uint32_t i)
{
	return (struct slot_desc){
		.id = a->blocks[i].id,
		.gpa = gpa_add(a->shared_base, block_start(a, i)),
		.size = block_len(a, i),
		.hva = a->shared->hva + block_start(a, i),
		.gmem_fd = -1,
	};
}

static struct slot_desc private_slot(const struct alias_range *a)
{
	return (struct slot_desc){
		.id = a->private_id,
		.gpa = a->private_base,
		.size = a->size,
		.hva = a->private->hva,
		.gmem_fd = a->private->fd,
	};
}

static bool is_open(const struct alias_range *a, uint32_t i)
{
	return a->blocks[i].open;
}

/*
 * ---- slots that trap ----
 *
 * A guest_memfd whose file is closed provides no page, and KVM says whose it would have been. What
 * KVM itself wants there, on the guest's behalf, it looks for at an address without memory.
 */

static int set_trap(struct alias_range *a, uint32_t i, int gmem, uint64_t offset, struct err *e)
{
	struct slot_desc d = block_slot(a, i);

	d.hva = a->nowhere;
	d.gmem_fd = gmem;
	d.gmem_offset = offset;
	return slot_add(a->table, &a->blocks[i].id, d, e);
}

/*
 * What the guest wrote there without sharing it goes first: a block that holds memory stays open, and
 * counts. Closed it is as soon as its slot is gone, whatever else fails.
 */
static int close_block(struct alias_range *a, uint32_t i, struct err *e)
{
	const struct slot_ops *ops = a->table->ops;
	_close int gmem = -1;
	int r = ops->discard(a->table->ctx, a->shared, block_start(a, i), block_len(a, i));

	if (r < 0)
		return err_set(e, r, "give back shared memory: error %d", -r);
	r = slot_remove(a->table, &a->blocks[i].id, block_slot(a, i), e);
	if (r)
		return r;
	a->blocks[i].open = false;
	if (!a->nowhere)
		return 0;
	gmem = ops->new_gmem(a->table->ctx, block_len(a, i), e);
	return gmem < 0 ? gmem : set_trap(a, i, gmem, 0, e);
}

static int open_block(struct alias_range *a, uint32_t i, struct err *e)
{
	int r = 0;

	if (a->blocks[i].id != SLOT_NONE)
		r = slot_remove(a->table, &a->blocks[i].id, block_slot(a, i), e);
	if (!r)
		r = slot_add(a->table, &a->blocks[i].id, block_slot(a, i), e);
	a->blocks[i].open = !r;
	return r;
}

static int set_traps(struct alias_range *a, struct err *e)
{
	_close int gmem = -1;
	uint32_t i;
	int r = 0;

	a->nowhere =
		mmap(NULL, a->block, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (a->nowhere == MAP_FAILED) {
		a->nowhere = NULL;
		return err_sys(e, "reserve addresses for shared memory");
	}
	gmem = a->table->ops->new_gmem(a->table->ctx, a->size, e);
	if (gmem < 0)
		return gmem;
	for (i = 0; i < a->count && !r; i++)
		r = set_trap(a, i, gmem, block_start(a, i), e);
	return r;
}

/* ---- regions ---- */

int alias_range_new(struct alias_range **out, struct slot_table *t, const struct mem_alias *alias,
	gpa_t base, const struct backing *shared, const struct backing *private, struct err *e)
{
	struct alias_range *a = calloc(1, sizeof(*a));
	uint64_t bit = alias->bit;
	struct err ignored;
	uint32_t i;
	int r;

	if (!a)
		return err_set(e, -ENOMEM, "memory slots: out of memory");
	*a = (struct alias_range){
		.table = t,
		.private_base = { base.v | (alias->is_private ? bit : 0) },
		.shared_base = { base.v | (alias->is_private ? 0 : bit) },
		.size = shared->size,
		.block = block_size(shared->size),
		.private_id = SLOT_NONE,
		.shared = shared,
		.private = private,
	};
	a->lead = base.v % a->block;
	a->count = block_of(a, a->size - 1) + 1;
	a->blocks = malloc(a->count * sizeof(*a->blocks));
	a->count = a->blocks ? a->count : 0;
	for (i = 0; i < a->count; i++)
		a->blocks[i] = (struct block){ SLOT_NONE, false };
	if (!a->blocks)
		r = err_set(e, -ENOMEM, "memory slots: out of memory");
	else if (!bit || bit & (bit - 1) || ((base.v | (base.v + a->size - 1)) & bit) ||
		 a->size > SIZE_MAX_ALIAS)
		r = err_set(e, -EINVAL, "0x%llx + 0x%llx leaves no room for the address bit 0x%llx",
			(unsigned long long)base.v, (unsigned long long)a->size,
			(unsigned long long)bit);
	else
		r = slot_add(t, &a->private_id, private_slot(a), e);
	if (!r && alias->traps)
		r = set_traps(a, e);
	if (r) {
		alias_range_clear(a, &ignored);
		alias_range_free(a);
		return r;
	}
	*out = a;
	return 0;
}

int alias_range_clear(struct alias_range *a, struct err *e)
{
	uint32_t i;
	int r = 0;

	for (i = 0; i < a->count && !r; i++)
		if (a->blocks[i].id != SLOT_NONE)
			r = slot_remove(a->table, &a->blocks[i].id, block_slot(a, i), e);
	if (!r && a->private_id != SLOT_NONE)
		r = slot_remove(a->table, &a->private_id, private_slot(a), e);
	return r;
}

void alias_range_free(struct alias_range *a)
{
	if (!a)
		return;
	if (a->nowhere)
		munmap(a->nowhere, a->block);
	free(a->blocks);
	free(a);
}

/* ---- blocks come and go ---- */

/* Blocks of a region that hold no shared page and lie outside [from, to). */
static int drop_idle(struct mem *m, const struct mem_region *r, uint32_t from, uint32_t to,
	uint64_t *need, struct err *e)
{
	struct alias_range *a = r->alias;
	uint32_t i;
	int ret;

	for (i = 0; i < a->count && *need; i++) {
		uint64_t len = block_len(a, i);

		if (!is_open(a, i) || (i >= from && i < to) ||
			!share_all(r->share, block_start(a, i) / PAGE_SIZE, len / PAGE_SIZE, false))
			continue;
		ret = close_block(a, i, e);
		if (!is_open(a, i)) {
			m->alias.used -= len;
			*need -= min_u64(*need, len);
		}
		if (ret)
			return ret;
	}
	return 0;
}

/* Makes room under the limit for so many bytes more. */
static int make_room(struct mem *m, const struct mem_region *mine, uint32_t from, uint32_t to,
	uint64_t need, struct err *e)
{
	uint64_t room = m->alias.limit - min_u64(m->alias.used, m->alias.limit);
	const uint64_t all = need;
	unsigned int i;
	int ret = 0;

	need -= min_u64(need, room);
	for (i = 0; i < m->count && need && !ret && !m->alias.keep; i++) {
		const struct mem_region *r = m->regions[i];

		if (r->alias)
			ret = drop_idle(m, r, r == mine ? from : 0, r == mine ? to : 0, &need, e);
	}
	if (ret || !need)
		return ret;
	return err_set(e, -ENOSPC,
		"what the guest shares at once would take %llu MiB, %llu are allowed "
		"(raise --shared-limit)",
		(unsigned long long)((m->alias.used + all) >> 20),
		(unsigned long long)(m->alias.limit >> 20));
}

int alias_cover(struct mem *m, struct mem_region *r, uint64_t first, uint64_t pages, struct err *e)
{
	struct alias_range *a = r->alias;
	uint32_t from = block_of(a, first * PAGE_SIZE);
	uint32_t to = block_of(a, (first + pages) * PAGE_SIZE - 1) + 1;
	uint64_t need = 0;
	uint32_t i;
	int ret;

	for (i = from; i < to; i++)
		need += is_open(a, i) ? 0 : block_len(a, i);
	if (!need)
		return 0;
	ret = make_room(m, r, from, to, need, e);
	/* Blocks that were added before one failed do no harm: they hold no shared page. */
	for (i = from; i < to && !ret; i++) {
		if (is_open(a, i))
			continue;
		ret = open_block(a, i, e);
		m->alias.used += ret ? 0 : block_len(a, i);
	}
	return ret;
}

/* ---- what the guest's accesses see ---- */

void mem_alias_set(struct mem *m, uint64_t bit, bool is_private, uint64_t limit)
{
	m->alias = (struct mem_alias){ .bit = bit, .is_private = is_private, .limit = limit };
}

void mem_alias_trap(struct mem *m, bool keep)
{
	m->alias.traps = true;
	m->alias.keep = keep;
}

uint64_t mem_alias_bytes(const struct mem *m)
{
	return m->alias.used;
}

/* The region of a shared address, and *off into it. NULL when a is none. */
static struct mem_region *find_shared(const struct mem *m, gpa_t a, uint64_t len, uint64_t *off)
{
	gpa_t plain = gpa(a.v & ~m->alias.bit);
	struct mem_region *r;

	if (!m->alias.bit || !(a.v & m->alias.bit) != m->alias.is_private)
		return NULL;
	r = mem_find(m, plain, len);
	if (!r || r->kind != MEM_ALIAS)
		return NULL;
	*off = plain.v - r->base.v;
	return r;
}

bool mem_alias_is_shared_address(const struct mem *m, gpa_t a)
{
	uint64_t off;

	return find_shared(m, a, 1, &off) != NULL;
}

int mem_alias_touch(struct mem *m, gpa_t a, uint64_t len, struct err *e)
{
	uint64_t off, first, pages;
	struct mem_region *r = find_shared(m, a, len, &off);
	uint32_t i;

	if (!r)
		return err_set(e, -EFAULT, "gpa 0x%llx: not a shared address of RAM",
			(unsigned long long)a.v);
	first = off / PAGE_SIZE;
	pages = (off + len - 1) / PAGE_SIZE - first + 1;
	for (i = block_of(r->alias, off); i <= block_of(r->alias, off + len - 1); i++)
		if (!is_open(r->alias, i))
			return alias_cover(m, r, first, pages, e);
	return 1;
}

int mem_alias_access(
	const struct mem *m, gpa_t a, void *data, size_t len, bool is_write, struct err *e)
{
	struct guard_fault f;
	uint64_t off;
	const struct mem_region *r = find_shared(m, a, len, &off);
	char *p;

	if (!r)
		return err_set(e, -EFAULT, "gpa 0x%llx, %zu bytes: not a shared address of RAM",
			(unsigned long long)a.v, len);
	p = r->shared.hva + off;
	if (is_write ? guard_copy(p, data, len, &f) : guard_copy(data, p, len, &f))
		return 0;
	return err_set(
		e, -EFAULT, "gpa 0x%llx: the host has no memory for it", (unsigned long long)a.v);
}
