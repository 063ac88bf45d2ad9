/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/sandbox/caps.h"
#include "vmm/sandbox/landlock.h"
#include "vmm/sandbox/seccomp.h"
#include "vmm/sandbox/seccomp_impl.h"
#include "vmm/util/clock.h"
#include "vmm/util/log.h"
#include "vmm/util/text.h"
#include "vmm/util/thread.h"

/* The walls are the process's. What is told of them is written before `raised` is set. */
static struct {
	bool begun;
	atomic_bool raised;
	bool keeps_ipc_lock, is_hidden;
	int abi, paths; /* of Landlock, 0 without */
	char *sockets;	/* the folder that devices connect in; NULL: none. For as long as we live */
	uint64_t took_ns;
} walls;

/* A thread that cannot give up what it has must not run: it may be the guest's own. */
static _Noreturn void die(const struct err *e)
{
	struct line l = { .n = 0 };

	line_put(&l, "nacre: a thread cannot be confined: ");
	line_put(&l, e->msg);
	line_put(&l, "\n");
	line_write(&l, STDERR_FILENO);
	_exit(REFUSED_STATUS);
}

/*
 * On the new thread, which may have been started long before it runs. Only control uses files, and
 * devices the sockets of programs; where the kernel has no Landlock, sandbox_raise has said so.
 */
static void enter(enum thread_role role)
{
	const struct sandbox_path sockets = { walls.sockets, SANDBOX_CONNECT };
	bool connects = role == THREAD_IO && walls.sockets;
	struct err e = { "" };
	int r;

	if (caps_drop(role == THREAD_VCPU && walls.keeps_ipc_lock, &e))
		die(&e);
	r = landlock_restrict(&sockets, connects ? 1 : 0, true, &e);
	if (r < 0 && r != -ENOSYS)
		die(&e);
	seccomp_enter(role);
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

/* Without its capabilities root is a user like others; and what is left behind is in the way next time. */
static void look_at_paths(const struct sandbox_plan *plan)
{
	char shown[TEXT_SHOWN];
	unsigned int i;

	for (i = 0; i < plan->path_count; i++)
		if (plan->paths[i].access & SANDBOX_REMOVE &&
			faccessat(AT_FDCWD, plan->paths[i].path, W_OK | X_OK, AT_EACCESS) &&
			errno == EACCES)
			log_warn("the socket in %s will be left behind, since root without "
				 "privileges may not write there (name one in a folder of root's)",
				text_show_end(shown, sizeof(shown), plan->paths[i].path));
}

/* A kernel without Landlock is no reason against a guest; one that has it and fails is. */
static int limit_paths(const struct sandbox_plan *plan, struct err *e)
{
	int r = landlock_restrict(plan->paths, plan->path_count, false, e);
	unsigned int i;

	if (r == -ENOSYS) {
		log_info("sandbox: files are not out of reach: %s", e->msg);
		return 0;
	}
	if (r < 0)
		return r;
	for (i = 0; i < plan->path_count && !walls.sockets; i++)
		if (plan->paths[i].access & SANDBOX_CONNECT)
			walls.sockets = strdup(plan->paths[i].path);
	walls.abi = landlock_abi();
	walls.paths = r;
	return 0;
}

int sandbox_raise(const struct sandbox_plan *plan, struct err *e)
{
	uint64_t begin = clock_ns();
	int r = 0;

	if (!walls.begun)
		return 0;
	walls.keeps_ipc_lock = plan->keeps_ipc_lock;
	walls.is_hidden = plan->is_protected && !plan->traces_itself;
	if (walls.is_hidden)
		r = hide_process(e);
	if (!r)
		r = caps_drop(plan->keeps_ipc_lock, e);
	if (!r) {
		look_at_paths(plan);
		if (!plan->traces_itself)
			r = limit_paths(plan, e);
	}
	atomic_store(&walls.raised, true);
	walls.took_ns = clock_ns() - begin;
	return r ? err_prefix(e, r, "sandbox") : 0;
}

int sandbox_seal(struct err *e)
{
	uint64_t begin = clock_ns();
	char text[SANDBOX_TEXT];
	int r = 0;

	if (!walls.begun)
		return 0;
	if (walls.keeps_ipc_lock)
		r = caps_drop(false, e);
	/* Last: it leaves no more to be done. */
	if (!r)
		r = seccomp_seal(e);
	walls.took_ns += clock_ns() - begin;
	if (r)
		return err_prefix(e, r, "sandbox");
	log_info("sandbox: %s", sandbox_describe(text, sizeof(text)));
	log_debug("the sandbox took %llu us", (unsigned long long)walls.took_ns / 1000);
	return 0;
}

bool sandbox_is_raised(void)
{
	return atomic_load(&walls.raised);
}

bool sandbox_limits_paths(void)
{
	return sandbox_is_raised() && walls.abi;
}

const char *sandbox_describe(char *buf, size_t size)
{
	char files[64] = "no Landlock";

	if (!sandbox_is_raised()) {
		snprintf(buf, size, "none");
		return buf;
	}
	if (walls.abi)
		snprintf(files, sizeof(files), "Landlock %d (%d path%s)", walls.abi, walls.paths,
			walls.paths == 1 ? "" : "s");
	snprintf(buf, size, "no capabilities%s, no new privileges, %s, %s%s",
		walls.keeps_ipc_lock ? " but CAP_IPC_LOCK of vCPUs" : "", seccomp_describe(), files,
		walls.is_hidden ? ", no core files, not to be debugged" : "");
	return buf;
}
