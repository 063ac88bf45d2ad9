/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/passt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vmm/nofile.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

/* A few frames for each of some connections. The kernel takes the double, and counts its own with it. */
#define SOCKET_ROOM ((int)MIB(2))

/* Nobody waits any longer for it to end. */
#define END_MS 500

/* What the child has besides the standard descriptors. */
enum { CHILD_SOCKET = 3, CHILD_REPORT, CHILD_FDS };

/* The number is for waiting only: once the walls stand, no process is killed by its number. */
struct passt {
	pid_t pid;
	int fd; /* of the process */
};

/* Handlers are not inherited by programs, but what is ignored or blocked is. */
static void default_signals(void)
{
	/* The kernel's struct, all zero: the default. Past the C library, which keeps two signals to
	 * itself, and leaves them ignored in what posix_spawn starts, us for example. */
	static const uint64_t action[4];
	sigset_t none;
	int i;

	for (i = 1; i < _NSIG; i++)
		syscall(SYS_rt_sigaction, i, action, NULL, _NSIG / 8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * The child after fork: nothing but system calls. Returns only when something failed, with errno;
 * *report is where to say so, at any time.
 */
static void become_passt(int sock, int *report, pid_t parent, char *const argv[])
{
	/* Past what is about to be overwritten. */
	int s = fcntl(sock, F_DUPFD, CHILD_FDS), r = fcntl(*report, F_DUPFD, CHILD_FDS);
	int null = open("/dev/null", O_RDWR);

	if (s < 0 || r < 0 || null < 0)
		return;
	*report = r;
	/* Keys of our terminal are not for it; standard error is, for what it has to say. */
	setsid();
	if (dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
		dup2(s, CHILD_SOCKET) < 0 || dup3(r, CHILD_REPORT, O_CLOEXEC) < 0)
		return;
	*report = CHILD_REPORT;
	if (close_range(CHILD_FDS, ~0u, 0))
		return;
	nofile_restore();
	/* A second rope: the closed socket ends it too, and also where it has changed its user. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	default_signals();
	execvp(argv[0], argv);
}

static _Noreturn void child(int sock, int report, pid_t parent, char *const argv[])
{
	int code;

	become_passt(sock, &report, parent, argv);
	code = errno;
	_exit(write(report, &code, sizeof(code)) < 0 ? 2 : 1);
}

/* As fork. No handler of ours runs in the child, which has all signals blocked. */
static pid_t fork_quietly(void)
{
	sigset_t all, old;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = fork();
	if (pid)
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid;
}

/* 0 when it runs, or why it does not. */
static int wait_for_exec(int report)
{
	int code = 0;
	ssize_t n;

	do
		n = read(report, &code, sizeof(code));
	while (n < 0 && errno == EINTR);
	return n == sizeof(code) ? -code : 0;
}

static int start(struct passt *p, int sock, unsigned int mtu, struct err *e)
{
	_close int from = -1, to = -1;
	char fd_text[12], mtu_text[12];
	char *argv[] = { "passt", "--foreground", "--quiet", "--fd", fd_text, mtu ? "--mtu" : NULL,
		mtu_text, NULL };
	pid_t parent = getpid();
	int pipe_fds[2], r;

	snprintf(fd_text, sizeof(fd_text), "%d", CHILD_SOCKET);
	snprintf(mtu_text, sizeof(mtu_text), "%u", mtu);
	if (pipe2(pipe_fds, O_CLOEXEC))
		return err_sys(e, "pipe");
	from = pipe_fds[0];
	to = pipe_fds[1];
	p->pid = fork_quietly();
	if (p->pid < 0)
		return err_sys(e, "fork");
	if (!p->pid)
		child(sock, to, parent, argv);
	fd_close(&to);
	/* Ours until we wait for it. Where SIGCHLD is ignored it may be gone: then there is no such process. */
	p->fd = pidfd_open(p->pid, 0);
	if (p->fd < 0 && errno != ESRCH) {
		r = err_sys(e, "pidfd_open");
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
		return r;
	}
	r = wait_for_exec(from);
	if (r == -ENOENT)
		return err_set(e, r,
			"passt is not installed (apt-get install passt, or use a tap interface: "
			"--net tap=NAME)");
	if (!r)
		return 0;
	err_set(e, r, "start passt: %s", strerror(-r));
	return err_hint(e, r,
		r == -EACCES ? "a passt in PATH is not for this user to execute"
			     : "or use a tap interface: --net tap=NAME");
}

/*
 * What does not fit in the socket passt drops, and sends again when two seconds have passed without an
 * acknowledgement; the third time it resets the connection. Three frames of the longest would fill a
 * socket of the usual size. So it gets as much as we may give: beyond net.core.wmem_max that is for
 * CAP_NET_ADMIN.
 */
static void widen(int theirs)
{
	const int room = SOCKET_ROOM;

	if (setsockopt(theirs, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) &&
		setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room)))
		log_debug("passt: SO_SNDBUF: %s", strerror(errno));
}

int passt_start(struct passt **out, int *fd, unsigned int mtu, struct err *e)
{
	struct passt *p = calloc(1, sizeof(*p));
	_close int ours = -1, theirs = -1;
	int pair[2], r;

	if (!p)
		return err_set(e, -ENOMEM, "passt: out of memory");
	p->fd = -1;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		free(p);
		return err_sys(e, "socketpair");
	}
	ours = pair[0];
	theirs = pair[1];
	widen(theirs);
	r = start(p, theirs, mtu, e);
	if (r) {
		passt_free(p);
		return r;
	}
	*out = p;
	*fd = fd_steal(&ours);
	return 0;
}

/*
 * Where root started us it is another user's process, and by now we may not signal it: then the closed
 * socket ends it, if anything does.
 *
 * seccomp control: poll@x86 ppoll@arm64 -- until it is gone
 */
static bool has_ended(const struct passt *p)
{
	struct pollfd ended = { .fd = p->fd, .events = POLLIN };
	int r;

	if (p->fd < 0)
		return false;
	do
		r = poll(&ended, 1, END_MS);
	while (r < 0 && errno == EINTR);
	return r == 1;
}

/*
 * Its socket has ended, and so does it. Only before the walls stand it is killed as well: a control
 * thread that could signal it could signal other processes, too. One that does not listen ends when the
 * thread does that started it.
 *
 * seccomp control: wait4 -- passt ends with us
 */
void passt_free(struct passt *p)
{
	if (!p)
		return;
	/* It holds nothing that would have to be saved. */
	if (p->fd >= 0 && !sandbox_is_raised())
		pidfd_send_signal(p->fd, SIGKILL, NULL, 0);
	if (has_ended(p))
		waitpid(p->pid, NULL, 0);
	else if (p->fd >= 0)
		log_warn("passt, process %d, does not end", (int)p->pid);
	fd_close(&p->fd);
	free(p);
}
