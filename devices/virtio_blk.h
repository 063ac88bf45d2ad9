/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_BLK_H
#define NACRE_VIRTIO_BLK_H

#include "devices/blkfile.h"
#include "devices/blkio.h"
#include "devices/ratelimit.h"
#include "devices/virtio.h"

/*
 * The block device (virtio 1.2, 5.2): a raw file or a block device of the host as a guest's disk.
 *
 * Where the data goes. The addresses of an unprotected guest's memory stay its own for as long as
 * the device lives, also those of a region that was removed (mem_remove), so its requests run on its
 * own buffers, beyond the callback that found them. A reset is reported as done only after the last
 * one ended; one whose buffers are gone ends with EFAULT. A protected guest may take a page back meanwhile, so its
 * data goes through a buffer of ours: writes are copied out when they start, reads are copied in
 * when they end, and each copy asks the gate again. Direct I/O does the same where the guest's
 * buffers are not aligned as the file wants it. A large request goes in pieces then, one by one.
 *
 * What goes wrong on the host's side (no space, bad medium, a file that has become shorter) is
 * VIRTIO_BLK_S_IOERR to the guest, and a line in the log.
 */
struct virtio_blk;

struct blk_config {
	const char *path; /* a raw file or a block device; opened and locked by virtio_blk_new */
	bool read_only;
	bool may_be_empty; /* a place that virtio_blk_set_path fills later */
	enum blk_cache cache;
	enum blk_engine engine;
	const char *id;		       /* up to 20 bytes, the guest's "serial"; NULL or "": none */
	struct ratelimit_config limit; /* zeroed: none */

	const struct mem *mem;
	struct loop *loop;
	struct irq_line irq;
	bool is_protected;
};

/* The file is left open and locked after it. 0 or -errno with a sentence naming the file. */
int virtio_blk_new(struct virtio_blk **out, const struct blk_config *cfg, struct err *e);
/*
 * Waits for I/O that is under way. Accepts NULL. No vCPU may be running any more. Closes the file,
 * without flushing it: that is for the guest to ask for.
 */
void virtio_blk_free(struct virtio_blk *b);

/*
 * Another file in this one's place; the same one, when it has another size by now. The driver is told
 * by a configuration interrupt. What is under way ends on the file it began on. On error all is as
 * before. One thread, any but the loop's, without the device's lock; opening may wait for the disk.
 */
int virtio_blk_set_path(struct virtio_blk *b, const char *path, struct err *e);
/* New limits, full at first. Any thread, without the device's lock. */
int virtio_blk_set_limit(struct virtio_blk *b, const struct ratelimit_config *limit, struct err *e);

/* For a transport. */
struct virtio_dev *virtio_blk_dev(struct virtio_blk *b);

/* The engine at work, for messages: "io_uring", "aio" or "sync". */
const char *virtio_blk_engine(const struct virtio_blk *b);

#endif
