/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio_set.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "devices/virtio_console.h"
#include "devices/virtio_mmio.h"
#include "vmm/kvm.h"
#include "vmm/passt.h"
#include "vmm/util/fd.h"
#include "vmm/virtio_make.h"

struct slot {
	struct virtio_mmio mmio;
	struct irq_line irq;
	struct virtio_made made;
	char id[65];	     /* for statistics; "": the only one of its kind */
	virtio_make_fn make; /* what made it, and the how-maniest of its kind it is */
	uint32_t item;
};

struct virtio_set {
	struct vm *vm;
	struct loop *io;
	struct tty *tty;
	struct virtio_held held;
	struct virtio_console *console; /* in one of the slots, or NULL */
	unsigned int used;
	unsigned int count;
	struct slot slots[];
};

/* ---- joining them to the VM ---- */

/* The row of the slot after those in use. */
static const struct platform_dev *next_row(const struct virtio_set *set)
{
	const struct platform *p = &set->vm->layout.platform;
	unsigned int i, n = 0;

	for (i = 0; i < p->count; i++)
		if (p->devs[i].kind == PLATFORM_VIRTIO && n++ == set->used)
			return &p->devs[i];
	return NULL;
}

/* Registers in the bus; notifications past it, straight from KVM to the device's loop. */
static int join(
	struct virtio_set *set, struct slot *s, const struct platform_dev *row, struct err *e)
{
	struct bus_dev d = {
		.name = s->made.dev->ops->name,
		.base = row->base,
		.size = VIRTIO_MMIO_SIZE,
		.ops = &virtio_mmio_ops,
		.dev = &s->mmio,
		.lock = &s->made.dev->lock,
	};
	const struct arch_layout *l = &set->vm->layout;
	/* Where the guest's drivers find it: the bus takes both, an ioeventfd one. */
	uint64_t base = row->base | (l->alias_is_private ? 0 : l->alias_bit);
	unsigned int q;
	int r;

	s->made.dev->all = &set->held;
	virtio_mmio_init(&s->mmio, s->made.dev);
	r = bus_add(&set->vm->mmio, &d, e);
	for (q = 0; !r && q < s->made.dev->queue_count; q++)
		r = kvm_ioeventfd(set->vm->fd, base + VIRTIO_MMIO_NOTIFY, q,
			virtio_kick_fd(s->made.dev, q), e);
	return r;
}

/* config: the device's own part of the configuration, which make knows; the item-th of its kind. */
static int add(struct virtio_set *set, virtio_make_fn make, const void *config, uint32_t item,
	struct err *e)
{
	const struct platform_dev *row = next_row(set);
	struct slot *s = &set->slots[set->used];
	struct virtio_place p = {
		.mem = set->vm->mem,
		.io = set->io,
		.tty = set->tty,
		.is_protected = set->vm->config.protection != PROTECTION_NONE,
		.protection = set->vm->config.protection,
		.ram_bytes = set->vm->config.ram_bytes,
		.item = item,
	};
	int r;

	if (!row || set->used == set->count)
		return err_set(e, -E2BIG, "no slot is left for a virtio device");
	set->used++;
	s->make = make;
	s->item = item;
	r = vm_add_irq(set->vm, row->irq, &s->irq, e);
	if (r)
		return r;
	p.irq = s->irq;
	r = make(&s->made, &p, config, e);
	return r ? r : join(set, s, row, e);
}

/* The one just added: by its name in the API, or by its place. */
static void name_slot(struct virtio_set *set, const char *id, uint32_t item)
{
	struct slot *s = &set->slots[set->used ? set->used - 1 : 0];

	if (id)
		snprintf(s->id, sizeof(s->id), "%s", id);
	else
		snprintf(s->id, sizeof(s->id), "%u", item);
}

