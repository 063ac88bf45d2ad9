/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SECCOMP_IMPL_H
#define NACRE_SECCOMP_IMPL_H

#include <linux/filter.h>
#include <stddef.h>

#include "vmm/sandbox/seccomp.h"

/* What the parts of seccomp share. */

/* A set of rights is an index; its bits in the order of rules/compile.c. */
#define RIGHT_FILES   1u
#define RIGHT_API     2u
#define RIGHT_SOCKETS 4u
#define RIGHT_SETS    8u

/* In a filter: the number of the process, which is put in its place when the filter is installed. */
#define OWN_PID 0x7ac2e001u

/* Of processes that a refused call ended, as of those whose guest failed (enum exit_status). */
#define REFUSED_STATUS 3

/* The rights of the plan. */
unsigned int seccomp_rights(void);

struct filter {
	const struct sock_filter *code;
	unsigned short len;
};

/* ---- seccomp_rules.c: what the build made ---- */

struct filter seccomp_filter(enum thread_role role, unsigned int rights);
/* NULL for a number that is none. Async-signal-safe. */
const char *seccomp_call_name(long nr);
/* NULL for one that no rule names. Async-signal-safe. */
const char *seccomp_ioctl_name(unsigned long request);

/* The rule tables of a build that records which rules are used (make RECORD=1). */
#define RULE_CONDS 3
struct rule {
	enum thread_role role;
	unsigned int rights; /* needed */
	int nr;
	int error; /* 0: allowed */
	struct {
		unsigned int arg;
		unsigned long mask, value;
	} conds[RULE_CONDS]; /* those without a mask are none */
	const char *text;    /* the line of collect.awk */
};
/* Behind the last one there is one without text. */
extern const struct rule seccomp_rules[];

/* ---- context_*.c ---- */

/* The arguments of the refused call, from the third argument of a handler of SIGSYS. */
void seccomp_read_args(const void *context, unsigned long args[6]);

/* ---- seccomp_line.c: text without locks or memory; async-signal-safe ---- */

struct line {
	char text[512];
	size_t n;
};

void line_put(struct line *l, const char *s);
/* NAME (number N, arguments ...). */
void line_put_call(struct line *l, long nr, const unsigned long args[6]);
/* To a descriptor; what cannot be written is lost. */
void line_write(const struct line *l, int fd);

/* ---- seccomp_report.c: the end after a refused call ---- */

extern const char *const seccomp_role_names[THREAD_ROLES];

/* The role of the calling thread, for the report. */
void seccomp_report_as(enum thread_role role);
int seccomp_report_init(struct err *e);

/* ---- seccomp_watch.c: trial runs, in which nothing is refused ---- */

/* Starts the thread that is told of calls. Its own has no filter. */
int seccomp_watch_start(struct err *e);
/*
 * Enters the filter so that the watching thread is asked where it says no, and answers that the call
 * may go on. Takes the code, which is malloc'd. 0 or -errno.
 */
int seccomp_watch_enter(enum thread_role role, struct sock_filter *code, unsigned short len);

#endif
