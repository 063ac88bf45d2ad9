/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Reads its disk for ever, 4 KiB at a time and one after the other, and prints a dot for each 16 that
 * came: who counts the dots knows how fast it is (tests/bench/api.c). No claim of its own.
 */
#include "virtio.h"

#define BLOCK 8u /* sectors of a read */
#define READS 16u

static struct virtio slots[VIRTIO_SLOTS];

static struct virtio *find_disk(void)
{
	uint32_t n = virtio_find(slots);

	CHECK(n && slots[0].id == VIRTIO_BLK, "the first device is no disk");
	irq_virtio(0);
	return &slots[0];
}

/* Header, data and status lie in pages of their own. Sleeps meanwhile, as a driver does. */
static void read_block(struct virtio *v, uint64_t sector)
{
	struct vring *r = &v->ring[0];
	uint64_t header = v->data, status = v->data + PAGE, data = v->data + 2 * PAGE;
	uint32_t head, len;

	words(header)[0] = 0; /* a read */
	words(header)[1] = sector;
	desc(r, 0, header, 16, DESC_NEXT, 1);
	desc(r, 1, data, (uint32_t)PAGE, DESC_NEXT | DESC_WRITE, 2);
	desc(r, 2, status, 1, DESC_WRITE, 0);
	ring_offer(r, 0);
	virtio_kick(v, 0);
	while (!ring_take(r, &head, &len))
		irq_wait();
	reg_write(v, REG_ACK, 1);
	CHECK((*words(status) & 0xff) == 0, "a read failed: %lu", *words(status) & 0xff);
}

void guest_main(void)
{
	struct virtio *v = find_disk();
	struct random chance = { 1 };
	uint64_t blocks;
	uint32_t i;

	virtio_start(v);
	blocks = (reg_read(v, REG_CONFIG) | (uint64_t)reg_read(v, REG_CONFIG + 4) << 32) / BLOCK;
	for (;;) {
		for (i = 0; i < READS; i++)
			read_block(v, random_below(&chance, blocks) * BLOCK);
		dev_write8(boot->serial_base + SERIAL_DATA, '.');
	}
}
