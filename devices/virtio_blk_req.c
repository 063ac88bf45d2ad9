/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio_blk_impl.h"
#include "vmm/util/bits.h"

/* ---- requests: virtio 1.2, 5.2.6 ---- */

static bool in_disk(const struct virtio_blk *b, uint64_t sector, uint64_t sectors)
{
	uint64_t capacity = b->medium->file.size / SECTOR_SIZE;

	return sector <= capacity && sectors <= capacity - sector;
}

static int parse_transfer(
	struct virtio_blk *b, struct blk_request *r, uint64_t sector, uint32_t len)
{
	r->cost = len;
	if (r->type == VIRTIO_BLK_T_OUT && b->medium->file.read_only)
		return VIRTIO_BLK_S_IOERR;
	if (len % SECTOR_SIZE || !in_disk(b, sector, len / SECTOR_SIZE))
		return VIRTIO_BLK_S_IOERR;
	r->off = sector * SECTOR_SIZE;
	r->len = len;
	return len ? PENDING : VIRTIO_BLK_S_OK;
}

static int check_range(struct virtio_blk *b, struct blk_request *r,
	const struct virtio_blk_discard_write_zeroes *z)
{
	bool discard = r->type == VIRTIO_BLK_T_DISCARD;

	/* 5.2.6.2: for unknown flags, and for unmap where it goes without saying. */
	if (z->flags & ~(discard ? 0u : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP))
		return VIRTIO_BLK_S_UNSUPP;
	if (z->num_sectors > (discard ? DISCARD_MAX_SECTORS : ZERO_MAX_SECTORS) ||
		!in_disk(b, z->sector, z->num_sectors))
		return VIRTIO_BLK_S_IOERR;
	if (!discard)
		r->cost += (uint64_t)z->num_sectors * SECTOR_SIZE;
	return PENDING;
}

/* All of them are checked before the first is touched, and only our copy is used. */
static int parse_ranges(struct virtio_blk *b, struct blk_request *r, const struct virtq_chain *c)
{
	uint32_t len = c->read_len - (uint32_t)HEADER;
	bool discard = r->type == VIRTIO_BLK_T_DISCARD;
	int status = PENDING;
	unsigned int i;

	if (b->medium->file.read_only)
		return VIRTIO_BLK_S_IOERR;
	if (!virtio_has(&b->dev, discard ? VIRTIO_BLK_F_DISCARD : VIRTIO_BLK_F_WRITE_ZEROES))
		return VIRTIO_BLK_S_UNSUPP;
	if (!len || len % sizeof(r->range_list[0]) || len > sizeof(r->range_list))
		return VIRTIO_BLK_S_IOERR;
	if (!virtio_read(&b->dev, 0, c, HEADER, r->range_list, len))
		return VIRTIO_BLK_S_IOERR;
	r->ranges = len / (uint32_t)sizeof(r->range_list[0]);
	for (i = 0; i < r->ranges && status == PENDING; i++)
		status = check_range(b, r, &r->range_list[i]);
	return status;
}

