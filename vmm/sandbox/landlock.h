/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SANDBOX_LANDLOCK_H
#define NACRE_SANDBOX_LANDLOCK_H

#include <stdbool.h>

#include "vmm/sandbox/sandbox.h"
#include "vmm/util/err.h"

/* What this kernel's Landlock is able to: its ABI version, or 0 where there is none (landlock(7)). */
int landlock_abi(void);

/*
 * From here on the calling thread, and those that it starts, may use no path but these, and for what
 * they say only; make nothing; not use TCP (ABI 4) or UDP (10), nor sockets in the abstract namespace
 * of others (6) or elsewhere in the file system (9); and, unless it may, not signal other
 * processes (6). What is open already stays in use. A path that is not there is left out. Needs
 * no_new_privs. Returns the number of paths, -ENOSYS where the kernel has no Landlock, or another
 * -errno with a sentence.
 */
int landlock_restrict(
	const struct sandbox_path *paths, unsigned int count, bool may_signal, struct err *e);

#endif
