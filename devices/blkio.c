/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/blkio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/blkio_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

/* ---- requests ---- */

void blkio_queue(struct blkio *io, struct blkio_req *req)
{
	bool quick = req->op == BLKIO_READ || req->op == BLKIO_WRITE || req->op == BLKIO_FLUSH;

	if (!quick || !io->engine || !io->engine->queue(io, req))
		blkio_thread_add(io, req);
}

void blkio_submit(struct blkio *io)
{
	if (io->engine)
		io->engine->submit(io);
}

/* A request that the engine tried: true when that was all. */
static bool settle(struct blkio *io, struct blkio_req *req, int64_t result)
{
	bool again = result == -EAGAIN || result == -EINTR;

	if (req->op == BLKIO_FLUSH || (result < 0 && !again)) {
		req->error = result < 0 ? (int)result : 0;
		if (!again)
			return true;
	} else if (result > 0) {
		blkio_advance(req, (uint64_t)result);
		req->error = 0;
		if (!req->len)
			return true;
	}
	/* Short: the thread tries the rest, and so finds out why. */
	blkio_thread_add(io, req);
	return false;
}

static void on_event(void *arg, int fd, short events)
{
	struct blkio_req *list = NULL, **end = &list, *req;
	struct blkio *io = arg;
	uint64_t count;
	int64_t result;

	(void)events;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return;
	while (io->engine && (req = io->engine->reap(io, &result))) {
		if (!settle(io, req, result))
			continue;
		*end = req;
		end = &req->next;
	}
	*end = blkio_thread_take(io);
	if (list)
		io->done(io->arg, list);
}

/* ---- life ---- */

/* Tries an engine; on failure nothing is left of it. */
static int try_engine(struct blkio *io, const struct blkio_engine *engine,
	const struct blkfile *file, unsigned int depth, struct err *e)
{
	int r = engine->init(io, file, depth, e);

	if (r)
		engine->fini(io);
	else
		io->engine = engine;
	return r;
}

static int choose(struct blkio *io, enum blk_engine want, const struct blkfile *file,
	unsigned int depth, struct err *e)
{
	struct err why = { "" };
	int r;

	switch (want) {
	case BLK_URING:
		r = try_engine(io, &blkio_uring, file, depth, e);
		return r ? err_hint(e, r, "use engine auto, aio or sync") : 0;
	case BLK_AIO:
		r = try_engine(io, &blkio_aio, file, depth, e);
		return r ? err_hint(e, r, "use engine auto, io_uring or sync") : 0;
	case BLK_SYNC:
		return 0;
	case BLK_AUTO:
		break;
	}
	if (!try_engine(io, &blkio_uring, file, depth, &why))
		return 0;
	log_debug("disk %s: %s", file->path, why.msg);
	if (try_engine(io, &blkio_aio, file, depth, &why))
		log_debug("disk %s: %s", file->path, why.msg);
	return 0;
}

int blkio_new(struct blkio **out, const struct blkfile *file, enum blk_engine engine,
	unsigned int depth, struct loop *loop, blkio_done_fn done, void *arg, struct err *e)
{
	struct blkio *io = calloc(1, sizeof(*io));
	int r;

	if (!io)
		return err_set(e, -ENOMEM, "disk %s: out of memory", file->path);
	io->done = done;
	io->arg = arg;
	io->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = io->event_fd < 0 ? err_sys(e, "eventfd") : 0;
	if (!r)
		r = choose(io, engine, file, depth, e);
	if (!r)
		r = blkio_thread_start(io, e);
	if (!r)
		r = loop_add_fd(loop, io->event_fd, LOOP_READ, on_event, io, &io->event, e);
	if (r) {
		blkio_free(io);
		return err_prefix(e, r, "disk %s", file->path);
	}
	*out = io;
	return 0;
}

void blkio_free(struct blkio *io)
{
	if (!io)
		return;
	/* From here on nobody takes what ends; both only let it end. */
	loop_event_free(io->event);
	if (io->engine)
		io->engine->fini(io);
	blkio_thread_stop(io);
	fd_close(&io->event_fd);
	free(io);
}

const char *blkio_name(const struct blkio *io)
{
	return io->engine ? io->engine->name : "sync";
}