int blk_parse(struct virtio_blk *b, struct blk_request *r, const struct virtq_chain *c,
	const struct virtio_blk_outhdr *h)
{
	r->type = h->type;
	switch (h->type) {
	case VIRTIO_BLK_T_IN:
		return parse_transfer(b, r, h->sector, c->write_len - 1);
	case VIRTIO_BLK_T_OUT:
		return parse_transfer(b, r, h->sector, c->read_len - (uint32_t)HEADER);
	case VIRTIO_BLK_T_FLUSH:
		return b->cache == BLK_UNSAFE ? VIRTIO_BLK_S_OK : PENDING;
	case VIRTIO_BLK_T_GET_ID:
		return PENDING;
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return parse_ranges(b, r, c);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* Is the chain still the driver's request, or was it given up by a reset or a failure? */
static bool is_alive(const struct blk_request *r)
{
	const struct virtio_dev *d = &r->disk->dev;
	const struct virtq *vq = &d->queues[0].vq;

	return virtio_running(d) && vq->ready && vq->generation == r->chain.generation;
}

struct blk_request *blk_take(struct virtio_blk *b)
{
	struct blk_request *r = b->free;

	b->free = r->next;
	r->medium = b->medium;
	r->medium->busy++;
	r->moved = r->piece = r->written = 0;
	r->ranges = r->range = 0;
	r->cost = 0;
	r->io = (struct blkio_req){ .owner = r, .file = &r->medium->file };
	return r;
}

void blk_put_free(struct blk_request *r)
{
	r->next = r->disk->free;
	r->disk->free = r;
}

static void count(const struct blk_request *r, int status)
{
	struct blk_counts *c = &r->disk->counts;

	if (status != VIRTIO_BLK_S_OK) {
		if (r->io.error)
			c->failures++;
		else
			c->invalid++;
		return;
	}
	c->reads += r->type == VIRTIO_BLK_T_IN;
	c->writes += r->type == VIRTIO_BLK_T_OUT;
	c->flushes += r->type == VIRTIO_BLK_T_FLUSH;
	c->read_bytes += r->type == VIRTIO_BLK_T_IN ? r->moved : 0;
	c->write_bytes += r->type == VIRTIO_BLK_T_OUT ? r->moved : 0;
}

void blk_release(struct blk_request *r)
{
	struct blk_medium *m = r->medium;

	free(r->bounce);
	r->bounce = NULL;
	/* Not here: closing a file may wait, and we have the lock. */
	if (--m->busy == 0 && m != r->disk->medium)
		loop_timer_set(r->disk->reaper, 0);
	r->medium = NULL;
	blk_put_free(r);
}

/* Status last, and the chain back to the driver. */
static void finish(struct blk_request *r, int status)
{
	struct virtio_dev *d = &r->disk->dev;
	uint8_t byte = (uint8_t)status;

	count(r, status);
	if (is_alive(r))
		virtio_write(d, 0, &r->chain, r->chain.write_len - 1, &byte, sizeof(byte));
	/* Before the driver has its buffers back, and may do with them what it likes. */
	mem_drop_hold(&r->hold);
	virtio_push(d, 0, &r->chain, status == VIRTIO_BLK_S_OK ? r->written + 1 : 1);
	blk_release(r);
}

/* ---- transfers ---- */

/* The data of a transfer in the guest's buffers: without the header, or without the status. */
static unsigned int data_buffers(const struct blk_request *r, struct iovec *iov)
{
	const struct virtq_chain *c = &r->chain;
	bool is_write = r->type == VIRTIO_BLK_T_OUT;
	size_t skip = is_write ? HEADER : 0, left = r->len;
	unsigned int i = is_write ? 0 : c->readable, count = 0;

	for (; left; i++) {
		size_t len = c->iov[i].iov_len;

		if (skip >= len) {
			skip -= len;
			continue;
		}
		iov[count].iov_base = (uint8_t *)c->iov[i].iov_base + skip;
		iov[count].iov_len = min_u64(len - skip, left);
		left -= iov[count++].iov_len;
		skip = 0;
	}
	return count;
}

/* The next piece of a transfer that goes through a buffer of ours. */
static int queue_piece(struct blk_request *r)
{
	struct virtio_blk *b = r->disk;
	uint32_t len = (uint32_t)min_u64(r->len - r->moved, PIECE_MAX);

	if (r->type == VIRTIO_BLK_T_OUT &&
		!virtio_read(&b->dev, 0, &r->chain, (uint32_t)HEADER + r->moved, r->bounce, len))
		return VIRTIO_BLK_S_IOERR;
	r->piece = len;
	r->iov[0] = (struct iovec){ r->bounce, len };
	r->io.iov = r->iov;
	r->io.iov_count = 1;
	r->io.off = r->off + r->moved;
	r->io.len = len;
	blkio_queue(r->disk->io, &r->io);
	return PENDING;
}

/* On the guest's own buffers, where they can be held and suit the file. */
static bool queue_whole(struct blk_request *r)
{
	const struct virtq_chain *c = &r->chain;
	struct virtio_blk *b = r->disk;

	if (b->dev.is_protected && !mem_can_hold(b->dev.mem))
		return false;
	r->io.iov = r->iov;
	r->io.iov_count = data_buffers(r, r->iov);
	r->io.off = r->off;
	r->io.len = r->piece = r->len;
	if (blkfile_range_fits(&r->medium->file, r->off, r->len) &&
		!blkfile_memory_fits(&r->medium->file, r->iov, r->io.iov_count))
		return false;
	if (b->dev.is_protected)
		mem_hold(b->dev.mem, &r->hold, c->gpa, c->iov, c->readable + c->writable);
	blkio_queue(r->disk->io, &r->io);
	return true;
}

static int begin_transfer(struct blk_request *r)
{
	struct virtio_blk *b = r->disk;

	r->io.op = r->type == VIRTIO_BLK_T_OUT ? BLKIO_WRITE : BLKIO_READ;
	if (queue_whole(r))
		return PENDING;
	if (posix_memalign((void **)&r->bounce, PIECE_ALIGN, min_u64(r->len, PIECE_MAX))) {
		r->bounce = NULL;
		log_gated(&b->errors, LOG_WARN, "disk %s: out of memory for a request, which fails",
			r->medium->path);
		return VIRTIO_BLK_S_IOERR;
	}
	return queue_piece(r);
}

static int next_piece(struct blk_request *r)
{
	if (r->type == VIRTIO_BLK_T_IN) {
		if (r->bounce &&
			!virtio_write(&r->disk->dev, 0, &r->chain, r->moved, r->bounce, r->piece))
			return VIRTIO_BLK_S_IOERR;
		r->written += r->piece;
	}
	r->moved += r->piece;
	return r->moved < r->len ? queue_piece(r) : VIRTIO_BLK_S_OK;
}

/* ---- the others ---- */

static int next_range(struct blk_request *r)
{
	const struct virtio_blk_discard_write_zeroes *z;

	/* An empty one as well: fallocate refuses it, and then there is nothing to write. */
	if (r->range < r->ranges) {
		z = &r->range_list[r->range++];
		r->io.op = r->type == VIRTIO_BLK_T_DISCARD ? BLKIO_DISCARD : BLKIO_ZERO;
		r->io.unmap = z->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
		r->io.off = z->sector * SECTOR_SIZE;
		r->io.len = (uint64_t)z->num_sectors * SECTOR_SIZE;
		blkio_queue(r->disk->io, &r->io);
		return PENDING;
	}
	return VIRTIO_BLK_S_OK;
}

static int get_id(struct blk_request *r)
{
	struct virtio_blk *b = r->disk;

	/* Drivers ask for 20 bytes; with fewer they get what fits. */
	r->written = min_u32(r->chain.write_len - 1, sizeof(b->id));
	return virtio_write(&b->dev, 0, &r->chain, 0, b->id, r->written) ? VIRTIO_BLK_S_OK
									 : VIRTIO_BLK_S_IOERR;
}

/* Only what is in use: a chain has room for many buffers. */
static void copy_chain(struct virtq_chain *to, const struct virtq_chain *from)
{
	unsigned int n = from->readable + from->writable;

	memcpy(to, from, offsetof(struct virtq_chain, iov));
	memcpy(to->iov, from->iov, n * sizeof(from->iov[0]));
	memcpy(to->gpa, from->gpa, n * sizeof(from->gpa[0]));
}

static int start(struct blk_request *r)
{
	switch (r->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return begin_transfer(r);
	case VIRTIO_BLK_T_FLUSH:
		r->io.op = BLKIO_FLUSH;
		blkio_queue(r->disk->io, &r->io);
		return PENDING;
	case VIRTIO_BLK_T_GET_ID:
		return get_id(r);
	default:
		return next_range(r);
	}
}

void blk_begin(struct blk_request *r, const struct virtq_chain *c, int status)
{
	copy_chain(&r->chain, c);
	if (status == PENDING)
		status = start(r);
	if (status != PENDING)
		finish(r, status);
}

/* The guest is told no more than that it failed; whoever runs the host can mend it. */
static void log_failure(const struct blk_request *r)
{
	static const char *const names[] = { [BLKIO_READ] = "read",
		[BLKIO_WRITE] = "write",
		[BLKIO_FLUSH] = "flush",
		[BLKIO_DISCARD] = "discard",
		[BLKIO_ZERO] = "write of zeroes" };
	const char *hint = "";

	if (r->io.error == -ENOSPC || r->io.error == -EDQUOT)
		hint = " (make room on the host)";
	else if (r->io.error == -EFBIG)
		hint = " (raise the limit of nacre's file size, ulimit -f)";
	else if (r->io.error == -EIO)
		hint = " (the file is shorter than it was at the start, or its medium is bad)";
	log_gated(&r->disk->errors, LOG_WARN, "disk %s: %s at byte %llu: %s%s", r->medium->path,
		names[r->io.op], (unsigned long long)r->io.off, strerror(-r->io.error), hint);
}

/* One I/O of a request has ended; perhaps that was all. */
static void go_on(struct blk_request *r)
{
	int status;

	if (r->io.error) {
		log_failure(r);
		status = VIRTIO_BLK_S_IOERR;
	} else if (!is_alive(r) || r->type == VIRTIO_BLK_T_FLUSH) {
		status = VIRTIO_BLK_S_OK;
	} else if (r->ranges) {
		status = next_range(r);
	} else {
		status = next_piece(r);
	}
	if (status != PENDING)
		finish(r, status);
}

void blk_on_done(void *arg, struct blkio_req *list)
{
	struct virtio_blk *b = arg;
	struct blkio_req *next;

	pthread_mutex_lock(&b->dev.lock);
	for (; list; list = next) {
		next = list->next;
		go_on(list->owner);
	}
	blkio_submit(b->io);
	virtio_notify(&b->dev, 0);
	pthread_mutex_unlock(&b->dev.lock);
}
