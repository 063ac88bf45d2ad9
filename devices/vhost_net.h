/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VHOST_NET_H
#define NACRE_VHOST_NET_H

#include "devices/virtio.h"

/*
 * vhost-net: the host kernel serves the queues of a network device itself, between the guest's
 * memory and a tap. It reaches that memory through our address space, so this is for guests that
 * are not protected, and for memory that stays where it is.
 */
struct vhost_net;

/* Opens /dev/vhost-net. The tap stays the caller's. 0 or -errno with a sentence. */
int vhost_net_new(struct vhost_net **out, int tap_fd, struct err *e);
/* Accepts NULL. */
void vhost_net_free(struct vhost_net *v);

/*
 * Hands both queues over, with the features that were negotiated: their notifications and their
 * interrupts go past us from then on. For virtio_ops.activate. 0, or -errno with a sentence, and
 * the queues are still ours.
 */
int vhost_net_start(struct vhost_net *v, struct virtio_dev *d, struct err *e);
/* Takes them back; no frame is under way then. For virtio_ops.reset. Does nothing when stopped. */
void vhost_net_stop(struct vhost_net *v, struct virtio_dev *d);

#endif
