/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VHOST_NET_H
#define NACRE_VHOST_NET_H

#include "devices/vhost.h"

/*
 * vhost-net: the host kernel serves the queues of a network device itself, between the guest's
 * memory and a tap. virtio_net.c uses it; see vhost.h for when and how.
 */
#define VHOST_NET_DEVICE "/dev/vhost-net"

struct vhost_net;

/* The tap stays the caller's. 0 or -errno with a sentence. */
int vhost_net_new(struct vhost_net **out, const char *device, int tap_fd, struct err *e);
/* Accepts NULL. */
void vhost_net_free(struct vhost_net *n);

/* For vhost_join, vhost_start and vhost_stop. */
struct vhost *vhost_net_base(struct vhost_net *n);

#endif
