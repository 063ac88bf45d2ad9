/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The end after a refused call. The kernel sends SIGSYS to the thread that made it, and what runs
 * here may do only what that thread's filter allows: write, what the crash hook does, and exit.
 *
 * All of this runs in a process that somebody may have broken into, and so it is no wall: that one is the
 * kernel's, which has left the call out before it sends the signal (SECCOMP_RET_TRAP). What may happen:
 *
 *   the handler returns, since its stack or its hook was overwritten
 *		the thread goes on behind the call, which was not made; if it is made again, so is the signal
 *   SIGSYS is blocked
 *		the signal is a forced one: then the kernel takes the default action, and the process ends
 *   another handler is installed
 *		no rule lets a thread do that (rt_sigaction[0=...]): the call is refused like any other
 *   the signal is sent by kill or tgkill, with or without a call
 *		no call is left out, and none is let through: the handler returns
 *
 * So whoever controls our memory may keep the report from being written, and the process from its end,
 * but gains no call. SECCOMP_RET_KILL_PROCESS would end it for sure, without a word about why; most
 * who meet this have found a call that we forgot.
 */
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "vmm/sandbox/seccomp_impl.h"

/*
 * seccomp all: write exit_group -- the report, and the end
 * seccomp all: rt_sigreturn -- signals that are no end: a kick, those that somebody sends, a fault
 */

const char *const seccomp_role_names[THREAD_ROLES] = {
	[THREAD_CONTROL] = "control",
	[THREAD_CONSOLE] = "console",
	[THREAD_IO] = "io",
	[THREAD_VCPU] = "vcpu",
	[THREAD_DISK] = "disk",
	[THREAD_LOG] = "log",
	[THREAD_FILL] = "fill",
	[THREAD_WATCH] = "watch",
};

static _Thread_local enum thread_role own_role;
static void (*_Atomic crash_hook)(void);

static void on_refused(int signo, siginfo_t *info, void *context)
{
	void (*hook)(void) = atomic_load(&crash_hook);
	struct line l = { .n = 0 };
	unsigned long args[6];

	/* Somebody has sent the signal: no call was refused. */
	if (info->si_code <= 0)
		return;
	(void)signo;
	seccomp_read_args(context, args);
	line_put(&l, "nacre: thread ");
	line_put(&l, thread_name());
	line_put(&l, " (role ");
	line_put(&l, seccomp_role_names[own_role]);
	line_put(&l, ") was refused the system call ");
	line_put_call(&l, info->si_syscall, args);
	line_put(&l,
		", which it does not need: the machine ends. This is a bug of nacre's, or someone "
		"has broken into it; --seccomp audit lets such calls pass and tells them\n");
	line_write(&l, STDERR_FILENO);
	/* After the report: it is told, whatever the hook does. */
	if (hook)
		hook();
	_exit(REFUSED_STATUS);
}

void seccomp_report_as(enum thread_role role)
{
	own_role = role;
}

void seccomp_set_crash_hook(void (*hook)(void))
{
	atomic_store(&crash_hook, hook);
}

int seccomp_report_init(struct err *e)
{
	struct sigaction sa = { .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGSYS);
	/* Whoever starts us may have blocked it: then a refused call would end us without a word. */
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	sigemptyset(&sa.sa_mask);
	return sigaction(SIGSYS, &sa, NULL) ? err_sys(e, "catch SIGSYS") : 0;
}
