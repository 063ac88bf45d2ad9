/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/blkio_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/thread.h"

/* ---- the work ---- */

void blkio_advance(struct blkio_req *req, uint64_t bytes)
{
	req->off += bytes;
	req->len -= bytes;
	while (req->iov_count && bytes >= req->iov->iov_len) {
		bytes -= req->iov->iov_len;
		req->iov++;
		req->iov_count--;
	}
	if (req->iov_count) {
		req->iov->iov_base = (uint8_t *)req->iov->iov_base + bytes;
		req->iov->iov_len -= bytes;
	}
}

/* seccomp disk: preadv pwritev2 -- requests that the engine does not take */
static int transfer(struct blkio_req *req)
{
	while (req->len) {
		int fd = blkfile_fd(req->file, req->off, req->iov, req->iov_count);
		int count = (int)req->iov_count;
		ssize_t n;

		if (req->op == BLKIO_READ)
			n = preadv(fd, req->iov, count, (off_t)req->off);
		else
			n = pwritev2(
				fd, req->iov, count, (off_t)req->off, req->stable ? RWF_DSYNC : 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		/* The end of the file, where it had been longer when we opened it. */
		if (n == 0)
			return -EIO;
		if (n > 0)
			blkio_advance(req, (uint64_t)n);
	}
	return 0;
}

/* seccomp disk: fallocate -- discarding, and zeroes */
static int punch(const struct blkio_req *req, int mode)
{
	int r;

	/* Never longer than it is: the size of the disk is not for the guest to change. */
	do
		r = fallocate(req->file->fd, mode | FALLOC_FL_KEEP_SIZE, (off_t)req->off,
			(off_t)req->len);
	while (r && errno == EINTR);
	return r ? -errno : 0;
}

/* The file system, or the device, has no such thing; or not for a range so aligned. */
static bool is_unsupported(int code)
{
	return code == -EOPNOTSUPP || code == -EINVAL || code == -ENOSYS || code == -ENODEV;
}

/* seccomp disk: pwrite64 -- zeroes, where the file system knows no holes */
static int write_zeroes(const struct blkio_req *req)
{
	static const uint8_t zeroes[65536] __attribute__((aligned(4096)));
	uint64_t off = req->off, end = req->off + req->len;

	while (off < end) {
		size_t len = min_u64(end - off, sizeof(zeroes));
		ssize_t n = pwrite(req->file->fd, zeroes, len, (off_t)off);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO;
		if (n > 0)
			off += (uint64_t)n;
	}
	return 0;
}

/* seccomp disk: fdatasync -- flushing */
static int zero(const struct blkio_req *req)
{
	int r = punch(req, req->unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);

	if (is_unsupported(r))
		r = write_zeroes(req);
	if (!r && req->stable && fdatasync(req->file->fd))
		r = -errno;
	return r;
}

static int run(struct blkio_req *req)
{
	int r;

	switch (req->op) {
	case BLKIO_READ:
	case BLKIO_WRITE:
		return transfer(req);
	case BLKIO_FLUSH:
		return fdatasync(req->file->fd) ? -errno : 0;
	case BLKIO_DISCARD:
		/* A wish; not granting it is no error. */
		r = punch(req, FALLOC_FL_PUNCH_HOLE);
		return is_unsupported(r) ? 0 : r;
	case BLKIO_ZERO:
		return zero(req);
	}
	return -EINVAL;
}

/* ---- the thread ---- */

/* seccomp disk: write -- telling the loop that a request has ended */
static void tell(const struct blkio *io)
{
	const uint64_t one = 1;

	/* The only failure is a counter about to overflow, and then the loop is told already. */
	if (write(io->event_fd, &one, sizeof(one)) < 0)
		return;
}

static void *thread_main(void *arg)
{
	struct blkio *io = arg;
	struct blkio_thread *t = &io->thread;
	struct blkio_req *req;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		while (!t->todo && !t->stop)
			pthread_cond_wait(&t->wanted, &t->lock);
		req = t->todo;
		if (!req)
			break;
		t->todo = req->next;
		if (!t->todo)
			t->todo_end = &t->todo;
		pthread_mutex_unlock(&t->lock);
		req->error = run(req);
		pthread_mutex_lock(&t->lock);
		req->next = NULL;
		*t->ended_end = req;
		t->ended_end = &req->next;
		tell(io);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

void blkio_thread_add(struct blkio *io, struct blkio_req *req)
{
	struct blkio_thread *t = &io->thread;

	req->next = NULL;
	pthread_mutex_lock(&t->lock);
	*t->todo_end = req;
	t->todo_end = &req->next;
	pthread_cond_signal(&t->wanted);
	pthread_mutex_unlock(&t->lock);
}

struct blkio_req *blkio_thread_take(struct blkio *io)
{
	struct blkio_thread *t = &io->thread;
	struct blkio_req *list;

	pthread_mutex_lock(&t->lock);
	list = t->ended;
	t->ended = NULL;
	t->ended_end = &t->ended;
	pthread_mutex_unlock(&t->lock);
	return list;
}

int blkio_thread_start(struct blkio *io, struct err *e)
{
	struct blkio_thread *t = &io->thread;
	int r;

	t->todo_end = &t->todo;
	t->ended_end = &t->ended;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->wanted, NULL);
	r = thread_start(&t->id, THREAD_DISK, "disk", thread_main, io, e);
	t->started = !r;
	return r;
}

void blkio_thread_stop(struct blkio *io)
{
	struct blkio_thread *t = &io->thread;

	if (!t->started)
		return;
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_signal(&t->wanted);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->id, NULL);
	t->started = false;
	pthread_cond_destroy(&t->wanted);
	pthread_mutex_destroy(&t->lock);
}
