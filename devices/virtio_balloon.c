/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio_balloon_impl.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/bits.h"
#include "vmm/util/log.h"

#define QUEUE_SIZE 128

#define STATS_MAX 32u /* entries of a report that we read: twice what there is */

struct config_space {
	uint32_t num_pages;
	uint32_t actual;
	uint32_t hint_id;
	uint32_t poison_val;
};

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
		return balloon_finish(d, q, c);
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

	balloon_begin_turn(b);
	if (q == INFLATEQ)
		virtio_serve(d, q, balloon_inflate);
	else if (q == DEFLATEQ)
		virtio_serve(d, q, balloon_deflate);
	else if (q == STATSQ && virtio_has(d, VIRTIO_BALLOON_F_STATS_VQ))
		virtio_serve(d, q, take_stats);
	else if (virtio_has(d, VIRTIO_BALLOON_F_REPORTING))
		virtio_serve(d, q, balloon_report);
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

static const char *const queue_names[BALLOON_QUEUES] = { "inflateq", "deflateq", "statsq",
	"reporting_vq", "reporting_vq" };

#define COUNTER(field) offsetof(struct virtio_balloon, field)

static const struct virtio_counter counters[] = {
	{ "inflate_count", COUNTER(counts.inflates) },
	{ "deflate_count", COUNTER(counts.deflates) },
	{ "stats_updates_count", COUNTER(state.reports) },
	{ "free_page_report_count", COUNTER(counts.reports) },
	{ "free_page_report_freed", COUNTER(counts.reported) },
	{ "event_fails", COUNTER(dev.failed) },
	{ NULL, 0 },
};

static const struct virtio_ops balloon_ops = {
	.name = "virtio-balloon",
	.metrics = "balloon",
	.counters = counters,
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

int virtio_balloon_set_interval(struct virtio_balloon *b, uint32_t seconds, struct err *e)
{
	int r = 0;

	pthread_mutex_lock(&b->dev.lock);
	if (!seconds != !b->stats_seconds) {
		r = err_set(e, -EINVAL,
			"the balloon was made %s statistics, and that cannot be changed while the "
			"guest runs",
			seconds ? "without" : "with");
	} else if (seconds) {
		b->stats_seconds = seconds;
		if (b->stats_held)
			loop_timer_set(b->timer, seconds * 1000000ull);
	}
	pthread_mutex_unlock(&b->dev.lock);
	return r;
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
		return BALLOON_QUEUES;
	return cfg->stats_seconds ? STATSQ + 1 : STATSQ;
}

static int init(struct virtio_balloon *b, const struct balloon_config *cfg, struct err *e)
{
	static const uint16_t queue_max[BALLOON_QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE,
		QUEUE_SIZE, QUEUE_SIZE };
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
