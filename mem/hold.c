/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/hold.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "vmm/util/bits.h"
#include "vmm/util/clock.h"

/*
 * A list: there is an entry for each request that a disk has under way, some hundreds at most, and
 * only conversions to private look through it.
 */
struct mem_holds {
	pthread_mutex_t lock;
	pthread_cond_t dropped;
	struct mem_hold *first;
};

struct mem_holds *mem_holds_new(void)
{
	struct mem_holds *l = calloc(1, sizeof(*l));
	pthread_condattr_t attr;

	if (!l)
		return NULL;
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->dropped, &attr);
	pthread_condattr_destroy(&attr);
	return l;
}

void mem_holds_free(struct mem_holds *l)
{
	if (!l)
		return;
	pthread_cond_destroy(&l->dropped);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

bool mem_can_hold(const struct mem *m)
{
	unsigned int i;

	for (i = 0; i < m->count; i++)
		if (m->regions[i]->kind == MEM_NATIVE)
			return false;
	return true;
}

/* With the bit that tells a page's two addresses apart left out: see mem/alias.h. */
static uint64_t first_byte(const struct mem *m, const struct mem_hold *h, unsigned int i)
{
	return h->gpa[i].v & ~m->alias.bit;
}

static uint64_t last_byte(const struct mem *m, const struct mem_hold *h, unsigned int i)
{
	return first_byte(m, h, i) + (h->iov[i].iov_len - 1);
}

static void note_extent(const struct mem *m, struct mem_hold *h)
{
	unsigned int i;

	h->low = UINT64_MAX;
	for (i = 0; i < h->count; i++) {
		h->low = min_u64(h->low, first_byte(m, h, i));
		h->high = max_u64(h->high, last_byte(m, h, i));
	}
}

void mem_hold(const struct mem *m, struct mem_hold *h, const gpa_t *gpa, const struct iovec *iov,
	unsigned int count)
{
	struct mem_holds *l = m->holds;

	*h = (struct mem_hold){ .mem = m, .gpa = gpa, .iov = iov, .count = count };
	note_extent(m, h);
	pthread_mutex_lock(&l->lock);
	h->next = l->first;
	if (h->next)
		h->next->prev = h;
	l->first = h;
	pthread_mutex_unlock(&l->lock);
}

void mem_drop_hold(struct mem_hold *h)
{
	struct mem_holds *l;

	if (!h->mem)
		return;
	l = h->mem->holds;
	pthread_mutex_lock(&l->lock);
	if (h->next)
		h->next->prev = h->prev;
	if (h->prev)
		h->prev->next = h->next;
	else
		l->first = h->next;
	pthread_cond_broadcast(&l->dropped);
	pthread_mutex_unlock(&l->lock);
	h->mem = NULL;
}

/* The range is whole pages, so that it meets a buffer's pages just where it meets the buffer. */
static bool overlaps(const struct mem *m, const struct mem_hold *h, uint64_t first, uint64_t last)
{
	unsigned int i;

	if (h->low > last || first > h->high)
		return false;
	for (i = 0; i < h->count; i++)
		if (first_byte(m, h, i) <= last && first <= last_byte(m, h, i))
			return true;
	return false;
}

static bool is_held(const struct mem *m, gpa_t a, uint64_t len)
{
	uint64_t first = a.v & ~m->alias.bit;
	const struct mem_hold *h;

	for (h = m->holds->first; h; h = h->next)
		if (overlaps(m, h, first, first + (len - 1)))
			return true;
	return false;
}

bool mem_is_held(const struct mem *m, gpa_t a, uint64_t len)
{
	bool r;

	pthread_mutex_lock(&m->holds->lock);
	r = is_held(m, a, len);
	pthread_mutex_unlock(&m->holds->lock);
	return r;
}

bool mem_wait_unheld(const struct mem *m, gpa_t a, uint64_t len, unsigned int ms)
{
	uint64_t end = clock_ns() + ms * 1000000ull;
	const struct timespec t = { (time_t)(end / 1000000000u), (long)(end % 1000000000u) };
	int r = 0;

	pthread_mutex_lock(&m->holds->lock);
	while (is_held(m, a, len) && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&m->holds->dropped, &m->holds->lock, &t);
	r = is_held(m, a, len);
	pthread_mutex_unlock(&m->holds->lock);
	return !r;
}
