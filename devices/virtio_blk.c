/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio_blk.h"

#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/bits.h"
#include "vmm/util/log.h"

#define QUEUE_SIZE 256u
/* Without indirect descriptors a request has to fit into the queue. Header and status are not data. */
#define SEGS_MAX (VIRTQ_SEGS_MAX - 2u)
/* Data that goes through a buffer of ours does so in pieces: QUEUE_SIZE of them are 32 MiB. */
#define PIECE_MAX   KIB(128)
#define PIECE_ALIGN 4096u
#define RANGES_MAX  16u
/* A range of zeroes may have to be written, and a reset waits for it: 64 MiB. */
#define ZERO_MAX_SECTORS    (MIB(64) / SECTOR_SIZE)
#define DISCARD_MAX_SECTORS (GIB(1) / SECTOR_SIZE)
#define HEADER		    sizeof(struct virtio_blk_outhdr)

/* The request is under way; its status is not known yet. */
#define PENDING (-1)

struct request {
	struct virtio_blk *disk;
	struct request *next; /* free */
	struct virtq_chain chain;
	uint32_t type;
	uint64_t off;	/* of a transfer, in the file */
	uint32_t len;	/* of its data */
	uint32_t moved; /* by the pieces before this one */
	uint32_t piece;
	uint64_t cost;	  /* bytes, for the rate limit */
	uint32_t written; /* bytes of the guest's buffers */
	uint8_t *bounce;  /* or NULL: I/O runs on the guest's buffers */
	unsigned int ranges, range;
	struct virtio_blk_discard_write_zeroes range_list[RANGES_MAX];
	struct blkio_req io;
	struct iovec iov[VIRTQ_SEGS_MAX];
};

struct virtio_blk {
	struct virtio_dev dev;
	struct ratelimit limit;
	struct blkfile file;
	struct blkio *io;
	char *path;
	enum blk_cache cache;
	char id[VIRTIO_BLK_ID_BYTES];
	struct virtio_blk_config space;
	struct request *requests, *free;
	struct log_gate errors; /* of the host; each disk may tell of its own */
};

/* ---- requests: virtio 1.2, 5.2.6 ---- */

static bool in_disk(const struct virtio_blk *b, uint64_t sector, uint64_t sectors)
{
	uint64_t capacity = b->file.size / SECTOR_SIZE;

	return sector <= capacity && sectors <= capacity - sector;
}

static int parse_transfer(struct virtio_blk *b, struct request *r, uint64_t sector, uint32_t len)
{
	r->cost = len;
	if (r->type == VIRTIO_BLK_T_OUT && b->file.read_only)
		return VIRTIO_BLK_S_IOERR;
	if (len % SECTOR_SIZE || !in_disk(b, sector, len / SECTOR_SIZE))
		return VIRTIO_BLK_S_IOERR;
	r->off = sector * SECTOR_SIZE;
	r->len = len;
	return len ? PENDING : VIRTIO_BLK_S_OK;
}

