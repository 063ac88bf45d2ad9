/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/memlock.h"

#include <errno.h>
#include <sys/resource.h>
#include <unistd.h>

#include "vmm/util/bits.h"

/* Beside RAM: the staging area, and what the process has locked already. */
#define MARGIN MIB(64)

static rlim_t needed(uint64_t guest_bytes)
{
	return (rlim_t)(guest_bytes + MARGIN);
}

int memlock_check(uint64_t guest_bytes, struct err *e)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_MEMLOCK, &lim))
		return err_sys(e, "getrlimit RLIMIT_MEMLOCK");
	/* CAP_IPC_LOCK makes the limit moot. Root without it (a container) learns so from KVM_RUN. */
	if (lim.rlim_max == RLIM_INFINITY || lim.rlim_max >= needed(guest_bytes) || geteuid() == 0)
		return 0;
	return err_set(e, -EPERM,
		"mode pkvm pins the guest's memory: it needs a memlock limit of %llu MiB, the hard "
		"limit is %llu MiB (raise it with LimitMEMLOCK= or /etc/security/limits.conf, or "
		"lower --mem)",
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
	if (lim.rlim_cur == RLIM_INFINITY || lim.rlim_cur >= needed(guest_bytes))
		return 0;
	lim.rlim_cur = lim.rlim_max == RLIM_INFINITY ? needed(guest_bytes) : lim.rlim_max;
	/* Root without the capability may find this refused; pinning then says so itself. */
	if (setrlimit(RLIMIT_MEMLOCK, &lim) && geteuid() != 0)
		return err_sys(e, "raise RLIMIT_MEMLOCK to %llu MiB",
			(unsigned long long)(lim.rlim_cur >> 20));
	return 0;
}
