/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_NET_H
#define NACRE_VIRTIO_NET_H

#include "devices/netio.h"
#include "devices/ratelimit.h"
#include "devices/vhost_net.h"
#include "devices/virtio.h"

/*
 * The network device (virtio 1.2, 5.1): one pair of queues between a guest and a backend.
 *
 * Where the data goes. A frame moves between the guest's buffers and the backend in one system call,
 * within one callback of the loop; only a frame that is longer than the buffers at hand goes through
 * one of ours, in part. A backend that is full, a driver without buffers and a rate limit all make
 * the queue wait, and never the loop.
 *
 * What is wrong. A chain that breaks the rules of the queues (no room for the header, buffers of the
 * wrong direction, memory that is private) fails the device: a driver is at fault. A frame that is
 * wrong in itself (a checksum beyond its end, segmentation that was not negotiated, too short or too
 * long) is dropped, as a network card would: programs in the guest can make such frames too, by
 * packet sockets, and shall not take the device away from it.
 *
 * With vhost-net the host's kernel does all this, with its own view of what is wrong, and we only
 * hand over the queues; there are no limits then, and no news of the link.
 *
 * A backend that goes away takes the link down (VIRTIO_NET_F_STATUS); what the guest sends then is
 * dropped.
 */
struct virtio_net;

struct nic_config {
	uint8_t mac[6];
	uint16_t mtu; /* 0: not said to the guest (VIRTIO_NET_F_MTU) */
	struct ratelimit_config rx_limit, tx_limit; /* of bytes and frames; rx is to the guest */

	struct vhost_net *vhost; /* taken over; NULL: the queues are served here */

	const struct mem *mem;
	struct loop *loop;
	struct irq_line irq;
	bool is_protected;
};

/* Takes over the backend and vhost, also on error. 0 or -errno with a sentence. */
int virtio_net_new(
	struct virtio_net **out, struct netio *io, const struct nic_config *cfg, struct err *e);
/* Accepts NULL. No vCPU may be running any more. */
void virtio_net_free(struct virtio_net *n);

/*
 * New limits, full at first; both or none. Any thread, without the device's lock. -ENOTSUP with vhost.
 */
int virtio_net_set_limits(struct virtio_net *n, const struct ratelimit_config *rx,
	const struct ratelimit_config *tx, struct err *e);

/* For a transport. */
struct virtio_dev *virtio_net_dev(struct virtio_net *n);

#endif