static int check_range(
	struct virtio_blk *b, struct request *r, const struct virtio_blk_discard_write_zeroes *z)
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
static int parse_ranges(struct virtio_blk *b, struct request *r, const struct virtq_chain *c)
{
	uint32_t len = c->read_len - (uint32_t)HEADER;
	bool discard = r->type == VIRTIO_BLK_T_DISCARD;
	int status = PENDING;
	unsigned int i;

	if (b->file.read_only)
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

/* What is asked? Nothing is done yet. PENDING: begin() is to do it; else there is nothing to do. */
static int parse(struct virtio_blk *b, struct request *r, const struct virtq_chain *c,
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
static bool is_alive(const struct request *r)
{
	const struct virtio_dev *d = &r->disk->dev;
	const struct virtq *vq = &d->queues[0].vq;

	return virtio_running(d) && vq->ready && vq->generation == r->chain.generation;
}

static void release(struct request *r)
{
	free(r->bounce);
	r->bounce = NULL;
	r->next = r->disk->free;
	r->disk->free = r;
}

/* Status last, and the chain back to the driver. */
static void finish(struct request *r, int status)
{
	struct virtio_dev *d = &r->disk->dev;
	uint8_t byte = (uint8_t)status;

	if (is_alive(r))
		virtio_write(d, 0, &r->chain, r->chain.write_len - 1, &byte, sizeof(byte));
	virtio_push(d, 0, &r->chain, status == VIRTIO_BLK_S_OK ? r->written + 1 : 1);
	release(r);
}

/* ---- transfers ---- */

/* The data of a transfer in the guest's buffers: without the header, or without the status. */
static unsigned int data_buffers(const struct request *r, struct iovec *iov)
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
static int queue_piece(struct request *r)
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
	blkio_queue(b->io, &r->io);
	return PENDING;
}

static int begin_transfer(struct request *r)
{
	struct virtio_blk *b = r->disk;

	r->io.op = r->type == VIRTIO_BLK_T_OUT ? BLKIO_WRITE : BLKIO_READ;
	if (!b->dev.is_protected) {
		r->io.iov = r->iov;
		r->io.iov_count = data_buffers(r, r->iov);
		r->io.off = r->off;
		r->io.len = r->piece = r->len;
		if (!blkfile_range_fits(&b->file, r->off, r->len) ||
			blkfile_memory_fits(&b->file, r->iov, r->io.iov_count)) {
			blkio_queue(b->io, &r->io);
			return PENDING;
		}
	}
	if (posix_memalign((void **)&r->bounce, PIECE_ALIGN, min_u64(r->len, PIECE_MAX))) {
		r->bounce = NULL;
		log_limited(LOG_WARN, "disk %s: out of memory", b->path);
		return VIRTIO_BLK_S_IOERR;
	}
	return queue_piece(r);
}

static int next_piece(struct request *r)
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

static int next_range(struct request *r)
{
	const struct virtio_blk_discard_write_zeroes *z;

	while (r->range < r->ranges) {
		z = &r->range_list[r->range++];
		if (!z->num_sectors)
			continue;
		r->io.op = r->type == VIRTIO_BLK_T_DISCARD ? BLKIO_DISCARD : BLKIO_ZERO;
		r->io.unmap = z->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
		r->io.off = z->sector * SECTOR_SIZE;
		r->io.len = (uint64_t)z->num_sectors * SECTOR_SIZE;
		blkio_queue(r->disk->io, &r->io);
		return PENDING;
	}
	return VIRTIO_BLK_S_OK;
}

static int get_id(struct request *r)
{
	struct virtio_blk *b = r->disk;

	/* Drivers ask for 20 bytes; with fewer they get what fits. */
	r->written = min_u32(r->chain.write_len - 1, sizeof(b->id));
	return virtio_write(&b->dev, 0, &r->chain, 0, b->id, r->written) ? VIRTIO_BLK_S_OK
									 : VIRTIO_BLK_S_IOERR;
}

static int begin(struct request *r)
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

/* One I/O of a request has ended; perhaps that was all. */
static void go_on(struct request *r)
{
	struct virtio_blk *b = r->disk;
	int status;

	if (r->io.error) {
		log_gated(&b->errors, LOG_WARN, "disk %s: request of type %u at byte %llu: %s",
			b->path, r->type, (unsigned long long)r->io.off, strerror(-r->io.error));
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

/* On the loop, without the lock. */
static void on_done(void *arg, struct blkio_req *list)
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

/* ---- the queue ---- */

/* Only what is in use: a chain has room for many buffers. */
static void copy_chain(struct virtq_chain *to, const struct virtq_chain *from)
{
	unsigned int n = from->readable + from->writable;

	memcpy(to, from, offsetof(struct virtq_chain, iov));
	memcpy(to->iov, from->iov, n * sizeof(from->iov[0]));
	memcpy(to->gpa, from->gpa, n * sizeof(from->gpa[0]));
}

static struct request *take_request(struct virtio_blk *b)
{
	struct request *r = b->free;

	b->free = r->next;
	r->moved = r->piece = r->written = 0;
	r->ranges = r->range = 0;
	r->len = 0;
	r->cost = 0;
	r->io = (struct blkio_req){ .owner = r };
	return r;
}

static enum virtio_next serve_one(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_blk *b = d->model;
	struct virtio_blk_outhdr header;
	struct request *r;
	int status;

	if (c->read_len < HEADER)
		virtio_fail(d, "request with a header of %u bytes", c->read_len);
	else if (!c->write_len)
		virtio_fail(d, "request without room for the status");
	if (!virtio_running(d) || !virtio_read(d, q, c, 0, &header, HEADER)) {
		virtio_push(d, q, c, 0);
		return VIRTIO_NEXT;
	}
	/* There is one: no more chains are under way than the queue has entries. */
	r = take_request(b);
	status = parse(b, r, c, &header);
	if (!ratelimit_take(&b->limit, 1, r->cost)) {
		release(r);
		return VIRTIO_LATER;
	}
	copy_chain(&r->chain, c);
	/* 5.2.6.2: for a driver that cannot flush, a write that is done is safe. */
	r->io.stable = b->cache != BLK_UNSAFE && !virtio_has(d, VIRTIO_BLK_F_FLUSH);
	if (status == PENDING)
		status = begin(r);
	if (status != PENDING)
		finish(r, status);
	return VIRTIO_NEXT;
}

static void blk_notify(struct virtio_dev *d, unsigned int q)
{
	struct virtio_blk *b = d->model;

	virtio_serve(d, q, serve_one);
	blkio_submit(b->io);
}

/* I/O under way cannot be called back; go_on gives the chains back, and the reset waits for that. */
static void blk_reset(struct virtio_dev *d)
{
	(void)d;
}

static void blk_queue_reset(struct virtio_dev *d, unsigned int q)
{
	(void)d;
	(void)q;
}

static void blk_config_read(struct virtio_dev *d, uint32_t off, void *data, unsigned int len)
{
	const struct virtio_blk *b = d->model;

	virtio_config_copy(&b->space, sizeof(b->space), off, data, len);
}

/* Tokens have come back; on the loop, without the lock. */
static void on_ready(void *arg)
{
	struct virtio_blk *b = arg;

	virtio_kick(&b->dev, 0);
}

static const char *const queue_names[] = { "requestq" };

static const struct virtio_ops blk_ops = {
	.name = "virtio-blk",
	.id = VIRTIO_ID_BLOCK,
	.queue_names = queue_names,
	.reset = blk_reset,
	.queue_reset = blk_queue_reset,
	.queue_notify = blk_notify,
	.config_read = blk_config_read,
};

/* ---- life ---- */

static uint64_t features(const struct virtio_blk *b)
{
	/* Not SIZE_MAX: a buffer may be as long as it likes. */
	uint64_t f = BIT(VIRTIO_BLK_F_SEG_MAX) | BIT(VIRTIO_BLK_F_BLK_SIZE) |
		     BIT(VIRTIO_BLK_F_TOPOLOGY) | BIT(VIRTIO_BLK_F_FLUSH);

	if (b->file.read_only)
		return f | BIT(VIRTIO_BLK_F_RO);
	if (b->file.can_punch)
		f |= BIT(VIRTIO_BLK_F_DISCARD);
	return f | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
}

/* 5.2.4. */
static void fill_space(struct virtio_blk *b)
{
	uint32_t block = b->file.block_size, physical = block;
	uint8_t exp = 0;

	/* Files and today's disks have blocks of 4 KiB beneath, and less costs a read before. */
	while (physical < 4096) {
		physical *= 2;
		exp++;
	}
	b->space = (struct virtio_blk_config){
		.capacity = b->file.size / SECTOR_SIZE,
		.seg_max = SEGS_MAX,
		.blk_size = block,
		.physical_block_exp = exp,
		.min_io_size = (uint16_t)(physical / block),
	};
	if (b->file.read_only)
		return;
	if (b->file.can_punch) {
		b->space.max_discard_sectors = DISCARD_MAX_SECTORS;
		b->space.max_discard_seg = RANGES_MAX;
		b->space.discard_sector_alignment = physical / SECTOR_SIZE;
	}
	b->space.max_write_zeroes_sectors = ZERO_MAX_SECTORS;
	b->space.max_write_zeroes_seg = RANGES_MAX;
	b->space.write_zeroes_may_unmap = 1;
}

static int set_up(struct virtio_blk *b, const struct blk_config *cfg, struct err *e)
{
	size_t id_len = cfg->id ? strlen(cfg->id) : 0;
	unsigned int i;
	int r;

	if (id_len > sizeof(b->id))
		return err_set(e, -EINVAL, "disk %s: id \"%s\" is longer than %zu bytes", cfg->path,
			cfg->id, sizeof(b->id));
	memcpy(b->id, cfg->id ? cfg->id : "", id_len);
	b->cache = cfg->cache;
	b->path = strdup(cfg->path);
	b->requests = calloc(QUEUE_SIZE, sizeof(*b->requests));
	if (!b->path || !b->requests)
		return err_set(e, -ENOMEM, "disk %s: out of memory", cfg->path);
	for (i = QUEUE_SIZE; i-- > 0;) {
		b->requests[i].disk = b;
		release(&b->requests[i]);
	}
	r = blkfile_open(&b->file, b->path, cfg->read_only, cfg->cache == BLK_DIRECT, e);
	if (r)
		return r;
	fill_space(b);
	r = ratelimit_init(&b->limit, &cfg->limit, cfg->loop, on_ready, b, e);
	if (r)
		return err_prefix(e, r, "disk %s", b->path);
	return blkio_new(&b->io, &b->file, cfg->engine, QUEUE_SIZE, cfg->loop, on_done, b, e);
}

int virtio_blk_new(struct virtio_blk **out, const struct blk_config *cfg, struct err *e)
{
	static const uint16_t queue_max[] = { QUEUE_SIZE };
	struct virtio_blk *b = calloc(1, sizeof(*b));
	struct virtio_config vc;
	int ret;

	if (!b)
		return err_set(e, -ENOMEM, "disk %s: out of memory", cfg->path);
	b->file.fd = b->file.direct_fd = -1;
	ret = set_up(b, cfg, e);
	if (!ret) {
		vc = (struct virtio_config){ .ops = &blk_ops,
			.model = b,
			.features = features(b),
			.queue_max = queue_max,
			.queues = ARRAY_SIZE(queue_max),
			.mem = cfg->mem,
			.loop = cfg->loop,
			.irq = cfg->irq,
			.is_protected = cfg->is_protected };
		ret = virtio_init(&b->dev, &vc, e);
	}
	if (ret) {
		virtio_blk_free(b);
		return ret;
	}
	*out = b;
	return 0;
}

void virtio_blk_free(struct virtio_blk *b)
{
	unsigned int i;

	if (!b)
		return;
	/* Serving the queue starts I/O and arms the timer; both kick the queue. */
	virtio_leave(&b->dev);
	ratelimit_free(&b->limit);
	blkio_free(b->io);
	virtio_fini(&b->dev);
	for (i = 0; b->requests && i < QUEUE_SIZE; i++)
		free(b->requests[i].bounce);
	free(b->requests);
	blkfile_close(&b->file);
	free(b->path);
	free(b);
}

struct virtio_dev *virtio_blk_dev(struct virtio_blk *b)
{
	return &b->dev;
}

const char *virtio_blk_engine(const struct virtio_blk *b)
{
	return blkio_name(b->io);
}
