/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio_balloon.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/util/bits.h"
#include "vmm/util/log.h"

/*
 * Queues (5.5.2). Those behind deflateq exist with their feature only, and drivers do not agree
 * whether a missing one keeps its number: Linux counts on without it, the specification does not.
 * There is no free page hinting, so without doubt queue 2 is statsq if statistics were negotiated,
 * and any other of the three can only mean the reporting queue.
 */
enum { INFLATEQ, DEFLATEQ, STATSQ, QUEUES = 5 };

#define QUEUE_SIZE 128

/*
 * A turn on the loop, in pages: to give one back takes a fraction of a microsecond, and each call
 * into the kernel as long as CALL_COST pages. That is a guess; where the kernel takes longer, the
 * clock ends the turn, after the batch or the piece that is at hand.
 */
#define TURN_COST 32768
#define CALL_COST 16
#define TURN_NS	  2000000

#define PFN_SIZE  sizeof(uint32_t)
#define PFN_BATCH 256u	  /* numbers read at once, to be sorted into runs; Linux sends as many */
#define PIECE	  MIB(32) /* of a reported range, given back at once */

#define STATS_MAX 32u /* entries of a report that we read: twice what there is */

struct config_space {
	uint32_t num_pages;
	uint32_t actual;
	uint32_t hint_id;
	uint32_t poison_val;
};

struct virtio_balloon {
	struct virtio_dev dev;
	struct loop_event *timer; /* to ask for the next statistics */
	uint64_t ram_bytes;
	uint32_t stats_seconds;
	bool stats_held; /* stats_chain is to be given back when the time comes */
	struct virtq_chain stats_chain;
	int64_t budget;	       /* what is left of this turn, in pages */
	uint64_t turn_end;     /* CLOCK_MONOTONIC in ns */
	uint32_t done[QUEUES]; /* bytes of the next chain that earlier turns have worked off */
	uint32_t batch[PFN_BATCH];
	uint32_t target, actual; /* in pages */
	uint32_t poison;
	struct virtio_balloon_state state; /* all but those two */
};

/* ---- giving memory back ---- */

