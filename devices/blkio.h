/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BLKIO_H
#define NACRE_BLKIO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "devices/blkfile.h"
#include "vmm/util/err.h"
#include "vmm/util/loop.h"

/*
 * Asynchronous I/O on the files of a disk, by whatever the host allows:
 *
 *   uring   io_uring. Files and devices, cached or direct.
 *   aio     Linux's older interface (libaio). Only direct I/O is asynchronous with it.
 *   sync    a thread that does one request after the other. Works everywhere.
 *   auto    the first of these that works; some hosts forbid io_uring.
 *
 * Engines transfer and flush. The thread of `sync` is there with each engine: it takes what is rare
 * or odd, so that this is written once: discards, zeroes, and whatever is left of a transfer that
 * came out short.
 *
 * All that it needs of the kernel is made at the start. A disk that is given another file later keeps
 * it, so that nothing of the kind has to be allowed once a guest runs.
 *
 * The order: blkio_queue for each request, blkio_submit once after them. Requests run in any order
 * and at the same time. When some have ended, done() is called on the loop with a list of them,
 * without any lock. Everything but new and free is for the loop's thread.
 */
enum blk_engine { BLK_AUTO, BLK_URING, BLK_AIO, BLK_SYNC };

enum blkio_op { BLKIO_READ, BLKIO_WRITE, BLKIO_FLUSH, BLKIO_DISCARD, BLKIO_ZERO };

struct blkio_req {
	/* Set by the owner, and left alone until the request is done. */
	const struct blkfile *file; /* stays open until then */
	enum blkio_op op;
	bool stable;	   /* done only when it will survive a crash of the host (not for reads) */
	bool unmap;	   /* BLKIO_ZERO may give back the space */
	struct iovec *iov; /* READ and WRITE; changes while the request runs */
	unsigned int iov_count;
	uint64_t off, len; /* len is that of all of iov */
	void *owner;

	int error; /* the result: 0 or -errno. A file that ends before off + len is -EIO. */
	struct blkio_req *next;
};

struct blkio;
typedef void (*blkio_done_fn)(void *arg, struct blkio_req *list);

/*
 * For requests on that file, which is only looked at here, and on others that are opened for direct I/O if
 * it is. At most `depth` requests are under way at a time. 0 or -errno with a sentence.
 */
int blkio_new(struct blkio **out, const struct blkfile *file, enum blk_engine engine,
	unsigned int depth, struct loop *loop, blkio_done_fn done, void *arg, struct err *e);
/* Waits for what is under way, and calls done() for none of it. Accepts NULL and the half-made. */
void blkio_free(struct blkio *io);

void blkio_queue(struct blkio *io, struct blkio_req *req);
void blkio_submit(struct blkio *io);

const char *blkio_name(const struct blkio *io);

#endif
