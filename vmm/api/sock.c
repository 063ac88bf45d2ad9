/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/api/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/util/fd.h"
#include "vmm/util/text.h"

/* More wait in the kernel than connect at once. */
#define BACKLOG 128

/* Is there a listener? 0, or a negative errno: -ECONNREFUSED when there is none. */
static int try_connect(const struct sockaddr_un *addr)
{
	_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		return -errno;
	return 0;
}

/* Says what is at the path, where nothing should be. */
static int explain_taken(const struct sockaddr_un *addr, const char *shown, struct err *e)
{
	struct stat st;
	int r;

	if (lstat(addr->sun_path, &st))
		return err_set(e, -EADDRINUSE, "%s: exists already", shown);
	if (S_ISLNK(st.st_mode))
		return err_set(e, -EADDRINUSE,
			"%s is a symbolic link, which is not followed (give the path of a file "
			"that does not exist)",
			shown);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, -EADDRINUSE,
			"%s exists and is no socket (give the path of a file that does not exist)",
			shown);
	r = try_connect(addr);
	/* A listener whose queue is full is one, too. */
	if (!r || r == -EAGAIN)
		return err_set(e, -EADDRINUSE,
			"%s is the socket of a running process (give each machine a path of its "
			"own)",
			shown);
	if (r == -ECONNREFUSED)
		return err_set(e, -EADDRINUSE,
			"%s was left behind by a process that is gone (remove it: rm %s)", shown,
			shown);
	if (r == -EACCES)
		return err_set(e, -EADDRINUSE,
			"%s is another user's socket (give the path of a file that does not exist)",
			shown);
	return err_set(
		e, -EADDRINUSE, "%s exists already, and does not answer: %s", shown, strerror(-r));
}

static int bind_path(
	struct sock *s, const struct sockaddr_un *addr, const char *shown, struct err *e)
{
	struct stat st;

	/* Before it has a name: the file takes its mode from here, so it is never open to others. */
	if (fchmod(s->fd, 0600))
		return err_sys(e, "%s: fchmod", shown);
	if (bind(s->fd, (const struct sockaddr *)addr, sizeof(*addr))) {
		if (errno == EADDRINUSE)
			return explain_taken(addr, shown, e);
		if (errno == ENOENT)
			return err_set(
				e, -ENOENT, "%s: its folder does not exist (make it)", shown);
		if (errno == EACCES)
			return err_set(e, -EACCES,
				"%s: its folder is not yours to write to (name a file in one that "
				"is)",
				shown);
		return err_sys(e, "%s: bind", shown);
	}
	if (lstat(addr->sun_path, &st))
		return err_sys(e, "%s: stat", shown);
	s->dev = st.st_dev;
	s->ino = st.st_ino;
	s->path = strdup(addr->sun_path);
	if (!s->path) {
		unlink(addr->sun_path);
		return err_set(e, -ENOMEM, "%s: out of memory", shown);
	}
	return listen(s->fd, BACKLOG) ? err_sys(e, "%s: listen", shown) : 0;
}

int sock_listen(struct sock *s, const char *path, struct err *e)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char shown[TEXT_SHOWN * 2];
	int r;

	*s = (struct sock){ .fd = -1 };
	text_show_end(shown, sizeof(shown), path);
	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(e, -ENAMETOOLONG,
			"%s is too long for a Unix socket (%zu bytes are the limit)", shown,
			sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return err_sys(e, "%s: socket", shown);
	r = bind_path(s, &addr, shown, e);
	if (r)
		sock_close(s);
	return r;
}

/* seccomp control+api: newfstatat unlink@x86 unlinkat@arm64 -- the socket goes with us */
void sock_close(struct sock *s)
{
	struct stat st;

	fd_close(&s->fd);
	if (!s->path)
		return;
	/* Somebody may have put another one there meanwhile. */
	if (!lstat(s->path, &st) && st.st_dev == s->dev && st.st_ino == s->ino)
		unlink(s->path);
	free(s->path);
	s->path = NULL;
}
