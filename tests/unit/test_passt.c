/* SPDX-License-Identifier: Apache-2.0 */

/* The child process, with a script in its place. That the real one understands us: tests/e2e/net. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/nofile.h"
#include "vmm/passt.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

static char dir[SCRATCH_PATH];
static char script[64];
static struct passt *passt;
static int sock = -1;

/* In place of the C library's. */
static unsigned int kills;

int kill(pid_t pid, int signo)
{
	kills++;
	return (int)syscall(SYS_kill, pid, signo);
}

static bool forbids;

int pidfd_send_signal(int fd, int signo, siginfo_t *info, unsigned int flags)
{
	if (forbids) {
		errno = EPERM;
		return -1;
	}
	return (int)syscall(SYS_pidfd_send_signal, fd, signo, info, flags);
}

static bool no_pidfd;

int pidfd_open(pid_t pid, unsigned int flags)
{
	if (no_pidfd) {
		errno = EMFILE;
		return -1;
	}
	return (int)syscall(SYS_pidfd_open, pid, flags);
}

static void setup(void)
{
	char path[256];

	scratch_dir(dir);
	snprintf(script, sizeof(script), "%s/passt", dir);
	snprintf(path, sizeof(path), "%s:/usr/bin:/bin", dir);
	setenv("PATH", path, 1);
}

static void teardown(void)
{
	passt_free(passt);
	passt = NULL;
	fd_close(&sock);
}

static void write_script(const char *text, mode_t mode)
{
	FILE *f = fopen(script, "w");

	ck_assert_ptr_nonnull(f);
	fprintf(f, "#!/bin/sh\n%s\n", text);
	fclose(f);
	ck_assert_int_eq(chmod(script, mode), 0);
}

static void start(unsigned int mtu)
{
	struct err e = { "" };

	ck_assert_msg(!passt_start(&passt, &sock, mtu, &e), "%s", e.msg);
}

/* All that the child says until it ends. */
static void hear(char *buf, size_t size)
{
	size_t at = 0;
	ssize_t n;

	while ((n = read(sock, buf + at, size - 1 - at)) > 0)
		at += (size_t)n;
	buf[at] = '\0';
}

START_TEST(gets_its_end_of_the_socket)
{
	char text[256];

	write_script("echo \"$@\" >&3", 0700);
	start(_i ? 9000 : 0);
	hear(text, sizeof(text));
	ck_assert_str_eq(text,
		_i ? "--foreground --quiet --fd 3 --mtu 9000\n" : "--foreground --quiet --fd 3\n");
}
END_TEST

/* More frames than a socket of the usual size takes, while nobody reads. */
START_TEST(has_room_for_frames)
{
	char done[sizeof(script) + 8];
	int tries = 600;

	write_script("dd if=/dev/zero bs=1500 count=140 >&3 2>/dev/null; : >\"$0.done\"", 0700);
	snprintf(done, sizeof(done), "%s.done", script);
	start(0);
	while (access(done, F_OK) && tries--)
		usleep(100000);
	ck_assert_int_ge(tries, 0);
}
END_TEST

/* Nothing of ours: not memory, not KVM, not the other end of the socket, which would keep it alive. */
START_TEST(gets_nothing_else)
{
	char text[256], *open;
	int leak = dup(STDOUT_FILENO);

	ck_assert_int_gt(leak, 3);
	write_script("cd /proc/$$/fd && for i in 0 1 2 3 4 5 6 7 8 9 11 12; do [ -e $i ] && "
		     "printf '%s ' $i >&3; done; readlink 0 >&3; "
		     "grep SigIgn /proc/$$/status >&3; exit 0",
		0700);
	start(0);
	hear(text, sizeof(text));
	close(leak);
	open = strstr(text, "0 1 2 3 ");
	ck_assert_msg(open != NULL, "%s", text);
	/* 10 is the shell's own, for the script. */
	ck_assert_msg(strstr(text, "0 1 2 3 /dev/null") != NULL, "%s", text);
	ck_assert_msg(
		strstr(text, "0000000000000000") || strstr(text, "0000000000000006"), "%s", text);
}
END_TEST

