/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio_mmio.h"

#include <inttypes.h>
#include <linux/virtio_mmio.h>
#include <string.h>

#include "vmm/util/bits.h"
#include "vmm/util/log.h"

#define MAGIC  0x74726976u /* "virt" */
#define VENDOR 0x7263614eu /* "Nacr" */

/* Newer than some distributions' headers: virtio 1.2, 4.2.2. */
#define REG_QUEUE_RESET 0x0c0

_Static_assert(VIRTIO_MMIO_NOTIFY == VIRTIO_MMIO_QUEUE_NOTIFY, "the ioeventfd's register");

void virtio_mmio_init(struct virtio_mmio *m, struct virtio_dev *dev)
{
	*m = (struct virtio_mmio){ .dev = dev };
}

/* The queue that QueueSel selects, or NULL when there is none: its registers read as zero. */
static struct virtio_queue *selected(const struct virtio_mmio *m)
{
	return m->queue_sel < m->dev->queue_count ? &m->dev->queues[m->queue_sel] : NULL;
}

/* ---- reading ---- */

static uint32_t read_features(const struct virtio_mmio *m)
{
	return m->device_features_sel > 1
		       ? 0
		       : (uint32_t)(m->dev->offered >> (32 * m->device_features_sel));
}

static uint32_t read_queue_reg(const struct virtio_mmio *m, uint64_t off)
{
	const struct virtio_queue *queue = selected(m);

	if (!queue)
		return 0;
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return queue->vq.max;
	case VIRTIO_MMIO_QUEUE_READY:
		return queue->vq.ready;
	default:
		return virtio_queue_resetting(m->dev, queue->index);
	}
}

static uint32_t read_reg(const struct virtio_mmio *m, uint64_t off)
{
	const struct virtio_dev *d = m->dev;

	switch (off) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MAGIC;
	case VIRTIO_MMIO_VERSION:
		return 2;
	case VIRTIO_MMIO_DEVICE_ID:
		return d->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		return read_features(m);
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
	case VIRTIO_MMIO_QUEUE_READY:
	case REG_QUEUE_RESET:
		return read_queue_reg(m, off);
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return d->isr;
	case VIRTIO_MMIO_STATUS:
		return virtio_status(d);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		/* There are no such regions: both are -1 whatever is selected (4.2.2). */
		return UINT32_MAX;
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return d->config_generation;
	default:
		/* Write-only, reserved, or of the legacy layout. */
		return 0;
	}
}

/* ---- writing ---- */

static void set_half(gpa_t *a, bool high, uint32_t v)
{
	unsigned int shift = high ? 32 : 0;

	a->v = (a->v & ~((uint64_t)UINT32_MAX << shift)) | (uint64_t)v << shift;
}

static void write_queue_setup(struct virtio_mmio *m, struct virtq *vq, uint64_t off, uint32_t v)
{
	if (!virtio_may_set_up(m->dev, m->queue_sel)) {
		log_limited(LOG_WARN, "%s: guest sets up queue %u at the wrong time",
			m->dev->ops->name, m->queue_sel);
		return;
	}
	switch (off) {
	case VIRTIO_MMIO_QUEUE_NUM:
		/* What does not fit in 16 bits is as wrong as 0, and found when the queue starts. */
		vq->size = v > UINT16_MAX ? 0 : (uint16_t)v;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&vq->desc, off & 4, v);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&vq->avail, off & 4, v);
		break;
	default:
		set_half(&vq->used, off & 4, v);
		break;
	}
}

static void write_queue_reg(struct virtio_mmio *m, uint64_t off, uint32_t v)
{
	struct virtio_queue *queue = selected(m);

	if (!queue) {
		log_limited(LOG_WARN, "%s: guest sets up queue %u, which there is not",
			m->dev->ops->name, m->queue_sel);
		return;
	}
	switch (off) {
	case VIRTIO_MMIO_QUEUE_READY:
		virtio_set_ready(m->dev, queue->index, v & 1);
		break;
	case REG_QUEUE_RESET:
		if (v == 1)
			virtio_reset_queue(m->dev, queue->index);
		break;
	default:
		write_queue_setup(m, &queue->vq, off, v);
		break;
	}
}

static void write_notify(struct virtio_mmio *m, uint32_t v)
{
	if (v < m->dev->queue_count)
		virtio_kick(m->dev, v);
	else
		log_limited(LOG_WARN, "%s: guest notifies queue %u, which there is not",
			m->dev->ops->name, v);
}

static void write_reg(struct virtio_mmio *m, uint64_t off, uint32_t v)
{
	switch (off) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->device_features_sel = v;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_set_features(m->dev, m->driver_features_sel, v);
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_features_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = v;
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
	case VIRTIO_MMIO_QUEUE_READY:
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
	case REG_QUEUE_RESET:
		write_queue_reg(m, off, v);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		write_notify(m, v);
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		virtio_ack(m->dev, v);
		break;
	case VIRTIO_MMIO_STATUS:
		virtio_set_status(m->dev, v);
		break;
	default:
		/* SHMSel selects among nothing; the rest is read-only or reserved. */
		break;
	}
}

/* ---- the bus ---- */

/* Control registers: 4 bytes, aligned. Configuration: 1, 2, 4 or 8 (4.2.2.2), aligned. */
static bool is_legal(const struct virtio_mmio *m, uint64_t off, unsigned int len, const char *what)
{
	bool is_config = off >= VIRTIO_MMIO_CONFIG;

	if (is_config && (len & (len - 1)) == 0 && is_aligned(off, len))
		return true;
	if (!is_config && len == 4 && is_aligned(off, 4))
		return true;
	log_limited(LOG_WARN, "%s: guest %s %u bytes at register 0x%" PRIx64, m->dev->ops->name,
		what, len, off);
	return false;
}

static void mmio_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	struct virtio_mmio *m = dev;
	uint32_t v;

	memset(data, 0, len);
	if (!is_legal(m, off, len, "reads"))
		return;
	if (off < VIRTIO_MMIO_CONFIG) {
		v = read_reg(m, off);
		memcpy(data, &v, sizeof(v));
	} else if (m->dev->ops->config_read) {
		m->dev->ops->config_read(m->dev, (uint32_t)(off - VIRTIO_MMIO_CONFIG), data, len);
	}
}

static void mmio_write(void *dev, uint64_t off, const void *data, unsigned int len)
{
	struct virtio_mmio *m = dev;
	uint32_t v;

	if (!is_legal(m, off, len, "writes"))
		return;
	if (off < VIRTIO_MMIO_CONFIG) {
		memcpy(&v, data, sizeof(v));
		write_reg(m, off, v);
	} else if (m->dev->ops->config_write) {
		m->dev->ops->config_write(m->dev, (uint32_t)(off - VIRTIO_MMIO_CONFIG), data, len);
	}
}

const struct bus_ops virtio_mmio_ops = { .read = mmio_read, .write = mmio_write };
