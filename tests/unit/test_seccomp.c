/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a thread may still ask of the kernel, by its role. There is no way back from a filter: each
 * attempt is made by a child of ours, whose end and last words are looked at.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "vmm/sandbox/seccomp.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

#define PASSED 42

static char said[4096];
static atomic_size_t *heard; /* how much of it we have; the child may look */

/* A role without a filter: what the child then does is for the threads that it starts. */
#define NONE THREAD_WATCH

/* How a child ends that has the filter of that role and then calls attempt. What it said is in said. */
static int status_of(enum thread_role role, struct seccomp_plan plan, void (*attempt)(void))
{
	struct err e = { "" };
	int out[2], status;
	size_t have = 0;
	ssize_t n;
	pid_t pid;

	heard = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(heard, MAP_FAILED);
	ck_assert_int_eq(pipe(out), 0);
	pid = fork();
	if (!pid) {
		dup2(out[1], STDERR_FILENO);
		if (seccomp_prepare(&plan, &e))
			_exit(1);
		if (role != THREAD_CONTROL)
			seccomp_enter(role);
		else if (seccomp_seal(&e))
			_exit(1);
		attempt();
		_exit(PASSED);
	}
	close(out[1]);
	while ((n = read(out[0], said + have, sizeof(said) - 1 - have)) > 0) {
		have += (size_t)n;
		atomic_store(heard, have);
	}
	said[have] = '\0';
	close(out[0]);
	munmap(heard, PAGE_SIZE);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- attempts ---- */

static void open_a_file(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY);
}

static void make_a_file(void)
{
	syscall(SYS_openat, AT_FDCWD, "/tmp/nacre-no-such-file", O_CREAT | O_RDWR, 0600);
}

static void empty_a_file(void)
{
	syscall(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_TRUNC);
}

static void name_a_file(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

/* What it wants no filter can see. */
static void open_unseen(void)
{
	syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0);
}

static void copy_a_descriptor(void)
{
	syscall(SYS_fcntl, STDERR_FILENO, F_DUPFD, 0);
}

