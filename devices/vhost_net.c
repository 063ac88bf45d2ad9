/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vhost_net.h"

#include <errno.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "vmm/util/bits.h"

/* What of the negotiated features vhost has to know; the tap knows the others. */
#define FEATURES                                                                                \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_RING_F_EVENT_IDX) | \
		BIT(VIRTIO_RING_F_INDIRECT_DESC))

struct vhost_net {
	struct vhost base;
	int tap;
};

/* seccomp io vcpu: ioctl:VHOST_NET_SET_BACKEND -- on, and off */
/* A queue is served as long as it has a tap. */
static int run(struct vhost *v, bool on, struct err *e)
{
	const struct vhost_net *n = v->ctx;
	unsigned int q;

	for (q = 0; q < v->kind->queues; q++) {
		bool serve = on && v->dev->queues[q].vq.ready;
		struct vhost_vring_file file = { q, serve ? n->tap : VHOST_FILE_UNBIND };

		if (ioctl(v->fd, VHOST_NET_SET_BACKEND, &file) && on)
			return err_sys(e, "VHOST_NET_SET_BACKEND");
	}
	return 0;
}

static const struct vhost_kind kind = {
	.name = "vhost-net",
	.module = "vhost_net",
	.needs = FEATURES,
	.takes = FEATURES,
	.queues = 2,
	.run = run,
};

int vhost_net_new(struct vhost_net **out, const char *device, int tap_fd, struct err *e)
{
	struct vhost_net *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return err_set(e, -ENOMEM, "vhost-net: out of memory");
	n->tap = tap_fd;
	r = vhost_open(&n->base, &kind, n, device, e);
	if (r) {
		vhost_net_free(n);
		return r;
	}
	*out = n;
	return 0;
}

void vhost_net_free(struct vhost_net *n)
{
	if (!n)
		return;
	vhost_close(&n->base);
	free(n);
}

struct vhost *vhost_net_base(struct vhost_net *n)
{
	return &n->base;
}
