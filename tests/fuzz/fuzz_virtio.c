/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A guest that does anything to a virtio-mmio device: registers of any width, rings and descriptors
 * of any content, in memory of which a part is private and changes sides. The device is the entropy
 * device, which also writes to where it is told; a second one echoes and keeps chains for a while.
 *
 * Input is a row of commands of 12 bytes: what, where (3 bytes), and a value of 8. Nothing random
 * gets past the setup, so the first byte of the input chooses how much of it is done properly.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio_rng.h"
#include "mem/guard.h"
#include "tests/unit/fake_driver.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE	  0xd0000000ull
#define HELD	  4
#define WORK_MAX  4096 /* chains served for one command: more is a loop without bound */
#define QUEUE_MAX 16

static struct virtio_dev *echo;
static struct virtq_chain held[HELD];
static unsigned int held_q[HELD], held_count, work;

static void need(bool ok)
{
	if (!ok)
		abort();
}

static enum virtio_next serve(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	uint8_t bytes[64];
	uint32_t n = (uint32_t)min_u64(min_u64(c->read_len, c->write_len), sizeof(bytes));

	need(work++ < WORK_MAX);
	need(c->readable + c->writable > 0 && c->readable + c->writable <= VIRTQ_SEGS_MAX);
	for (unsigned int i = 0; i < c->readable + c->writable; i++)
		need(mem_host(d->mem, c->gpa[i], c->iov[i].iov_len) == c->iov[i].iov_base);
	if (held_count < HELD && c->head & 1) {
		held[held_count] = *c;
		held_q[held_count++] = q;
		return VIRTIO_NEXT;
	}
	if (c->head & 2)
		return VIRTIO_LATER;
	if (virtio_read(d, q, c, c->read_len - n, bytes, n))
		virtio_write(d, q, c, c->write_len - n, bytes, n);
	virtio_push(d, q, c, n);
	return VIRTIO_NEXT;
}

static void echo_notify(struct virtio_dev *d, unsigned int q)
{
	virtio_serve(d, q, serve);
}

static void release(unsigned int how)
{
	if (!held_count)
		return;
	held_count--;
	if (how & 1)
		virtio_push(echo, held_q[held_count], &held[held_count], how);
	else
		virtio_drop(echo, held_q[held_count]);
	virtio_notify(echo, held_q[held_count]);
}

/* Both the polite model, which gives all back, and the one that cannot yet. */
static void echo_reset(struct virtio_dev *d)
{
	(void)d;
	if (held_count > 2)
		release(0);
}

static void echo_queue_reset(struct virtio_dev *d, unsigned int q)
{
	(void)d;
	(void)q;
}

static void echo_read(struct virtio_dev *d, uint32_t off, void *data, unsigned int len)
{
	static const uint8_t space[13];

	(void)d;
	virtio_config_copy(space, sizeof(space), off, data, len);
}

static const struct virtio_ops echo_ops = {
	.name = "fuzz",
	.id = 1,
	.reset = echo_reset,
	.queue_reset = echo_queue_reset,
	.queue_notify = echo_notify,
	.config_read = echo_read,
};

/* What the loop would do, as far as kicks go; timers are left out. */
static void run_loop(struct virtio_dev *d)
{
	work = 0;
	for (unsigned int q = 0; q < d->queue_count; q++) {
		struct virtio_queue *queue = &d->queues[q];

		pthread_mutex_lock(&d->lock);
		if (virtio_running(d) && queue->vq.ready)
			d->ops->queue_notify(d, q);
		pthread_mutex_unlock(&d->lock);
	}
}

