/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vhost_net.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

#define QUEUES 2u
/* What of the negotiated features vhost has to know; the tap knows the others. */
#define FEATURES                                                                                \
	(BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_NET_F_MRG_RXBUF) | BIT(VIRTIO_RING_F_EVENT_IDX) | \
		BIT(VIRTIO_RING_F_INDIRECT_DESC))

struct vhost_net {
	int fd;
	int tap;
	bool runs;
};

int vhost_net_new(struct vhost_net **out, int tap_fd, struct err *e)
{
	struct vhost_net *v = calloc(1, sizeof(*v));
	uint64_t features = 0;
	int r = 0;

	if (!v)
		return err_set(e, -ENOMEM, "vhost-net: out of memory");
	v->tap = tap_fd;
	v->fd = open("/dev/vhost-net", O_RDWR | O_CLOEXEC);
	if (v->fd < 0) {
		r = err_sys(e, "open /dev/vhost-net");
		err_hint(e, r,
			r == -ENOENT ? "as root, run: modprobe vhost_net"
				     : "it must be readable and writable by the user");
	} else if (ioctl(v->fd, VHOST_SET_OWNER) || ioctl(v->fd, VHOST_GET_FEATURES, &features)) {
		r = err_sys(e, "vhost-net: take possession");
	} else if ((features & FEATURES) != FEATURES) {
		r = err_set(e, -ENOTSUP, "vhost-net of this kernel lacks features: it has 0x%llx",
			(unsigned long long)features);
	}
	if (r) {
		vhost_net_free(v);
		return r;
	}
	*out = v;
	return 0;
}

void vhost_net_free(struct vhost_net *v)
{
	if (!v)
		return;
	/* The kernel lets go of queues and tap by itself. */
	fd_close(&v->fd);
	free(v);
}

/*
 * The guest's RAM. Not the staging area, which goes away while the guest runs. A driver may have put
 * its rings there all the same; mem_remove keeps their addresses, so then the kernel meets a fault.
 */
static int set_memory(const struct vhost_net *v, const struct mem *mem, struct err *e)
{
	_free struct vhost_memory *table =
		calloc(1, sizeof(*table) + MEM_REGIONS_MAX * sizeof(table->regions[0]));
	unsigned int i;

	if (!table)
		return err_set(e, -ENOMEM, "vhost-net: out of memory");
	for (i = 0; i < mem->count; i++) {
		const struct mem_region *r = mem->regions[i];

		if (r->kind != MEM_OPEN || strcmp(r->name, "ram"))
			continue;
		table->regions[table->nregions++] = (struct vhost_memory_region){
			.guest_phys_addr = r->base.v,
			.memory_size = r->size,
			.userspace_addr = (uintptr_t)mem_host(mem, r->base, r->size),
		};
	}
	return ioctl(v->fd, VHOST_SET_MEM_TABLE, table) ? err_sys(e, "VHOST_SET_MEM_TABLE") : 0;
}

/* Addresses were checked when the driver enabled the queue (virtq_start), whole rings included. */
static int set_queue(const struct vhost_net *v, struct virtio_dev *d, unsigned int q, struct err *e)
{
	const struct virtq *vq = &d->queues[q].vq;
	struct vhost_vring_state num = { q, vq->size }, base = { q, vq->last_avail };
	struct vhost_vring_file kick = { q, d->queues[q].kick_fd }, call = { q, d->irq.fd };
	struct vhost_vring_addr addr = {
		.index = q,
		.desc_user_addr = (uintptr_t)mem_host(d->mem, vq->desc, 1),
		.avail_user_addr = (uintptr_t)mem_host(d->mem, vq->avail, 1),
		.used_user_addr = (uintptr_t)mem_host(d->mem, vq->used, 1),
	};

	if (ioctl(v->fd, VHOST_SET_VRING_NUM, &num) || ioctl(v->fd, VHOST_SET_VRING_BASE, &base) ||
		ioctl(v->fd, VHOST_SET_VRING_ADDR, &addr) ||
		ioctl(v->fd, VHOST_SET_VRING_CALL, &call) ||
		ioctl(v->fd, VHOST_SET_VRING_KICK, &kick))
		return err_sys(e, "vhost-net: set up queue %u", q);
	return 0;
}

static int set_backend(const struct vhost_net *v, unsigned int q, int fd)
{
	struct vhost_vring_file file = { q, fd };

	return ioctl(v->fd, VHOST_NET_SET_BACKEND, &file);
}

/* Waits for the kernel's threads to be done with the queues. */
static void let_go(const struct vhost_net *v, struct virtio_dev *d)
{
	unsigned int q;

	for (q = 0; q < QUEUES; q++) {
		struct vhost_vring_state base = { q, 0 };
		struct vhost_vring_file none = { q, -1 };

		set_backend(v, q, -1);
		ioctl(v->fd, VHOST_SET_VRING_KICK, &none);
		ioctl(v->fd, VHOST_SET_VRING_CALL, &none);
		if (!ioctl(v->fd, VHOST_GET_VRING_BASE, &base))
			d->queues[q].vq.last_avail = (uint16_t)base.num;
		virtio_listen(d, q, true);
	}
	d->isr_kept = 0;
}

int vhost_net_start(struct vhost_net *v, struct virtio_dev *d, struct err *e)
{
	uint64_t features = d->features & FEATURES;
	unsigned int q;
	int r;

	if (ioctl(v->fd, VHOST_SET_FEATURES, &features))
		return err_sys(e, "VHOST_SET_FEATURES");
	r = set_memory(v, d->mem, e);
	/* The kernel raises the interrupt and does not tell, so the register always says it did. */
	d->isr_kept = VIRTIO_ISR_QUEUE;
	d->isr |= VIRTIO_ISR_QUEUE;
	for (q = 0; !r && q < QUEUES; q++) {
		if (!d->queues[q].vq.ready)
			continue;
		virtio_listen(d, q, false);
		r = set_queue(v, d, q, e);
		if (!r && set_backend(v, q, v->tap))
			r = err_sys(e, "VHOST_NET_SET_BACKEND");
	}
	if (r) {
		let_go(v, d);
		return r;
	}
	v->runs = true;
	return 0;
}

void vhost_net_stop(struct vhost_net *v, struct virtio_dev *d)
{
	if (!v->runs)
		return;
	let_go(v, d);
	v->runs = false;
}
