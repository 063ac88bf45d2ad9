/* SPDX-License-Identifier: Apache-2.0 */

/* The walls, each raised in a child, since there is no way back. */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "vmm/sandbox/caps.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/sandbox/seccomp.h"
#include "vmm/util/thread.h"

/* ---- what is left ---- */

/* A set of the calling thread, a bit for each capability. By calls: files are out of reach soon. */
static unsigned long long set_of(cap_flag_t flag)
{
	cap_flag_value_t value = CAP_CLEAR;
	unsigned long long set = 0;
	cap_t caps = cap_get_proc();
	cap_value_t cap;

	for (cap = 0; !cap_get_flag(caps, cap, flag, &value); cap++)
		set |= (unsigned long long)value << cap;
	cap_free(caps);
	return set;
}

static unsigned int count_of(int (*is_set)(cap_value_t cap))
{
	unsigned int count = 0;
	cap_value_t cap;

	for (cap = 0; is_set(cap) >= 0; cap++)
		count += is_set(cap) == 1;
	return count;
}

/* Of the calling thread: no capability but those, and no way to more. */
static bool has_only(unsigned long long caps)
{
	return set_of(CAP_EFFECTIVE) == caps && set_of(CAP_PERMITTED) == caps &&
	       set_of(CAP_INHERITABLE) == 0 && count_of(cap_get_ambient) == 0 &&
	       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

/* Those that may drop it have no bounding set afterwards. */
static bool is_bounded(bool could)
{
	return !could || count_of(cap_get_bound) == 0;
}

static bool has(cap_value_t cap)
{
	return set_of(CAP_EFFECTIVE) >> cap & 1;
}

/* In a child, whose status says which check failed. It has all capabilities, of a namespace of its own if need be. */
static void in_child(int (*fn)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		/* Where users may make none there is less to lose. */
		if (!has(CAP_SETPCAP))
			(void)unshare(CLONE_NEWUSER);
		_exit(fn());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status 0x%x", status);
}

/* ---- capabilities ---- */

static int drop_all(void)
{
	bool could = has(CAP_SETPCAP);
	struct err e;

	if (caps_drop(false, &e))
		return 1;
	if (!has_only(0))
		return 2;
	/* Again, by one who has none. */
	return is_bounded(could) ? (caps_drop(false, &e) ? 4 : 0) : 3;
}

START_TEST(no_capability_is_left)
{
	in_child(drop_all);
}
END_TEST

static int drop_but_one(void)
{
	unsigned long long one = has(CAP_IPC_LOCK) ? 1ull << CAP_IPC_LOCK : 0;
	bool could = has(CAP_SETPCAP);
	struct err e;

	if (caps_drop(true, &e) || !has_only(one) || !is_bounded(could))
		return 1;
	/* It stays when asked for again, and goes with the rest. */
	if (caps_drop(true, &e) || !has_only(one))
		return 2;
	return caps_drop(false, &e) || !has_only(0);
}

START_TEST(the_one_that_pins_memory_may_stay)
{
	in_child(drop_but_one);
}
END_TEST

/* ---- threads ---- */

struct probe {
	sem_t go;
	pthread_t thread;
	bool bare, locks;
};

static void *look(void *arg)
{
	struct probe *p = arg;

	p->locks = has(CAP_IPC_LOCK);
	sem_wait(&p->go);
	p->bare = has_only(0);
	return NULL;
}

static int start(struct probe *p, enum thread_role role)
{
	struct err e;

	sem_init(&p->go, 0, 0);
	return thread_start(&p->thread, role, "probe", look, p, &e);
}

static bool ends_bare(struct probe *p)
{
	sem_post(&p->go);
	pthread_join(p->thread, NULL);
	return p->bare;
}

/* One that was started before the walls rose, and one that came later. */
static int threads(void)
{
	const struct sandbox_plan plan = { .is_protected = false };
	struct probe early, late;
	struct err e;

	sandbox_begin();
	if (start(&early, THREAD_LOG) || sandbox_is_raised())
		return 1;
	if (sandbox_raise(&plan, &e) || !sandbox_is_raised() || !has_only(0))
		return 2;
	if (start(&late, THREAD_IO) || sandbox_seal(&e))
		return 3;
	return !ends_bare(&early) || !ends_bare(&late);
}

START_TEST(every_thread_is_behind_the_walls)
{
	in_child(threads);
}
END_TEST

static int locking_threads(void)
{
	const struct sandbox_plan plan = { .keeps_ipc_lock = true };
	bool locks = has(CAP_IPC_LOCK);
	struct probe vcpu, io;
	struct err e;

	sandbox_begin();
	if (sandbox_raise(&plan, &e) || start(&vcpu, THREAD_VCPU) || start(&io, THREAD_IO))
		return 1;
	if (has(CAP_IPC_LOCK) != locks || sandbox_seal(&e) || !has_only(0))
		return 2;
	if (!ends_bare(&io) || io.locks)
		return 3;
	return ends_bare(&vcpu) == locks || vcpu.locks != locks;
}

START_TEST(only_vcpus_may_go_on_pinning_memory)
{
	in_child(locking_threads);
}
END_TEST

/* ---- the process ---- */

static int hidden(void)
{
	const struct sandbox_plan plan = { .is_protected = true };
	struct rlimit core;
	struct err e;

	sandbox_begin();
	if (sandbox_raise(&plan, &e) || sandbox_seal(&e))
		return 1;
	if (prctl(PR_GET_DUMPABLE) || getrlimit(RLIMIT_CORE, &core) || core.rlim_max)
		return 2;
	return 0;
}

START_TEST(protected_guests_leave_no_core)
{
	in_child(hidden);
}
END_TEST

static int shown(void)
{
	const struct sandbox_plan plan = { .is_protected = false };
	struct rlimit before, after;
	struct err e;

	sandbox_begin();
	if (getrlimit(RLIMIT_CORE, &before) || sandbox_raise(&plan, &e) || sandbox_seal(&e))
		return 1;
	if (prctl(PR_GET_DUMPABLE) != 1 || getrlimit(RLIMIT_CORE, &after))
		return 2;
	return after.rlim_max != before.rlim_max || after.rlim_cur != before.rlim_cur;
}

START_TEST(others_may_be_debugged)
{
	in_child(shown);
}
END_TEST

static int not_begun(void)
{
	const struct sandbox_plan plan = { .is_protected = true };
	unsigned long long before = set_of(CAP_PERMITTED);
	struct err e;

	if (sandbox_raise(&plan, &e) || sandbox_seal(&e) || sandbox_is_raised())
		return 1;
	return set_of(CAP_PERMITTED) != before || prctl(PR_GET_DUMPABLE) != 1;
}

START_TEST(walls_are_for_those_who_begin_them)
{
	in_child(not_begun);
}
END_TEST

/* ---- what is told ---- */

static enum seccomp_mode mode;

static int told(void)
{
	static const char *const words[SECCOMP_MODES] = {
		[SECCOMP_ON] = "system calls by thread, ",
		[SECCOMP_AUDIT] = "all system calls (audit: ",
		[SECCOMP_OFF] = "all system calls (seccomp is off), ",
	};
	const struct seccomp_plan calls = { .mode = mode, .kernel_logs = true };
	const struct sandbox_plan plan = { .is_protected = true };
	char text[SANDBOX_TEXT];
	struct err e;

	/* A kernel without is told of, too; that of this one is. */
	if (seccomp_check(&e))
		return 0;
	sandbox_begin();
	if (strcmp(sandbox_describe(text, sizeof(text)), "none") != 0)
		return 1;
	if (seccomp_prepare(&calls, &e) || sandbox_raise(&plan, &e))
		return 2;
	if (!strstr(sandbox_describe(text, sizeof(text)), words[mode]))
		return 3;
	return strncmp(text, "no capabilities, no new privileges, ", 36) != 0 ||
	       !strstr(text, "Landlock") || !strstr(text, ", no core files, not to be debugged");
}

START_TEST(which_walls_stand_is_told)
{
	mode = (enum seccomp_mode)_i;
	in_child(told);
}
END_TEST

Suite *sandbox_suite(void)
{
	Suite *s = suite_create("sandbox");
	TCase *t = tcase_create("sandbox");

	tcase_add_test(t, no_capability_is_left);
	tcase_add_test(t, the_one_that_pins_memory_may_stay);
	tcase_add_test(t, every_thread_is_behind_the_walls);
	tcase_add_test(t, only_vcpus_may_go_on_pinning_memory);
	tcase_add_test(t, protected_guests_leave_no_core);
	tcase_add_test(t, others_may_be_debugged);
	tcase_add_test(t, walls_are_for_those_who_begin_them);
	tcase_add_loop_test(t, which_walls_stand_is_told, 0, SECCOMP_MODES);
	suite_add_tcase(s, t);
	return s;
}
