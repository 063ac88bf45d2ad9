/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/sandbox/sandbox.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "vmm/sandbox/caps.h"
#include "vmm/util/clock.h"
#include "vmm/util/log.h"
#include "vmm/util/thread.h"

/* The walls are the process's. */
static struct {
	bool begun;
	atomic_bool raised;
	bool keeps_ipc_lock;
	uint64_t took_ns;
} walls;

/* A thread that cannot give up what it has must not run: it may be the guest's own. */
static _Noreturn void die(const struct err *e)
{
	log_error("%s", e->msg);
	log_finish();
	abort();
}

/* On the new thread, which may have been started long before it runs. */
static void enter(enum thread_role role)
{
	struct err e = { "" };

	if (caps_drop(walls.keeps_ipc_lock && role == THREAD_VCPU, &e))
		die(&e);
}

void sandbox_begin(void)
{
	walls.begun = true;
	thread_on_enter(enter);
}

/* A core file, /proc/PID/mem and a debugger of the same user would show what a guest shares, too. */
static int hide_process(struct err *e)
{
	static const struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none))
		return err_sys(e, "forbid core files");
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ? err_sys(e, "PR_SET_DUMPABLE") : 0;
}

int sandbox_raise(const struct sandbox_plan *plan, struct err *e)
{
	uint64_t begin = clock_ns();
	int r = 0;

	if (!walls.begun)
		return 0;
	walls.keeps_ipc_lock = plan->keeps_ipc_lock;
	atomic_store(&walls.raised, true);
	if (plan->is_protected)
		r = hide_process(e);
	if (!r)
		r = caps_drop(plan->keeps_ipc_lock, e);
	walls.took_ns = clock_ns() - begin;
	return r ? err_prefix(e, r, "sandbox") : 0;
}

int sandbox_seal(struct err *e)
{
	uint64_t begin = clock_ns();
	int r = 0;

	if (!walls.begun)
		return 0;
	if (walls.keeps_ipc_lock)
		r = caps_drop(false, e);
	walls.took_ns += clock_ns() - begin;
	if (r)
		return err_prefix(e, r, "sandbox");
	log_debug("the sandbox took %llu us to raise", (unsigned long long)walls.took_ns / 1000);
	return 0;
}

bool sandbox_is_raised(void)
{
	return atomic_load(&walls.raised);
}
