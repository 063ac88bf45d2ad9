/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vsock_dial.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/util/fd.h"

const char *vsock_dial_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* By this name the kernel finds the file of a descriptor, whatever has become of its own names. */
static struct sockaddr_un address_of(int fd)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d", fd);
	return a;
}

int vsock_dial_folder(const char *path, struct err *e)
{
	int len = (int)(vsock_dial_name(path) - path);
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	_close int fd = -1;
	struct stat st;

	snprintf(folder, sizeof(folder), "%.*s", len ? len : 1, len ? path : ".");
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		int r = err_sys(e, "folder %s", folder);

		return r == -ENOENT ? err_hint(e, r, "make it: mkdir %s", folder) : r;
	}
	if (stat(address_of(fd).sun_path, &st))
		return err_set(e, -ENOENT, "/proc is missing (mount -t proc proc /proc)");
	return fd_steal(&fd);
}

/*
 * The name has no slash, and a link is not followed, so openat2 would have no more to keep out; and no
 * filter sees what that one is asked for. With O_PATH nothing is made, and nothing can be read.
 *
 * seccomp io+sockets: openat[2&O_PATH=O_PATH] -- what a guest names
 * seccomp io+sockets: newfstatat -- is it a socket?
 * seccomp io+sockets: socket[0=AF_UNIX] connect -- and to its program
 */
int vsock_dial(int folder, const char *name)
{
	_close int file = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC), fd = -1;
	struct sockaddr_un a;
	struct stat st;

	if (file < 0 || fd_stat(file, &st))
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -ENOTSOCK;
	a = address_of(file);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return -errno;
	return fd_steal(&fd);
}
