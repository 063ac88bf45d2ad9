/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio_rng.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vmm/util/bits.h"

#define QUEUE_SIZE 64

struct virtio_rng {
	struct virtio_dev dev;
	struct ratelimit limit;
	uint64_t requests, bytes, host_failures;
};

static const struct virtio_counter counters[] = {
	{ "entropy_event_count", offsetof(struct virtio_rng, requests) },
	{ "entropy_bytes", offsetof(struct virtio_rng, bytes) },
	{ "host_rng_fails", offsetof(struct virtio_rng, host_failures) },
	{ "entropy_rate_limiter_throttled", offsetof(struct virtio_rng, limit.refused) },
	{ NULL, 0 },
};

/* seccomp io: getrandom -- random numbers for the guest */
/* Fills the first len bytes of the chain, or fails the device. */
static void fill(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c, uint32_t len)
{
	uint8_t bytes[256];
	uint32_t off = 0;

	while (off < len) {
		size_t n = min_u64(len - off, sizeof(bytes));
		/* Never a part of what is asked, nor EINTR, for 256 bytes or less: getrandom(2). */
		ssize_t got = getrandom(bytes, n, 0);

		if (got <= 0) {
			((struct virtio_rng *)d->model)->host_failures++;
			virtio_fail(d, "getrandom: %s", strerror(errno));
			return;
		}
		if (!virtio_write(d, q, c, off, bytes, (size_t)got))
			return;
		off += (uint32_t)got;
		((struct virtio_rng *)d->model)->bytes += (uint64_t)got;
	}
}

/* One request: virtio 1.2, 5.4.6. */
static enum virtio_next serve_one(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_rng *r = d->model;
	uint32_t len = (uint32_t)min_u64(c->write_len, VIRTIO_RNG_MAX);

	if (c->readable)
		virtio_fail(d, "request with %u buffers to read from", c->readable);
	else if (!ratelimit_take(&r->limit, 1, len))
		return VIRTIO_LATER;
	else
		fill(d, q, c, len);
	r->requests++;
	/* Failed or not: pushing tells the driver only while the device is sound. */
	virtio_push(d, q, c, len);
	return VIRTIO_NEXT;
}

static void rng_notify(struct virtio_dev *d, unsigned int q)
{
	virtio_serve(d, q, serve_one);
}

static void rng_queue_reset(struct virtio_dev *d, unsigned int q)
{
	/* No chain is kept beyond rng_notify. */
	(void)d;
	(void)q;
}

/* Tokens have come back; on the loop, without the lock. */
static void on_ready(void *arg)
{
	struct virtio_rng *r = arg;

	virtio_kick(&r->dev, 0);
}

static const char *const queue_names[] = { "requestq" };

static const struct virtio_ops rng_ops = {
	.name = "virtio-rng",
	.metrics = "entropy",
	.counters = counters,
	.id = VIRTIO_ID_RNG,
	.queue_names = queue_names,
	.queue_reset = rng_queue_reset,
	.queue_notify = rng_notify,
};

int virtio_rng_new(struct virtio_rng **out, const struct virtio_rng_config *cfg, struct err *e)
{
	static const uint16_t queue_max[] = { QUEUE_SIZE };
	struct virtio_rng *r = calloc(1, sizeof(*r));
	struct virtio_config vc;
	int ret;

	if (!r)
		return err_set(e, -ENOMEM, "virtio-rng: out of memory");
	vc = (struct virtio_config){ .ops = &rng_ops,
		.model = r,
		.queue_max = queue_max,
		.queues = ARRAY_SIZE(queue_max),
		.mem = cfg->mem,
		.loop = cfg->loop,
		.irq = cfg->irq,
		.is_protected = cfg->is_protected };
	ret = virtio_init(&r->dev, &vc, e);
	if (!ret) {
		ret = ratelimit_init(&r->limit, &cfg->limit, cfg->loop, on_ready, r, e);
		if (ret)
			err_prefix(e, ret, "virtio-rng");
	}
	if (ret) {
		virtio_rng_free(r);
		return ret;
	}
	*out = r;
	return 0;
}

void virtio_rng_free(struct virtio_rng *r)
{
	if (!r)
		return;
	/* Serving the queue arms the timer, and the timer kicks the queue. */
	virtio_leave(&r->dev);
	ratelimit_free(&r->limit);
	virtio_fini(&r->dev);
	free(r);
}

struct virtio_dev *virtio_rng_dev(struct virtio_rng *r)
{
	return &r->dev;
}
