/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VSOCK_UNIX_H
#define NACRE_VSOCK_UNIX_H

#include <pthread.h>
#include <stdint.h>

#include "vmm/util/err.h"
#include "vmm/util/loop.h"

/*
 * The host's side of a vsock device: Unix sockets.
 *
 *   PATH        is ours. A program connects and writes "CONNECT <port>\n": it wants that port of
 *               the guest.
 *   PATH_PORT   is a program's, which listens there for the guest's connections to that port.
 *
 * PATH is made when the device is, never in place of something that exists, and removed with it.
 * Programs that have connected and not yet written their line are few at a time and have limited
 * time; others wait in the kernel's queue, until the oldest has had a short time at least and goes.
 */

/* So that PATH_PORT still fits in a socket's address. */
#define VSOCK_PATH_MAX 96

struct vsock_unix;

struct vsock_unix_config {
	const char *path; /* copied */
	struct loop *loop;
	/* Held by callbacks on the loop, also while they call `wanted`. */
	pthread_mutex_t *lock;
	/* A program wants that port; the non-blocking socket is the callee's to close. */
	void (*wanted)(void *arg, int fd, uint32_t port);
	void *arg;
	unsigned int line_ms; /* for the CONNECT line; 0: VSOCK_LINE_MS */
};

/* A person may have to type it. */
#define VSOCK_LINE_MS 30000u
/* Also while others wait for its place. */
#define VSOCK_LINE_MIN_MS 1000u
#define VSOCK_CLIENTS_MAX 64u

/* 0, or -errno with a sentence: the path is too long, exists, or cannot be made. */
int vsock_unix_new(struct vsock_unix **out, const struct vsock_unix_config *cfg, struct err *e);
/* Removes the socket file if it is still ours. Without the lock; accepts NULL and the half-made. */
void vsock_unix_free(struct vsock_unix *u);

/*
 * Connects to PATH_PORT without waiting. A non-blocking socket, or -errno; -EAGAIN: the listener's
 * queue is full for now.
 */
int vsock_unix_dial(const struct vsock_unix *u, uint32_t port);

#endif
