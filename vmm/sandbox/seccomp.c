/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/sandbox/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/sandbox/seccomp_impl.h"
#include "vmm/util/log.h"

/*
 * What threads need whatever they are there for; the C library makes these calls by itself. Heaps are
 * few (ARENAS in vmm/main.c), so whoever allocates may be the one that makes a heap of others grow.
 * Threads of roles disk, log and fill neither allocate nor wait with a limit of time
 * (vmm/util/thread.h).
 *
 * seccomp all: futex -- locks and conditions, and joining a thread
 * seccomp control console io vcpu: restart_syscall -- a wait with a limit that was stopped
 * seccomp console io vcpu disk log fill: exit rt_sigprocmask madvise -- the end of a thread
 * seccomp control: exit_group munmap -- the end of all, and the stacks of threads that have ended
 * seccomp control console io vcpu: brk mprotect[2&PROT_EXEC=0] mremap munmap madvise -- malloc
 * seccomp all: mmap[2&PROT_EXEC=0] -- malloc, and what the C library keeps of its last words
 */

/* Written by the first thread while it is alone, or before it starts those that read it. */
static struct seccomp_plan plan = { .mode = SECCOMP_OFF };
static bool kernel_lacks;

unsigned int seccomp_rights(void)
{
	return (plan.opens_files ? RIGHT_FILES : 0) | (plan.serves_api ? RIGHT_API : 0) |
	       (plan.makes_sockets ? RIGHT_SOCKETS : 0);
}

int seccomp_check(struct err *e)
{
	uint32_t action = SECCOMP_RET_TRAP;

	if (!syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action))
		return 0;
	return err_set(e, -ENOTSUP,
		"this kernel has no filters of system calls: %s (it wants CONFIG_SECCOMP_FILTER)",
		strerror(errno));
}

/* Rules that speak of this process have a number in its place, which no build can know. */
static struct sock_filter *copy_for_process(struct filter f)
{
	struct sock_filter *code = malloc(f.len * sizeof(*code));
	unsigned short i;

	if (!code)
		return NULL;
	memcpy(code, f.code, f.len * sizeof(*code));
	for (i = 0; i < f.len; i++)
		if (code[i].code == (BPF_JMP | BPF_JEQ | BPF_K) && code[i].k == OWN_PID)
			code[i].k = (uint32_t)getpid();
	return code;
}

const char *seccomp_describe(void)
{
	static const char *const texts[SECCOMP_MODES] = {
		[SECCOMP_ON] = "system calls by thread",
		[SECCOMP_AUDIT] = "all system calls (audit: what a thread does not need is told)",
		[SECCOMP_OFF] = "all system calls (seccomp is off)",
	};

	return kernel_lacks ? "all system calls (this kernel has no seccomp)" : texts[plan.mode];
}

/* For an audit that is the kernel's. */
static void log_refused(struct sock_filter *code, unsigned short len)
{
	unsigned short i;

	for (i = 0; i < len; i++)
		if (code[i].code == (BPF_RET | BPF_K) &&
			(code[i].k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_TRAP)
			code[i].k = SECCOMP_RET_LOG;
}

static int install(struct sock_filter *code, unsigned short len)
{
	struct sock_fprog prog = { .len = len, .filter = code };
	int r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? -errno : 0;

	free(code);
	return r;
}

static int enter(enum thread_role role)
{
	struct filter f = seccomp_filter(role, seccomp_rights());
	struct sock_filter *code;

	seccomp_report_as(role);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	code = copy_for_process(f);
	if (!code)
		return -ENOMEM;
	if (plan.mode == SECCOMP_AUDIT && !plan.kernel_logs)
		return seccomp_watch_enter(role, code, f.len);
	if (plan.mode == SECCOMP_AUDIT)
		log_refused(code, f.len);
	return install(code, f.len);
}

int seccomp_prepare(const struct seccomp_plan *p, struct err *e)
{
	bool is_first = plan.mode == SECCOMP_OFF;
	int r = 0;

	if (p->mode == SECCOMP_OFF) {
		plan = *p;
		return 0;
	}
	if (is_first)
		r = seccomp_check(e);
	/* As with Landlock: what the kernel lacks is told, and is no reason against a guest. */
	if (r && p->mode == SECCOMP_ON) {
		if (!kernel_lacks)
			log_warn("sandbox: system calls are not filtered: %s", e->msg);
		kernel_lacks = true;
		return 0;
	}
	if (!r && is_first && p->mode == SECCOMP_ON)
		r = seccomp_report_init(e);
	else if (!r && is_first && !p->kernel_logs)
		r = seccomp_watch_start(e);
	if (r)
		return r;
	plan = *p;
	return 0;
}

void seccomp_enter(enum thread_role role)
{
	struct line l = { .n = 0 };

	if (plan.mode == SECCOMP_OFF || role == THREAD_WATCH || !enter(role))
		return;
	line_put(&l, "nacre: a thread's system calls cannot be filtered (--seccomp off runs "
		     "without)\n");
	line_write(&l, STDERR_FILENO);
	_exit(REFUSED_STATUS);
}

int seccomp_seal(struct err *e)
{
	int r = plan.mode == SECCOMP_OFF ? 0 : enter(THREAD_CONTROL);

	return r ? err_set(e, r,
			   "filter the system calls of the control thread: %s (--seccomp off runs "
			   "without)",
			   strerror(-r))
		 : 0;
}