static void connect_abroad(void)
{
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static void connect_here(void)
{
	syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static void fork_a_child(void)
{
	if (!syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))
		_exit(0);
}

/* Refused or not, there is no stack for it. */
static void start_a_thread(void)
{
	syscall(SYS_clone, CLONE_THREAD, 0, 0, 0, 0);
}

static void execute(void)
{
	char *argv[] = { "true", NULL };

	syscall(SYS_execve, "/bin/true", argv, NULL);
}

static void trace(void)
{
	syscall(SYS_ptrace, PTRACE_ATTACH, 1, 0, 0);
}

static void read_another(void)
{
	struct iovec v = { said, sizeof(said) };

	syscall(SYS_process_vm_readv, 1, &v, 1, &v, 1, 0);
}

static void map_code(void)
{
	syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void make_code(void)
{
	syscall(SYS_mprotect, said, 4096, PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void make_a_vm(void)
{
	syscall(SYS_ioctl, 3, KVM_CREATE_VM, 0);
}

static void make_a_vcpu(void)
{
	syscall(SYS_ioctl, 3, KVM_CREATE_VCPU, 0);
}

static void kill_another(void)
{
	syscall(SYS_tgkill, 1, 1, 0);
}

/* Were it allowed, nobody would be there. */
static void kill_by_number(void)
{
	syscall(SYS_kill, INT_MAX, SIGKILL);
}

static void find_a_process(void)
{
	syscall(SYS_pidfd_open, 1, 0);
}

/* A folder of /proc is as good as one that was asked for. */
static void end_a_process(void)
{
	syscall(SYS_pidfd_send_signal, 0, SIGKILL, NULL, 0);
}

static void catch_refusals(void)
{
	syscall(SYS_rt_sigaction, SIGSYS, NULL, NULL, _NSIG / 8);
}

static void load_a_filter(void)
{
	syscall(SYS_prctl, PR_SET_SECCOMP, 2, 0);
}

static void make_a_ring(void)
{
	syscall(SYS_io_uring_setup, 1, NULL);
}

static void change_a_ring(void)
{
	syscall(SYS_io_uring_register, -1, 0, NULL, 0);
}

static const struct {
	const char *name; /* of the call */
	void (*attempt)(void);
	bool needs_files, needs_sockets; /* to be allowed to control, or io */
} attempts[] = {
	{ "openat", open_a_file, true, false },
	{ "openat", make_a_file, false, false },
	{ "openat", empty_a_file, false, false },
	{ "openat", name_a_file, false, true },
	{ "openat2", open_unseen, false, false },
	{ "fcntl", copy_a_descriptor, false, false },
	{ "socket", connect_abroad, false, false },
	{ "socket", connect_here, false, true },
	{ "clone", fork_a_child, false, false },
	{ "clone", start_a_thread, false, false },
	{ "execve", execute, false, false },
	{ "ptrace", trace, false, false },
	{ "process_vm_readv", read_another, false, false },
	{ "mmap", map_code, false, false },
	{ "mprotect", make_code, false, false },
	{ "ioctl", make_a_vm, false, false },
	{ "ioctl", make_a_vcpu, false, false },
	{ "tgkill", kill_another, false, false },
	{ "kill", kill_by_number, false, false },
	{ "pidfd_open", find_a_process, false, false },
	{ "pidfd_send_signal", end_a_process, false, false },
	{ "rt_sigaction", catch_refusals, false, false },
	{ "prctl", load_a_filter, false, false },
	{ "io_uring_setup", make_a_ring, false, false },
	{ "io_uring_register", change_a_ring, false, false },
};

static const char *const names[] = { "control", "console", "io", "vcpu", "disk", "log", "fill" };

/* Each of them in each role. */
START_TEST(what_nobody_needs_is_refused)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_ON };
	char want[64];
	unsigned int role;

	for (role = 0; role < ARRAY_SIZE(names); role++) {
		ck_assert_int_eq(status_of((enum thread_role)role, plan, attempts[_i].attempt), 3);
		snprintf(want, sizeof(want), "system call %s (number", attempts[_i].name);
		ck_assert_msg(strstr(said, want), "%s", said);
		snprintf(want, sizeof(want), "(role %s)", names[role]);
		ck_assert_msg(strstr(said, want), "%s", said);
	}
}
END_TEST

START_TEST(a_plan_gives_what_it_says)
{
	const struct seccomp_plan all = { SECCOMP_ON, true, true, true, false };
	int files = attempts[_i].needs_files ? PASSED : 3;
	int sockets = attempts[_i].needs_sockets ? PASSED : 3;

	ck_assert_int_eq(status_of(THREAD_CONTROL, all, attempts[_i].attempt), files);
	ck_assert_int_eq(status_of(THREAD_IO, all, attempts[_i].attempt), sockets);
	ck_assert_int_eq(status_of(THREAD_VCPU, all, attempts[_i].attempt), 3);
	ck_assert_int_eq(status_of(THREAD_DISK, all, attempts[_i].attempt), 3);
}
END_TEST

/* ---- the report ---- */

static void name_registers(void)
{
	syscall(SYS_ioctl, 0x1234, KVM_SET_USER_MEMORY_REGION, 0xabcd);
}

START_TEST(a_report_names_thread_call_and_arguments)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_ON };
	char want[160];

	ck_assert_int_eq(status_of(THREAD_IO, plan, name_registers), 3);
	snprintf(want, sizeof(want), "arguments 0x1234, 0x%lx KVM_SET_USER_MEMORY_REGION, 0xabcd, ",
		(unsigned long)KVM_SET_USER_MEMORY_REGION);
	ck_assert_msg(strstr(said, want), "%s", said);
	ck_assert_msg(strstr(said, "nacre: thread nacre (role io) was refused"), "%s", said);
	ck_assert_msg(strchr(said, '\n') == said + strlen(said) - 1, "%s", said);
}
END_TEST

static void last_words(void)
{
	static const char text[] = "the hook\n";

	if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
		_exit(1);
}

static void refused_with_hook(void)
{
	seccomp_set_crash_hook(last_words);
	make_a_vm();
}

START_TEST(a_hook_is_called_before_the_end)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_ON };

	ck_assert_int_eq(status_of(THREAD_VCPU, plan, refused_with_hook), 3);
	ck_assert_msg(strstr(said, "the hook\n"), "%s", said);
}
END_TEST

/* ---- what is allowed ---- */

static void raise_and_return(void)
{
	signal(SIGUSR1, SIG_IGN);
	if (raise(SIGUSR1))
		_exit(1);
}

START_TEST(threads_may_signal_their_own_process)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_ON };

	ck_assert_int_eq(status_of(THREAD_CONTROL, plan, raise_and_return), PASSED);
}
END_TEST

