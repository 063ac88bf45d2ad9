/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio_console.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/bits.h"

enum { RECEIVEQ, TRANSMITQ, QUEUES };

#define QUEUE_SIZE 64

#define INPUT_SIZE 4096u
/* A buffer may say that it has 4 GiB: the tty takes all of it once its reader is gone. */
#define CHUNK	   4096u
#define TURN_BYTES 65536u
/* Of a guest that is gone; more than a driver has under way that waits for what it writes. */
#define LAST_BYTES 1048576u

struct virtio_console {
	struct virtio_dev dev;
	struct tty *tty;
	bool attached;
	uint16_t cols, rows;
	uint32_t sent;	 /* bytes of the next chain of transmitq that went out already */
	uint32_t budget; /* bytes that may yet go out in this turn */
	uint32_t last;	 /* bytes that may yet go out when the guest is gone */
	bool finishing;
	bool held_up; /* a chain of transmitq waits for a turn, or for the tty */
	bool starved; /* the tty has input that found no room here */
	uint32_t input_count;
	uint8_t input[INPUT_SIZE];
};

/* ---- output ---- */

/* Sends on from where it stopped. False: not all went out, and a kick will follow. */
static bool send(struct virtio_console *c, const struct virtq_chain *chain)
{
	uint8_t chunk[CHUNK];

	while (c->sent < chain->read_len && virtio_running(&c->dev)) {
		uint32_t n = min_u32(chain->read_len - c->sent, CHUNK);
		size_t took;

		if (!c->budget) {
			virtio_kick(&c->dev, TRANSMITQ);
			return false;
		}
		if (!virtio_read(&c->dev, TRANSMITQ, chain, c->sent, chunk, n))
			break;
		took = tty_write(c->tty, chunk, n);
		c->sent += (uint32_t)took;
		c->budget -= min_u32(c->budget, n);
		c->last -= min_u32(c->last, (uint32_t)took);
		/* After a no it promises to call drained; room may also have come just now. */
		if (took < n && !tty_can_take(c->tty, 1))
			return false;
	}
	return true;
}

static enum virtio_next transmit(struct virtio_dev *d, unsigned int q, struct virtq_chain *chain)
{
	struct virtio_console *c = d->model;

	c->held_up = true;
	if (chain->writable)
		virtio_fail(d, "transmitq: a buffer to write to");
	else if (!send(c, chain))
		return VIRTIO_LATER;
	c->held_up = false;
	c->sent = 0;
	virtio_push(d, q, chain, 0);
	return VIRTIO_NEXT;
}

/* From the tty: on its loop, or on the main thread at the end. */
static void tty_has_room(void *dev)
{
	struct virtio_console *c = dev;

	virtio_kick(&c->dev, TRANSMITQ);
}

bool virtio_console_finish(struct virtio_console *c)
{
	bool more = false;

	pthread_mutex_lock(&c->dev.lock);
	if (!c->finishing)
		c->last = LAST_BYTES;
	c->finishing = true;
	if (c->last && virtio_running(&c->dev)) {
		c->budget = TURN_BYTES;
		c->held_up = false;
		virtio_serve(&c->dev, TRANSMITQ, transmit);
		more = c->held_up && c->last && virtio_running(&c->dev);
	}
	pthread_mutex_unlock(&c->dev.lock);
	return more;
}

/* ---- input ---- */

/* From the tty, on its loop. */
static size_t tty_has_input(void *dev, const uint8_t *data, size_t n)
{
	struct virtio_console *c = dev;
	size_t took;

	pthread_mutex_lock(&c->dev.lock);
	took = min_u64(n, INPUT_SIZE - c->input_count);
	memcpy(c->input + c->input_count, data, took);
	c->input_count += (uint32_t)took;
	c->starved = took < n;
	pthread_mutex_unlock(&c->dev.lock);
	if (took)
		virtio_kick(&c->dev, RECEIVEQ);
	return took;
}

static void forget_input(struct virtio_console *c, uint32_t n)
{
	c->input_count -= n;
	memmove(c->input, c->input + n, c->input_count);
	if (c->starved && c->input_count <= INPUT_SIZE / 2) {
		c->starved = false;
		tty_input_ready(c->tty);
	}
}

