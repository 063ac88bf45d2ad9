/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "devices/blkio_impl.h"
#include "vmm/util/bits.h"

/* The owner keeps to the depth, so neither of the two rings ever overflows. */
struct uring {
	struct io_uring ring;
	bool open;
	unsigned int in_flight; /* queued and not reaped */
};

/* Some sandboxes let a ring be made but not be used: send a request through it. */
static int try_ring(struct uring *u)
{
	struct io_uring_cqe *cqe;
	int r;

	io_uring_prep_nop(io_uring_get_sqe(&u->ring));
	r = io_uring_submit_and_wait(&u->ring, 1);
	if (r < 0)
		return r;
	r = io_uring_peek_cqe(&u->ring, &cqe);
	if (r)
		return r;
	r = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	return r;
}

/* Debian 12's liburing has functions for it in its headers, and not in the library. */
static int set_up(const struct uring *u, unsigned int what, const void *arg, unsigned int count)
{
	return syscall(SYS_io_uring_register, u->ring.ring_fd, what, arg, count) < 0 ? -errno : 0;
}

/*
 * What a ring is told to do no seccomp filter sees: without this, whoever breaks into the loop's thread
 * could open files and connect sockets by it. Linux 5.10.
 */
static int restrict_ring(const struct uring *u)
{
	struct io_uring_restriction only[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_NOP },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC },
		{ .opcode = IORING_RESTRICTION_REGISTER_OP,
			.register_op = IORING_REGISTER_EVENTFD },
	};
	int r = set_up(u, IORING_REGISTER_RESTRICTIONS, only, ARRAY_SIZE(only));

	return r ? r : set_up(u, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

static int uring_init(
	struct blkio *io, const struct blkfile *file, unsigned int depth, struct err *e)
{
	struct uring *u = calloc(1, sizeof(*u));
	int r;

	(void)file;
	if (!u)
		return err_set(e, -ENOMEM, "io_uring: out of memory");
	io->state = u;
	r = io_uring_queue_init(depth, &u->ring, IORING_SETUP_R_DISABLED);
	if (!r) {
		u->open = true;
		r = restrict_ring(u);
	}
	if (!r)
		r = try_ring(u);
	/* After the trial, which is nobody's business. */
	if (!r)
		r = io_uring_register_eventfd(&u->ring, io->event_fd);
	if (r == -EPERM || r == -ENOSYS)
		return err_set(e, r,
			"io_uring: %s; this host forbids it, by the sysctl "
			"kernel.io_uring_disabled, a seccomp filter or its kernel's configuration",
			strerror(-r));
	return r ? err_set(e, r, "io_uring: %s", strerror(-r)) : 0;
}

static bool uring_queue(struct blkio *io, struct blkio_req *req)
{
	struct uring *u = io->state;
	struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
	int fd;

	if (!sqe)
		return false;
	fd = blkfile_fd(req->file, req->off, req->iov, req->iov_count);
	if (req->op == BLKIO_READ)
		io_uring_prep_readv(sqe, fd, req->iov, req->iov_count, req->off);
	else if (req->op == BLKIO_WRITE)
		io_uring_prep_writev2(
			sqe, fd, req->iov, req->iov_count, req->off, req->stable ? RWF_DSYNC : 0);
	else
		io_uring_prep_fsync(sqe, req->file->fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, req);
	u->in_flight++;
	return true;
}

/* seccomp io: io_uring_enter -- requests */
static void uring_submit(struct blkio *io)
{
	const uint64_t one = 1;
	struct uring *u = io->state;
	int r;

	do
		r = io_uring_submit(&u->ring);
	while (r == -EINTR);
	/* The kernel was short of memory for it: again, when others on this loop had their turn. */
	if (io_uring_sq_ready(&u->ring) && write(io->event_fd, &one, sizeof(one)) < 0)
		return;
}

static struct blkio_req *uring_reap(struct blkio *io, int64_t *result)
{
	struct uring *u = io->state;
	struct io_uring_cqe *cqe;
	struct blkio_req *req;

	if (io_uring_peek_cqe(&u->ring, &cqe)) {
		if (io_uring_sq_ready(&u->ring))
			uring_submit(io);
		return NULL;
	}
	req = io_uring_cqe_get_data(cqe);
	*result = cqe->res;
	io_uring_cqe_seen(&u->ring, cqe);
	u->in_flight--;
	return req;
}

/* seccomp control: io_uring_enter munmap -- what is under way ends, and the ring goes */
static void uring_fini(struct blkio *io)
{
	struct uring *u = io->state;
	struct io_uring_cqe *cqe;

	if (!u)
		return;
	/* Closing the ring would cancel requests, but not wait until they let go of our memory. */
	while (u->in_flight) {
		int r = io_uring_submit_and_wait(&u->ring, 1);

		if (r < 0 && r != -EINTR && r != -EAGAIN && r != -EBUSY)
			break;
		while (!io_uring_peek_cqe(&u->ring, &cqe)) {
			io_uring_cqe_seen(&u->ring, cqe);
			u->in_flight--;
		}
	}
	if (u->open)
		io_uring_queue_exit(&u->ring);
	free(u);
	io->state = NULL;
}

const struct blkio_engine blkio_uring = {
	.name = "io_uring",
	.init = uring_init,
	.fini = uring_fini,
	.queue = uring_queue,
	.submit = uring_submit,
	.reap = uring_reap,
};
