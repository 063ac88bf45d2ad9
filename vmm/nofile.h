/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_NOFILE_H
#define NACRE_NOFILE_H

/*
 * The limit of open files (RLIMIT_NOFILE). The soft one is low for the sake of programs that use
 * select(), which we do not; a guest's sockets and disks may need far more.
 */

/* Raises the soft limit to the hard one. Before there are threads. That it cannot is no error: what
 * runs into the limit later says so. */
void nofile_raise(void);

/* For a child after fork, before it runs another program: as it was. Async-signal-safe. */
void nofile_restore(void);

#endif
