/* SPDX-License-Identifier: Apache-2.0 */

/* A machine that is cut short leaves the terminal as it was. */
#include <check.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tests/unit/test_machine.h"

static bool is_cooked(int fd)
{
	struct termios t;

	return !tcgetattr(fd, &t) && (t.c_lflag & ICANON) && (t.c_lflag & ECHO);
}

/* Becomes the session of a terminal, puts a machine on it, and ends by SIGABRT. */
static void abort_on_terminal(int slave, bool from_outside)
{
	const struct rlimit no_core = { 0, 0 };

	setrlimit(RLIMIT_CORE, &no_core);
	alarm(60);
	if (setsid() < 0 || ioctl(slave, TIOCSCTTY, 0))
		_exit(1);
	dup2(slave, STDIN_FILENO);
	dup2(slave, STDOUT_FILENO);
	machine_ready();
	if (is_cooked(slave))
		_exit(2);
	if (from_outside)
		kill(getpid(), SIGABRT);
	else
		abort();
	pause();
}

/* By a failed check of our own or a library's (0), and by someone who wants a core (1). */
START_TEST(abort_restores_the_terminal)
{
	int master, slave, status;
	pid_t pid;

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	ck_assert(is_cooked(slave));
	pid = fork();
	if (pid == 0) {
		abort_on_terminal(slave, _i);
		_exit(3);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x", status);
	ck_assert(is_cooked(slave));
	close(master);
	close(slave);
}
END_TEST

TCase *machine_abort_case(void)
{
	TCase *t = tcase_create("abort");

	tcase_add_checked_fixture(t, machine_setup, machine_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, abort_restores_the_terminal, 0, 2);
	return t;
}
