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
		virtio_fail(d, "disk %s: request with a header of %u bytes, expected %zu",
			b->medium->path, c->read_len, HEADER);
	else if (!c->write_len)
		virtio_fail(d, "disk %s: request without room for the status, expected 1 byte",
			b->medium->path);
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

	if (b->medium->file.read_only)
		return f | BIT(VIRTIO_BLK_F_RO);
	if (b->medium->file.can_punch)
		f |= BIT(VIRTIO_BLK_F_DISCARD);
	return f | BIT(VIRTIO_BLK_F_WRITE_ZEROES);
}

/* 5.2.4. */
static void fill_space(struct virtio_blk *b)
{
	const struct blkfile *file = &b->medium->file;
	uint32_t block = file->block_size, physical = block;
	uint8_t exp = 0;

	/* Files and today's disks have blocks of 4 KiB beneath, and less costs a read before. */
	while (physical < 4096) {
		physical *= 2;
		exp++;
	}
	b->space = (struct virtio_blk_config){
		.capacity = file->size / SECTOR_SIZE,
		.seg_max = SEGS_MAX,
		.blk_size = block,
		.physical_block_exp = exp,
		.min_io_size = (uint16_t)(physical / block),
	};
	if (file->read_only)
		return;
	if (file->can_punch) {
		b->space.max_discard_sectors = DISCARD_MAX_SECTORS;
		b->space.max_discard_seg = RANGES_MAX;
		b->space.discard_sector_alignment = physical / SECTOR_SIZE;
	}
	b->space.max_write_zeroes_sectors = ZERO_MAX_SECTORS;
	b->space.max_write_zeroes_seg = RANGES_MAX;
	b->space.write_zeroes_may_unmap = 1;
}

static void free_medium(struct blk_medium *m)
{
	if (!m)
		return;
	blkfile_close(&m->file);
	free(m->path);
	free(m);
}

/*
 * Those that wait for their last request, or for a loop that stands still with its guest. Each has
 * descriptors, so there is an end to them.
 */
#define RETIRED_MAX 8u

static unsigned int count_retired(struct virtio_blk *b)
{
	const struct blk_medium *m;
	unsigned int n = 0;

	pthread_mutex_lock(&b->dev.lock);
	for (m = b->retired; m; m = m->next)
		n++;
	pthread_mutex_unlock(&b->dev.lock);
	return n;
}

static void free_media(struct blk_medium *list)
{
	struct blk_medium *next;

	for (; list; list = next) {
		next = list->next;
		free_medium(list);
	}
}

static int open_medium(struct blk_medium **out, const struct virtio_blk *b, const char *path,
	bool read_only, struct err *e)
{
	struct blk_medium *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "disk %s: out of memory", path);
	m->file.fd = m->file.direct_fd = -1;
	m->path = strdup(path);
	r = m->path ? 0 : err_set(e, -ENOMEM, "disk %s: out of memory", path);
	if (!r)
		r = blkfile_open(&m->file, m->path, read_only, b->cache == BLK_DIRECT, e);
	if (r) {
		free_medium(m);
		return r;
	}
	*out = m;
	return 0;
}

/* Frees those that nothing is under way on any more. On the loop. */
static void on_reap(void *arg)
{
	struct virtio_blk *b = arg;
	struct blk_medium *done = NULL, *m, **link;

	pthread_mutex_lock(&b->dev.lock);
	for (link = &b->retired; (m = *link);) {
		if (m->busy) {
			link = &m->next;
			continue;
		}
		*link = m->next;
		m->next = done;
		done = m;
	}
	pthread_mutex_unlock(&b->dev.lock);
	free_media(done);
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
	b->requests = calloc(QUEUE_SIZE, sizeof(*b->requests));
	if (!b->requests)
		return err_set(e, -ENOMEM, "disk %s: out of memory", cfg->path);
	for (i = QUEUE_SIZE; i-- > 0;) {
		b->requests[i].disk = b;
		blk_put_free(&b->requests[i]);
	}
	r = open_medium(&b->medium, b, cfg->path, cfg->read_only, e);
	if (!r)
		r = blkio_new(&b->io, &b->medium->file, cfg->engine, QUEUE_SIZE, cfg->loop,
			blk_on_done, b, e);
	if (r)
		return r;
	if (!b->medium->file.size && !cfg->may_be_empty)
		return err_set(e, -EINVAL,
			"disk %s has no whole sector of 512 bytes (truncate -s 1G %s would enlarge "
			"it)",
			cfg->path, cfg->path);
	fill_space(b);
	r = loop_add_timer(cfg->loop, on_reap, b, &b->reaper, e);
	if (!r)
		r = ratelimit_init(&b->limit, &cfg->limit, cfg->loop, on_ready, b, e);
	return r ? err_prefix(e, r, "disk %s", cfg->path) : 0;
}

