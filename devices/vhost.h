/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VHOST_H
#define NACRE_VHOST_H

#include "devices/virtio.h"

/*
 * vhost: the host kernel serves the first queues of a virtio device itself. This is what its kinds
 * (vhost_net.h, vhost_vsock.h) have in common.
 *
 * The kernel reaches guest memory through our address space, so this is for guests that are not
 * protected, and for memory that stays where it is: RAM, but not the staging area. Rings anywhere
 * else are refused, since what we map there later would be the guest's to write to.
 *
 * Life: vhost_open -> vhost_join -> (vhost_start -> vhost_stop)* -> vhost_close. While it runs,
 * notifications go from KVM to the kernel's threads, and their interrupts back, without us. What
 * they find wrong with a queue they say by an eventfd; the device fails then, as it would have
 * with us (virtio_fail). Whatever made it fail, they are stopped.
 *
 * Threads: start and stop with the device's lock held; the others on the control thread, without.
 */
struct vhost;

struct vhost_kind {
	const char *name;    /* for messages: "vhost-net" */
	const char *module;  /* that has the device */
	uint64_t needs;	     /* features that the kernel must have */
	uint64_t takes;	     /* features of the driver's that it has to know of, if it has them */
	unsigned int queues; /* the device's first ones */
	/*
	 * All is set up: begin to serve the queues that are ready, or cease to serve any. Ceasing
	 * cannot fail, and may come without beginning.
	 */
	int (*run)(struct vhost *v, bool on, struct err *e);
};

struct vhost {
	const struct vhost_kind *kind;
	void *ctx; /* run's */
	int fd;
	uint64_t features; /* that the kernel has */
	struct virtio_dev *dev;
	int error_fd;
	struct loop_event *error_event;
	bool runs;
};

/*
 * Opens that file, /dev/vhost-*, and takes possession. 0 or -errno with a sentence that says how
 * to mend it; then, or zeroed, vhost_close does no harm.
 */
int vhost_open(struct vhost *v, const struct vhost_kind *kind, void *ctx, const char *device,
	struct err *e);
/* Leaves the loop. The kernel lets go of the queues. The device must have left the loop already. */
void vhost_close(struct vhost *v);

/* The device it serves, on whose loop it listens for what is wrong. After virtio_init. */
int vhost_join(struct vhost *v, struct virtio_dev *d, struct err *e);

/*
 * Hands the queues over, with the features that were negotiated. For virtio_ops.activate. 0, or
 * -errno with a sentence, and the queues are still ours.
 */
int vhost_start(struct vhost *v, struct err *e);
/* Takes them back; the kernel touches no guest memory any more. Does nothing when stopped. For
 * virtio_ops.reset and virtio_ops.broken. */
void vhost_stop(struct vhost *v);

#endif
