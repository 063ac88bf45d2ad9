/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/sandbox/caps.h"

#include <errno.h>
#include <sys/capability.h>
#include <sys/prctl.h>

/* Up to the last that this kernel knows, which may be one that we do not; or, without CAP_SETPCAP, none. */
static void drop_bounding_set(void)
{
	cap_value_t cap = 0;

	while (!cap_drop_bound(cap))
		cap++;
}

static int set_kept(cap_t want, cap_t have)
{
	const cap_value_t cap = CAP_IPC_LOCK;
	cap_flag_value_t has = CAP_CLEAR;
	int r = cap_get_flag(have, cap, CAP_PERMITTED, &has);

	if (r || has == CAP_CLEAR)
		return r;
	if (cap_set_flag(want, CAP_PERMITTED, 1, &cap, CAP_SET))
		return -1;
	return cap_set_flag(want, CAP_EFFECTIVE, 1, &cap, CAP_SET);
}

static int drop(cap_t have, cap_t want, bool keep_ipc_lock, struct err *e)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return err_sys(e, "no_new_privs");
	/* Most threads inherit as much, and who has none can shrink no other set. */
	if (!cap_compare(have, want))
		return 0;
	drop_bounding_set();
	/* With the inheritable set, which is empty now, goes the ambient one: capabilities(7). */
	if ((keep_ipc_lock && set_kept(want, have)) || cap_set_proc(want))
		return err_sys(e, "give up capabilities");
	return 0;
}

int caps_drop(bool keep_ipc_lock, struct err *e)
{
	cap_t have = cap_get_proc(), want = cap_init(); /* none */
	int r;

	r = have && want ? drop(have, want, keep_ipc_lock, e)
			 : err_set(e, -ENOMEM, "capabilities: out of memory");
	cap_free(have);
	cap_free(want);
	return r;
}
