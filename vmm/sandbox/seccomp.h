/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SECCOMP_H
#define NACRE_SECCOMP_H

#include <stdbool.h>

#include "vmm/util/err.h"
#include "vmm/util/thread.h"

/*
 * System calls: a thread can make those that its role needs, and no others (seccomp(2)).
 *
 * What a role needs stands beside the code that makes the call, in comments that begin with
 * "seccomp ROLE:" (rules/collect.awk has the words). The build makes filters of them, one for each
 * role, so a start only hands them to the kernel. A refused call names thread, call and arguments on
 * standard error and ends the process with status 3.
 *
 * Order. Filters are inherited, they only add up, and none can be taken off. So each thread that
 * starts after seccomp_prepare enters its own before it does anything else, and the first one, which
 * starts the others, gets its own last: seccomp_seal. All stand before the guest's first
 * instruction, and no thread is started later.
 */
enum seccomp_mode { SECCOMP_ON, SECCOMP_AUDIT, SECCOMP_OFF, SECCOMP_MODES };

/*
 * A sanitizer's own calls are nobody's need. Its builds have the kernel log them (kernel_logs):
 * LeakSanitizer stops all threads, that of seccomp_watch.c too.
 */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SECCOMP_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
	__has_feature(memory_sanitizer)
#define SECCOMP_SANITIZED 1
#endif
#endif
#ifndef SECCOMP_SANITIZED
#define SECCOMP_SANITIZED 0
#endif
#ifdef NACRE_RECORD /* which rules are used: seccomp_watch.c */
#define SECCOMP_DEFAULT SECCOMP_AUDIT
#else
#define SECCOMP_DEFAULT (SECCOMP_SANITIZED ? SECCOMP_AUDIT : SECCOMP_ON)
#endif

extern const char *const seccomp_mode_names[SECCOMP_MODES];

struct seccomp_plan {
	enum seccomp_mode mode;
	/* What the configuration needs beyond what every machine does. */
	bool opens_files;   /* control: requests may give a disk another file */
	bool serves_api;    /* control: there are requests */
	bool makes_sockets; /* io: programs of the host connect to the guest, and the guest to them */
	bool kernel_logs;   /* an audit goes to the kernel's log, without a thread of ours */
};

/*
 * Threads that start from now on get their filter (seccomp_enter). For the first thread, before there
 * are others; and again when more of the plan is known, which then counts for threads that start
 * afterwards and for seccomp_seal. With SECCOMP_AUDIT also starts a thread that tells on standard error
 * what would be refused. 0, or -errno with a sentence: -ENOTSUP for a kernel that cannot audit; without
 * filters at all it warns, and threads are not filtered.
 */
int seccomp_prepare(const struct seccomp_plan *plan, struct err *e);

/*
 * The filter of that role for the calling thread, which also gives up what execve could gain
 * (no_new_privs). Nothing without seccomp_prepare, or with SECCOMP_OFF. A thread that cannot be
 * confined must not run: then the process ends, with status 3.
 */
void seccomp_enter(enum thread_role role);

/* Control's own, once all other threads run. 0, or -errno with a sentence. */
int seccomp_seal(struct err *e);

/* Which system calls are left, for who is told of the walls. Any thread, after seccomp_prepare. */
const char *seccomp_describe(void);

/* Called before a refused call ends the process; async-signal-safe. NULL: nothing. */
void seccomp_set_crash_hook(void (*hook)(void));

/* For doctor: 0, or -errno with the reason why this kernel cannot do it. Any thread. */
int seccomp_check(struct err *e);

#endif
