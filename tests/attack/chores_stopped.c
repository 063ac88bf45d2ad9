/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A wait with a limit of time that is stopped goes on by a call of its own, restart_syscall: the kernel
 * has the thread make it.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/attack/chores.h"
#include "vmm/util/bits.h"

/* One that waits for a moment, and what its stopper knows of it; shared with that process. */
static struct sleeper {
	sem_t waits, goes_on;
	pid_t thread;
	_Atomic bool taken; /* by the first thread of the role */
} * sleepers;
enum { TRIES = 1000 };

static void nap(void)
{
	usleep(10000);
}

/* Whether the thread is in that system call. */
static bool is_in(pid_t process, pid_t thread, long nr)
{
	char path[80], text[24] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", process, thread);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	return strtol(text, NULL, 10) == nr && text[0] != 'r';
}

/*
 * As a debugger does it, or a control group that is frozen: without a signal. For SIGCONT the first thread
 * has a handler, and no wait goes on behind one.
 */
static void stop_once(pid_t thread)
{
	if (ptrace(PTRACE_SEIZE, thread, NULL, NULL))
		return;
	if (!ptrace(PTRACE_INTERRUPT, thread, NULL, NULL))
		waitpid(thread, NULL, __WALL);
	ptrace(PTRACE_DETACH, thread, NULL, NULL);
}

/* In a process of its own, outside of all walls. */
static void stop_sleepers(pid_t process)
{
	unsigned int role;
	int tries;

	for (role = 0; role < THREAD_ROLES; role++) {
		struct sleeper *s = &sleepers[role];

		if (!does_many_things(role))
			continue;
		sem_wait(&s->waits);
		for (tries = 0; tries < TRIES && !is_in(process, s->thread, SYS_restart_syscall);
			tries++) {
			nap();
			stop_once(s->thread);
		}
		dprintf(STDERR_FILENO, "chore: %s %s\n", seccomp_role_names[role],
			tries < TRIES ? "waits on" : "was not stopped");
		sem_post(&s->goes_on);
	}
}

int stopped_start(struct err *e)
{
	pid_t own = getpid(), pid;
	unsigned int i;

	_Static_assert(THREAD_ROLES * sizeof(*sleepers) <= PAGE_SIZE, "a page for all");
	sleepers = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < THREAD_ROLES; i++) {
		sem_init(&sleepers[i].waits, 1, 0);
		sem_init(&sleepers[i].goes_on, 1, 0);
	}
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		stop_sleepers(own);
		_exit(0);
	}
	/* Where a child may not trace its parent unless that says so. */
	prctl(PR_SET_PTRACER, pid);
	return pid < 0 ? err_sys(e, "fork") : 0;
}

void stopped_do(void)
{
	struct sleeper *s = &sleepers[own_role];

	if (atomic_exchange(&s->taken, true))
		return;
	s->thread = (pid_t)syscall(SYS_gettid);
	sem_post(&s->waits);
	wait_a_while(&s->goes_on);
	tell(" went on");
}
