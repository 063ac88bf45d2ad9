/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

#include "vmm/util/fd.h"

/* ---- life ---- */

static int open_device(const struct vhost_kind *kind, const char *device, struct err *e)
{
	int fd = open(device, O_RDWR | O_CLOEXEC), r;

	if (fd >= 0)
		return fd;
	r = err_sys(e, "open %s", device);
	if (r == -ENOENT || r == -ENODEV || r == -ENXIO)
		return err_hint(e, r, "as root, run: modprobe %s", kind->module);
	return err_hint(e, r, "it must be readable and writable by the user");
}

int vhost_open(struct vhost *v, const struct vhost_kind *kind, void *ctx, const char *device,
	struct err *e)
{
	*v = (struct vhost){ .kind = kind, .ctx = ctx, .error_fd = -1 };
	v->fd = open_device(kind, device, e);
	if (v->fd < 0)
		return v->fd;
	v->error_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->error_fd < 0)
		return err_sys(e, "%s: eventfd", kind->name);
	if (ioctl(v->fd, VHOST_SET_OWNER) || ioctl(v->fd, VHOST_GET_FEATURES, &v->features))
		return err_sys(e, "%s: take possession", kind->name);
	if ((v->features & kind->needs) != kind->needs)
		return err_set(e, -ENOTSUP, "%s of this kernel lacks features: it has 0x%llx",
			kind->name, (unsigned long long)v->features);
	return 0;
}

void vhost_close(struct vhost *v)
{
	if (!v->kind)
		return;
	loop_event_free(v->error_event);
	fd_close(&v->fd);
	fd_close(&v->error_fd);
	*v = (struct vhost){ 0 };
}

/* ---- handing over ---- */

/*
 * Only this may be in the kernel's hands. Not the staging area, which goes away while the guest
 * runs; mem_remove keeps its addresses, so a driver that has rings there meets a fault.
 */
static bool is_ram(const struct mem_region *r)
{
	return r && r->kind == MEM_OPEN;
}

static int set_memory(const struct vhost *v, struct err *e)
{
	const struct mem *mem = v->dev->mem;
	_free struct vhost_memory *table =
		calloc(1, sizeof(*table) + MEM_REGIONS_MAX * sizeof(table->regions[0]));
	unsigned int i;

	if (!table)
		return err_set(e, -ENOMEM, "%s: out of memory", v->kind->name);
	for (i = 0; i < mem->count; i++) {
		const struct mem_region *r = mem->regions[i];

		if (!is_ram(r))
			continue;
		table->regions[table->nregions++] = (struct vhost_memory_region){
			.guest_phys_addr = r->base.v,
			.memory_size = r->size,
			.userspace_addr = (uintptr_t)mem_host(mem, r->base, r->size),
		};
	}
	return ioctl(v->fd, VHOST_SET_MEM_TABLE, table)
		       ? err_sys(e, "%s: VHOST_SET_MEM_TABLE", v->kind->name)
		       : 0;
}

/* 0 when it is not in RAM. That the whole ring is in one region was checked by virtq_start. */
static uintptr_t ring_address(const struct mem *mem, gpa_t at)
{
	return is_ram(mem_find(mem, at, 1)) ? (uintptr_t)mem_host(mem, at, 1) : 0;
}

/*
 * seccomp vcpu: ioctl:VHOST_SET_VRING_NUM ioctl:VHOST_SET_VRING_BASE -- its queues
 * seccomp vcpu: ioctl:VHOST_SET_VRING_ADDR ioctl:VHOST_SET_VRING_ERR -- its queues
 * seccomp vcpu: ioctl:VHOST_SET_VRING_CALL ioctl:VHOST_SET_VRING_KICK -- its queues
 */
