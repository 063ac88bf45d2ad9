/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VSOCK_DIAL_H
#define NACRE_VSOCK_DIAL_H

#include "vmm/util/err.h"

/*
 * Connecting to a Unix socket in a folder, on the loop, which must not be held up: a name there
 * that is a link, or on which something is mounted, could lead to a file system that hangs, or to
 * a socket that was not meant for a guest. So the folder is looked up once, and a name is taken only
 * if it is a socket itself.
 */

/* The folder of that path, for vsock_dial: a descriptor, or -errno with a sentence. */
int vsock_dial_folder(const char *path, struct err *e);

/*
 * A non-blocking socket that is connected to that name, or -errno. -EAGAIN: the listener's queue is
 * full; -ELOOP: a link; -ENOTSOCK: neither a link nor a socket.
 */
int vsock_dial(int folder, const char *name);

/* What is behind the last slash. */
const char *vsock_dial_name(const char *path);

#endif
