/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VHOST_VSOCK_H
#define NACRE_VHOST_VSOCK_H

#include "devices/vhost.h"

/*
 * The socket device (virtio 1.2, 5.10) by vhost-vsock: programs of the host use AF_VSOCK as those
 * of the guest do, and the host's kernel moves the packets. See vhost.h for when and how;
 * virtio_vsock.h has the device for all other guests.
 *
 * The queues for packets are the kernel's. That for events stays ours: an event says that the
 * guest was moved to another host, which does not happen. When the driver resets the device,
 * connections stay, as far as programs of the host know, until one of them sends something and the
 * new driver answers that it knows of none; only when the device goes away, all are reset at once.
 */
#define VHOST_VSOCK_DEVICE "/dev/vhost-vsock"

struct vhost_vsock;

struct vhost_vsock_config {
	const char *device;
	uint64_t cid; /* of the guest; no other guest of this host may have it */
	const struct mem *mem;
	struct loop *loop;
	struct irq_line irq;
};

/* 0 or -errno with a sentence. */
int vhost_vsock_new(struct vhost_vsock **out, const struct vhost_vsock_config *cfg, struct err *e);
/* Accepts NULL. No vCPU may be running any more. */
void vhost_vsock_free(struct vhost_vsock *s);

/* For a transport. */
struct virtio_dev *vhost_vsock_dev(struct vhost_vsock *s);

#endif
