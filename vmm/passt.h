/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_PASST_H
#define NACRE_PASST_H

#include "vmm/util/err.h"

/*
 * passt as a child process: it connects a guest to the host's network by ordinary sockets, so that
 * neither privilege nor an interface is needed. It is given one end of a pair of sockets (--fd) and
 * ends when the other one closes, which the kernel does however we end, by SIGKILL too.
 *
 * Control thread. It forks, and other threads may run by then, a disk's for one: what the child
 * does before it becomes passt needs no lock that one of them might hold.
 */
struct passt;

/*
 * Starts the passt of PATH. *fd is our end, to be closed by the caller; mtu is what passt tells the
 * guest, 0: nothing. 0 or -errno with a sentence. What goes wrong in passt itself it says on our
 * standard error; then it ends, and the socket with it.
 */
int passt_start(struct passt **out, int *fd, unsigned int mtu, struct err *e);
/* Ends it, and waits for that, for half a second. The socket must be closed. Accepts NULL. */
void passt_free(struct passt *p);

#endif
