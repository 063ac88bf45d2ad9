/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_API_H
#define NACRE_API_API_H

#include "vmm/api/options.h"
#include "vmm/config.h"
#include "vmm/util/err.h"
#include "vmm/vm.h"

/*
 * One machine that is driven by requests on a socket, as Firecracker's is: it is described object by
 * object, started, paused, changed while it runs, and when its guest ends so does the process.
 *
 * Everything happens on the calling thread, whose control loop the machine shares; so a handler has
 * all for itself, and must not wait for a client or a device.
 */
struct api;

/* The version of Firecracker's interface that this is made after. */
#define API_INTERFACE_VERSION "1.13.0"

/*
 * Makes the socket, if one is wanted, and takes over what the config holds (*c is left empty). Both
 * options and config must have been checked; the options are borrowed.
 */
int api_new(struct api **out, const struct api_options *o, struct config *c, struct err *e);
/* Frees the machine and removes the socket. Accepts NULL. */
void api_free(struct api *a);

/*
 * Starts the machine that the config describes, as InstanceStart does. On error all is as before, unless
 * it comes so late that the sandbox stands: then no other start can be.
 */
int api_start(struct api *a, struct err *e);

/* Answers requests until the guest has ended, or a signal asks us to stop. */
void api_run(struct api *a);

/* How it ended, as machine_end; VM_STOPPED when no guest was ever started. */
enum vm_end api_end(const struct api *a, const char **text, int *signo);

#endif