static int compare(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/* What it makes of this differs from one C library to the next. */
static void use_the_library(void)
{
	size_t size = 64 << 20;
	char *p = malloc(size);

	if (!p)
		_exit(1);
	memset(p, 1, size);
	p = realloc(p, 2 * size);
	free(p);
	poll(NULL, 0, 1);
	if (!p || pthread_kill(pthread_self(), 0))
		_exit(1);
}

static void use_it_for_a_balloon(void)
{
	size_t count = 1 << 20;
	int *p = calloc(count, sizeof(*p));

	if (!p)
		_exit(1);
	qsort(p, count, sizeof(*p), compare);
	free(p);
	use_the_library();
}

START_TEST(the_c_library_may_do_what_it_does)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_ON };

	ck_assert_msg(status_of(THREAD_VCPU, plan, use_the_library) == PASSED, "%s", said);
	ck_assert_msg(status_of(THREAD_IO, plan, use_it_for_a_balloon) == PASSED, "%s", said);
}
END_TEST

static void *try_a_disk(void *arg)
{
	(void)arg;
	/* Which control may do with these rights, but no disk's thread. */
	open_a_file();
	return NULL;
}

static void *do_nothing(void *arg)
{
	(void)arg;
	return NULL;
}

static void start(void *(*fn)(void *))
{
	struct err e = { "" };
	pthread_t thread;

	thread_on_enter(seccomp_enter);
	if (thread_start(&thread, THREAD_DISK, "disk", fn, NULL, &e))
		_exit(2);
	pthread_join(thread, NULL);
}

static void start_a_disk(void)
{
	start(do_nothing);
}

static void start_a_bad_disk(void)
{
	start(try_a_disk);
}

START_TEST(threads_start_with_a_filter)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_ON, .opens_files = true };

	ck_assert_int_eq(status_of(NONE, plan, start_a_disk), PASSED);
	ck_assert_int_eq(status_of(NONE, plan, start_a_bad_disk), 3);
	ck_assert_msg(strstr(said, "thread disk (role disk) was refused"), "%s", said);
}
END_TEST

/* A date is made of a time: the host's time zone, a file, must have been read by then. */
static void say_the_first_line(void)
{
	const struct log_config c = { .level = LOG_WARN, .format = LOG_JSON };
	struct err e = { "" };

	unsetenv("TZ");
	if (log_setup(&c, &e))
		_exit(1);
	seccomp_enter(THREAD_IO);
	log_warn("a line");
}

START_TEST(the_first_log_line_may_be_behind_a_filter)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_ON };

	ck_assert_msg(status_of(NONE, plan, say_the_first_line) == PASSED, "%s", said);
	ck_assert_msg(strstr(said, "\"message\":\"a line\""), "%s", said);
}
END_TEST

/* ---- whoever controls a thread has its handlers, too ---- */

static void on_refused_by_nobody(int signo)
{
	(void)signo;
}

/* In place of ours, from before the filter: it returns, and so the thread goes on. */
static void refused_and_on(void)
{
	char c = 'y';
	struct iovec v = { &c, 1 };
	int out[2];

	if (pipe(out))
		_exit(1);
	signal(SIGSYS, on_refused_by_nobody);
	seccomp_enter(THREAD_CONSOLE);
	syscall(SYS_pwritev2, out[1], &v, 1, -1L, 0, 0);
	/* So what we write is all there is to read. */
	c = 'n';
	if (write(out[1], &c, 1) != 1 || read(out[0], &c, 1) != 1)
		_exit(1);
	_exit(c == 'n' ? PASSED : 1);
}

START_TEST(what_is_refused_is_not_done_whoever_handles_it)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_ON };

	ck_assert_int_eq(status_of(NONE, plan, refused_and_on), PASSED);
	ck_assert_str_eq(said, "");
}
END_TEST

static void refused_while_blocked(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	make_a_vm();
}

START_TEST(blocking_the_signal_does_not_help)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_ON };

	ck_assert_int_eq(status_of(THREAD_IO, plan, refused_while_blocked), 128 + SIGSYS);
}
END_TEST

/* ---- other modes ---- */

static bool connects_twice(void)
{
	int first = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	int second = (int)syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);

	return first > 0 && second > 0;
}

static void connect_and_be_told(void)
{
	bool connected = connects_twice();
	int tries;

	/* By another thread, after the call went on; a moment later it would have said more. */
	for (tries = 0; !atomic_load(heard) && tries < 1000; tries++)
		poll(NULL, 0, 10);
	poll(NULL, 0, 100);
	_exit(connected ? PASSED : 1);
}

static void connect_untold(void)
{
	bool connected = connects_twice();

	poll(NULL, 0, 100);
	_exit(connected ? PASSED : 1);
}