static int set_queue(const struct vhost *v, unsigned int q, struct err *e)
{
	const struct virtio_dev *d = v->dev;
	const struct virtq *vq = &d->queues[q].vq;
	struct vhost_vring_state num = { q, vq->size }, base = { q, vq->last_avail };
	struct vhost_vring_file kick = { q, d->queues[q].kick_fd };
	struct vhost_vring_file call = { q, d->irq.fd }, error = { q, v->error_fd };
	struct vhost_vring_addr addr = {
		.index = q,
		.desc_user_addr = ring_address(d->mem, vq->desc),
		.avail_user_addr = ring_address(d->mem, vq->avail),
		.used_user_addr = ring_address(d->mem, vq->used),
	};

	if (!addr.desc_user_addr || !addr.avail_user_addr || !addr.used_user_addr)
		return err_set(
			e, -EFAULT, "%s: queue %u is not in the guest's RAM", v->kind->name, q);
	if (ioctl(v->fd, VHOST_SET_VRING_NUM, &num) || ioctl(v->fd, VHOST_SET_VRING_BASE, &base) ||
		ioctl(v->fd, VHOST_SET_VRING_ADDR, &addr) ||
		ioctl(v->fd, VHOST_SET_VRING_ERR, &error) ||
		ioctl(v->fd, VHOST_SET_VRING_CALL, &call) ||
		ioctl(v->fd, VHOST_SET_VRING_KICK, &kick))
		return err_sys(e, "%s: set up queue %u", v->kind->name, q);
	return 0;
}

/*
 * seccomp vcpu: ioctl:VHOST_SET_MEM_TABLE ioctl:VHOST_SET_FEATURES -- the driver is ready
 * seccomp vcpu: read -- what was wrong with it before
 */
static int set_up(struct vhost *v, struct err *e)
{
	struct virtio_dev *d = v->dev;
	uint64_t features = d->features & v->kind->takes & v->features, count;
	unsigned int q;
	int r;

	/* An error of the life before this one, whose callback has not come yet. */
	if (read(v->error_fd, &count, sizeof(count)) > 0)
		log_debug("%s: an error of an earlier driver", v->kind->name);
	if (ioctl(v->fd, VHOST_SET_FEATURES, &features))
		return err_sys(e, "%s: VHOST_SET_FEATURES", v->kind->name);
	r = set_memory(v, e);
	for (q = 0; !r && q < v->kind->queues; q++) {
		if (!d->queues[q].vq.ready)
			continue;
		virtio_listen(d, q, false);
		r = set_queue(v, q, e);
	}
	return r;
}

/*
 * seccomp io vcpu: ioctl:VHOST_SET_VRING_KICK ioctl:VHOST_SET_VRING_CALL -- a reset
 * seccomp io vcpu: ioctl:VHOST_SET_VRING_ERR -- a reset
 */
/*
 * Without eventfds, the kernel's threads are done with the queues when the calls return. How far they
 * came nobody wants to know: what follows is a reset.
 */
static void take_back(struct vhost *v)
{
	struct virtio_dev *d = v->dev;
	struct err ignored;
	unsigned int q;

	v->kind->run(v, false, &ignored);
	for (q = 0; q < v->kind->queues; q++) {
		struct vhost_vring_file none = { q, VHOST_FILE_UNBIND };

		ioctl(v->fd, VHOST_SET_VRING_KICK, &none);
		ioctl(v->fd, VHOST_SET_VRING_CALL, &none);
		ioctl(v->fd, VHOST_SET_VRING_ERR, &none);
		virtio_listen(d, q, true);
	}
	d->isr_kept = 0;
	v->runs = false;
}

int vhost_start(struct vhost *v, struct err *e)
{
	struct virtio_dev *d = v->dev;
	int r = set_up(v, e);

	/* The kernel raises the interrupt and does not tell, so the register always says it did. */
	d->isr_kept = VIRTIO_ISR_QUEUE;
	d->isr |= VIRTIO_ISR_QUEUE;
	if (!r)
		r = v->kind->run(v, true, e);
	v->runs = !r;
	if (r)
		take_back(v);
	return r;
}

void vhost_stop(struct vhost *v)
{
	if (v->runs)
		take_back(v);
}

/* ---- what the kernel finds wrong ---- */

static void on_error(void *arg, int fd, short events)
{
	struct vhost *v = arg;
	struct virtio_dev *d = v->dev;
	uint64_t count;

	(void)events;
	pthread_mutex_lock(&d->lock);
	if (read(fd, &count, sizeof(count)) == sizeof(count) && v->runs)
		virtio_fail(d, "%s found a chain that it cannot serve", v->kind->name);
	pthread_mutex_unlock(&d->lock);
}

int vhost_join(struct vhost *v, struct virtio_dev *d, struct err *e)
{
	v->dev = d;
	return loop_add_fd(d->loop, v->error_fd, LOOP_READ, on_error, v, &v->error_event, e);
}