static int add_all(struct virtio_set *set, const struct config *c, struct err *e)
{
	const struct disk_config *disks = c->disks.items;
	const struct net_config *nets = c->nets.items;
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < c->disks.count; i++) {
		r = add(set, virtio_make_disk, &disks[i], i, e);
		name_slot(set, disks[i].id, i);
	}
	for (i = 0; !r && i < c->nets.count; i++) {
		r = add(set, virtio_make_net, &nets[i], i, e);
		name_slot(set, nets[i].id, i);
	}
	if (!r && c->vsock.count)
		r = add(set, virtio_make_vsock, c->vsock.items, 0, e);
	if (!r && c->entropy)
		r = add(set, virtio_make_rng, &c->entropy_limit, 0, e);
	if (!r && c->balloon.count)
		r = add(set, virtio_make_balloon, config_balloon(c), 0, e);
	if (!r && c->console == CONSOLE_VIRTIO) {
		r = add(set, virtio_make_console, NULL, 0, e);
		set->console = r ? NULL : set->slots[set->used - 1].made.model;
	}
	return r;
}

int virtio_set_new(struct virtio_set **out, struct vm *vm, struct loop *io, struct tty *tty,
	const struct config *c, struct err *e)
{
	uint32_t i, count = config_virtio_count(c);
	struct virtio_set *set = calloc(1, sizeof(*set) + count * sizeof(set->slots[0]));
	int r;

	if (!set)
		return err_set(e, -ENOMEM, "virtio devices: out of memory");
	set->vm = vm;
	set->io = io;
	set->tty = tty;
	set->count = count;
	for (i = 0; i < count; i++)
		set->slots[i].irq.fd = -1;
	r = add_all(set, c, e);
	if (r) {
		virtio_set_free(set);
		return r;
	}
	*out = set;
	return 0;
}

static void *find(const struct virtio_set *set, virtio_make_fn make, uint32_t item)
{
	unsigned int i;

	for (i = 0; set && i < set->used; i++)
		if (set->slots[i].make == make && set->slots[i].item == item)
			return set->slots[i].made.model;
	return NULL;
}

struct virtio_blk *virtio_set_disk(const struct virtio_set *set, uint32_t i)
{
	return find(set, virtio_make_disk, i);
}

struct virtio_net *virtio_set_net(const struct virtio_set *set, uint32_t i)
{
	return find(set, virtio_make_net, i);
}

struct virtio_balloon *virtio_set_balloon(const struct virtio_set *set)
{
	return find(set, virtio_make_balloon, 0);
}

void virtio_set_resized(struct virtio_set *set)
{
	if (set->console)
		virtio_console_resized(set->console);
}

bool virtio_set_finish(struct virtio_set *set)
{
	return set->console && virtio_console_finish(set->console);
}

static void read_counters(const struct virtio_dev *d, struct stats_device *out)
{
	const struct virtio_counter *c = d->ops->counters;

	out->group = d->ops->metrics;
	for (; c && c->name && out->counter_count < STATS_COUNTERS_MAX; c++) {
		struct stats_counter *to = &out->counters[out->counter_count++];

		to->name = c->name;
		memcpy(&to->value, (const char *)d->model + c->offset, sizeof(to->value));
	}
}

void virtio_set_stats(struct virtio_set *set, struct stats_report *out)
{
	unsigned int i;

	out->held_now = atomic_load_explicit(&set->held.now, memory_order_relaxed);
	out->held_peak = atomic_load_explicit(&set->held.peak, memory_order_relaxed);
	out->device_count = set->used;
	for (i = 0; i < set->used; i++) {
		struct virtio_dev *d = set->slots[i].made.dev;

		pthread_mutex_lock(&d->lock);
		out->devices[i] = (struct stats_device){ .name = d->ops->name,
			.slot = i,
			.is_broken = d->status & VIRTIO_CONFIG_S_NEEDS_RESET,
			.failures = d->failed,
			.faults = d->faults,
			.held = d->held,
			.held_peak = d->held_peak };
		read_counters(d, &out->devices[i]);
		pthread_mutex_unlock(&d->lock);
		memcpy(out->devices[i].id, set->slots[i].id, sizeof(out->devices[i].id));
	}
}

_Static_assert(STATS_DEVICES_MAX >= CONFIG_VIRTIO_MAX, "a row for each");

void virtio_set_free(struct virtio_set *set)
{
	unsigned int i;

	if (!set)
		return;
	for (i = 0; i < set->used; i++) {
		if (set->slots[i].made.free)
			set->slots[i].made.free(set->slots[i].made.model);
		passt_free(set->slots[i].made.passt);
		fd_close(&set->slots[i].irq.fd);
	}
	free(set);
}
