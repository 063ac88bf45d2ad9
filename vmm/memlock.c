/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/memlock.h"

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/util/bits.h"

/* Beside what the caller counts: a small staging area, and what the process has locked already. */
#define MARGIN MIB(64)

/* The inode of the first user namespace (the kernel's proc_ns.h, and nsfs.h since 6.18). */
#define FIRST_USER_NS 0xEFFFFFFDu

static rlim_t needed(uint64_t guest_bytes)
{
	return (rlim_t)(guest_bytes + MARGIN);
}

/*
 * The kernel asks for CAP_IPC_LOCK when it counts pinned pages, and for that of the first user
 * namespace: root in a container mostly lacks the one or lives outside the other.
 */
static bool is_exempt(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	struct stat ns;

	if (syscall(SYS_capget, &head, have))
		return false;
	if (!(have[CAP_TO_INDEX(CAP_IPC_LOCK)].effective & CAP_TO_MASK(CAP_IPC_LOCK)))
		return false;
	/* A system without /proc is hardly a container. */
	return stat("/proc/self/ns/user", &ns) || ns.st_ino == FIRST_USER_NS;
}

int memlock_check(uint64_t guest_bytes, struct err *e)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_MEMLOCK, &lim))
		return err_sys(e, "getrlimit RLIMIT_MEMLOCK");
	/* An unlimited one is the largest number there is. */
	if (lim.rlim_max >= needed(guest_bytes) || is_exempt())
		return 0;
	return err_set(e, -EPERM,
		"mode pkvm pins the guest's memory: it needs a memlock limit of %llu MiB, the hard "
		"limit is %llu MiB (raise it with LimitMEMLOCK= or /etc/security/limits.conf, give "
		"the process CAP_IPC_LOCK, or lower --mem)",
		(unsigned long long)(needed(guest_bytes) >> 20),
		(unsigned long long)(lim.rlim_max >> 20));
}

int memlock_allow(uint64_t guest_bytes, struct err *e)
{
	struct rlimit lim;
	int r = memlock_check(guest_bytes, e);

	if (r)
		return r;
	if (getrlimit(RLIMIT_MEMLOCK, &lim))
		return err_sys(e, "getrlimit RLIMIT_MEMLOCK");
	/* With a hard limit below that, memlock_check has found us exempt. */
	if (lim.rlim_cur >= needed(guest_bytes) || lim.rlim_max < needed(guest_bytes))
		return 0;
	lim.rlim_cur = needed(guest_bytes);
	if (setrlimit(RLIMIT_MEMLOCK, &lim))
		return err_sys(e, "raise RLIMIT_MEMLOCK to %llu MiB",
			(unsigned long long)(lim.rlim_cur >> 20));
	return 0;
}