static enum virtio_next receive(struct virtio_dev *d, unsigned int q, struct virtq_chain *chain)
{
	struct virtio_console *c = d->model;
	uint32_t n = min_u32(chain->write_len, c->input_count);

	if (chain->readable)
		virtio_fail(d, "receiveq: a buffer to read from");
	else if (!n)
		return VIRTIO_LATER; /* tty_has_input kicks */
	else if (virtio_write(d, q, chain, 0, c->input, n))
		forget_input(c, n);
	virtio_push(d, q, chain, n);
	return VIRTIO_NEXT;
}

static const struct tty_user tty_user = { .input = tty_has_input, .drained = tty_has_room };

/* ---- the device ---- */

static void console_notify(struct virtio_dev *d, unsigned int q)
{
	struct virtio_console *c = d->model;

	c->budget = TURN_BYTES;
	virtio_serve(d, q, q == RECEIVEQ ? receive : transmit);
}

static void console_queue_reset(struct virtio_dev *d, unsigned int q)
{
	struct virtio_console *c = d->model;

	if (q == TRANSMITQ)
		c->sent = 0;
}

/* What was typed stays: the next driver reads it. */
static void console_reset(struct virtio_dev *d)
{
	console_queue_reset(d, TRANSMITQ);
}

static void console_config_read(struct virtio_dev *d, uint32_t off, void *data, unsigned int len)
{
	const struct virtio_console *c = d->model;
	const struct virtio_console_config space = { .cols = htole16(c->cols),
		.rows = htole16(c->rows) };

	virtio_config_copy(&space, sizeof(space), off, data, len);
}

static const char *const queue_names[QUEUES] = { "receiveq", "transmitq" };

static const struct virtio_ops console_ops = {
	.name = "virtio-console",
	.id = VIRTIO_ID_CONSOLE,
	.queue_names = queue_names,
	.reset = console_reset,
	.queue_reset = console_queue_reset,
	.queue_notify = console_notify,
	.config_read = console_config_read,
};

void virtio_console_resized(struct virtio_console *c)
{
	uint16_t cols, rows;

	if (!tty_size(c->tty, &cols, &rows))
		return;
	pthread_mutex_lock(&c->dev.lock);
	if ((cols != c->cols || rows != c->rows) && c->dev.offered & BIT(VIRTIO_CONSOLE_F_SIZE)) {
		c->cols = cols;
		c->rows = rows;
		virtio_config_changed(&c->dev);
	}
	pthread_mutex_unlock(&c->dev.lock);
}

static int init(struct virtio_console *c, const struct console_config *cfg, struct err *e)
{
	static const uint16_t queue_max[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE };
	bool sized = tty_size(cfg->tty, &c->cols, &c->rows);
	const struct virtio_config vc = { .ops = &console_ops,
		.model = c,
		.features = sized ? BIT(VIRTIO_CONSOLE_F_SIZE) : 0,
		.queue_max = queue_max,
		.queues = QUEUES,
		.mem = cfg->mem,
		.loop = cfg->loop,
		.irq = cfg->irq,
		.is_protected = cfg->is_protected };
	int r = virtio_init(&c->dev, &vc, e);

	if (r)
		return r;
	r = tty_attach(c->tty, &tty_user, c, e);
	c->attached = !r;
	return r ? err_prefix(e, r, "virtio-console") : 0;
}

int virtio_console_new(struct virtio_console **out, const struct console_config *cfg, struct err *e)
{
	struct virtio_console *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return err_set(e, -ENOMEM, "virtio-console: out of memory");
	c->tty = cfg->tty;
	r = init(c, cfg, e);
	if (r) {
		virtio_console_free(c);
		return r;
	}
	*out = c;
	return 0;
}

void virtio_console_free(struct virtio_console *c)
{
	if (!c)
		return;
	/* Its callbacks kick our queues; our queues call it, attached or not. */
	if (c->attached)
		tty_detach(c->tty);
	virtio_fini(&c->dev);
	free(c);
}

struct virtio_dev *virtio_console_dev(struct virtio_console *c)
{
	return &c->dev;
}
