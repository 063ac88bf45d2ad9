/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_RNG_H
#define NACRE_VIRTIO_RNG_H

#include "devices/ratelimit.h"
#include "devices/virtio.h"

/*
 * The entropy device (virtio 1.2, 5.4): fills the guest's buffers from the host's getrandom(2).
 * One request gives at most VIRTIO_RNG_MAX bytes; a driver that wants more asks again.
 *
 * So a turn on the loop is at most 64 requests, 256 KiB, one or two milliseconds, whatever the guest
 * does; that is how long others on the loop, or a conversion, may wait for it. By default there is
 * no further limit: what a guest burns here is CPU time of its own process, as with its vCPUs, and a
 * limit would only slow those that need much at their start. config.limit is for machines that want
 * one.
 */
#define VIRTIO_RNG_MAX 4096u

struct virtio_rng;

struct virtio_rng_config {
	const struct mem *mem;
	struct loop *loop;
	struct irq_line irq;
	bool is_protected;
	struct ratelimit_config limit; /* zeroed: none */
};

int virtio_rng_new(struct virtio_rng **out, const struct virtio_rng_config *cfg, struct err *e);
/* Accepts NULL. No vCPU may be running any more. */
void virtio_rng_free(struct virtio_rng *r);

/* For a transport. */
struct virtio_dev *virtio_rng_dev(struct virtio_rng *r);

#endif
