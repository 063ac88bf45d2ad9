/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/mte.h"

#include <errno.h>
#include <string.h>

#include "mem/guard.h"

/* At once: KVM keeps all others from its memory slots for that long. */
#define STEP MIB(1)
/* Tags of so many pages fit on the stack. */
#define FEW_PAGES 16u

/* ---- ranges ---- */

static int check(const struct mte *m, gpa_t a, uint64_t len, struct err *e)
{
	if (!len || !is_aligned(a.v | len, PAGE_SIZE))
		return err_set(e, -EINVAL,
			"memory tags at gpa 0x%llx, 0x%llx bytes: no range of whole pages (of "
			"4096 bytes)",
			(unsigned long long)a.v, (unsigned long long)len);
	if (!mem_host(m->mem, a, len))
		return err_set(e, -EFAULT, "memory tags at gpa 0x%llx, 0x%llx bytes: %s",
			(unsigned long long)a.v, (unsigned long long)len,
			mem_refusal(m->mem, a, len));
	return 0;
}

/* Until all is done: KVM may do a part, and then says how much. */
static int copy_tags(
	const struct mte *m, gpa_t a, uint64_t len, uint8_t *tags, bool to_guest, struct err *e)
{
	uint64_t want;
	int64_t n;

	for (; len; len -= (uint64_t)n) {
		want = min_u64(len, STEP);
		n = m->ops->copy(m->ctx, a, want, tags, to_guest, e);
		if (n < 0)
			return (int)n;
		if (!n || (uint64_t)n > want || !is_aligned((uint64_t)n, PAGE_SIZE))
			return err_set(e, -EIO,
				"memory tags at gpa 0x%llx: KVM says that it did %lld of 0x%llx "
				"bytes",
				(unsigned long long)a.v, (long long)n, (unsigned long long)want);
		a = gpa_add(a, (uint64_t)n);
		tags += (uint64_t)n / MTE_GRANULE;
	}
	return 0;
}

int mte_read(const struct mte *m, gpa_t a, uint64_t len, uint8_t *tags, struct err *e)
{
	int r = check(m, a, len, e);

	return r ? r : copy_tags(m, a, len, tags, false, e);
}

int mte_write(const struct mte *m, gpa_t a, uint64_t len, const uint8_t *tags, struct err *e)
{
	int r = check(m, a, len, e);

	/* In that direction they are only read. */
	return r ? r : copy_tags(m, a, len, (uint8_t *)(uintptr_t)tags, true, e);
}

int mte_clear(const struct mte *m, gpa_t a, uint64_t len, struct err *e)
{
	static const uint8_t zeros[FEW_PAGES * MTE_PAGE_TAGS];
	int r = check(m, a, len, e);
	uint64_t n;

	for (; len && !r; len -= n, a = gpa_add(a, n)) {
		n = min_u64(len, FEW_PAGES * PAGE_SIZE);
		r = copy_tags(m, a, n, (uint8_t *)(uintptr_t)zeros, true, e);
	}
	return r;
}

static int copy_some(const struct mte *m, gpa_t to, gpa_t from, uint64_t len, struct err *e)
{
	uint8_t tags[FEW_PAGES * MTE_PAGE_TAGS];
	struct guard_fault fault;
	int r;

	if (!guard_copy(mem_host(m->mem, to, len), mem_host(m->mem, from, len), len, &fault))
		return err_set(e, -EFAULT,
			"copy memory from gpa 0x%llx to 0x%llx: the host has no memory for it",
			(unsigned long long)from.v, (unsigned long long)to.v);
	r = copy_tags(m, from, len, tags, false, e);
	return r ? r : copy_tags(m, to, len, tags, true, e);
}

int mte_copy(const struct mte *m, gpa_t to, gpa_t from, uint64_t len, struct err *e)
{
	int r = check(m, to, len, e);
	uint64_t n;

	if (!r)
		r = check(m, from, len, e);
	if (!r && to.v < from.v + len && from.v < to.v + len)
		r = err_set(e, -EINVAL, "copy memory from gpa 0x%llx to 0x%llx: the two overlap",
			(unsigned long long)from.v, (unsigned long long)to.v);
	for (; len && !r; len -= n, to = gpa_add(to, n), from = gpa_add(from, n)) {
		n = min_u64(len, FEW_PAGES * PAGE_SIZE);
		r = copy_some(m, to, from, n, e);
	}
	return r;
}

/* ---- pages that have tags ---- */

int mte_walk_begin(struct mte_walk *w, const struct mte *m, gpa_t a, uint64_t len, struct err *e)
{
	w->mte = m;
	w->at = a;
	w->left = len;
	w->next = w->have = 0;
	return check(m, a, len, e);
}

bool mte_walk_done(const struct mte_walk *w)
{
	return !w->left && w->next == w->have;
}

static int refill(struct mte_walk *w, struct err *e)
{
	uint64_t n = min_u64(w->left, MTE_WALK_PAGES * PAGE_SIZE);
	int r = copy_tags(w->mte, w->at, n, w->tags, false, e);

	if (r)
		return r;
	w->base = w->at;
	w->at = gpa_add(w->at, n);
	w->left -= n;
	w->next = 0;
	w->have = (unsigned int)(n / PAGE_SIZE);
	return 0;
}

static bool has_tags(const uint8_t *tags)
{
	uint64_t any = 0, word;
	unsigned int i;

	for (i = 0; i < MTE_PAGE_TAGS; i += sizeof(word)) {
		memcpy(&word, tags + i, sizeof(word));
		any |= word;
	}
	return any;
}

int mte_walk_next(struct mte_walk *w, gpa_t *page, const uint8_t **tags, struct err *e)
{
	const uint8_t *at;
	int r;

	if (w->next == w->have && w->left) {
		r = refill(w, e);
		if (r)
			return r;
	}
	while (w->next < w->have) {
		at = w->tags + w->next * MTE_PAGE_TAGS;
		*page = gpa_add(w->base, w->next * PAGE_SIZE);
		w->next++;
		if (has_tags(at)) {
			*tags = at;
			return 1;
		}
	}
	return 0;
}

/* ---- as they are stored ---- */

void mte_pack(const uint8_t *tags, uint8_t *packed)
{
	unsigned int i;

	for (i = 0; i < MTE_PAGE_PACKED; i++)
		packed[i] = (uint8_t)((tags[2 * i] & 15) | tags[2 * i + 1] << 4);
}

void mte_unpack(const uint8_t *packed, uint8_t *tags)
{
	unsigned int i;

	for (i = 0; i < MTE_PAGE_PACKED; i++) {
		tags[2 * i] = packed[i] & 15;
		tags[2 * i + 1] = packed[i] >> 4;
	}
}
