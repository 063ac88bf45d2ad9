/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SANDBOX_H
#define NACRE_SANDBOX_H

#include <stdbool.h>

#include "vmm/util/err.h"

/*
 * The walls around this process: what is left to a guest that has broken into a device model. All that
 * needs privileges is done before they rise, and they stand before the guest's first instruction.
 *
 *   begin  first of all: threads that are started from here on give up their capabilities on entry
 *   raise  all is open, nothing of the guest has run: the control thread gives up its own, and with it
 *          those that are started from here on
 *   seal   all threads run, the guest still does not: what only starting them needed goes, too
 *
 * The walls are the process's, and there is no way back: in a process that has not begun them (unit
 * tests; two VMs in one process), raise and seal do nothing. First thread only.
 */

struct sandbox_plan {
	bool is_protected;   /* nothing of this process is for the host's other programs to see */
	bool keeps_ipc_lock; /* vCPU threads pin memory, more than the memlock limit lets them */
};

void sandbox_begin(void);

/*
 * 0, or -errno with a sentence: then the process must not run a guest, and as some walls may stand,
 * not try again.
 */
int sandbox_raise(const struct sandbox_plan *plan, struct err *e);
int sandbox_seal(struct err *e);

/* Whether sandbox_raise has been called in a process with walls: nothing can be set up any more. */
bool sandbox_is_raised(void);

#endif
