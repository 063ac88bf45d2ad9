/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_NETIO_H
#define NACRE_NETIO_H

#include <linux/virtio_net.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "vmm/util/err.h"
#include "vmm/util/loop.h"

/*
 * Where a network device's frames go and come from. A frame is what is on the wire from the
 * destination address on, without checksum; virtio's header (virtio 1.2, 5.1.6) goes beside it.
 *
 * Buffers are iovecs of guest memory, good within the loop callback that makes the call. The first
 * entry is not part of the frame: the backend puts its own header there, so that a frame leaves or
 * comes in one system call.
 *
 * Threads: everything on the loop's thread, except netio_offload (any, under the device's lock) and
 * making and freeing, which is for the control thread while the loop does not run, or for a test.
 */
struct netio;

/* The longest frame: 64 KiB of segmented data behind an Ethernet header (5.1.6.3). */
#define NETIO_FRAME_MAX 65550u
#define NETIO_FRAME_MIN 14u

enum { NETIO_READABLE = 1, NETIO_WRITABLE = 2 };
typedef void (*netio_fn)(void *arg, int events);

struct netio_ops {
	/* 0: gone, or dropped by the host for reasons of its own. -EAGAIN: NETIO_WRITABLE follows.
	 * -EFAULT: the guest's memory could not be read. -ENODEV: there is no other side. */
	int (*send)(struct netio *io, const struct virtio_net_hdr_v1 *h, struct iovec *iov,
		unsigned int count);
	/* The frame's length; one as long as the buffers may have been cut. -EAGAIN: there is none.
	 * -EFAULT and -ENODEV as above. */
	ssize_t (*recv)(struct netio *io, struct virtio_net_hdr_v1 *h, struct iovec *iov,
		unsigned int count);
	/* The socket takes data again: 0, or -EAGAIN when what send kept back filled it. Optional. */
	int (*flush)(struct netio *io);
	/* These features were negotiated; 0: the device was reset. Optional. */
	void (*offload)(struct netio *io, uint64_t features);
	void (*free)(struct netio *io);
};

struct netio {
	const struct netio_ops *ops;
	char name[32];	   /* for messages: "tap tap0" */
	uint64_t features; /* what it can do of virtio's checksum and segmentation features */
	int fd;
	bool want_read, want_write;
	struct loop_event *readable, *writable;
	struct loop_event *pause_end;
	pthread_mutex_t pause_lock; /* of closing, by which a pause begins and ends nothing */
	bool is_paused, closing;
	netio_fn ready;
	void *arg;
};

/* Has ready(arg, events) called on the loop, without locks, for what netio_want_* asked for. */
int netio_attach(struct netio *io, struct loop *loop, netio_fn ready, void *arg, struct err *e);
/* No call to ready after it. */
void netio_detach(struct netio *io);
/* Detaches, closes. Accepts NULL. */
void netio_free(struct netio *io);

/* NETIO_READABLE as long as there are frames, until it is not wanted any more. */
void netio_want_read(struct netio *io, bool on);
/* NETIO_WRITABLE once. */
void netio_want_write(struct netio *io);
/* For a backend that says -EAGAIN because the host is short of something: no event for a while. */
void netio_pause(struct netio *io);

int netio_send(
	struct netio *io, const struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count);
ssize_t netio_recv(
	struct netio *io, struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count);
void netio_offload(struct netio *io, uint64_t features);

/*
 * A tap interface of the host. One that exists must be free and, without CAP_NET_ADMIN, the user's;
 * it stays when we end. One that does not is created (with CAP_NET_ADMIN), set up with that MTU
 * unless it is 0, and goes away with us. 0 or -errno with a sentence naming it.
 */
int netio_tap_new(struct netio **out, const char *name, unsigned int mtu, struct err *e);

/*
 * A stream socket, connected, on which each frame follows its length, four bytes in network byte
 * order: the protocol of passt. The descriptor is taken over, also on error.
 */
int netio_stream_new(struct netio **out, int fd, const char *name, struct err *e);

#endif
