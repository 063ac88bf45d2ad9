/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_GUEST_VIRTIO_H
#define NACRE_TEST_GUEST_VIRTIO_H

#include "guest.h"

/*
 * A driver of virtio devices in MMIO slots (virtio 1.2, 4.2) with split queues (2.7), without
 * interrupts: who waits polls. It does what it is told, right or wrong, and tells of no mistake of
 * its own; the numbers are the specification's.
 *
 * Rings and data of a device lie in RAM pages of its own, which are shared when it is found.
 */
enum {
	VIRTIO_NET = 1,
	VIRTIO_BLK = 2,
	VIRTIO_CONSOLE = 3,
	VIRTIO_RNG = 4,
	VIRTIO_BALLOON = 5,
	VIRTIO_VSOCK = 19
};

enum {
	REG_MAGIC = 0x00,
	REG_DEVICE_ID = 0x08,
	REG_DEVICE_FEATURES = 0x10,
	REG_DEVICE_FEATURES_SEL = 0x14,
	REG_DRIVER_FEATURES = 0x20,
	REG_DRIVER_FEATURES_SEL = 0x24,
	REG_QUEUE_SEL = 0x30,
	REG_QUEUE_NUM_MAX = 0x34,
	REG_QUEUE_NUM = 0x38,
	REG_QUEUE_READY = 0x44,
	REG_QUEUE_NOTIFY = 0x50,
	REG_ISR = 0x60,
	REG_ACK = 0x64,
	REG_STATUS = 0x70,
	REG_DESC = 0x80,
	REG_AVAIL = 0x90,
	REG_USED = 0xa0,
	REG_QUEUE_RESET = 0xc0,
	REG_CONFIG = 0x100
};
#define VIRTIO_STRIDE 0x1000ULL

enum {
	STATUS_ACK = 1,
	STATUS_DRIVER = 2,
	STATUS_DRIVER_OK = 4,
	STATUS_FEATURES_OK = 8,
	STATUS_NEEDS_RESET = 0x40
};

#define FEATURE(bit) (1ULL << (bit))
enum { F_INDIRECT = 28, F_EVENT_IDX = 29, F_VERSION_1 = 32, F_PLATFORM = 33, F_RING_RESET = 40 };

enum { DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

#define VIRTIO_SLOTS  16u
#define VIRTIO_QUEUES 5u
/* Of each device: three pages for each queue, then data. */
#define VIRTIO_PAGES 32u
#define RING_SIZE    16u /* entries, unless a test wants others */

struct vring {
	uint16_t size;
	uint16_t idx;	    /* what we last wrote to the available index */
	uint16_t last_used; /* what we have taken from the used ring */
	uint64_t desc, avail, used;
};

struct virtio {
	uint64_t base; /* of the registers */
	uint64_t data; /* free pages, VIRTIO_DATA of them */
	uint32_t id;
	uint32_t queues;
	uint64_t features; /* what it offers */
	uint64_t wanted;   /* what virtio_start accepts of it; everything but event indices */
	uint32_t used;	   /* bit mask of queues that virtio_start sets up; all */
	struct vring ring[VIRTIO_QUEUES];
};
#define VIRTIO_DATA (VIRTIO_PAGES - 3 * VIRTIO_QUEUES)

/* The devices that there are, in the order of their slots; returns their number. */
uint32_t virtio_find(struct virtio *v);

static inline uint32_t reg_read(const struct virtio *v, uint64_t reg)
{
	return mmio_read32(v->base + reg);
}

static inline void reg_write(const struct virtio *v, uint64_t reg, uint32_t value)
{
	mmio_write32(v->base + reg, value);
}

static inline void reg_write64(const struct virtio *v, uint64_t reg, uint64_t value)
{
	reg_write(v, reg, (uint32_t)value);
	reg_write(v, reg + 4, (uint32_t)(value >> 32));
}

/* ---- the life of a device: 3.1 ---- */

/* Fails the test when status does not become 0. */
void virtio_reset(const struct virtio *v);
/* After a reset; returns whether the device agrees. */
bool virtio_negotiate(const struct virtio *v, uint64_t features);
/* Clears the ring, which lies below 4 GiB, and enables it; returns QueueReady. */
uint32_t virtio_enable(struct virtio *v, uint32_t q);
/* All of it, with the usual rings, up to DRIVER_OK. */
void virtio_start(struct virtio *v);

/* ---- rings ---- */

/* Entry i of a descriptor table, direct or indirect. */
static inline void desc_at(
	uint64_t table, uint32_t i, uint64_t addr, uint32_t len, uint32_t flags, uint32_t next)
{
	words(table)[2 * i] = addr;
	words(table)[2 * i + 1] = len | (uint64_t)(flags & 0xffff) << 32 | (uint64_t)next << 48;
}

static inline void desc(const struct vring *r, uint32_t i, uint64_t addr, uint32_t len,
	uint32_t flags, uint32_t next)
{
	desc_at(r->desc, i, addr, len, flags, next);
}

/* Puts a head in the available ring and moves the index. */
void ring_offer(struct vring *r, uint16_t head);
void ring_set_idx(struct vring *r, uint16_t idx);
void virtio_kick(const struct virtio *v, uint32_t q);
/* The next entry of the used ring; false when there is none. */
bool ring_take(struct vring *r, uint32_t *head, uint32_t *len);

/* ---- waiting: true when it came true. Each look at the device is an exit. ---- */

bool virtio_broken(const struct virtio *v);
bool virtio_await_broken(const struct virtio *v);
/* False as well when the device breaks. */
bool virtio_await_used(struct virtio *v, uint32_t q, uint32_t *len);

#endif
