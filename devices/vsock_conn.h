/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VSOCK_CONN_H
#define NACRE_VSOCK_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "vmm/util/loop.h"

/*
 * The connections of a vsock device (virtio 1.2, 5.10.6): a table by ports, and for each the
 * credit of both directions and what the host's socket could not take yet. What is done with them,
 * and when, is virtio_vsock.c's business; nothing here does I/O but vsock_conn_flush, or locks.
 *
 * Threads: the device's mutex.
 */

/*
 *   REQUESTED  the host connects: a request is, or will be, with the guest
 *   DIALING    the guest connects: the host's listener has no place in its queue yet
 *   OPEN       data flows, in one direction at least
 *   CLOSING    the host's end is gone, the guest was told, and shall answer with RST
 *   RESET      an RST is on its way to the guest, then the ports are free again
 *   DRAINING   the guest has closed, and the host has yet to take what it wrote
 */
enum vsock_state {
	VSOCK_REQUESTED,
	VSOCK_DIALING,
	VSOCK_OPEN,
	VSOCK_CLOSING,
	VSOCK_RESET,
	VSOCK_DRAINING,
};

/* What a guest may have on its way to one socket: this is the buf_alloc we tell it (5.10.6.3). */
#define VSOCK_BUF_SIZE 65536u

/* 5.10.1. */
#define VSOCK_HOST_CID 2u

struct vsock_conn {
	TAILQ_ENTRY(vsock_conn) all, ready;
	LIST_ENTRY(vsock_conn) hash;
	void *owner;
	uint32_t host_port, guest_port;
	enum vsock_state state;
	bool in_table, is_ready;
	bool readable;	    /* the socket may have data; its event is off */
	uint8_t pending;    /* packets to send, BIT(op): one of each at most, so this has a bound */
	uint8_t guest_shut; /* VIRTIO_VSOCK_SHUTDOWN_*, by the guest */
	uint8_t host_shut;  /* ... by the host's program */
	uint64_t deadline;  /* ms; 0: none */
	uint64_t give_up;   /* ms, while DIALING */

	int fd;
	struct loop_event *read_ev, *write_ev; /* NULL until needed */

	/* From the guest. Counters are free-running (5.10.6.3). */
	uint32_t received;
	uint32_t forwarded;
	uint32_t told; /* forwarded, as the guest knows it */
	/* To the guest. */
	uint32_t sent;
	uint32_t guest_buf, guest_forwarded;
	bool asked; /* for credit, since the last news of it */

	/* A ring of VSOCK_BUF_SIZE that exists while it is not empty. */
	uint8_t *out;
	uint32_t out_head, out_len;
};

TAILQ_HEAD(vsock_conns, vsock_conn);

#define VSOCK_BUCKETS 256u

struct vsock_table {
	LIST_HEAD(, vsock_conn) buckets[VSOCK_BUCKETS];
	struct vsock_conns all;
	unsigned int count;
	uint32_t next_port;
};

void vsock_table_init(struct vsock_table *t);
struct vsock_conn *vsock_table_find(
	const struct vsock_table *t, uint32_t host_port, uint32_t guest_port);
/* A port for a connection from the host to that port: none in use, and not soon used again. */
uint32_t vsock_table_port(struct vsock_table *t, uint32_t guest_port);

/*
 * A connection in the table, in state REQUESTED, without a socket; NULL without memory. The ports
 * must not be in use.
 */
struct vsock_conn *vsock_conn_new(struct vsock_table *t, uint32_t host_port, uint32_t guest_port);
/* The ports are free again; the connection still counts. */
void vsock_conn_unlink(struct vsock_conn *c);
/* Out of the table and the count, not freed. */
void vsock_conn_remove(struct vsock_table *t, struct vsock_conn *c);
/* Events, socket, memory. On the loop's thread, or when it runs no callback of this connection. */
void vsock_conn_free(struct vsock_conn *c);
/* The socket with its events, and what it should have got. The same threads. */
void vsock_conn_hang_up(struct vsock_conn *c);

/* How much the guest can take now. A guest that counts wrong gets nothing. */
uint32_t vsock_conn_credit(const struct vsock_conn *c);
/* How much the guest may send now. */
uint32_t vsock_conn_room(const struct vsock_conn *c);
/* The guest knows of so little room that it should hear the news. */
bool vsock_conn_should_tell(const struct vsock_conn *c);

/*
 * Takes len bytes, at most vsock_conn_room, for the socket. 0; -ENOMEM; or what the socket says, and
 * then nothing is kept.
 */
int vsock_conn_write(struct vsock_conn *c, const uint8_t *data, uint32_t len);
/* What is left from before. 0 also when the socket is full. */
int vsock_conn_flush(struct vsock_conn *c);
/* Nobody will read it: counts as forwarded. */
void vsock_conn_discard(struct vsock_conn *c);

#endif
