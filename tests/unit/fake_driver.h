/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FAKE_DRIVER_H
#define NACRE_FAKE_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include "devices/bus.h"
#include "devices/virtio.h"
#include "devices/virtio_mmio.h"
#include "mem/mem.h"

/*
 * The guest of the virtio tests: memory without KVM, a driver's side of the rings, written out here
 * from the specification and not from our headers, and a driver of the MMIO registers.
 */
#define GUEST_RAM     0x40000000ull
#define GUEST_SIZE    0x200000ull
#define GUEST_PRIVATE 0x40180000ull /* from here to the end private, when it starts */
#define GUEST_END     (GUEST_RAM + GUEST_SIZE)
/* Where tests put data; rings lie below. */
#define GUEST_DATA 0x40100000ull

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

struct guest {
	struct slot_table *table;
	struct mem *mem;
};

void guest_new(struct guest *g);
/* One without protection. */
void guest_new_open(struct guest *g);
/* One whose memory a hypervisor below us takes away: mprotect on guest_ptr plays it. */
void guest_new_native(struct guest *g);
void guest_free(struct guest *g);
/* Makes the pages of that range private or shared. */
void guest_convert(struct guest *g, uint64_t at, uint64_t len, bool shared);
/* Past the gate, as the guest itself sees its memory: the shared side of any address in RAM. */
void *guest_ptr(const struct guest *g, uint64_t at);

/* One split virtqueue. The parts lie in pages of their own, each further away than the last. */
struct ring {
	struct guest *guest;
	uint16_t size;
	uint64_t desc, avail, used;
	uint16_t idx;	    /* ours in the available ring */
	uint16_t last_used; /* what we have taken from the used ring */
};

#define RING_BYTES 0x20000ull

/* Zeroed rings at that address, which is to have room for RING_BYTES (sizes up to 2048). */
void ring_new(struct ring *r, struct guest *g, uint64_t at, uint16_t size);
void ring_desc(
	struct ring *r, uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next);
/* Descriptor i of a table anywhere: an indirect one. */
void ring_desc_at(struct guest *g, uint64_t table, uint16_t i, uint64_t addr, uint32_t len,
	uint16_t flags, uint16_t next);
/* Puts a head in the available ring and moves the index. */
void ring_offer(struct ring *r, uint16_t head);
void ring_set_idx(struct ring *r, uint16_t idx);
void ring_set_avail_flags(struct ring *r, uint16_t flags);
void ring_set_used_event(struct ring *r, uint16_t event);
uint16_t ring_used_flags(const struct ring *r);
uint16_t ring_used_idx(const struct ring *r);
uint16_t ring_avail_event(const struct ring *r);
/* Takes the next entry of the used ring; false when there is none. */
bool ring_take(struct ring *r, uint32_t *head, uint32_t *len);

/* Registers, by the offsets of virtio 1.2, 4.2.2. */
enum {
	R_MAGIC = 0x00,
	R_VERSION = 0x04,
	R_DEVICE_ID = 0x08,
	R_DEV_FEATURES = 0x10,
	R_DEV_FEATURES_SEL = 0x14,
	R_DRV_FEATURES = 0x20,
	R_DRV_FEATURES_SEL = 0x24,
	R_QUEUE_SEL = 0x30,
	R_QUEUE_MAX = 0x34,
	R_QUEUE_NUM = 0x38,
	R_QUEUE_READY = 0x44,
	R_NOTIFY = 0x50,
	R_ISR = 0x60,
	R_ACK = 0x64,
	R_STATUS = 0x70,
	R_DESC = 0x80,
	R_DRIVER = 0x90,
	R_DEVICE = 0xa0,
	R_SHM_SEL = 0xac,
	R_SHM_LEN = 0xb0,
	R_SHM_BASE = 0xb8,
	R_QUEUE_RESET = 0xc0,
	R_GENERATION = 0xfc,
	R_CONFIG = 0x100,
};

#define S_ACK	      1u
#define S_DRIVER      2u
#define S_DRIVER_OK   4u
#define S_FEATURES_OK 8u
#define S_NEEDS_RESET 0x40u
#define S_FAILED      0x80u

#define F_INDIRECT (1ull << 28)
#define F_EVENT	   (1ull << 29)
#define F_VERSION  (1ull << 32)
#define F_PLATFORM (1ull << 33)
#define F_RESET	   (1ull << 40)

struct driver {
	struct bus bus;
	struct virtio_mmio mmio;
};

/* What the device has counted under that name, for metrics. */
uint64_t device_count(const struct virtio_dev *d, const char *name);

/* Puts the device on a bus of its own. */
void driver_new(struct driver *v, struct virtio_dev *d);
uint32_t driver_get(struct driver *v, uint64_t reg);
void driver_put(struct driver *v, uint64_t reg, uint32_t value);
uint64_t driver_features(struct driver *v);
/* Reset to FEATURES_OK, with these features; returns the status. */
uint32_t driver_negotiate(struct driver *v, uint64_t features);
/* Writes size and addresses, and enables the queue; returns QueueReady. */
uint32_t driver_queue(struct driver *v, unsigned int q, const struct ring *r);
/* All of it with one queue, to DRIVER_OK; returns the status. */
uint32_t driver_start(struct driver *v, uint64_t features, const struct ring *r);

#endif