START_TEST(audit_tells_once_and_lets_pass)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_AUDIT };
	static const char *const words =
		"(role io) would be refused the system call socket (number";
	const char *first;

	ck_assert_int_eq(status_of(THREAD_IO, plan, connect_and_be_told), PASSED);
	first = strstr(said, words);
	ck_assert_msg(first, "%s", said);
	ck_assert_msg(!strstr(first + 1, words), "%s", said);
}
END_TEST

/* A call that no thread needs, so that the watch is asked. */
static void on_nudge(int signo)
{
	(void)signo;
	syscall(SYS_getppid);
}

static void *enter_while_nudged(void *has_entered)
{
	sigset_t nudge;

	sigemptyset(&nudge);
	sigaddset(&nudge, SIGUSR1);
	pthread_sigmask(SIG_UNBLOCK, &nudge, NULL);
	seccomp_enter(THREAD_VCPU);
	atomic_store((atomic_bool *)has_entered, true);
	return NULL;
}

static void enter_many_times(void)
{
	struct sigaction sa = { .sa_handler = on_nudge, .sa_flags = SA_RESTART };
	atomic_bool has_entered;
	pthread_t thread;
	int i;

	sigaction(SIGUSR1, &sa, NULL);
	for (i = 0; i < 100; i++) {
		atomic_store(&has_entered, false);
		if (pthread_create(&thread, NULL, enter_while_nudged, &has_entered))
			_exit(1);
		while (!atomic_load(&has_entered)) {
			pthread_kill(thread, SIGUSR1);
			sched_yield();
		}
		pthread_join(thread, NULL);
	}
}

/* Control's come at any time: one between the filter and whoever answers waited for ever. */
START_TEST(signals_may_come_while_a_watch_begins)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_AUDIT };

	ck_assert_msg(status_of(NONE, plan, enter_many_times) == PASSED, "%s", said);
}
END_TEST

/* As a kernel does that was built without them. */
static void have_no_filters(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { ARRAY_SIZE(code), code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		_exit(1);
}

static void run_without_filters(void)
{
	const struct seccomp_plan on = { .mode = SECCOMP_ON }, audit = { .mode = SECCOMP_AUDIT };
	struct err e = { "" };

	have_no_filters();
	if (seccomp_prepare(&audit, &e) != -ENOTSUP || seccomp_prepare(&on, &e))
		_exit(1);
	seccomp_enter(THREAD_IO);
	open_a_file();
	if (seccomp_prepare(&on, &e) || seccomp_seal(&e))
		_exit(1);
	open_a_file();
}

START_TEST(a_kernel_without_filters_is_told_of_and_will_do)
{
	const struct seccomp_plan off = { .mode = SECCOMP_OFF };
	static const char *const words = "system calls are not filtered";
	const char *first;

	ck_assert_msg(status_of(NONE, off, run_without_filters) == PASSED, "%s", said);
	first = strstr(said, words);
	ck_assert_msg(first && !strstr(first + 1, words), "%s", said);
}
END_TEST

START_TEST(off_leaves_all)
{
	const struct seccomp_plan plan = { .mode = SECCOMP_OFF };

	ck_assert_int_eq(status_of(THREAD_IO, plan, connect_untold), PASSED);
	ck_assert_str_eq(said, "");
}
END_TEST

Suite *seccomp_suite(void)
{
	Suite *s = suite_create("seccomp");
	TCase *t = tcase_create("filters");

	/* A sanitizer makes calls of its own, which the filters know nothing of. */
	if (!SECCOMP_SANITIZED) {
		tcase_add_loop_test(t, what_nobody_needs_is_refused, 0, ARRAY_SIZE(attempts));
		tcase_add_loop_test(t, a_plan_gives_what_it_says, 0, ARRAY_SIZE(attempts));
		tcase_add_test(t, a_report_names_thread_call_and_arguments);
		tcase_add_test(t, a_hook_is_called_before_the_end);
		tcase_add_test(t, threads_may_signal_their_own_process);
		tcase_add_test(t, the_c_library_may_do_what_it_does);
		tcase_add_test(t, the_first_log_line_may_be_behind_a_filter);
		tcase_add_test(t, threads_start_with_a_filter);
		tcase_add_test(t, what_is_refused_is_not_done_whoever_handles_it);
		tcase_add_test(t, blocking_the_signal_does_not_help);
		tcase_add_test(t, audit_tells_once_and_lets_pass);
		tcase_add_test(t, signals_may_come_while_a_watch_begins);
	}
	tcase_add_test(t, a_kernel_without_filters_is_told_of_and_will_do);
	tcase_add_test(t, off_leaves_all);
	suite_add_tcase(s, t);
	return s;
}
