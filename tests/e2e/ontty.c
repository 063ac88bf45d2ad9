/* SPDX-License-Identifier: Apache-2.0 */

/*
 * ontty SIGNAL MILLISECONDS COMMAND... - runs the command on a new terminal, in its foreground,
 * sends it the signal after that time, and reports how it ended and whether the terminal's settings
 * are what they were. SIGNAL is TERM, INT, HUP, QUIT, ABRT, KILL, or KEYS=text, which types the
 * text instead (^A stands for Ctrl-A), or SIZE=ROWSxCOLS, which resizes the terminal. It has 24 rows
 * of 80 to begin with. CONT+KEYS=text types after that signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 30000

static int signal_number(const char *name)
{
	static const struct {
		const char *name;
		int signo;
	} known[] = {
		{ "TERM", SIGTERM },
		{ "INT", SIGINT },
		{ "HUP", SIGHUP },
		{ "QUIT", SIGQUIT },
		{ "ABRT", SIGABRT },
		{ "KILL", SIGKILL },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(name, known[i].name))
			return known[i].signo;
	return 0;
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void type(int fd, const char *keys)
{
	for (; *keys; keys++) {
		char c = *keys;

		if (c == '^' && keys[1] == 'A') {
			c = 1;
			keys++;
		}
		if (write(fd, &c, 1) != 1)
			return;
	}
}

static void resize(int fd, const char *size)
{
	struct winsize w = { 0 };

	if (sscanf(size, "%hux%hu", &w.ws_row, &w.ws_col) == 2)
		ioctl(fd, TIOCSWINSZ, &w);
}

/* Returns once the command runs: a signal before that would meet us, who ignore SIGHUP. */
static pid_t start(const char *tty, char **argv)
{
	int fd, running[2];
	char none;
	pid_t pid;

	if (pipe2(running, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid) {
		close(running[1]);
		while (read(running[0], &none, 1) < 0 && errno == EINTR)
			;
		close(running[0]);
		return pid;
	}
	/* What whoever started us ignores is not the test's subject. */
	signal(SIGHUP, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	setsid();
	/* The first terminal that a session leader opens becomes its controlling one. */
	fd = open(tty, O_RDWR);
	if (fd < 0 || ioctl(fd, TIOCSCTTY, 0))
		_exit(127);
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
	execvp(argv[0], argv);
	_exit(127);
}

/* Passes output on until the child ends; acts once when its time has come. */
static int watch(int master, pid_t pid, const char *what, long delay)
{
	long begin = now_ms(), acted = 0;
	int status;

	for (;;) {
		struct pollfd p = { master, POLLIN, 0 };
		char buf[4096];
		ssize_t n = 0;

		if (poll(&p, 1, 1) > 0 && (p.revents & POLLIN))
			n = read(master, buf, sizeof(buf));
		if (n > 0 && write(STDOUT_FILENO, buf, (size_t)n) < 0)
			return -1;
		if (n <= 0 && waitpid(pid, &status, WNOHANG) == pid)
			return status;
		if (!acted && now_ms() - begin >= delay) {
			acted = 1;
			if (!strncmp(what, "CONT+", 5)) {
				kill(pid, SIGCONT);
				what += 5;
			}
			if (!strncmp(what, "KEYS=", 5))
				type(master, what + 5);
			else if (!strncmp(what, "SIZE=", 5))
				resize(master, what + 5);
			else
				kill(pid, signal_number(what));
		}
		if (now_ms() - begin > delay + PATIENCE_MS) {
			printf("\nhangs: killed after %d ms\n", PATIENCE_MS);
			kill(pid, SIGKILL);
			return waitpid(pid, &status, 0) == pid ? -1 : -1;
		}
	}
}

int main(int argc, char **argv)
{
	struct termios before, after;
	int master, slave, status;
	pid_t pid;

	if (argc < 4) {
		fprintf(stderr, "usage: ontty SIGNAL MILLISECONDS COMMAND...\n");
		return 2;
	}
	signal(SIGHUP, SIG_IGN);
	master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0 || grantpt(master) || unlockpt(master)) {
		perror("ontty: pty");
		return 2;
	}
	resize(master, "24x80");
	/* Held open here, so that the settings outlive the child. */
	slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || tcgetattr(slave, &before)) {
		perror("ontty: terminal");
		return 2;
	}
	pid = start(ptsname(master), argv + 3);
	if (pid < 0) {
		perror("ontty: start");
		return 2;
	}
	status = watch(master, pid, argv[1], strtol(argv[2], NULL, 10));
	if (status == -1)
		return 1;
	tcgetattr(slave, &after);
	if (before.c_lflag == after.c_lflag && before.c_iflag == after.c_iflag &&
		before.c_oflag == after.c_oflag)
		printf("\nterminal restored\n");
	if (WIFSIGNALED(status))
		printf("ended by signal %d\n", WTERMSIG(status));
	else
		printf("ended with status %d\n", WEXITSTATUS(status));
	return 0;
}
