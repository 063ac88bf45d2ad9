/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fake_driver.h"

#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_slots.h"
#include "vmm/util/bits.h"

#define BASE 0xd0000000ull

/* Also used by a fuzz target, which has no Check: what cannot fail aborts when it does. */
static void need(bool ok)
{
	if (!ok)
		abort();
}

static void make_guest(struct guest *g, enum mem_kind kind)
{
	const struct mem_region_desc ram = { kind, "ram", { GUEST_RAM }, GUEST_SIZE };
	static struct fake_kvm kvm;
	struct err e;

	memset(&kvm, 0, sizeof(kvm));
	kvm.max = 64;
	g->table = slot_table_new(&fake_slot_ops, &kvm, 64);
	need(g->table);
	need(!mem_new(&g->mem, g->table, &e));
	need(!mem_add(g->mem, &ram, &e));
}

void guest_new_open(struct guest *g)
{
	make_guest(g, MEM_OPEN);
}

void guest_new_native(struct guest *g)
{
	make_guest(g, MEM_NATIVE);
}

void guest_new(struct guest *g)
{
	make_guest(g, MEM_SPLIT);
	guest_convert(g, GUEST_RAM, GUEST_PRIVATE - GUEST_RAM, true);
}

void guest_free(struct guest *g)
{
	mem_free(g->mem);
	slot_table_free(g->table);
}

void guest_convert(struct guest *g, uint64_t at, uint64_t len, bool shared)
{
	struct share_map *map = mem_find(g->mem, gpa(GUEST_RAM), 1)->share;
	uint64_t first = (at - GUEST_RAM) / PAGE_SIZE;

	need(!share_reserve(map, first, len / PAGE_SIZE));
	share_set(map, first, len / PAGE_SIZE, shared);
}

void *guest_ptr(const struct guest *g, uint64_t at)
{
	const struct mem_region *r = mem_find(g->mem, gpa(at), 1);

	need(r != NULL);
	return r->shared.hva + (at - r->base.v);
}

/* ---- rings ---- */

/* What both sides access at once, as a driver does it: the thread sanitizer then knows the order. */
static uint16_t get_word(const struct ring *r, uint64_t at)
{
	return __atomic_load_n((uint16_t *)guest_ptr(r->guest, at), __ATOMIC_ACQUIRE);
}

static void set_word(const struct ring *r, uint64_t at, uint16_t v)
{
	__atomic_store_n((uint16_t *)guest_ptr(r->guest, at), v, __ATOMIC_RELEASE);
}

void ring_new(struct ring *r, struct guest *g, uint64_t at, uint16_t size)
{
	*r = (struct ring){ g, size, at, at + 0x8000, at + 0x10000, 0, 0 };
	memset(guest_ptr(g, at), 0, RING_BYTES);
}

void ring_desc_at(struct guest *g, uint64_t table, uint16_t i, uint64_t addr, uint32_t len,
	uint16_t flags, uint16_t next)
{
	uint8_t *d = guest_ptr(g, table + 16ull * i);

	memcpy(d, &addr, 8);
	memcpy(d + 8, &len, 4);
	memcpy(d + 12, &flags, 2);
	memcpy(d + 14, &next, 2);
}

void ring_desc(
	struct ring *r, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	ring_desc_at(r->guest, r->desc, i, addr, len, flags, next);
}

void ring_set_idx(struct ring *r, uint16_t idx)
{
	r->idx = idx;
	set_word(r, r->avail + 2, idx);
}

void ring_offer(struct ring *r, uint16_t head)
{
	memcpy(guest_ptr(r->guest, r->avail + 4 + 2ull * (r->idx % r->size)), &head, sizeof(head));
	ring_set_idx(r, (uint16_t)(r->idx + 1));
}

void ring_set_avail_flags(struct ring *r, uint16_t flags)
{
	set_word(r, r->avail, flags);
}

void ring_set_used_event(struct ring *r, uint16_t event)
{
	set_word(r, r->avail + 4 + 2ull * r->size, event);
}