/* We may have more files open than usual; what that is for others is not ours to change. */
START_TEST(limit_of_open_files_is_raised_for_us_alone)
{
	struct rlimit was, lim;
	char text[64];

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &was), 0);
	ck_assert_uint_gt(was.rlim_max, 250);
	lim = (struct rlimit){ 250, was.rlim_max };
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &lim), 0);
	nofile_raise();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &lim), 0);
	ck_assert_uint_eq(lim.rlim_cur, was.rlim_max);
	ck_assert_uint_eq(lim.rlim_max, was.rlim_max);
	/* Once more must not take the raised one for what it was. */
	nofile_raise();
	write_script("ulimit -Sn >&3", 0700);
	start(0);
	hear(text, sizeof(text));
	ck_assert_str_eq(text, "250\n");
	setrlimit(RLIMIT_NOFILE, &was);
}
END_TEST

/* Neither what we ignore nor what we block; and our own mask is as before. */
START_TEST(gets_no_signals_of_ours)
{
	static const int signals[] = { SIGPIPE, SIGXFSZ, SIGCHLD, SIGUSR1 };
	sigset_t mask, after;
	char text[256];

	write_script("exec grep -E 'SigBlk|SigIgn' /proc/self/status >&3", 0700);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		signal(signals[i], SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	start(0);
	hear(text, sizeof(text));
	ck_assert_str_eq(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
	sigprocmask(SIG_SETMASK, NULL, &after);
	ck_assert_int_eq(sigismember(&after, SIGTERM), 1);
	ck_assert_int_eq(sigismember(&after, SIGINT), 0);
}
END_TEST

/* In a process of its own: passt cannot start for lack of descriptors, and file 4 is not ours. */
static int start_with_few_descriptors(rlim_t count)
{
	struct rlimit few = { count, 1024 }, many = { 1024, 1024 };
	int file = memfd_create("disk", 0), r, fd;
	struct passt *p;
	struct err e;
	char left[8];

	if (file < 0 || pwrite(file, "contents", 8, 0) != 8 || dup2(file, 40) != 40)
		return 1;
	close_range(3, 39, 0);
	if (open("/dev/null", O_RDONLY) != 3 || dup2(40, 4) != 4 || close(40))
		return 2;
	setrlimit(RLIMIT_NOFILE, &few);
	r = passt_start(&p, &fd, 0, &e);
	setrlimit(RLIMIT_NOFILE, &many);
	if (pread(4, left, 8, 0) != 8 || memcmp(left, "contents", 8) || lseek(4, 0, SEEK_CUR))
		return 3;
	return r == -EMFILE ? 0 : 4;
}

START_TEST(failure_writes_to_no_file_of_ours)
{
	int status;
	pid_t pid;

	write_script("exit 0", 0700);
	pid = fork();
	if (!pid)
		_exit(start_with_few_descriptors((rlim_t)_i));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(what_cannot_start_is_a_sentence)
{
	struct err e = { "" };

	if (_i == 0)
		setenv("PATH", dir, 1);
	else
		write_script("exit 0", 0600);
	if (_i && !geteuid())
		setenv("PATH", dir, 1);
	ck_assert_int_eq(passt_start(&passt, &sock, 0, &e), _i ? -EACCES : -ENOENT);
	ck_assert_msg(
		strstr(e.msg, _i ? "start passt: Permission denied (a passt in PATH is not for "
				   "this user to execute)"
				 : "not installed") != NULL,
		"%s", e.msg);
	ck_assert_int_eq(sock, -1);
	/* No child is left. */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

START_TEST(no_child_is_left_without_a_descriptor)
{
	struct err e = { "" };

	no_pidfd = true;
	write_script("exec sleep 60", 0700);
	ck_assert_int_eq(passt_start(&passt, &sock, 0, &e), -EMFILE);
	no_pidfd = false;
	ck_assert_int_eq(waitpid(-1, NULL, 0), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

/* Where SIGCHLD is ignored a number is free again as soon as its process ends. */
START_TEST(others_are_not_killed)
{
	char text[64];

	signal(SIGCHLD, SIG_IGN);
	write_script(_i ? "exec sleep 60" : "exit 0", 0700);
	start(0);
	if (!_i)
		hear(text, sizeof(text));
	for (int i = 0; !_i && i < 1000 && waitpid(-1, NULL, WNOHANG) == 0; i++)
		usleep(1000);
	kills = 0;
	passt_free(passt);
	passt = NULL;
	signal(SIGCHLD, SIG_DFL);
	/* Nobody by a number, which may be another's by now; nor has the child been forgotten. */
	ck_assert_uint_eq(kills, 0);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(ends_with_us)
{
	char text[64];

	write_script("echo $$ >&3; while :; do sleep 60; done", 0700);
	start(0);
	ck_assert_int_gt(read(sock, text, sizeof(text) - 1), 0);
	ck_assert_int_eq(kill(atoi(text), 0), 0);
	passt_free(passt);
	passt = NULL;
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
	passt_free(NULL);
}
END_TEST

/* Another user's, since root's passt becomes nobody's: one that the socket's end does not end, either. */
START_TEST(one_that_stays_is_not_waited_for)
{
	char text[64] = "";
	pid_t pid;

	write_script("echo $$ >&3; exec sleep 60 3>&-", 0700);
	start(0);
	hear(text, sizeof(text));
	pid = atoi(text);
	forbids = true;
	passt_free(passt);
	passt = NULL;
	forbids = false;
	ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

/* The socket's end tells it; and where it does not listen, a signal does. */
START_TEST(ends_when_we_are_killed)
{
	char text[64] = "";
	int report[2], i;
	pid_t us, it;

	write_script(_i ? "exec sleep 60" : "cat <&3 >/dev/null; echo eof >&4 2>/dev/null", 0700);
	ck_assert_int_eq(pipe(report), 0);
	us = fork();
	if (!us) {
		FILE *f;
		char path[64];

		start(0);
		snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
		f = fopen(path, "r");
		if (f && fgets(text, sizeof(text), f) && write(report[1], text, strlen(text)) < 0)
			_exit(1);
		if (!f && write(report[1], "0", 1) < 0)
			_exit(1);
		pause();
		_exit(0);
	}
	ck_assert_int_gt(read(report[0], text, sizeof(text) - 1), 0);
	it = atoi(text);
	kill(us, SIGKILL);
	waitpid(us, NULL, 0);
	close(report[0]);
	close(report[1]);
	if (!it)
		return; /* a kernel that does not list children */
	for (i = 0; i < 1000; i++) {
		char stat[64], state[64] = "Z";
		FILE *f;

		snprintf(stat, sizeof(stat), "/proc/%d/stat", it);
		f = fopen(stat, "r");
		if (!f)
			break;
		if (fscanf(f, "%*d %*s %63s", state) != 1)
			strcpy(state, "Z");
		fclose(f);
		/* Dead, and nobody has asked for it: an init's business. */
		if (state[0] == 'Z' || state[0] == 'X')
			break;
		usleep(10000);
	}
	ck_assert_int_lt(i, 1000);
}
END_TEST

Suite *passt_suite(void)
{
	Suite *s = suite_create("passt");
	TCase *t = tcase_create("child");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, gets_its_end_of_the_socket, 0, 2);
	tcase_add_test(t, has_room_for_frames);
	tcase_add_test(t, gets_nothing_else);
	tcase_add_test(t, limit_of_open_files_is_raised_for_us_alone);
	tcase_add_test(t, gets_no_signals_of_ours);
	tcase_add_loop_test(t, failure_writes_to_no_file_of_ours, 8, 11);
	tcase_add_loop_test(t, others_are_not_killed, 0, 2);
	tcase_add_loop_test(t, what_cannot_start_is_a_sentence, 0, 2);
	tcase_add_test(t, no_child_is_left_without_a_descriptor);
	tcase_add_test(t, ends_with_us);
	tcase_add_test(t, one_that_stays_is_not_waited_for);
	tcase_add_loop_test(t, ends_when_we_are_killed, 0, 2);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	return s;
}
