/* SPDX-License-Identifier: Apache-2.0 */

/* The host end of a console on a terminal: raw mode and its end, keys, foreground and background. */
#include <errno.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test_tty.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

/*
 * Runs fn in a session of its own that is controlled by a new terminal, and returns the master. fn
 * returns 0 or the line at which it failed; it cannot use ck_assert, which belongs to the parent.
 */
#define MUST(cond)                                                  \
	do {                                                        \
		if (!(cond))                                        \
			return __LINE__ % 256 ? __LINE__ % 256 : 1; \
	} while (0)

static int spawn(int (*fn)(int fd), pid_t *pid)
{
	int master, slave;

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	*pid = fork();
	ck_assert_int_ge(*pid, 0);
	if (*pid == 0) {
		int r = 255;

		close(master);
		signal(SIGHUP, SIG_DFL);
		alarm(60);
		if (setsid() >= 0 && ioctl(slave, TIOCSCTTY, 0) == 0)
			r = fn(slave);
		/* Runs the atexit hooks but the parent's test framework has none in a child. */
		exit(r);
	}
	close(slave);
	return master;
}

static void reap(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
	ck_assert_msg(
		WEXITSTATUS(status) == 0, "failed at line %d (modulo 256)", WEXITSTATUS(status));
}

static bool is_raw(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t))
		return false;
	return !(t.c_lflag & (ICANON | ECHO | ISIG)) && !(t.c_iflag & (ICRNL | IXON));
}

static bool is_cooked(int fd)
{
	struct termios t;

	return tcgetattr(fd, &t) == 0 && t.c_lflag & ICANON && t.c_lflag & ECHO &&
	       t.c_lflag & ISIG && t.c_iflag & ICRNL;
}

/* How a run can end; after each of them the terminal must be as it was. */
static int ends_by_free(int fd)
{
	struct termios t;

	MUST(is_cooked(fd));
	MUST(tty_begin(fd, fd) == 0);
	MUST(is_raw(fd));
	MUST(tcgetattr(fd, &t) == 0 && t.c_oflag & OPOST);
	tty_end();
	MUST(is_cooked(fd));
	return 0;
}

static int ends_by_exit(int fd)
{
	MUST(tty_begin(fd, fd) == 0);
	MUST(is_raw(fd));
	return 0;
}

static void on_fatal(int signo)
{
	(void)signo;
	tty_crash_restore();
	_exit(0);
}

static int ends_by_crash(int fd)
{
	signal(SIGSEGV, on_fatal);
	MUST(tty_begin(fd, fd) == 0);
	MUST(is_raw(fd));
	raise(SIGSEGV);
	return 1;
}

static int (*const endings[])(int fd) = { ends_by_free, ends_by_exit, ends_by_crash };

START_TEST(terminal_is_restored)
{
	pid_t pid;
	int master = spawn(endings[_i], &pid);

	reap(pid);
	ck_assert(is_cooked(master));
	close(master);
}
END_TEST

static bool wait_quits(unsigned int n)
{
	for (int i = 0; i < 5000 && atomic_load(&dev.quits) < n; i++)
		usleep(1000);
	return atomic_load(&dev.quits) == n;
}

/* The child says R when it is ready for keys; see the parents below. */
static int takes_keys(int fd)
{
	MUST(tty_begin(fd, -1) == 0);
	MUST(write(fd, "R", 1) == 1);
	MUST(wait_quits(1));
	MUST(dev_wait(6));
	MUST(dev_count() == 6);
	/* Ctrl-C and Ctrl-Z are for the guest; Ctrl-A a and twice Ctrl-A are one Ctrl-A. */
	MUST(!memcmp(dev.got, "\003\032\r\001\001z", 6));
	tty_end();
	return 0;
}

static void wait_ready(int master)
{
	char c = 0;

	while (c != 'R')
		ck_assert_int_eq(read(master, &c, 1), 1);
}

START_TEST(keys)
{
	/* Also split over writes, so that the Ctrl-A arrives alone. */
	static const char *const pieces[] = { "\003\032\r\001", "a\001\001", "\001q", "z\001",
		"x" };
	pid_t pid;
	int master = spawn(takes_keys, &pid);

	wait_ready(master);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		size_t n = strlen(pieces[i]);

		ck_assert_int_eq(write(master, pieces[i], n), (ssize_t)n);
		usleep(10000);
	}
	reap(pid);
	close(master);
}
END_TEST

static int hangs(int fd)
{
	MUST(tty_begin(fd, -1) == 0);
	dev_give_room(0);
	MUST(write(fd, "R", 1) == 1);
	MUST(wait_quits(1));
	MUST(dev_count() == 0);
	tty_end();
	return 0;
}

START_TEST(quit_key_works_when_the_guest_hangs)
{
	pid_t pid;
	int master = spawn(hangs, &pid);

	wait_ready(master);
	ck_assert_int_eq(write(master, "is anybody there? hello? hello?", 31), 31);
	usleep(20000);
	ck_assert_int_eq(write(master, "\001x", 2), 2);
	reap(pid);
	close(master);
}
END_TEST

static int prints_help(int fd)
{
	int p[2];
	char text[200] = "";

	MUST(pipe(p) == 0 && dup2(p[1], STDERR_FILENO) == STDERR_FILENO);
	MUST(tty_begin(fd, -1) == 0);
	MUST(write(fd, "R", 1) == 1);
	MUST(read(p[0], text, sizeof(text) - 1) > 0);
	MUST(strstr(text, "Ctrl-A x"));
	MUST(dev_count() == 0);
	tty_end();
	return 0;
}