uint16_t ring_used_flags(const struct ring *r)
{
	return get_word(r, r->used);
}

uint16_t ring_used_idx(const struct ring *r)
{
	return get_word(r, r->used + 2);
}

uint16_t ring_avail_event(const struct ring *r)
{
	return get_word(r, r->used + 4 + 8ull * r->size);
}

bool ring_take(struct ring *r, uint32_t *head, uint32_t *len)
{
	const uint8_t *entry = guest_ptr(r->guest, r->used + 4 + 8ull * (r->last_used % r->size));

	if (ring_used_idx(r) == r->last_used)
		return false;
	memcpy(head, entry, 4);
	memcpy(len, entry + 4, 4);
	r->last_used++;
	return true;
}

/* ---- registers ---- */

void driver_new(struct driver *v, struct virtio_dev *d)
{
	struct err e;

	bus_init(&v->bus, "test", UINT64_MAX);
	virtio_mmio_init(&v->mmio, d);
	need(!bus_add(&v->bus,
		&(struct bus_dev){
			"virtio", BASE, VIRTIO_MMIO_SIZE, &virtio_mmio_ops, &v->mmio, &d->lock },
		&e));
}

uint32_t driver_get(struct driver *v, uint64_t reg)
{
	uint32_t value = 0;

	bus_read(&v->bus, BASE + reg, &value, sizeof(value));
	return value;
}

void driver_put(struct driver *v, uint64_t reg, uint32_t value)
{
	bus_write(&v->bus, BASE + reg, &value, sizeof(value));
}

static void put64(struct driver *v, uint64_t reg, uint64_t value)
{
	driver_put(v, reg, (uint32_t)value);
	driver_put(v, reg + 4, (uint32_t)(value >> 32));
}

uint64_t driver_features(struct driver *v)
{
	uint64_t low;

	driver_put(v, R_DEV_FEATURES_SEL, 0);
	low = driver_get(v, R_DEV_FEATURES);
	driver_put(v, R_DEV_FEATURES_SEL, 1);
	return low | (uint64_t)driver_get(v, R_DEV_FEATURES) << 32;
}

uint32_t driver_negotiate(struct driver *v, uint64_t features)
{
	driver_put(v, R_STATUS, 0);
	driver_put(v, R_STATUS, S_ACK);
	driver_put(v, R_STATUS, S_ACK | S_DRIVER);
	driver_put(v, R_DRV_FEATURES_SEL, 0);
	driver_put(v, R_DRV_FEATURES, (uint32_t)features);
	driver_put(v, R_DRV_FEATURES_SEL, 1);
	driver_put(v, R_DRV_FEATURES, (uint32_t)(features >> 32));
	driver_put(v, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK);
	return driver_get(v, R_STATUS);
}

uint32_t driver_queue(struct driver *v, unsigned int q, const struct ring *r)
{
	driver_put(v, R_QUEUE_SEL, q);
	driver_put(v, R_QUEUE_NUM, r->size);
	put64(v, R_DESC, r->desc);
	put64(v, R_DRIVER, r->avail);
	put64(v, R_DEVICE, r->used);
	driver_put(v, R_QUEUE_READY, 1);
	return driver_get(v, R_QUEUE_READY);
}

uint32_t driver_start(struct driver *v, uint64_t features, const struct ring *r)
{
	uint32_t status = driver_negotiate(v, features);

	driver_queue(v, 0, r);
	driver_put(v, R_STATUS, status | S_DRIVER_OK);
	return driver_get(v, R_STATUS);
}

uint64_t device_count(const struct virtio_dev *d, const char *name)
{
	const struct virtio_counter *c = d->ops->counters;
	uint64_t n;

	while (c->name && strcmp(c->name, name) != 0)
		c++;
	/* Nobody counts that: no number that a test could want. */
	if (!c->name)
		return UINT64_MAX;
	memcpy(&n, (const char *)d->model + c->offset, sizeof(n));
	return n;
}
