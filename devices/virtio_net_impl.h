/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_NET_IMPL_H
#define NACRE_VIRTIO_NET_IMPL_H

#include "devices/virtio_net.h"

/* What virtio_net.c (life, features, frames from the guest) and virtio_net_rx.c share. */
enum { NET_RX, NET_TX, NET_QUEUES };

#define NET_HEADER ((uint32_t)sizeof(struct virtio_net_hdr_v1))

/* Frames in a row, of each direction, before others on the loop get their turn. */
#define NET_TURN 64u

/* Buffers of the driver that are held for the next frames. The longest frame takes 43 of a Linux
 * driver's smallest ones. */
#define RX_BUFFERS 64u
/* Their pieces; readv takes 1024, and two are not of the guest. */
#define RX_SEGS 1000u
/* Beyond the longest frame by a byte: a longer one shows. */
#define RX_SPILL (NETIO_FRAME_MAX + 1u)

struct rx_buffer {
	uint16_t head;
	uint16_t segs, descs;
	uint32_t len;
};

/*
 * Frames to the guest. Chains of the queue are taken in advance, as many as the longest frame may
 * need, and kept from one callback to the next: their addresses are looked up anew then. Nobody
 * tells how long the next frame is, so `spill` is behind them in each read; what lands there is
 * copied as soon as the driver offers more. `frame` is one that has been read and not given to the
 * driver yet, for lack of buffers or of tokens.
 */
struct net_rx {
	struct ratelimit limit;
	struct virtio_net_hdr_v1 header;
	uint32_t frame;	   /* its length, or 0 */
	uint32_t in_guest; /* bytes of it in the driver's buffers; the others are in spill */
	bool is_paid;	   /* it got its tokens */

	struct rx_buffer buffers[RX_BUFFERS];
	unsigned int count, segs, descs; /* descs: entries of the queue */
	uint32_t bytes;			 /* in all buffers */
	uint32_t generation;		 /* of the queue, when they were taken */
	struct iovec iov[RX_SEGS];
	gpa_t gpa[RX_SEGS];
	struct iovec read_iov[RX_SEGS + 2];
	uint8_t spill[RX_SPILL];
};

/* For metrics; of queues that are served here. */
struct net_counts {
	uint64_t rx_packets, rx_bytes, rx_failures; /* to the guest; dropped */
	uint64_t tx_packets, tx_bytes,
		tx_failures; /* from the guest; the backend would not have it */
	uint64_t tx_malformed;
	uint64_t rx_events, tx_events, backend_events;
	uint64_t no_rx_buffer; /* times that a frame had to wait for one */
};

struct virtio_net {
	struct virtio_dev dev;
	struct netio *io;
	struct vhost_net *vhost; /* or NULL */
	struct virtio_net_config space;
	bool closing; /* the backend is to be left alone */
	struct ratelimit tx_limit;
	struct net_counts counts;
	unsigned int tx_left; /* frames of this turn */
	struct net_rx rx;
	struct virtq_chain chain; /* for taking buffers */
	struct iovec tx_iov[VIRTQ_SEGS_MAX + 1];
};

/* Frames from the backend to the guest, as far as it goes. On the loop, with the lock. */
void net_rx_run(struct virtio_net *n);
/* Gives all buffers back, and forgets the frame that waits. With the lock. */
void net_rx_drop(struct virtio_net *n);
/* There is no backend any more. On the loop, with the lock. */
void net_link_down(struct virtio_net *n);

#endif
