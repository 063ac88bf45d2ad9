/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_ROOM 65536u
#define LARGE	   ((size_t)2 << 20) /* a huge page, where there are any */

int blob_extend(struct blob *b, size_t *room, size_t first, size_t max)
{
	size_t next = *room ? *room * 2 : first;
	uint8_t *p;

	if (*room >= max)
		return -EFBIG;
	if (next > max)
		next = max;
	p = realloc(b->data, next + 1);
	if (!p)
		return -ENOMEM;
	b->data = p;
	*room = next;
	return 0;
}

uint8_t *blob_alloc(size_t len)
{
	void *p;

	if (len < LARGE)
		return malloc(len + 1);
	return posix_memalign(&p, LARGE, len + 1) ? NULL : p;
}

static int blob_read_fd(int fd, size_t max, size_t hint, struct blob *b)
{
	size_t room = 0;
	ssize_t n;

	if (hint) {
		/* One byte more than the size, so that the end is seen without growing. */
		room = hint < max ? hint + 1 : max + 1;
		b->data = blob_alloc(room);
		if (!b->data)
			return -ENOMEM;
	}
	for (;;) {
		if (b->len > max)
			return -EFBIG;
		if (b->len == room && blob_extend(b, &room, FIRST_ROOM, max + 1))
			return -ENOMEM;
		n = read(fd, b->data + b->len, room - b->len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		b->len += (size_t)n;
	}
	b->data[b->len] = 0;
	return 0;
}

int blob_read(const char *path, size_t max, struct blob *out, struct err *e)
{
	_close int fd = -1;
	struct stat st;
	int r;

	*out = (struct blob){ 0 };
	/* O_NONBLOCK: opening a FIFO that nobody writes must not hang the start. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_sys(e, "open %s", path);
	if (fstat(fd, &st))
		return err_sys(e, "stat %s", path);
	if (S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR, "%s is a directory, expected a file", path);
	/* A pipe whose writer is slow is read to its end all the same. */
	if (fcntl(fd, F_SETFL, O_RDONLY))
		return err_sys(e, "set up %s for reading", path);
	r = blob_read_fd(fd, max, S_ISREG(st.st_mode) ? (size_t)st.st_size : 0, out);
	if (!r && out->len == 0)
		r = err_set(e, -ENODATA, "%s is empty", path);
	else if (r == -EFBIG)
		err_set(e, r, "%s is larger than the %zu MiB accepted here", path, max >> 20);
	else if (r)
		err_set(e, r, "read %s: %s", path, strerror(-r));
	if (r)
		blob_free(out);
	return r;
}

void blob_free(struct blob *b)
{
	free(b->data);
	*b = (struct blob){ 0 };
}

int fd_reopen_nonblock(int fd, int accmode)
{
	char path[40];
	struct stat st;
	int copy;

	/* A regular file never blocks, and opened anew it would start over at its beginning. */
	if (!fstat(fd, &st) && S_ISREG(st.st_mode)) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
		return copy < 0 ? -errno : copy;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	copy = open(path, accmode | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (copy < 0)
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return copy < 0 ? -errno : copy;
}

static struct {
	int *fds;
	size_t count;
	bool incomplete;
} given;

void fd_remember_given(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *d;

	close_range(STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
	given.incomplete = !dir;
	while (dir && (d = readdir(dir))) {
		int fd = atoi(d->d_name), *more;

		if (fd <= STDERR_FILENO || fd == dirfd(dir))
			continue;
		more = realloc(given.fds, (given.count + 1) * sizeof(*more));
		if (!more) {
			given.incomplete = true;
			break;
		}
		given.fds = more;
		given.fds[given.count++] = fd;
	}
	if (dir)
		closedir(dir);
}

bool fd_close_given(void)
{
	while (given.count)
		close(given.fds[--given.count]);
	ptr_free(&given.fds);
	given.fds = NULL;
	return !given.incomplete;
}