/* False when the device failed. */
static bool give_back(struct virtio_balloon *b, unsigned int q, uint64_t at, uint64_t len)
{
	struct err e = { "" };
	int r = mem_discard(b->dev.mem, gpa(at), len, &e);

	b->budget -= CALL_COST + (int64_t)(len / PAGE_SIZE);
	if (r == -EFAULT) {
		virtio_fail(&b->dev, "queue %u: %s", q, e.msg);
		return false;
	}
	/* The guest did nothing wrong, and its page is as good as before; only nothing is gained. */
	if (r)
		log_limited(LOG_WARN, "virtio-balloon: %s", e.msg);
	else
		b->state.given_back += len;
	return true;
}

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Gives back the n pages of the batch, in runs as long as possible. */
static bool give_back_batch(struct virtio_balloon *b, unsigned int q, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		b->batch[i] = le32toh(b->batch[i]);
	qsort(b->batch, n, sizeof(b->batch[0]), compare);
	for (i = 0; i < n;) {
		uint64_t first = b->batch[i], end = first + 1;

		for (i++; i < n && b->batch[i] <= end; i++)
			end = max_u64(end, b->batch[i] + 1ull);
		if (!give_back(b, q, first * PAGE_SIZE, (end - first) * PAGE_SIZE))
			return false;
	}
	return true;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void begin_turn(struct virtio_balloon *b)
{
	b->budget = TURN_COST;
	b->turn_end = now_ns() + TURN_NS;
}

/* Not before something was done, however late it is. */
static bool turn_is_over(const struct virtio_balloon *b)
{
	return b->budget <= 0 || (b->budget < TURN_COST && now_ns() >= b->turn_end);
}

/* The turn is over in the middle of a chain: the rest of it comes with the next one. */
static enum virtio_next go_on_later(struct virtio_dev *d, unsigned int q)
{
	virtio_kick(d, q);
	return VIRTIO_LATER;
}

static enum virtio_next finish(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_balloon *b = d->model;

	b->done[q] = 0;
	virtio_push(d, q, c, 0);
	return VIRTIO_NEXT;
}

/* An array of page numbers, le32 (5.5.6.1). */
static bool is_page_list(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c)
{
	if (!c->writable && c->read_len % PFN_SIZE == 0)
		return true;
	virtio_fail(d,
		"queue %u: expected an array of page numbers to read, got %" PRIu32
		" bytes to read and %" PRIu32 " to write",
		q, c->read_len, c->write_len);
	return false;
}

static enum virtio_next inflate(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_balloon *b = d->model;
	uint32_t n;

	if (!is_page_list(d, q, c))
		return finish(d, q, c);
	while (b->done[q] < c->read_len) {
		if (turn_is_over(b))
			return go_on_later(d, q);
		n = min_u32(c->read_len - b->done[q], sizeof(b->batch));
		if (!virtio_read(d, q, c, b->done[q], b->batch, n) ||
			!give_back_batch(b, q, n / PFN_SIZE))
			break;
		b->done[q] += n;
	}
	return finish(d, q, c);
}

/* Nothing to do: a page comes back when it is touched. */
static enum virtio_next deflate(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	is_page_list(d, q, c);
	return finish(d, q, c);
}

/* The next piece of a reported range: from byte *off of the chain on. False when the device failed. */
static bool report_piece(
	struct virtio_balloon *b, unsigned int q, const struct virtq_chain *c, uint32_t *off)
{
	uint64_t within = *off, len, from, to;
	unsigned int i = 0;

	for (; within >= c->iov[i].iov_len; i++)
		within -= c->iov[i].iov_len;
	len = min_u64(c->iov[i].iov_len - within, PIECE);
	*off += (uint32_t)len;
	/* Whole pages only. */
	from = align_up(c->gpa[i].v + within, PAGE_SIZE);
	to = align_down(c->gpa[i].v + within + len, PAGE_SIZE);
	if (from < to)
		return give_back(b, q, from, to - from);
	b->budget--;
	return true;
}

/* Each buffer is a free range (5.5.6.8); it is ours until we push the chain. */
static enum virtio_next report(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_balloon *b = d->model;

	if (c->readable)
		virtio_fail(d, "queue %u: reported pages that the device may only read", q);
	/* The guest will look for a pattern in its free pages, and ours are zero. */
	if (c->readable || (virtio_has(d, VIRTIO_BALLOON_F_PAGE_POISON) && b->poison))
		return finish(d, q, c);
	while (b->done[q] < c->write_len) {
		if (turn_is_over(b))
			return go_on_later(d, q);
		if (!report_piece(b, q, c, &b->done[q]))
			break;
	}
	return finish(d, q, c);
}

/* ---- statistics (5.5.6.3) ---- */

static void keep_stats(
	struct virtio_balloon *b, const struct virtio_balloon_stat *entries, size_t n)
{
	struct virtio_balloon_state *s = &b->state;
	size_t i;

	s->known = 0;
	for (i = 0; i < n; i++) {
		uint16_t tag = le16toh(entries[i].tag);

		if (tag >= BALLOON_STATS)
			continue;
		s->known |= (uint32_t)BIT(tag);
		s->stats[tag] = le64toh(entries[i].val);
	}
	s->reports++;
	log_limited(LOG_DEBUG, "virtio-balloon: of %" PRIu64 " MiB the guest has %" PRIu64 " free",
		s->stats[BALLOON_TOTAL] >> 20, s->stats[BALLOON_FREE] >> 20);
}

/* The driver gives us a buffer with numbers, and fills it anew when it gets it back. */
static enum virtio_next take_stats(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_balloon_stat entries[STATS_MAX];
	struct virtio_balloon *b = d->model;
	size_t n = min_u64(c->read_len / sizeof(entries[0]), STATS_MAX);

	if (b->stats_held)
		virtio_fail(d, "statsq: a second buffer while the device has the first");
	else if (c->writable)
		virtio_fail(d, "statsq: a buffer to write to");
	else if (virtio_read(d, q, c, 0, entries, n * sizeof(entries[0])))
		keep_stats(b, entries, n);
	if (!virtio_running(d))
		return finish(d, q, c);
	b->stats_chain = *c;
	b->stats_held = true;
	loop_timer_set(b->timer, b->stats_seconds * 1000000ull);
	return VIRTIO_NEXT;
}

/* On the loop, without the lock. It may come early after a reset, which harms nobody. */
static void on_timer(void *arg)
{
	struct virtio_balloon *b = arg;

	pthread_mutex_lock(&b->dev.lock);
	if (b->stats_held) {
		b->stats_held = false;
		virtio_push(&b->dev, STATSQ, &b->stats_chain, 0);
		virtio_notify(&b->dev, STATSQ);
	}
	pthread_mutex_unlock(&b->dev.lock);
}

/* ---- the device ---- */

static void balloon_notify(struct virtio_dev *d, unsigned int q)
{
	struct virtio_balloon *b = d->model;

	begin_turn(b);
	if (q == INFLATEQ)
		virtio_serve(d, q, inflate);
	else if (q == DEFLATEQ)
		virtio_serve(d, q, deflate);
	else if (q == STATSQ && virtio_has(d, VIRTIO_BALLOON_F_STATS_VQ))
		virtio_serve(d, q, take_stats);
	else if (virtio_has(d, VIRTIO_BALLOON_F_REPORTING))
		virtio_serve(d, q, report);
	else
		virtio_fail(d, "queue %u is used without its feature", q);
}

static void balloon_queue_reset(struct virtio_dev *d, unsigned int q)
{
	struct virtio_balloon *b = d->model;

	b->done[q] = 0;
	if (q == STATSQ && b->stats_held) {
		b->stats_held = false;
		virtio_drop(d, q);
	}
}

/* All of the guest's memory is its own again. */
static void balloon_reset(struct virtio_dev *d)
{
	struct virtio_balloon *b = d->model;
	unsigned int q;

	b->actual = 0;
	b->poison = 0;
	for (q = 0; q < d->queue_count; q++)
		balloon_queue_reset(d, q);
}

static void balloon_config_read(struct virtio_dev *d, uint32_t off, void *data, unsigned int len)
{
	const struct virtio_balloon *b = d->model;
	const struct config_space space = { .num_pages = htole32(b->target),
		.actual = htole32(b->actual),
		.poison_val = htole32(b->poison) };

	virtio_config_copy(&space, sizeof(space), off, data, len);
}

/* The driver may write two of the fields, each as a whole. */
static void balloon_config_write(
	struct virtio_dev *d, uint32_t off, const void *data, unsigned int len)
{
	struct virtio_balloon *b = d->model;
	uint32_t value;

	if (len != sizeof(value))
		return;
	memcpy(&value, data, sizeof(value));
	if (off == offsetof(struct config_space, actual))
		b->actual = le32toh(value);
	else if (off == offsetof(struct config_space, poison_val))
		b->poison = le32toh(value);
}

static const char *const queue_names[QUEUES] = { "inflateq", "deflateq", "statsq", "reporting_vq",
	"reporting_vq" };

static const struct virtio_ops balloon_ops = {
	.name = "virtio-balloon",
	.id = VIRTIO_ID_BALLOON,
	.queue_names = queue_names,
	.reset = balloon_reset,
	.queue_reset = balloon_queue_reset,
	.queue_notify = balloon_notify,
	.config_read = balloon_config_read,
	.config_write = balloon_config_write,
};

/* ---- for the host ---- */

int virtio_balloon_set_target(struct virtio_balloon *b, uint64_t bytes, struct err *e)
{
	if (bytes >= b->ram_bytes || bytes / PAGE_SIZE > UINT32_MAX)
		return err_set(e, -EINVAL,
			"a balloon of %" PRIu64 " MiB in a guest of %" PRIu64
			" MiB (leave it some memory)",
			bytes >> 20, b->ram_bytes >> 20);
	pthread_mutex_lock(&b->dev.lock);
	b->target = (uint32_t)(bytes / PAGE_SIZE);
	virtio_config_changed(&b->dev);
	pthread_mutex_unlock(&b->dev.lock);
	return 0;
}

void virtio_balloon_get(struct virtio_balloon *b, struct virtio_balloon_state *out)
{
	pthread_mutex_lock(&b->dev.lock);
	*out = b->state;
	out->target = b->target * PAGE_SIZE;
	out->actual = b->actual * PAGE_SIZE;
	pthread_mutex_unlock(&b->dev.lock);
}

static uint64_t features(const struct balloon_config *cfg)
{
	uint64_t f = 0;

	if (cfg->stats_seconds)
		f |= BIT(VIRTIO_BALLOON_F_STATS_VQ);
	if (cfg->deflate_on_oom)
		f |= BIT(VIRTIO_BALLOON_F_DEFLATE_ON_OOM);
	/* A guest that clears or poisons its free pages reports none of them without the other. */
	if (cfg->reporting)
		f |= BIT(VIRTIO_BALLOON_F_REPORTING) | BIT(VIRTIO_BALLOON_F_PAGE_POISON);
	return f;
}

static unsigned int queue_count(const struct balloon_config *cfg)
{
	if (cfg->reporting)
		return QUEUES;
	return cfg->stats_seconds ? STATSQ + 1 : STATSQ;
}

static int init(struct virtio_balloon *b, const struct balloon_config *cfg, struct err *e)
{
	static const uint16_t queue_max[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE,
		QUEUE_SIZE };
	const struct virtio_config vc = { .ops = &balloon_ops,
		.model = b,
		.features = features(cfg),
		.queue_max = queue_max,
		.queues = queue_count(cfg),
		.mem = cfg->mem,
		.loop = cfg->loop,
		.irq = cfg->irq };
	int r = virtio_init(&b->dev, &vc, e);

	if (!r)
		r = loop_add_timer(cfg->loop, on_timer, b, &b->timer, e);
	return r ? r : virtio_balloon_set_target(b, cfg->target, e);
}

int virtio_balloon_new(struct virtio_balloon **out, const struct balloon_config *cfg, struct err *e)
{
	struct virtio_balloon *b = calloc(1, sizeof(*b));
	int r;

	if (!b)
		return err_set(e, -ENOMEM, "virtio-balloon: out of memory");
	b->ram_bytes = cfg->ram_bytes;
	b->stats_seconds = cfg->stats_seconds;
	r = init(b, cfg, e);
	if (r) {
		virtio_balloon_free(b);
		return err_prefix(e, r, "virtio-balloon");
	}
	*out = b;
	return 0;
}

void virtio_balloon_free(struct virtio_balloon *b)
{
	if (!b)
		return;
	/* Serving statsq arms the timer, and the timer gives chains back. */
	virtio_leave(&b->dev);
	loop_event_free(b->timer);
	virtio_fini(&b->dev);
	free(b);
}

struct virtio_dev *virtio_balloon_dev(struct virtio_balloon *b)
{
	return &b->dev;
}
