/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <libaio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/blkio_impl.h"

/* The kernel wants an iocb at submission only, so one for each that waits for it will do. */
struct aio {
	io_context_t ctx;
	unsigned int depth;
	unsigned int queued;	/* in the batch, not submitted */
	unsigned int in_flight; /* submitted and not reaped */
	struct iocb **batch;
	struct iocb iocbs[];
};

static int aio_init(struct blkio *io, const struct blkfile *file, unsigned int depth, struct err *e)
{
	struct aio *a;
	unsigned int i;
	int r;

	/* Without it io_submit would do the work, and the loop would wait for the disk. */
	if (file->direct_fd < 0)
		return err_set(e, -EINVAL, "aio works with direct I/O only");
	a = calloc(1, sizeof(*a) + depth * sizeof(a->iocbs[0]));
	if (!a)
		return err_set(e, -ENOMEM, "aio: out of memory");
	io->state = a;
	a->depth = depth;
	a->batch = calloc(depth, sizeof(struct iocb *));
	if (!a->batch)
		return err_set(e, -ENOMEM, "aio: out of memory");
	for (i = 0; i < depth; i++)
		a->batch[i] = &a->iocbs[i];
	r = io_setup((int)depth, &a->ctx);
	if (r == -EAGAIN)
		return err_set(
			e, r, "aio: the host's limit is reached; raise the sysctl fs.aio-max-nr");
	return r ? err_set(e, r, "aio: %s", strerror(-r)) : 0;
}

static bool aio_queue(struct blkio *io, struct blkio_req *req)
{
	struct aio *a = io->state;
	struct iocb *cb = &a->iocbs[a->queued];
	int count = (int)req->iov_count;
	int fd = req->file->direct_fd;

	/* A flush, too: file systems without an asynchronous one answer EINVAL. */
	if (req->op == BLKIO_FLUSH || a->queued + a->in_flight == a->depth ||
		blkfile_fd(req->file, req->off, req->iov, req->iov_count) != fd)
		return false;
	if (req->op == BLKIO_READ)
		io_prep_preadv(cb, fd, req->iov, count, (long long)req->off);
	else
		io_prep_pwritev(cb, fd, req->iov, count, (long long)req->off);
	if (req->op == BLKIO_WRITE && req->stable)
		cb->aio_rw_flags = RWF_DSYNC;
	io_set_eventfd(cb, io->event_fd);
	cb->data = req;
	a->queued++;
	return true;
}

/* seccomp io: io_submit io_getevents -- requests */
static void aio_submit(struct blkio *io)
{
	struct aio *a = io->state;
	unsigned int sent = 0;
	int r;

	while (sent < a->queued) {
		r = io_submit(a->ctx, (long)(a->queued - sent), a->batch + sent);
		if (r > 0) {
			sent += (unsigned int)r;
			a->in_flight += (unsigned int)r;
		} else if (r != -EINTR) {
			/* The first one is refused, for want of memory or what it is. */
			blkio_thread_add(io, a->iocbs[sent++].data);
		}
	}
	a->queued = 0;
}

static struct blkio_req *aio_reap(struct blkio *io, int64_t *result)
{
	struct timespec now = { 0, 0 };
	struct aio *a = io->state;
	struct io_event event;

	if (!a->in_flight || io_getevents(a->ctx, 0, 1, &event, &now) != 1)
		return NULL;
	a->in_flight--;
	*result = (int64_t)event.res;
	return event.data;
}

/* seccomp control: io_destroy -- what is under way ends */
static void aio_fini(struct blkio *io)
{
	struct aio *a = io->state;

	if (!a)
		return;
	/* Waits for all that is under way; of what was never submitted nothing is. */
	if (a->ctx)
		io_destroy(a->ctx);
	free(a->batch);
	free(a);
	io->state = NULL;
}

const struct blkio_engine blkio_aio = {
	.name = "aio",
	.init = aio_init,
	.fini = aio_fini,
	.queue = aio_queue,
	.submit = aio_submit,
	.reap = aio_reap,
};
