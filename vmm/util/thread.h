/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_THREAD_H
#define NACRE_THREAD_H

#include <pthread.h>

#include "vmm/util/err.h"

/*
 * The one way to start a thread. What a thread is there for is its role: it decides which system
 * calls are left to it (vmm/sandbox). The first thread of the process has the role of control. Those
 * of disk, log and fill neither allocate nor wait with a limit of time: they may not.
 */
enum thread_role {
	THREAD_CONTROL, /* API, signals, timers */
	THREAD_CONSOLE, /* the terminal, or a file in its place */
	THREAD_IO,	/* devices */
	THREAD_VCPU,
	THREAD_DISK,  /* reads and writes files where neither io_uring nor aio does */
	THREAD_LOG,   /* writes lines to a file */
	THREAD_FILL,  /* touches memory before there is a guest, and ends */
	THREAD_WATCH, /* tells of refused system calls, in trial runs */
	THREAD_ROLES
};

/*
 * Starts fn(arg) in a thread of that name (15 bytes at most; longer ones are cut). All signals are
 * blocked there but those of faults, failed checks and refused system calls, which a thread must not
 * block: it would be killed without a word. Other signals are the control loop's business. Any
 * thread. 0, or -errno with a sentence; the caller joins.
 */
int thread_start(pthread_t *out, enum thread_role role, const char *name, void *(*fn)(void *),
	void *arg, struct err *e);

/* Of the calling thread; that of the first one is "nacre". Async-signal-safe. */
const char *thread_name(void);

/* Waits until all threads that were started so far have been through enter (thread_on_enter). */
void thread_wait_entered(void);

/*
 * Has every thread that is started from now on call enter(role) before its function; NULL: none.
 * For the first thread, before there are others.
 */
void thread_on_enter(void (*enter)(enum thread_role role));

#endif