int virtio_blk_new(struct virtio_blk **out, const struct blk_config *cfg, struct err *e)
{
	static const uint16_t queue_max[] = { QUEUE_SIZE };
	struct virtio_blk *b = calloc(1, sizeof(*b));
	struct virtio_config vc;
	int ret;

	if (!b)
		return err_set(e, -ENOMEM, "disk %s: out of memory", cfg->path);
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
	/* What ends arms the reaper, which must therefore go later; and files go after all I/O. */
	blkio_free(b->io);
	loop_event_free(b->reaper);
	free_media(b->retired);
	free_medium(b->medium);
	virtio_fini(&b->dev);
	for (i = 0; b->requests && i < QUEUE_SIZE; i++) {
		mem_drop_hold(&b->requests[i].hold);
		free(b->requests[i].bounce);
	}
	free(b->requests);
	free(b);
}

/* ---- changes while it runs ---- */

/* The same file, perhaps of another size by now: nobody else may lock it, not even we. */
static int resize(struct virtio_blk *b, struct err *e)
{
	uint64_t size;
	int r = blkfile_size(&b->medium->file, &size, e);

	if (r)
		return r;
	pthread_mutex_lock(&b->dev.lock);
	b->medium->file.size = size;
	b->space.capacity = size / SECTOR_SIZE;
	virtio_config_changed(&b->dev);
	pthread_mutex_unlock(&b->dev.lock);
	return 0;
}

/* What may not take the place of the disk's file. */
static int check_other(const struct virtio_blk *b, const struct blkfile *f, struct err *e)
{
	/* Landlock does not cover memfds, which /proc/self/fd opens: guest memory would be a disk. */
	if (!blkfile_has_name(f))
		return err_set(e, -EINVAL,
			"disk %s: a file that has no name any more cannot replace another (copy it "
			"to one that has, and give that)",
			f->path);
	/* The driver has read this once, and counts on it. */
	if (f->block_size > b->space.blk_size)
		return err_set(e, -EINVAL,
			"disk %s has blocks of %u bytes, and the guest was told %u", f->path,
			f->block_size, b->space.blk_size);
	return 0;
}

int virtio_blk_set_path(struct virtio_blk *b, const char *path, struct err *e)
{
	struct blk_medium *m, *old = b->medium;
	bool idle;
	int r;

	if (blkfile_is(&old->file, path))
		return resize(b, e);
	if (count_retired(b) >= RETIRED_MAX)
		return err_set(e, -EBUSY,
			"disk %s: the %u files before it are still in use (resume the guest if it "
			"is paused, or wait for their storage)",
			old->path, RETIRED_MAX);
	r = open_medium(&m, b, path, old->file.read_only, e);
	if (r)
		return r;
	r = check_other(b, &m->file, e);
	if (r) {
		free_medium(m);
		return r;
	}
	pthread_mutex_lock(&b->dev.lock);
	b->medium = m;
	b->space.capacity = m->file.size / SECTOR_SIZE;
	idle = old->busy == 0;
	if (idle)
		blkfile_unlock(&old->file);
	old->next = b->retired;
	b->retired = old;
	virtio_config_changed(&b->dev);
	pthread_mutex_unlock(&b->dev.lock);
	/* Not here, where freeing could wait for a callback, which may wait to run. */
	if (idle)
		loop_timer_set(b->reaper, 0);
	return 0;
}

int virtio_blk_set_limit(struct virtio_blk *b, const struct ratelimit_config *limit, struct err *e)
{
	int r;

	pthread_mutex_lock(&b->dev.lock);
	r = ratelimit_set(&b->limit, limit, e);
	pthread_mutex_unlock(&b->dev.lock);
	return r;
}

struct virtio_dev *virtio_blk_dev(struct virtio_blk *b)
{
	return &b->dev;
}

const char *virtio_blk_engine(const struct virtio_blk *b)
{
	return blkio_name(b->io);
}
