/* SPDX-License-Identifier: Apache-2.0 */

/* The memlock limit: who is bound by it, how much is needed, and what is raised. */
#include <check.h>
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* The host is a fake, for one test it is the real one. */
static int fake_getrlimit(int what, struct rlimit *out);
static int fake_setrlimit(int what, const struct rlimit *in);
static int fake_mlock2(const void *at, size_t size, unsigned int flags);
#define getrlimit fake_getrlimit
#define setrlimit fake_setrlimit
#define mlock2	  fake_mlock2
#include "vmm/memlock.c"
#undef getrlimit
#undef setrlimit
#undef mlock2

#include "tests/unit/suites.h"

static struct {
	struct rlimit lim;
	bool real, capable, refuses, may_raise;
	unsigned int raised;
} host;

static int fake_getrlimit(int what, struct rlimit *out)
{
	ck_assert_int_eq(what, RLIMIT_MEMLOCK);
	if (host.real)
		return getrlimit(RLIMIT_MEMLOCK, out);
	*out = host.lim;
	return 0;
}

static int fake_setrlimit(int what, const struct rlimit *in)
{
	ck_assert_int_eq(what, RLIMIT_MEMLOCK);
	if (host.refuses || (in->rlim_max > host.lim.rlim_max && !host.may_raise)) {
		errno = EPERM;
		return -1;
	}
	host.lim = *in;
	host.raised++;
	return 0;
}

static int fake_mlock2(const void *at, size_t size, unsigned int flags)
{
	if (host.real)
		return mlock2(at, size, flags);
	/* More than the limit, or it tells nothing; and nothing is to be touched. */
	ck_assert_uint_gt(size, host.lim.rlim_cur);
	ck_assert_uint_eq(flags, MLOCK_ONFAULT);
	errno = ENOMEM;
	return host.capable ? 0 : -1;
}

static void setup(void)
{
	memset(&host, 0, sizeof(host));
	host.lim = (struct rlimit){ MIB(8), MIB(128) };
}

START_TEST(limit_is_raised_as_far_as_needed)
{
	struct err e = { "" };

	ck_assert_int_eq(memlock_allow(MIB(32), &e), 0);
	ck_assert_uint_eq(host.lim.rlim_cur, MIB(96));
	ck_assert_uint_eq(host.lim.rlim_max, MIB(128));
	/* Enough already. */
	ck_assert_int_eq(memlock_allow(MIB(16), &e), 0);
	ck_assert_uint_eq(host.raised, 1);
	/* To the very edge, and no byte further. */
	ck_assert_int_eq(memlock_allow(MIB(64), &e), 0);
	ck_assert_uint_eq(host.lim.rlim_cur, MIB(128));
	ck_assert_int_eq(memlock_allow(MIB(64) + 1, &e), -EPERM);
	ck_assert_uint_eq(host.raised, 2);
}
END_TEST

START_TEST(checking_changes_nothing)
{
	struct err e = { "" };

	ck_assert_int_eq(memlock_check(MIB(64), &e), 0);
	ck_assert_int_eq(memlock_check(MIB(65), &e), -EPERM);
	ck_assert_str_eq(e.msg,
		"mode pkvm pins the guest's memory: it needs a memlock limit of 129 MiB, the hard "
		"limit is 128 MiB (raise it with LimitMEMLOCK= or /etc/security/limits.conf, give "
		"the process CAP_IPC_LOCK, or lower --mem)");
	ck_assert_uint_eq(host.raised, 0);
}
END_TEST

START_TEST(unlimited_is_enough)
{
	struct err e = { "" };

	host.lim = (struct rlimit){ RLIM_INFINITY, RLIM_INFINITY };
	ck_assert_int_eq(memlock_allow(GIB(1000), &e), 0);
	ck_assert_uint_eq(host.raised, 0);
	host.lim.rlim_cur = MIB(8);
	ck_assert_int_eq(memlock_allow(GIB(1000), &e), 0);
	ck_assert_uint_eq(host.lim.rlim_cur, GIB(1000) + MIB(64));
}
END_TEST

START_TEST(who_may_lock_more_is_exempt)
{
	struct err e = { "" };
	int want = _i ? 0 : -EPERM;

	host.capable = _i;
	host.lim.rlim_cur += 100; /* no whole page */
	ck_assert_int_eq(memlock_check(GIB(1), &e), want);
	ck_assert_int_eq(memlock_allow(GIB(1), &e), want);
	ck_assert_uint_eq(host.raised, 0);
	ck_assert(memlock_falls_short(GIB(1)));
}
END_TEST

/* Without the capability, which is about to go, nothing else would last. */
START_TEST(who_may_raises_the_hard_limit)
{
	struct err e = { "" };

	host.capable = host.may_raise = true;
	ck_assert_int_eq(memlock_allow(GIB(1), &e), 0);
	ck_assert_uint_eq(host.lim.rlim_cur, GIB(1) + MIB(64));
	ck_assert_uint_eq(host.lim.rlim_max, GIB(1) + MIB(64));
	ck_assert(!memlock_falls_short(GIB(1)));
	ck_assert(memlock_falls_short(GIB(1) + 1));
}
END_TEST

START_TEST(refusal_to_raise_is_told)
{
	struct err e = { "" };

	host.refuses = true;
	ck_assert_int_eq(memlock_allow(MIB(32), &e), -EPERM);
	ck_assert_str_eq(e.msg, "raise RLIMIT_MEMLOCK to 96 MiB: Operation not permitted");
}
END_TEST

/* In a child: what this process may not do any more. Returns 0, 1 (bound by the limit) or more. */
static int without(bool capability, bool namespace)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct have[_LINUX_CAPABILITY_U32S_3];
	const struct rlimit low = { MIB(1), MIB(1) };
	struct err e;

	host.real = true;
	if (setrlimit(RLIMIT_MEMLOCK, &low))
		return 2;
	/* A machine that allows no namespaces has no such containers. */
	if (namespace && unshare(CLONE_NEWUSER))
		return 1;
	if (syscall(SYS_capget, &head, have))
		return 3;
	have[0].effective &= capability ? ~(1u << CAP_IPC_LOCK) : ~0u;
	if (syscall(SYS_capset, &head, have))
		return 4;
	return memlock_check(MIB(64), &e) == -EPERM;
}

/* The real thing: root without the capability, root of a namespace, and whoever we are. */
START_TEST(real_root_is_bound_without_the_capability)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(without(_i == 0, _i == 1));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 1);
}
END_TEST

Suite *memlock_suite(void)
{
	Suite *s = suite_create("memlock");
	TCase *t = tcase_create("memlock");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, limit_is_raised_as_far_as_needed);
	tcase_add_test(t, checking_changes_nothing);
	tcase_add_test(t, unlimited_is_enough);
	tcase_add_loop_test(t, who_may_lock_more_is_exempt, 0, 2);
	tcase_add_test(t, who_may_raises_the_hard_limit);
	tcase_add_test(t, refusal_to_raise_is_told);
	tcase_add_loop_test(t, real_root_is_bound_without_the_capability, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