START_TEST(help_key)
{
	pid_t pid;
	int master = spawn(prints_help, &pid);

	wait_ready(master);
	ck_assert_int_eq(write(master, "\001h", 2), 2);
	reap(pid);
	close(master);
}
END_TEST

/* In the background the terminal is not ours: no raw mode, no reading, no SIGTTOU at the end. */
static int background_job(int fd, int tell, int go)
{
	char c;

	MUST(tty_begin(fd, -1) == 0);
	MUST(is_cooked(fd));
	MUST(loop_is_idle());
	MUST(write(tell, "b", 1) == 1 && read(go, &c, 1) == 1);
	/* Now we are in the foreground. */
	tty_resume(tty);
	for (int i = 0; i < 5000 && !is_raw(fd); i++)
		usleep(1000);
	MUST(is_raw(fd));
	MUST(write(fd, "R", 1) == 1);
	MUST(dev_wait(2));
	MUST(write(tell, "f", 1) == 1 && read(go, &c, 1) == 1);
	/* And in the background again, where the shell has its own settings. */
	tty_end();
	MUST(is_raw(fd));
	return 0;
}

static int shell_with_a_job(int fd)
{
	int to[2], from[2], status;
	pid_t pid;
	char c;

	signal(SIGTTOU, SIG_IGN);
	MUST(pipe(to) == 0 && pipe(from) == 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGTTOU, SIG_DFL);
		setpgid(0, 0);
		_exit(background_job(fd, from[1], to[0]));
	}
	setpgid(pid, pid);
	close(from[1]);
	if (read(from[0], &c, 1) == 1) {
		MUST(tcsetpgrp(fd, pid) == 0);
		MUST(write(to[1], "g", 1) == 1);
	}
	if (read(from[0], &c, 1) == 1) {
		MUST(tcsetpgrp(fd, getpgrp()) == 0);
		MUST(write(to[1], "g", 1) == 1);
	}
	MUST(waitpid(pid, &status, WUNTRACED) == pid);
	if (WIFSTOPPED(status))
		kill(pid, SIGKILL);
	MUST(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(background_and_foreground)
{
	pid_t pid;
	int master = spawn(shell_with_a_job, &pid);

	wait_ready(master);
	ck_assert_int_eq(write(master, "ok", 2), 2);
	reap(pid);
	close(master);
}
END_TEST

/* The terminal goes away under us. */
static int loses_terminal(int fd)
{
	signal(SIGHUP, SIG_IGN);
	log_set_level(LOG_ERROR);
	MUST(tty_begin(fd, fd) == 0);
	MUST(write(fd, "R", 1) == 1);
	usleep(100000);
	MUST(loop_is_idle());
	for (int i = 0; i < 50; i++) {
		tty_write(tty, "hello", 5);
		usleep(100);
	}
	MUST(loop_is_idle());
	MUST(tty_drain(tty, 1000) == 0);
	tty_end();
	return 0;
}

START_TEST(terminal_hangup)
{
	pid_t pid;
	int master = spawn(loses_terminal, &pid);

	wait_ready(master);
	close(master);
	reap(pid);
}
END_TEST

/* A terminal that is stopped, as by a user who scrolls back: nobody waits for it. */
static int fills_terminal(int fd)
{
	MUST(tty_begin(fd, fd) == 0);
	MUST(write(fd, "R", 1) == 1);
	/* A terminal's poll says "writable" when its write does not; so wait a little only. */
	fill_ring(-1);
	MUST(!tty_can_take(tty, 1));
	MUST(loop_is_idle());
	MUST(wait_quits(1));
	MUST(tty_drain(tty, 50) == -ETIMEDOUT);
	/* The user is back. */
	MUST(kill(getppid(), SIGUSR1) == 0);
	for (int i = 0; i < 10000 && !tty_can_take(tty, 65536); i++)
		usleep(1000);
	MUST(tty_can_take(tty, 65536));
	tty_end();
	return 0;
}

static volatile sig_atomic_t user_is_back;

static void on_back(int signo)
{
	(void)signo;
	user_is_back = 1;
}

START_TEST(stopped_terminal)
{
	char buf[4096];
	pid_t pid;
	int master;

	user_is_back = 0;
	signal(SIGUSR1, on_back);
	master = spawn(fills_terminal, &pid);

	wait_ready(master);
	usleep(100000);
	ck_assert_int_eq(write(master, "\001x", 2), 2);
	while (!user_is_back)
		usleep(1000);
	while (read(master, buf, sizeof(buf)) > 0)
		;
	reap(pid);
	close(master);
}
END_TEST

TCase *tty_terminal_case(void)
{
	TCase *t = tcase_create("terminals");

	tcase_add_checked_fixture(t, tty_setup, tty_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, terminal_is_restored, 0, (int)ARRAY_SIZE(endings));
	tcase_add_test(t, keys);
	tcase_add_test(t, quit_key_works_when_the_guest_hangs);
	tcase_add_test(t, help_key);
	tcase_add_test(t, background_and_foreground);
	tcase_add_test(t, terminal_hangup);
	tcase_add_test(t, stopped_terminal);
	return t;
}