static void command(struct guest *g, struct driver *v, struct virtio_dev *d, const uint8_t *c)
{
	uint64_t where = c[1] | (uint64_t)c[2] << 8 | (uint64_t)c[3] << 16, value, got;
	unsigned int len = 1 + (c[0] >> 4) % 8;

	memcpy(&value, c + 4, 8);
	switch (c[0] & 15) {
	case 0:
	case 1: /* any access */
		bus_write(&v->bus, BASE + where % VIRTIO_MMIO_SIZE, &value, len);
		break;
	case 2:
		bus_read(&v->bus, BASE + where % VIRTIO_MMIO_SIZE, &got, len);
		break;
	case 3:
	case 4: /* a register, as it should be */
		driver_put(v, where % 0x40 * 4, (uint32_t)value);
		break;
	case 5: /* 1 to 8 bytes of memory */
		memcpy(guest_ptr(g, GUEST_RAM + where % (GUEST_SIZE - 8)), &value, len);
		break;
	case 6: /* a descriptor: where is index and flags, value is address and length */
		ring_desc_at(g, GUEST_RAM + RING_BYTES * (where >> 23), c[1] % 32,
			GUEST_RAM + (uint32_t)value % (GUEST_SIZE + 64),
			(uint32_t)(value >> 32) % 8192, c[2] % 8, c[3] % 32);
		break;
	case 7: /* offer */
		ring_offer(&(struct ring){ .guest = g,
				   .size = QUEUE_MAX,
				   .avail = GUEST_RAM + RING_BYTES * (where & 1) + 0x8000,
				   .idx = (uint16_t)value },
			(uint16_t)(where >> 8));
		break;
	case 8:
		guest_convert(g, GUEST_RAM + where % (GUEST_SIZE / PAGE_SIZE) * PAGE_SIZE,
			PAGE_SIZE, value & 1);
		break;
	case 9:
		pthread_mutex_lock(&d->lock);
		release((unsigned int)value);
		pthread_mutex_unlock(&d->lock);
		break;
	default:
		run_loop(d);
		break;
	}
}

static void play(struct guest *g, struct virtio_dev *d, const uint8_t *data, size_t size)
{
	struct driver v;
	struct ring r;

	driver_new(&v, d);
	/* Bits of the first byte: how far a proper driver came before this one took over. */
	if (data[0] & 1)
		driver_negotiate(&v, driver_features(&v) & ~(data[0] & 2 ? BIT(29) : 0));
	for (unsigned int q = 0; data[0] & 4 && q < d->queue_count; q++) {
		ring_new(&r, g, GUEST_RAM + q * RING_BYTES, QUEUE_MAX);
		driver_queue(&v, q, &r);
	}
	if (data[0] & 8)
		driver_put(&v, 0x70, 15);
	for (data++, size--; size >= 12; data += 12, size -= 12)
		command(g, &v, d, data);
	run_loop(d);
	/* However it went: a reset, what was held given back, and all is well. */
	driver_put(&v, 0x70, 0);
	pthread_mutex_lock(&d->lock);
	while (held_count)
		release(1);
	pthread_mutex_unlock(&d->lock);
	need(driver_get(&v, 0x70) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint16_t queue_max[] = { QUEUE_MAX, QUEUE_MAX };
	struct virtio_dev dev = { 0 };
	struct virtio_rng *rng = NULL;
	struct guest g;
	struct loop *loop;
	struct err e;

	if (!size)
		return 0;
	log_set_level(LOG_ERROR);
	need(!guard_init(&e));
	guest_new(&g);
	need(!loop_new(&loop, NULL, &e));
	if (data[0] & 16) {
		struct virtio_rng_config cfg = { g.mem, loop, { -1 }, data[0] & 32,
			{ { 0 }, { 0 } } };

		need(!virtio_rng_new(&rng, &cfg, &e));
		play(&g, virtio_rng_dev(rng), data, size);
	} else {
		struct virtio_config cfg = { .ops = &echo_ops,
			.queue_max = queue_max,
			.queues = 2,
			.mem = g.mem,
			.loop = loop,
			.irq = { -1 },
			.is_protected = data[0] & 32 };

		need(!virtio_init(&dev, &cfg, &e));
		echo = &dev;
		play(&g, &dev, data, size);
	}
	virtio_rng_free(rng);
	virtio_fini(&dev);
	loop_free(loop);
	guest_free(&g);
	return 0;
}
