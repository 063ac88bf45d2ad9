/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FD_H
#define NACRE_FD_H

#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/util/err.h"

/* seccomp control io vcpu: close -- descriptors, also of what a guest resets */
/* Cleanup by attribute for locals: `_close int fd = -1;`, handed over with fd_steal(&fd). */
static inline void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline int fd_steal(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* By a call that is the same with all C libraries: fstat() is not. As fstat. */
static inline int fd_stat(int fd, struct stat *st)
{
	return fstatat(fd, "", st, AT_EMPTY_PATH);
}

static inline void ptr_free(void *p)
{
	free(*(void **)p);
}

/*
 * What the process was started with beyond standard input, output and error: marked to be closed on
 * execve, and remembered. Options may name such a file (/dev/fd/N) until all are open; then
 * fd_close_given closes what is remembered, and is false when that may not be all: /proc was not there.
 * First thread only.
 */
void fd_remember_given(void);
bool fd_close_given(void);

#define _close __attribute__((cleanup(fd_close)))
#define _free  __attribute__((cleanup(ptr_free)))

/* A whole file in memory, read once; free data with blob_free. data[len] is a NUL byte. */
struct blob {
	uint8_t *data;
	size_t len;
};

/*
 * Reads a regular file (or anything that ends) of at most max bytes. Returns 0, or -errno with a
 * sentence naming the path: missing, a directory, empty, larger than max.
 */
int blob_read(const char *path, size_t max, struct blob *out, struct err *e);
void blob_free(struct blob *b);

/*
 * Memory for a blob of len bytes and a NUL byte behind them, to be freed by free(). What is large
 * begins at a multiple of 2 MiB, so that its pages can become guest memory (mem_take). NULL when
 * there is none.
 */
uint8_t *blob_alloc(size_t len);

/*
 * Room for more in a blob that is being filled: `first` bytes, then twice as much each time, up to
 * max, and always one byte beyond for a NUL. *room is how much there is. -EFBIG when that is max
 * already, or -ENOMEM; the blob is as it was then.
 */
int blob_extend(struct blob *b, size_t *room, size_t first, size_t max);

/*
 * A new non-blocking open file description for the same terminal or pipe as fd, so that O_NONBLOCK
 * does not leak to whoever shares fd (a shell, say). A regular file is duplicated, keeping its
 * offset; so is what the kernel cannot reopen (a socket), which may then still block. Returns the
 * descriptor or -errno.
 */
int fd_reopen_nonblock(int fd, int accmode);

#endif
