/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TERM_H
#define NACRE_TERM_H

#include <stdbool.h>

/*
 * What we change about descriptors that others share with us (the shell's terminal above all), and
 * how it is put back. Only devices/tty*.c use this.
 *
 * The saved settings are the one piece of file-scope state in devices/: a terminal belongs to the
 * process and its shell, not to a VM, and a signal handler that must restore it is handed nothing.
 * They are restored by term_restore, by an atexit hook, and by whoever handles a fatal signal.
 *
 * Any thread; but one descriptor is changed by one thread at a time.
 */

/*
 * True when fd is a terminal from which we may read without being stopped: the one whose foreground
 * process group we are in, or one that is not our controlling terminal at all.
 */
bool term_may_read(int fd);

/*
 * Puts the terminal fd into raw mode: every key goes to the guest, also Ctrl-C and Ctrl-Z. Output
 * processing stays on, so that our own log lines look right. Does nothing unless fd is our
 * controlling terminal and we are in its foreground process group. Calling it again, after we were
 * in the background, applies raw mode anew and keeps the settings saved first. Returns whether the
 * terminal is in raw mode now.
 */
bool term_raw(int fd);

/*
 * Sets O_NONBLOCK on a descriptor that could not be opened anew for ourselves, until it is restored.
 * Returns 0 or -errno.
 */
int term_nonblock(int fd);

/*
 * Puts back whatever was changed through fd, or everything for fd -1. Async-signal-safe. Terminal
 * settings are left alone while we are in the background: they are then somebody else's.
 */
void term_restore(int fd);

#endif
