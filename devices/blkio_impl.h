/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BLKIO_IMPL_H
#define NACRE_BLKIO_IMPL_H

#include <pthread.h>

#include "devices/blkio.h"

/* What blkio.c and its engines share. Not for others. */

/*
 * An engine that runs transfers and flushes at the same time as others. It tries each once: what
 * comes out short or is to be repeated goes on with the thread. All is called on the loop's thread,
 * but for init and fini.
 */
struct blkio_engine {
	const char *name;
	/* 0, or -errno with a sentence why it does not work here. Completions make event_fd ready. */
	int (*init)(
		struct blkio *io, const struct blkfile *file, unsigned int depth, struct err *e);
	/* Waits for what is under way. Accepts the half-made. */
	void (*fini)(struct blkio *io);
	/* False when it cannot take this one. */
	bool (*queue)(struct blkio *io, struct blkio_req *req);
	void (*submit)(struct blkio *io);
	/* The next that has ended, or NULL; *result is the bytes transferred, or -errno. */
	struct blkio_req *(*reap)(struct blkio *io, int64_t *result);
};

extern const struct blkio_engine blkio_uring, blkio_aio;

/*
 * The thread, and two lists between it and the loop. The lock is a third beside the device's and
 * the park's: the lists are short, it is held for a few instructions, and nothing is locked or
 * waited for under it. The alternative, a pipe full of pointers, would hide the same lock.
 */
struct blkio_thread {
	pthread_t id;
	bool started;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	bool stop;
	struct blkio_req *todo, **todo_end;
	struct blkio_req *ended, **ended_end;
};

struct blkio {
	const struct blkio_engine *engine; /* NULL: the thread does it all */
	void *state;			   /* the engine's own */
	int event_fd;
	struct loop_event *event;
	struct blkio_thread thread;
	blkio_done_fn done;
	void *arg;
};

int blkio_thread_start(struct blkio *io, struct err *e);
/* Finishes what it was given, and ends. */
void blkio_thread_stop(struct blkio *io);
void blkio_thread_add(struct blkio *io, struct blkio_req *req);
/* All that it has finished, in that order. */
struct blkio_req *blkio_thread_take(struct blkio *io);

/* Skips bytes that were transferred already. */
void blkio_advance(struct blkio_req *req, uint64_t bytes);

#endif
