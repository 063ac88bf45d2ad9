/* SPDX-License-Identifier: Apache-2.0 */
#include "virtio.h"

#define MAGIC	   0x74726976u
#define FIRST_PAGE 256u
/* Looks at a device before we give up: some ten seconds. */
#define LOOKS 100000u

/* ---- finding them ---- */

/* The ring's usual place. */
static void place(struct virtio *v, uint32_t q)
{
	uint64_t at = v->data - (3 * VIRTIO_QUEUES - 3 * q) * PAGE;

	v->ring[q] = (struct vring){
		.size = RING_SIZE, .desc = at, .avail = at + PAGE, .used = at + 2 * PAGE
	};
}

static void probe_queues(struct virtio *v)
{
	uint32_t q, max;

	for (q = 0; q < VIRTIO_QUEUES; q++) {
		reg_write(v, REG_QUEUE_SEL, q);
		max = reg_read(v, REG_QUEUE_NUM_MAX);
		if (!max)
			break;
		CHECK(max >= RING_SIZE, "device %u: queue %u has %u entries", v->id, q, max);
		place(v, q);
	}
	v->queues = q;
	v->used = (1u << q) - 1;
}

static void probe_features(struct virtio *v)
{
	reg_write(v, REG_DEVICE_FEATURES_SEL, 1);
	v->features = (uint64_t)reg_read(v, REG_DEVICE_FEATURES) << 32;
	reg_write(v, REG_DEVICE_FEATURES_SEL, 0);
	v->features |= reg_read(v, REG_DEVICE_FEATURES);
	v->wanted = v->features & ~FEATURE(F_EVENT_IDX);
}

uint32_t virtio_find(struct virtio *v)
{
	uint32_t i;

	for (i = 0; i < VIRTIO_SLOTS; i++, v++) {
		*v = (struct virtio){ .base = VIRTIO_BASE + i * VIRTIO_STRIDE,
			.data = ram_page(FIRST_PAGE + i * VIRTIO_PAGES + 3 * VIRTIO_QUEUES) };
		if (reg_read(v, REG_MAGIC) != MAGIC)
			break;
		v->id = reg_read(v, REG_DEVICE_ID);
		probe_queues(v);
		probe_features(v);
		if (!mode_is(BOOT_NONE))
			CHECK(share(ram_page(FIRST_PAGE + i * VIRTIO_PAGES), VIRTIO_PAGES) == 0,
				"slot %u: memory cannot be shared", i);
	}
	return i;
}

/* ---- life ---- */

void virtio_reset(const struct virtio *v)
{
	uint32_t i;

	reg_write(v, REG_STATUS, 0);
	for (i = 0; i < LOOKS && reg_read(v, REG_STATUS); i++)
		cpu_relax();
	CHECK(i < LOOKS, "device %u: status stays 0x%x after a reset", v->id,
		reg_read(v, REG_STATUS));
}

bool virtio_negotiate(const struct virtio *v, uint64_t features)
{
	reg_write(v, REG_STATUS, STATUS_ACK | STATUS_DRIVER);
	reg_write(v, REG_DRIVER_FEATURES_SEL, 1);
	reg_write(v, REG_DRIVER_FEATURES, (uint32_t)(features >> 32));
	reg_write(v, REG_DRIVER_FEATURES_SEL, 0);
	reg_write(v, REG_DRIVER_FEATURES, (uint32_t)features);
	reg_write(v, REG_STATUS, STATUS_ACK | STATUS_DRIVER | STATUS_FEATURES_OK);
	return reg_read(v, REG_STATUS) & STATUS_FEATURES_OK;
}

/* What the device may look at: there may be descriptors of an earlier life. */
static void clear(const struct vring *r)
{
	uint64_t i;

	for (i = 0; i < 2u * r->size; i++)
		words(r->desc)[i] = 0;
	for (i = 0; i <= r->size / 4u; i++)
		words(r->avail)[i] = 0;
	for (i = 0; i <= r->size; i++)
		words(r->used)[i] = 0;
}

uint32_t virtio_enable(struct virtio *v, uint32_t q)
{
	struct vring *r = &v->ring[q];

	r->idx = r->last_used = 0;
	clear(r);
	reg_write(v, REG_QUEUE_SEL, q);
	reg_write(v, REG_QUEUE_NUM, r->size);
	/* The upper halves are 0 after a reset. */
	reg_write(v, REG_DESC, (uint32_t)r->desc);
	reg_write(v, REG_AVAIL, (uint32_t)r->avail);
	reg_write(v, REG_USED, (uint32_t)r->used);
	reg_write(v, REG_QUEUE_READY, 1);
	return reg_read(v, REG_QUEUE_READY);
}

void virtio_start(struct virtio *v)
{
	uint32_t q;

	virtio_reset(v);
	CHECK(virtio_negotiate(v, v->wanted), "device %u refuses what it offers", v->id);
	for (q = 0; q < v->queues; q++)
		if (v->used & 1u << q)
			CHECK(virtio_enable(v, q), "device %u: queue %u cannot be enabled", v->id,
				q);
	reg_write(
		v, REG_STATUS, STATUS_ACK | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK);
}

/* ---- rings ---- */

static volatile uint16_t *ring_word(uint64_t part, uint32_t i)
{
	return (volatile uint16_t *)where(part) + i;
}

void ring_set_idx(struct vring *r, uint16_t idx)
{
	r->idx = idx;
	__atomic_store_n(ring_word(r->avail, 1), idx, __ATOMIC_RELEASE);
}

void ring_offer(struct vring *r, uint16_t head)
{
	*ring_word(r->avail, 2 + r->idx % r->size) = head;
	ring_set_idx(r, (uint16_t)(r->idx + 1));
}

void virtio_kick(const struct virtio *v, uint32_t q)
{
	/* Memory before the device's register. */
	__sync_synchronize();
	reg_write(v, REG_QUEUE_NOTIFY, q);
}

bool ring_take(struct vring *r, uint32_t *head, uint32_t *len)
{
	volatile uint32_t *entry =
		(volatile uint32_t *)where(r->used + 4 + 8ULL * (r->last_used % r->size));

	if (__atomic_load_n(ring_word(r->used, 1), __ATOMIC_ACQUIRE) == r->last_used)
		return false;
	*head = entry[0];
	*len = entry[1];
	r->last_used++;
	return true;
}

/* ---- waiting ---- */

bool virtio_broken(const struct virtio *v)
{
	return reg_read(v, REG_STATUS) & STATUS_NEEDS_RESET;
}

bool virtio_await_broken(const struct virtio *v)
{
	uint32_t i;

	for (i = 0; i < LOOKS; i++)
		if (virtio_broken(v))
			return true;
	return false;
}

bool virtio_await_used(struct virtio *v, uint32_t q, uint32_t *len)
{
	uint32_t i, head;

	for (i = 0; i < LOOKS; i++) {
		if (ring_take(&v->ring[q], &head, len))
			return true;
		if (virtio_broken(v))
			return false;
	}
	return false;
}
