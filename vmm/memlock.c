/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/memlock.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "vmm/util/bits.h"

/* Beside what the caller counts: a small staging area, and what the process has locked already. */
#define MARGIN MIB(64)

static rlim_t needed(uint64_t guest_bytes)
{
	return (rlim_t)(guest_bytes + MARGIN);
}

/*
 * Whether we may lock more than the soft limit: the kernel asks for CAP_IPC_LOCK of the first user
 * namespace when it counts pinned pages, which root in a container mostly lacks, and it asks the
 * same when we lock memory of our own. No page is touched for it.
 */
static bool is_exempt(const struct rlimit *lim)
{
	size_t size = (size_t)(lim->rlim_cur & ~(PAGE_SIZE - 1)) + PAGE_SIZE;
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	bool may;

	if (p == MAP_FAILED)
		return false;
	may = !mlock2(p, size, MLOCK_ONFAULT);
	munmap(p, size);
	return may;
}

int memlock_check(uint64_t guest_bytes, struct err *e)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_MEMLOCK, &lim))
		return err_sys(e, "getrlimit RLIMIT_MEMLOCK");
	/* An unlimited one is the largest number there is. */
	if (lim.rlim_max >= needed(guest_bytes) || is_exempt(&lim))
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
	if (lim.rlim_cur >= needed(guest_bytes))
		return 0;
	lim.rlim_cur = needed(guest_bytes);
	if (lim.rlim_max < needed(guest_bytes)) {
		/* We are exempt, says memlock_check. Better yet is a limit that lasts without that. */
		lim.rlim_max = needed(guest_bytes);
		setrlimit(RLIMIT_MEMLOCK, &lim);
		return 0;
	}
	if (setrlimit(RLIMIT_MEMLOCK, &lim))
		return err_sys(e, "raise RLIMIT_MEMLOCK to %llu MiB",
			(unsigned long long)(lim.rlim_cur >> 20));
	return 0;
}

bool memlock_falls_short(uint64_t guest_bytes)
{
	struct rlimit lim;

	return getrlimit(RLIMIT_MEMLOCK, &lim) || lim.rlim_cur < needed(guest_bytes);
}
