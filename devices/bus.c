/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "vmm/util/log.h"

void bus_init(struct bus *b, const char *name, uint64_t last)
{
	memset(b, 0, sizeof(*b));
	b->name = name;
	b->last = last;
}

static uint64_t dev_last(const struct bus_dev *d)
{
	return d->base + (d->size - 1);
}

static int check_dev(const struct bus *b, const struct bus_dev *d, struct err *e)
{
	if (!d->ops || !d->ops->read || !d->ops->write)
		return err_set(e, -EINVAL, "%s bus: device %s has no operations", b->name, d->name);
	if (d->size == 0)
		return err_set(e, -EINVAL, "%s bus: device %s has size 0", b->name, d->name);
	if (d->base > b->last || d->size - 1 > b->last - d->base)
		return err_set(e, -EINVAL,
			"%s bus: device %s at 0x%" PRIx64 " (size 0x%" PRIx64
			") runs past the last address 0x%" PRIx64,
			b->name, d->name, d->base, d->size, b->last);
	if (b->count == BUS_DEVS_MAX)
		return err_set(e, -ENOSPC, "%s bus: no room for device %s, %d are the limit",
			b->name, d->name, BUS_DEVS_MAX);
	return 0;
}

int bus_add(struct bus *b, const struct bus_dev *d, struct err *e)
{
	unsigned int at = 0;
	const struct bus_dev *other;
	int r = check_dev(b, d, e);

	if (r)
		return r;
	/* The first device that ends at or behind our start is the only one we could meet. */
	while (at < b->count && dev_last(&b->devs[at]) < d->base)
		at++;
	other = &b->devs[at];
	if (at < b->count && other->base <= dev_last(d))
		return err_set(e, -EEXIST,
			"%s bus: device %s at 0x%" PRIx64 " overlaps %s at 0x%" PRIx64, b->name,
			d->name, d->base, other->name, other->base);
	memmove(&b->devs[at + 1], &b->devs[at], (b->count - at) * sizeof(b->devs[0]));
	b->devs[at] = *d;
	b->count++;
	return 0;
}

/* The device that holds all of [addr, addr + len), or NULL. */
static const struct bus_dev *find(const struct bus *b, uint64_t addr, unsigned int len)
{
	unsigned int lo = 0, hi = b->count;

	/* Find the number of devices whose base is at or below addr; the last of them may hold it. */
	while (lo < hi) {
		unsigned int mid = lo + (hi - lo) / 2;

		if (b->devs[mid].base <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0 || len == 0)
		return NULL;
	if (addr - b->devs[lo - 1].base >= b->devs[lo - 1].size)
		return NULL;
	if (len - 1 > dev_last(&b->devs[lo - 1]) - addr)
		return NULL;
	return &b->devs[lo - 1];
}

/*
 * True the first time an address is seen, until the table is full. Two vCPUs that meet the same new
 * address at once may both be told so; one line too many is cheaper than a lock.
 */
static bool is_news(struct bus *b, uint64_t addr, unsigned int *slot)
{
	unsigned int n = atomic_load(&b->seen_count);

	for (unsigned int i = 0; i < n && i < BUS_SEEN_MAX; i++)
		if (atomic_load_explicit(&b->seen[i], memory_order_relaxed) == addr)
			return false;
	while (n < BUS_SEEN_MAX) {
		if (atomic_compare_exchange_weak(&b->seen_count, &n, n + 1)) {
			atomic_store_explicit(&b->seen[n], addr, memory_order_relaxed);
			*slot = n;
			return true;
		}
	}
	return false;
}

static void unclaimed(struct bus *b, const char *what, uint64_t addr, unsigned int len)
{
	unsigned int slot;

	if (!log_enabled(LOG_DEBUG) || !is_news(b, addr, &slot))
		return;
	log_debug("%s bus: no device for a %s of %u bytes at 0x%" PRIx64 "%s", b->name, what, len,
		addr, slot == BUS_SEEN_MAX - 1 ? " (further addresses are not shown)" : "");
}

void bus_read(struct bus *b, uint64_t addr, void *data, unsigned int len)
{
	const struct bus_dev *d = find(b, addr, len);

	if (!d) {
		memset(data, 0xff, len);
		unclaimed(b, "read", addr, len);
		return;
	}
	if (d->lock)
		pthread_mutex_lock(d->lock);
	d->ops->read(d->dev, addr - d->base, data, len);
	if (d->lock)
		pthread_mutex_unlock(d->lock);
}

void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned int len)
{
	const struct bus_dev *d = find(b, addr, len);

	if (!d) {
		unclaimed(b, "write", addr, len);
		return;
	}
	if (d->lock)
		pthread_mutex_lock(d->lock);
	d->ops->write(d->dev, addr - d->base, data, len);
	if (d->lock)
		pthread_mutex_unlock(d->lock);
}
