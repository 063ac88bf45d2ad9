/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>

#include "vmm/util/bits.h"

/* What the signal handler finds of the guarded access that its thread is in, if any. */
struct guard {
	sigjmp_buf resume;
	struct guard_fault fault;
	sigset_t mask; /* of the thread when it faulted */
};

static _Thread_local struct guard *volatile current;
static void (*_Atomic crash_hook)(void);

/* Async-signal-safe: printf is not. */
static size_t put_hex(char *to, uintptr_t v)
{
	static const char digits[] = "0123456789abcdef";
	size_t n = 0;
	int shift;

	for (shift = (int)sizeof(v) * 8 - 4; shift >= 0; shift -= 4)
		to[n++] = digits[(v >> shift) & 15];
	return n;
}

/*
 * seccomp all: rt_sigaction[0=SIGBUS] rt_sigaction[0=SIGSEGV] -- this
 * seccomp all: writev tgkill[0=OWN_PID] getpid gettid -- a check of the C library's that fails: abort
 */
static void crash(int signo, const siginfo_t *info)
{
	static const char bus[] = "nacre: internal error: SIGBUS at 0x";
	static const char segv[] = "nacre: internal error: SIGSEGV at 0x";
	void (*hook)(void) = atomic_load(&crash_hook);
	const char *head = signo == SIGBUS ? bus : segv;
	char line[80];
	size_t n = strlen(head);

	memcpy(line, head, n);
	n += put_hex(line + n, (uintptr_t)info->si_addr);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		n = 0;
	/* After the message: should the hook fault too, the first fault has been told. */
	if (hook)
		hook();
	/* Returning runs the faulting instruction again, now with the default action. */
	signal(signo, SIG_DFL);
	if (info->si_code <= 0)
		raise(signo);
}

static void on_fault(int signo, siginfo_t *info, void *context)
{
	struct guard *g = current;

	/* Sent by a process (si_code <= 0), not by an access: no guard is meant. */
	if (!g || info->si_code <= 0) {
		crash(signo, info);
		return;
	}
	g->mask = ((const ucontext_t *)context)->uc_sigmask;
	g->fault.signo = signo;
	g->fault.addr = (uintptr_t)info->si_addr;
	siglongjmp(g->resume, 1);
}

int guard_init(struct err *e)
{
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	sigemptyset(&sa.sa_mask);
	if (sigaction(SIGBUS, &sa, NULL) || sigaction(SIGSEGV, &sa, NULL))
		return err_sys(e, "install the fault guard");
	return 0;
}

void guard_set_crash_hook(void (*hook)(void))
{
	atomic_store(&crash_hook, hook);
}

enum access { ACCESS_COPY, ACCESS_TOUCH, ACCESS_LOAD16, ACCESS_STORE16 };

static void touch(const volatile uint8_t *p, size_t n)
{
	size_t page = PAGE_SIZE, at = 0;

	while (at < n) {
		(void)p[at];
		at += page - ((uintptr_t)(p + at) & (page - 1));
	}
}

static void access_memory(enum access kind, void *dst, const void *src, size_t n)
{
	uint16_t v;

	switch (kind) {
	case ACCESS_COPY:
		memcpy(dst, src, n);
		break;
	case ACCESS_TOUCH:
		touch(src, n);
		break;
	case ACCESS_LOAD16:
		v = __atomic_load_n((const uint16_t *)src, __ATOMIC_ACQUIRE);
		memcpy(dst, &v, sizeof(v));
		break;
	case ACCESS_STORE16:
		memcpy(&v, src, sizeof(v));
		__atomic_store_n((uint16_t *)dst, v, __ATOMIC_RELEASE);
		break;
	}
}

/* seccomp all: rt_sigprocmask -- an access that faulted */
static bool guarded(
	enum access kind, void *dst, const void *src, size_t n, struct guard_fault *fault)
{
	struct guard g;

	/*
	 * Saving the mask here would cost a system call for each access; so it is taken from the
	 * handler's context and put back only when there was a fault.
	 */
	if (sigsetjmp(g.resume, 0)) {
		current = NULL;
		pthread_sigmask(SIG_SETMASK, &g.mask, NULL);
		*fault = g.fault;
		return false;
	}
	current = &g;
	atomic_signal_fence(memory_order_seq_cst);
	access_memory(kind, dst, src, n);
	atomic_signal_fence(memory_order_seq_cst);
	current = NULL;
	return true;
}

bool guard_copy(void *dst, const void *src, size_t n, struct guard_fault *fault)
{
	return guarded(ACCESS_COPY, dst, src, n, fault);
}

bool guard_touch(const void *p, size_t n, struct guard_fault *fault)
{
	return guarded(ACCESS_TOUCH, NULL, p, n, fault);
}

bool guard_load16(uint16_t *v, const void *src, struct guard_fault *fault)
{
	return guarded(ACCESS_LOAD16, v, src, sizeof(*v), fault);
}

bool guard_store16(void *dst, uint16_t v, struct guard_fault *fault)
{
	return guarded(ACCESS_STORE16, dst, &v, sizeof(v), fault);
}
