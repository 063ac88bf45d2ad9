/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VSOCK_IMPL_H
#define NACRE_VSOCK_IMPL_H

#include <linux/virtio_vsock.h>

#include "devices/virtio_vsock.h"
#include "devices/vsock_conn.h"
#include "devices/vsock_unix.h"

/*
 * What the parts of the vsock device know of each other, and nobody else does:
 *
 *   virtio_vsock.c     the queues, deadlines, resets
 *   vsock_life.c       how connections begin and end
 *   vsock_to_guest.c   what they have to say, and the data of sockets
 *   vsock_to_host.c    packets of the guest
 *   vsock_conn.c       the table, credit, buffers
 *   vsock_unix.c       the host's sockets
 *   vsock_dial.c       connecting to one of them
 *
 * Theory of operation. Everything but a reset happens on the loop's thread, with the device's lock.
 *
 * From the guest, tx queue: each packet is handled at once. What it leaves to be said goes into the
 * connection, as one pending bit for each kind of packet; an RST for a connection that does not
 * exist goes into a queue of VSOCK_RSTS_MAX, and while that is full the tx queue is left alone. So
 * a guest that gives us no buffers to receive into makes us hold nothing without bound.
 *
 * To the guest, rx queue: connections with something to say stand in line (`ready`), and each says
 * one packet when its turn comes. A socket's data is read when there are a buffer and credit for
 * it, not before; its event is off from when it had data until we have read all of it. So nothing
 * is read that has no place to go, and a connection that waits for credit is not in line.
 *
 * Functions that take a connection leave it where it is, unless they say that it may be gone.
 */
#define VSOCK_RSTS_MAX 256u
#define VSOCK_HEADER   ((uint32_t)sizeof(struct virtio_vsock_hdr))
#define VSOCK_TICK_US  50000u
/* How often we look whether a program that writes no more is still there. */
#define VSOCK_LOOK_MS 1000u
/* 5.10.6.6: all of SHUTDOWN's flags. */
#define VSOCK_SHUT_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT };

/* An RST for a packet of no connection. */
struct vsock_rst {
	uint64_t cid; /* that it seems to come from */
	uint32_t host_port, guest_port;
	uint16_t type;
};

struct virtio_vsock {
	struct virtio_dev dev;
	uint64_t cid;
	unsigned int request_ms, dial_ms, close_ms, drain_ms;
	struct vsock_unix *host;
	struct loop_event *tick; /* looks at deadlines, while there are any */
	struct loop_event *reap; /* frees the dead */
	bool closing;		 /* callbacks are to do nothing any more */
	bool ticking;
	bool tx_waits; /* for room in rsts */
	/* For metrics: packets and their data to the guest (rx) and from it, connections. */
	struct {
		uint64_t rx_events, rx_packets, rx_bytes;
		uint64_t tx_events, tx_packets, tx_bytes;
		uint64_t added, killed, removed;
	} counts;
	struct vsock_table table;
	unsigned int draining; /* in the table; the first in its list is so for the longest time */
	struct vsock_conns ready;
	struct vsock_conns dead; /* of a reset: their events are freed on the loop */
	struct vsock_rst rsts[VSOCK_RSTS_MAX];
	unsigned int rst_head, rst_count;
	uint8_t bounce[VSOCK_BUF_SIZE];
};

/* ---- virtio_vsock.c ---- */

/* Says what there is to say, as far as the guest has buffers. Connections may be gone after it. */
void vsock_serve_rx(struct virtio_vsock *v);
/* Answers a packet of no connection with an RST, unless it is one. On the tx queue only. */
void vsock_refuse(struct virtio_vsock *v, const struct virtio_vsock_hdr *h);

/* ---- vsock_life.c ---- */

/* There is a deadline: somebody is to look at it. */
void vsock_tick_on(struct virtio_vsock *v);
void vsock_set_deadline(struct virtio_vsock *v, struct vsock_conn *c, unsigned int ms);
/* The deadline has come. c may be gone. */
void vsock_expire(struct virtio_vsock *v, struct vsock_conn *c);
/* In line, if it has something to say and the guest can take it. */
void vsock_join_line(struct virtio_vsock *v, struct vsock_conn *c);
void vsock_leave_line(struct virtio_vsock *v, struct vsock_conn *c);
/* Adds a packet to those that c has to say. */
void vsock_say(struct virtio_vsock *v, struct vsock_conn *c, unsigned int op);
/* Frees it. */
void vsock_discard(struct virtio_vsock *v, struct vsock_conn *c);
/* Whatever was under way: the guest gets an RST. The socket goes at once. */
void vsock_reset_conn(struct virtio_vsock *v, struct vsock_conn *c);
/* The guest knows that c is over. What the host has yet to read is kept for a while; else c is gone,
 * and perhaps another one that the guest has closed. */
void vsock_after_rst(struct virtio_vsock *v, struct vsock_conn *c);
/* The host's program has closed one direction or both: VIRTIO_VSOCK_SHUTDOWN_*. */
void vsock_host_shut(struct virtio_vsock *v, struct vsock_conn *c, unsigned int flags);
bool vsock_has_hung_up(int fd);
/* A program wants a port of the guest: vsock_unix_config.wanted. */
void vsock_on_wanted(void *arg, int fd, uint32_t port);
/* The guest has accepted what a program wanted. */
void vsock_accepted(struct virtio_vsock *v, struct vsock_conn *c);
/* The guest wants a port of the host that it is not connected to. */
void vsock_receive_request(struct virtio_vsock *v, const struct virtio_vsock_hdr *h);

/* ---- vsock_to_guest.c ---- */

void vsock_on_readable(void *arg, int fd, short events);
/*
 * The next packet of c, which stands in line, with at most room bytes of data in v->bounce. False
 * when it has none after all. c may be gone.
 */
bool vsock_next_packet(
	struct virtio_vsock *v, struct vsock_conn *c, uint32_t room, struct virtio_vsock_hdr *h);

/* ---- vsock_to_host.c ---- */

/* A packet for c, with h our checked copy of its header. c may be gone. */
void vsock_receive(struct virtio_vsock *v, struct vsock_conn *c, const struct virtq_chain *chain,
	const struct virtio_vsock_hdr *h);

#endif
