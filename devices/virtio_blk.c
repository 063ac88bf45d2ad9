/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio_blk_impl.h"
#include "vmm/util/bits.h"

/* ---- the queue ---- */

static enum virtio_next serve_one(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_blk *b = d->model;
	struct virtio_blk_outhdr header;
	struct blk_request *r;
	int status;

	if (c->read_len < HEADER)
		virtio_fail(d, "disk %s: request with a header of %u bytes, expected %zu", b->path,
			c->read_len, HEADER);
	else if (!c->write_len)
		virtio_fail(d, "disk %s: request without room for the status, expected 1 byte",
			b->path);
	if (!virtio_running(d) || !virtio_read(d, q, c, 0, &header, HEADER)) {
		virtio_push(d, q, c, 0);
		return VIRTIO_NEXT;
	}
	r = blk_take(b);
	status = blk_parse(b, r, c, &header);
	if (!ratelimit_take(&b->limit, 1, r->cost)) {
		blk_release(r);
		return VIRTIO_LATER;
	}
	/* 5.2.6.2: for a driver that cannot flush, a write that is done is safe. */
	r->io.stable = b->cache != BLK_UNSAFE && !virtio_has(d, VIRTIO_BLK_F_FLUSH);
	blk_begin(r, c, status);
	return VIRTIO_NEXT;
}

static void blk_notify(struct virtio_dev *d, unsigned int q)
{
	struct virtio_blk *b = d->model;

	b->counts.events++;
	virtio_serve(d, q, serve_one);
	blkio_submit(b->io);
}

/* I/O under way cannot be called back: blk_on_done returns the chains, and the reset waits for it. */
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

#define COUNTER(field) offsetof(struct virtio_blk, field)

static const struct virtio_counter counters[] = {
	{ "read_count", COUNTER(counts.reads) },
	{ "write_count", COUNTER(counts.writes) },
	{ "read_bytes", COUNTER(counts.read_bytes) },
	{ "write_bytes", COUNTER(counts.write_bytes) },
	{ "flush_count", COUNTER(counts.flushes) },
	{ "execute_fails", COUNTER(counts.failures) },
	{ "invalid_reqs_count", COUNTER(counts.invalid) },
	{ "queue_event_count", COUNTER(counts.events) },
	{ "rate_limiter_throttled_events", COUNTER(limit.refused) },
	{ "event_fails", COUNTER(dev.failed) },
	{ NULL, 0 },
};

static const struct virtio_ops blk_ops = {
	.name = "virtio-blk",
	.metrics = "block",
	.counters = counters,
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
		return err_set(e, -EINVAL,
			"disk %s: id \"%s\" is longer than %zu bytes (shorten it)", cfg->path,
			cfg->id, sizeof(b->id));
	memcpy(b->id, cfg->id ? cfg->id : "", id_len);
	b->cache = cfg->cache;
	b->path = strdup(cfg->path);
	b->requests = calloc(QUEUE_SIZE, sizeof(*b->requests));
	if (!b->path || !b->requests)
		return err_set(e, -ENOMEM, "disk %s: out of memory", cfg->path);
	for (i = QUEUE_SIZE; i-- > 0;) {
		b->requests[i].disk = b;
		blk_release(&b->requests[i]);
	}
	r = blkfile_open(&b->file, b->path, cfg->read_only, cfg->cache == BLK_DIRECT, e);
	if (r)
		return r;
	fill_space(b);
	r = ratelimit_init(&b->limit, &cfg->limit, cfg->loop, on_ready, b, e);
	if (r)
		return err_prefix(e, r, "disk %s", b->path);
	return blkio_new(&b->io, &b->file, cfg->engine, QUEUE_SIZE, cfg->loop, blk_on_done, b, e);
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
	for (i = 0; b->requests && i < QUEUE_SIZE; i++) {
		mem_drop_hold(&b->requests[i].hold);
		free(b->requests[i].bounce);
	}
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
