/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_MAKE_H
#define NACRE_VIRTIO_MAKE_H

#include "devices/virtio.h"
#include "devices/ratelimit.h"
#include "vmm/config.h"
#include "vmm/util/err.h"
#include "vmm/util/loop.h"

struct passt;
struct tty;

/* From the configuration of a virtio device to its model: a function each, for virtio_set.c. */

/* What a model needs of the machine; all borrowed. */
struct virtio_place {
	const struct mem *mem;
	struct loop *io;
	struct tty *tty;
	struct irq_line irq;
	uint32_t item; /* which of its kind, from 0, where there can be several */
	bool is_protected;
	enum protection protection;
	uint64_t ram_bytes;
};

/* What comes of it, for virtio_set.c to free: first the model, then its passt. */
struct virtio_made {
	struct virtio_dev *dev;
	void *model;
	void (*free)(void *model);
	struct passt *passt; /* a network device's, or NULL */
};

/*
 * config is the device's own part of the configuration: a struct disk_config, net_config,
 * vsock_config or balloon_options, the limit of random numbers, or NULL. Control thread. 0 or -errno with a sentence; on an error
 * only made->passt may be set.
 */
typedef int (*virtio_make_fn)(
	struct virtio_made *made, const struct virtio_place *p, const void *config, struct err *e);

int virtio_make_disk(
	struct virtio_made *made, const struct virtio_place *p, const void *config, struct err *e);
int virtio_make_net(
	struct virtio_made *made, const struct virtio_place *p, const void *config, struct err *e);
int virtio_make_vsock(
	struct virtio_made *made, const struct virtio_place *p, const void *config, struct err *e);
int virtio_make_rng(
	struct virtio_made *made, const struct virtio_place *p, const void *config, struct err *e);
int virtio_make_balloon(
	struct virtio_made *made, const struct virtio_place *p, const void *config, struct err *e);
int virtio_make_console(
	struct virtio_made *made, const struct virtio_place *p, const void *config, struct err *e);

#endif
