/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Asks its disk for all that a driver may: writes, flushes, reads back, discards, and zeroes that are read
 * back, for ever, on 1 MiB of it. Prints a dot for each round; what comes back must be what was written,
 * also when the disk's file has become another meanwhile, for which a round is begun anew once.
 */
#include "virtio.h"

enum { IN = 0, OUT = 1, FLUSH = 4, DISCARD = 11, ZEROES = 13 };
#define BLOCK  8u /* sectors of a page */
#define BLOCKS 256u

static struct virtio slots[VIRTIO_SLOTS];

static uint64_t header(const struct virtio *v)
{
	return v->data;
}

static uint64_t data(const struct virtio *v)
{
	return v->data + 2 * PAGE;
}

/* Header, status and data lie in pages of their own. */
static void ask(struct virtio *v, uint32_t type, uint64_t sector, uint32_t len)
{
	struct vring *r = &v->ring[0];
	uint64_t status = v->data + PAGE;
	uint32_t head, used;

	words(header(v))[0] = type;
	words(header(v))[1] = sector;
	*words(status) = 0xff;
	desc(r, 0, header(v), 16, DESC_NEXT, len ? 1 : 2);
	desc(r, 1, data(v), len, DESC_NEXT | (type == IN ? DESC_WRITE : 0), 2);
	desc(r, 2, status, 1, DESC_WRITE, 0);
	ring_offer(r, 0);
	virtio_kick(v, 0);
	/* No interrupts: an emulated SVM loses its way in some of them (tests/e2e/inside). */
	while (!ring_take(r, &head, &used))
		reg_write(v, REG_ACK, reg_read(v, REG_ISR));
	CHECK((*words(status) & 0xff) == 0, "request %u fails: %lu", type, *words(status) & 0xff);
}

static bool reads(struct virtio *v, uint64_t sector, uint64_t value)
{
	uint32_t i;

	ask(v, IN, sector, (uint32_t)PAGE);
	for (i = 0; i < PAGE / 8; i++)
		if (words(data(v))[i] != value)
			return false;
	return true;
}

/* One range of a discard, or of zeroes: 5.2.6. */
static void ask_range(struct virtio *v, uint32_t type, uint64_t sector)
{
	words(data(v))[0] = sector;
	words(data(v))[1] = BLOCK;
	ask(v, type, 0, 16);
}

static bool round(struct virtio *v, uint64_t sector, uint64_t value)
{
	uint32_t i;

	for (i = 0; i < PAGE / 8; i++)
		words(data(v))[i] = value;
	ask(v, OUT, sector, (uint32_t)PAGE);
	ask(v, FLUSH, 0, 0);
	if (!reads(v, sector, value))
		return false;
	ask_range(v, DISCARD, sector);
	ask_range(v, ZEROES, sector);
	return reads(v, sector, 0);
}

void guest_main(void)
{
	struct virtio *v = &slots[0];
	uint64_t i;

	CHECK(virtio_find(slots) && v->id == VIRTIO_BLK, "the first device is no disk");
	virtio_start(v);
	for (i = 0;; i++) {
		uint64_t sector = i % BLOCKS * BLOCK;

		CHECK(round(v, sector, i + 1) || round(v, sector, i + 1),
			"the disk forgets what was written");
		dev_write8(boot->serial_base + SERIAL_DATA, '.');
		if (i % 64 == 63)
			dev_write8(boot->serial_base + SERIAL_DATA, '\n');
	}
}
