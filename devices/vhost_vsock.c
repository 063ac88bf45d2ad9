/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vhost_vsock.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/util/bits.h"

#define QUEUE_SIZE 256

/* 5.10.3; the first is not in Linux's headers, the second not in older ones. */
#define F_STREAM    0
#define F_SEQPACKET 1

#define NEEDS \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_RING_F_INDIRECT_DESC))

enum { EVENT = 2, QUEUES };

struct vhost_vsock {
	struct virtio_dev dev;
	struct vhost vhost;
	uint64_t cid;
};

/* seccomp io vcpu: ioctl:VHOST_VSOCK_SET_RUNNING -- on, and off */
static int run(struct vhost *v, bool on, struct err *e)
{
	const struct virtio_dev *d = v->dev;
	int arg = on;
	unsigned int q;

	/* The kernel would serve those of an earlier driver, where they were. */
	for (q = 0; on && q < v->kind->queues; q++)
		if (!d->queues[q].vq.ready)
			return err_set(e, -EINVAL, "the driver has not set up queue %u (%s)", q,
				d->ops->queue_names[q]);
	return ioctl(v->fd, VHOST_VSOCK_SET_RUNNING, &arg) ? err_sys(e, "VHOST_VSOCK_SET_RUNNING")
							   : 0;
}

static const struct vhost_kind kind = {
	.name = "vhost-vsock",
	.module = "vhost_vsock",
	.needs = NEEDS,
	.takes = NEEDS | BIT(F_SEQPACKET),
	.queues = EVENT,
	.run = run,
};

/* ---- the device ---- */

static void vsock_activate(struct virtio_dev *d)
{
	struct vhost_vsock *s = d->model;
	struct err e = { "" };

	if (vhost_start(&s->vhost, &e))
		virtio_fail(d, "%s", e.msg);
}

/* For a failure too. */
static void vsock_reset(struct virtio_dev *d)
{
	struct vhost_vsock *s = d->model;

	vhost_stop(&s->vhost);
}

static void vsock_notify(struct virtio_dev *d, unsigned int q)
{
	/* Buffers for events stay where they are. Or it is from before the kernel took over, which
	 * has got it too. */
	(void)d;
	(void)q;
}

static void vsock_config_read(struct virtio_dev *d, uint32_t off, void *data, unsigned int len)
{
	const struct vhost_vsock *s = d->model;
	struct virtio_vsock_config space = { s->cid };

	virtio_config_copy(&space, sizeof(space), off, data, len);
}

static const char *const queue_names[QUEUES] = { "rx", "tx", "event" };

/* No queue_reset: a queue would have to be handed over anew, and drivers do without. */
static const struct virtio_ops vsock_ops = {
	.name = "virtio-vsock",
	.id = VIRTIO_ID_VSOCK,
	.queue_names = queue_names,
	.activate = vsock_activate,
	.reset = vsock_reset,
	.broken = vsock_reset,
	.queue_notify = vsock_notify,
	.config_read = vsock_config_read,
};

/* ---- life ---- */

static int set_cid(const struct vhost_vsock *s, struct err *e)
{
	uint64_t cid = s->cid;
	int r;

	if (!ioctl(s->vhost.fd, VHOST_VSOCK_SET_GUEST_CID, &cid))
		return 0;
	r = err_sys(e, "vhost-vsock: set the guest's cid to %" PRIu64, cid);
	return r == -EADDRINUSE ? err_hint(e, r, "another guest of this host has it") : r;
}

static int set_up(struct vhost_vsock *s, const struct vhost_vsock_config *cfg, struct err *e)
{
	static const uint16_t queue_max[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE };
	struct virtio_config vc = {
		.ops = &vsock_ops,
		.model = s,
		.features = BIT(F_STREAM),
		.queue_max = queue_max,
		.queues = QUEUES,
		.mem = cfg->mem,
		.loop = cfg->loop,
		.irq = cfg->irq,
	};
	int r = vhost_open(&s->vhost, &kind, s, cfg->device, e);

	if (!r)
		r = set_cid(s, e);
	if (r)
		return r;
	vc.features |= s->vhost.features & BIT(F_SEQPACKET);
	r = virtio_init(&s->dev, &vc, e);
	return r ? r : vhost_join(&s->vhost, &s->dev, e);
}

int vhost_vsock_new(struct vhost_vsock **out, const struct vhost_vsock_config *cfg, struct err *e)
{
	struct vhost_vsock *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "vhost-vsock: out of memory");
	s->cid = cfg->cid;
	r = set_up(s, cfg, e);
	if (r) {
		vhost_vsock_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void vhost_vsock_free(struct vhost_vsock *s)
{
	if (!s)
		return;
	virtio_leave(&s->dev);
	vhost_close(&s->vhost);
	virtio_fini(&s->dev);
	free(s);
}

struct virtio_dev *vhost_vsock_dev(struct vhost_vsock *s)
{
	return &s->dev;
}
