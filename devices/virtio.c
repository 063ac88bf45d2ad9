/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

void virtio_raise(struct virtio_dev *d, uint8_t event)
{
	d->isr |= event;
	irq_raise(&d->irq);
}

bool virtio_running(const struct virtio_dev *d)
{
	return d->status & VIRTIO_CONFIG_S_DRIVER_OK && !d->resetting &&
	       !(d->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

bool virtio_has(const struct virtio_dev *d, unsigned int bit)
{
	return d->features & BIT(bit);
}

/* ---- mistakes ---- */

static void __attribute__((format(printf, 3, 0)))
fail(struct virtio_dev *d, bool fault, const char *fmt, va_list ap)
{
	char why[512];

	if (d->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	d->failed++;
	d->faults += fault;
	vsnprintf(why, sizeof(why), fmt, ap);
	log_gated(&d->failures, LOG_WARN, "%s: %s; the device needs a reset", d->ops->name, why);
	d->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (d->ops->broken)
		d->ops->broken(d);
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_raise(d, VIRTIO_ISR_CONFIG);
}

void virtio_fail(struct virtio_dev *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail(d, false, fmt, ap);
	va_end(ap);
}

void virtio_fault(struct virtio_dev *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fail(d, true, fmt, ap);
	va_end(ap);
}

/* ---- running ---- */

/* DRIVER_OK, and nothing of an earlier life is under way. */
static void start_running(struct virtio_dev *d)
{
	unsigned int q;

	if (!virtio_running(d))
		return;
	if (d->ops->activate)
		d->ops->activate(d);
	for (q = 0; q < d->queue_count; q++)
		if (d->queues[q].vq.ready)
			virtio_kick(d, q);
}

/* A chain was given back: was it the last one that a reset waits for? */
void virtio_settle(struct virtio_dev *d)
{
	unsigned int q;

	if (!d->resetting)
		return;
	for (q = 0; q < d->queue_count; q++)
		if (d->queues[q].vq.in_flight)
			return;
	d->resetting = false;
	start_running(d);
}

/* ---- configuration space ---- */

void virtio_config_changed(struct virtio_dev *d)
{
	d->config_generation++;
	if (d->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_raise(d, VIRTIO_ISR_CONFIG);
}

void virtio_config_copy(const void *space, size_t size, uint32_t off, void *data, unsigned int len)
{
	memset(data, 0, len);
	if (off < size)
		memcpy(data, (const uint8_t *)space + off, min_u64(len, size - off));
}

/* ---- reset ---- */

static void reset(struct virtio_dev *d)
{
	unsigned int q;

	for (q = 0; q < d->queue_count; q++) {
		struct virtq *vq = &d->queues[q].vq;

		virtio_queue_stop(&d->queues[q]);
		vq->size = 0;
		vq->desc = vq->avail = vq->used = gpa(0);
		d->queues[q].was_reset = false;
	}
	d->status = 0;
	d->isr = 0;
	d->wanted = 0;
	d->features = 0;
	d->resetting = true;
	if (d->ops->reset)
		d->ops->reset(d);
	virtio_settle(d);
}

void virtio_reset_queue(struct virtio_dev *d, unsigned int q)
{
	struct virtio_queue *queue = &d->queues[q];

	if (!virtio_has(d, VIRTIO_F_RING_RESET) || !(d->status & VIRTIO_CONFIG_S_DRIVER_OK)) {
		log_limited(LOG_WARN, "%s: guest resets queue %u, but may not", d->ops->name, q);
		return;
	}
	virtio_queue_stop(queue);
	queue->was_reset = true;
	/* A broken device, or one that is being reset, has only ops->reset left to come or behind it. */
	if (virtio_running(d))
		d->ops->queue_reset(d, q);
}

bool virtio_queue_resetting(const struct virtio_dev *d, unsigned int q)
{
	return d->queues[q].was_reset && d->queues[q].vq.in_flight;
}

/* ---- status and features (virtio 1.2, 2.1, 2.2, 3.1) ---- */

uint8_t virtio_status(const struct virtio_dev *d)
{
	return d->status | (d->resetting ? VIRTIO_CONFIG_S_NEEDS_RESET : 0);
}

/* Why the driver's choice of features will not do, or NULL. */
static const char *refusal(const struct virtio_dev *d)
{
	if (d->wanted & ~d->offered)
		return "it wants features that were not offered";
	if (!(d->wanted & BIT(VIRTIO_F_VERSION_1)))
		return "it does not accept VIRTIO_F_VERSION_1";
	if (d->is_protected && !(d->wanted & BIT(VIRTIO_F_ACCESS_PLATFORM)))
		return "it does not accept VIRTIO_F_ACCESS_PLATFORM, so its requests would point "
		       "to private memory";
	return NULL;
}

static bool accept_features(struct virtio_dev *d)
{
	const char *why = refusal(d);

	if (!why && d->ops->features && !d->ops->features(d, d->wanted))
		why = "they do not go together";
	if (why) {
		log_limited(LOG_WARN, "%s: the driver's features 0x%" PRIx64 " are refused: %s",
			d->ops->name, d->wanted, why);
		return false;
	}
	d->features = d->wanted;
	return true;
}

static void set_progress(struct virtio_dev *d, uint8_t v)
{
	/* In the order in which they must come; several may come in one write. */
	static const struct {
		uint8_t bit, needs;
	} steps[] = {
		{ VIRTIO_CONFIG_S_ACKNOWLEDGE, 0 },
		{ VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_ACKNOWLEDGE },
		{ VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_DRIVER },
		{ VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK },
		{ VIRTIO_CONFIG_S_FAILED, 0 },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		if (!(v & ~d->status & steps[i].bit))
			continue;
		if ((d->status & steps[i].needs) != steps[i].needs) {
			log_limited(LOG_WARN, "%s: guest sets status 0x%x, which is 0x%x",
				d->ops->name, v, d->status);
			return;
		}
		if (steps[i].bit == VIRTIO_CONFIG_S_FEATURES_OK && !accept_features(d))
			return;
		d->status |= steps[i].bit;
		if (steps[i].bit == VIRTIO_CONFIG_S_DRIVER_OK)
			start_running(d);
	}
}

void virtio_set_status(struct virtio_dev *d, uint32_t status)
{
	const uint8_t ours = VIRTIO_CONFIG_S_NEEDS_RESET;

	if (status == 0)
		reset(d);
	else if (d->status & ~ours & ~status)
		log_limited(LOG_WARN, "%s: guest takes back status bits: 0x%x, was 0x%x",
			d->ops->name, status, d->status);
	else
		set_progress(d, (uint8_t)status);
}

void virtio_set_features(struct virtio_dev *d, unsigned int word, uint32_t bits)
{
	unsigned int shift = word * 32;

	if (!(d->status & VIRTIO_CONFIG_S_DRIVER) || d->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		log_limited(LOG_WARN, "%s: guest sets features at the wrong time", d->ops->name);
		return;
	}
	if (word > 1) {
		if (bits)
			log_limited(LOG_WARN, "%s: guest sets feature word %u", d->ops->name, word);
		return;
	}
	d->wanted = (d->wanted & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)bits << shift;
}

bool virtio_may_set_up(const struct virtio_dev *d, unsigned int q)
{
	const struct virtio_queue *queue = &d->queues[q];

	if (queue->vq.ready || !(d->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return false;
	if (!(d->status & VIRTIO_CONFIG_S_DRIVER_OK))
		return true;
	return queue->was_reset && !queue->vq.in_flight;
}

void virtio_set_ready(struct virtio_dev *d, unsigned int q, bool ready)
{
	struct virtio_queue *queue = &d->queues[q];
	struct virtq *vq = &queue->vq;
	struct err e = { "" };
	int r;

	if (!ready) {
		if (vq->ready)
			virtio_queue_stop(queue);
		return;
	}
	if (!virtio_may_set_up(d, q)) {
		log_limited(
			LOG_WARN, "%s: guest enables queue %u at the wrong time", d->ops->name, q);
		return;
	}
	vq->event_idx = virtio_has(d, VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = virtio_has(d, VIRTIO_RING_F_INDIRECT_DESC);
	r = virtq_start(vq, d->mem, &e);
	if (r) {
		virtio_queue_fail(d, q, r, &e);
		return;
	}
	queue->was_reset = false;
	if (virtio_running(d))
		virtio_kick(d, q);
}

void virtio_ack(struct virtio_dev *d, uint32_t events)
{
	d->isr = (uint8_t)((d->isr & ~events) | d->isr_kept);
}

/* ---- life ---- */

int virtio_init(struct virtio_dev *d, const struct virtio_config *cfg, struct err *e)
{
	unsigned int q;
	int r = 0;

	*d = (struct virtio_dev){ .ops = cfg->ops,
		.model = cfg->model,
		.mem = cfg->mem,
		.loop = cfg->loop,
		.irq = cfg->irq,
		.is_protected = cfg->is_protected };
	pthread_mutex_init(&d->lock, NULL);
	d->offered = cfg->features | BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_INDIRECT_DESC) |
		     BIT(VIRTIO_RING_F_EVENT_IDX);
	if (d->is_protected)
		d->offered |= BIT(VIRTIO_F_ACCESS_PLATFORM);
	if (d->ops->queue_reset)
		d->offered |= BIT(VIRTIO_F_RING_RESET);
	d->queues = calloc(cfg->queues, sizeof(*d->queues));
	if (!d->queues)
		return err_set(e, -ENOMEM, "%s: out of memory", d->ops->name);
	for (q = 0; q < cfg->queues && !r; q++) {
		r = virtio_queue_init(d, q, cfg->queue_max[q], e);
		d->queue_count++;
	}
	return r ? err_prefix(e, r, "%s", d->ops->name) : 0;
}

void virtio_leave(struct virtio_dev *d)
{
	unsigned int q;

	for (q = 0; q < d->queue_count; q++) {
		loop_event_free(d->queues[q].kick_event);
		d->queues[q].kick_event = NULL;
	}
}

void virtio_fini(struct virtio_dev *d)
{
	unsigned int q;

	if (!d->ops)
		return;
	virtio_leave(d);
	for (q = 0; q < d->queue_count; q++) {
		fd_close(&d->queues[q].kick_fd);
		free(d->queues[q].held);
	}
	free(d->queues);
	pthread_mutex_destroy(&d->lock);
	*d = (struct virtio_dev){ 0 };
}
