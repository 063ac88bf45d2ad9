/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SANDBOX_H
#define NACRE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/util/err.h"

/*
 * The walls around this process: what is left to a guest that has broken into a device model. All that
 * needs privileges is done before they rise, and they stand before the guest's first instruction.
 *
 *   begin  first of all: threads that are started from here on give up on entry what they have
 *   raise  all is open, nothing of the guest has run: the control thread gives up its capabilities and
 *          most paths (Landlock), and with it those that are started from here on
 *   seal   all threads run, the guest still does not: what only starting them needed goes, too
 *
 * The walls are the process's, and there is no way back: in a process that has not begun them (unit
 * tests; two VMs in one process), raise and seal do nothing. First thread only, but for questions.
 */

/* What is done with a path after the start. */
enum sandbox_access {
	SANDBOX_REMOVE = 1,  /* removes files in that folder */
	SANDBOX_CONNECT = 2, /* connects to sockets in that folder */
	SANDBOX_READ = 4,    /* opens files that exist: it, or those below it */
	SANDBOX_WRITE = 8,
};

struct sandbox_path {
	const char *path;
	unsigned int access;
};

struct sandbox_plan {
	bool is_protected;   /* nothing of this process is for the host's other programs */
	bool traces_itself;  /* LeakSanitizer does at the end: neither hidden nor kept from /proc */
	bool keeps_ipc_lock; /* vCPU threads pin memory, more than the memlock limit lets them */
	const struct sandbox_path *paths; /* all that are used after the start */
	unsigned int path_count;
};

void sandbox_begin(void);

/*
 * 0, or -errno with a sentence: then the process must not run a guest, and as some walls may stand,
 * not try again. A kernel without Landlock is no error; sandbox_describe tells.
 */
int sandbox_raise(const struct sandbox_plan *plan, struct err *e);
int sandbox_seal(struct err *e);

/* Whether sandbox_raise has been called in a process with walls: nothing can be set up any more. */
bool sandbox_is_raised(void);

/* Whether it is the sandbox that may refuse a path with EACCES. Any thread. */
bool sandbox_limits_paths(void);

/* Which walls stand, in a few words. Any thread. */
#define SANDBOX_TEXT 256
const char *sandbox_describe(char *buf, size_t size);

#endif
