/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_VSOCK_H
#define NACRE_VIRTIO_VSOCK_H

#include <stdint.h>

#include "devices/virtio.h"

/*
 * The socket device (virtio 1.2, 5.10): stream connections between programs of the guest, by
 * AF_VSOCK, and programs of the host, by Unix sockets (vsock_unix.h).
 *
 *   host to guest   a program connects to PATH and writes "CONNECT <port>\n". When the guest
 *                   accepts it reads "OK <host port>\n", and from there on what the guest sends;
 *                   else the connection closes.
 *   guest to host   a connection to CID 2, port P, becomes one to the Unix socket PATH_P. If nobody
 *                   listens there the guest's is reset.
 *
 * Either side may close one direction and go on in the other. Whoever does not read holds up
 * nobody else: in each direction a connection carries what its reader has room for.
 */
#define VSOCK_CID_MIN 3u
#define VSOCK_CID_MAX 0xfffffffeu
/* Further ones are reset. */
#define VSOCK_CONNS_MAX 1024u
/* Of these, at most so many that the guest has closed, and whose data somebody has yet to read. */
#define VSOCK_DRAINING_MAX 128u

struct virtio_vsock;

struct vsock_device_config {
	uint64_t cid;	  /* of the guest */
	const char *path; /* of the Unix socket */
	const struct mem *mem;
	struct loop *loop;
	struct irq_line irq;
	bool is_protected;
	/* In ms; 0: what the .c file says. How long a guest may take to answer a request, a listener
	 * to make room for a connection, a guest to confirm that a connection is closed, and a program
	 * of the host to read on, in one that the guest has closed. */
	unsigned int request_ms, dial_ms, close_ms, drain_ms;
	unsigned int line_ms; /* vsock_unix_config.line_ms */
};

int virtio_vsock_new(
	struct virtio_vsock **out, const struct vsock_device_config *cfg, struct err *e);
/* Closes everything and removes the socket file. Accepts NULL. No vCPU may be running any more. */
void virtio_vsock_free(struct virtio_vsock *v);

/* For a transport. */
struct virtio_dev *virtio_vsock_dev(struct virtio_vsock *v);

#endif
