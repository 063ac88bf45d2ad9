/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio_set.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_mmio.h"
#include "devices/virtio_net.h"
#include "devices/virtio_rng.h"
#include "devices/virtio_vsock.h"
#include "vmm/kvm.h"
#include "vmm/passt.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

/* What a device model needs of the machine. */
struct place {
	const struct mem *mem;
	struct loop *io;
	struct tty *tty;
	struct irq_line irq;
	bool is_protected;
	enum protection protection;
	uint64_t ram_bytes;
};

struct slot {
	struct virtio_mmio mmio;
	struct irq_line irq;
	struct virtio_dev *dev;
	void *model;
	void (*free)(void *model);
	struct passt *passt; /* a network device's, or NULL */
};

struct virtio_set {
	struct vm *vm;
	struct loop *io;
	struct tty *tty;
	struct virtio_console *console; /* in one of the slots, or NULL */
	unsigned int used;
	unsigned int count;
	struct slot slots[];
};

/* ---- the devices ---- */

static void free_rng(void *model)
{
	virtio_rng_free(model);
}

static int make_rng(struct slot *s, const struct place *p, const void *config, struct err *e)
{
	const struct virtio_rng_config cfg = {
		.mem = p->mem, .loop = p->io, .irq = p->irq, .is_protected = p->is_protected
	};
	struct virtio_rng *rng;
	int r;

	(void)config;
	r = virtio_rng_new(&rng, &cfg, e);

	if (r)
		return r;
	s->model = rng;
	s->free = free_rng;
	s->dev = virtio_rng_dev(rng);
	return 0;
}

static void free_disk(void *model)
{
	virtio_blk_free(model);
}

static struct bucket_config per_second(uint64_t n)
{
	return (struct bucket_config){ .size = n, .refill_ms = 1000 };
}

static int make_disk(struct slot *s, const struct place *p, const void *config, struct err *e)
{
	const struct disk_config *d = config;
	const struct blk_config cfg = {
		.path = d->path,
		.read_only = d->read_only,
		.cache = d->cache,
		.engine = d->engine,
		.id = d->serial,
		.limit = { per_second(d->bandwidth), per_second(d->iops) },
		.mem = p->mem,
		.loop = p->io,
		.irq = p->irq,
		.is_protected = p->is_protected,
	};
	struct virtio_blk *blk;
	int r = virtio_blk_new(&blk, &cfg, e);

	if (r)
		return r;
	s->model = blk;
	s->free = free_disk;
	s->dev = virtio_blk_dev(blk);
	return 0;
}

static void free_balloon(void *model)
{
	virtio_balloon_free(model);
}

static int make_balloon(struct slot *s, const struct place *p, const void *config, struct err *e)
{
	const struct balloon_options *b = config;
	const struct balloon_config cfg = {
		.mem = p->mem,
		.loop = p->io,
		.irq = p->irq,
		.is_protected = p->is_protected,
		.ram_bytes = p->ram_bytes,
		.target = b->size_mib << 20,
		.deflate_on_oom = b->deflate_on_oom,
		.reporting = b->reporting,
		.stats_seconds = b->stats_seconds,
	};
	struct virtio_balloon *balloon;
	int r = config_check_balloon(b, p->protection, e);

	if (!r)
		r = virtio_balloon_new(&balloon, &cfg, e);
	if (r)
		return r;
	s->model = balloon;
	s->free = free_balloon;
	s->dev = virtio_balloon_dev(balloon);
	return 0;
}

static void free_console(void *model)
{
	virtio_console_free(model);
}

static int make_console(struct slot *s, const struct place *p, const void *config, struct err *e)
{
	const struct console_config cfg = {
		.mem = p->mem,
		.loop = p->io,
		.irq = p->irq,
		.is_protected = p->is_protected,
		.tty = p->tty,
	};
	struct virtio_console *console;
	int r = virtio_console_new(&console, &cfg, e);

	(void)config;
	if (r)
		return r;
	s->model = console;
	s->free = free_console;
	s->dev = virtio_console_dev(console);
	return 0;
}

static void free_vsock(void *model)
{
	virtio_vsock_free(model);
}

static int make_vsock(struct slot *s, const struct place *p, const void *config, struct err *e)
{
	const struct vsock_config *c = config;
	const struct vsock_device_config cfg = {
		.cid = c->cid,
		.path = c->path,
		.mem = p->mem,
		.loop = p->io,
		.irq = p->irq,
		.is_protected = p->is_protected,
	};
	struct virtio_vsock *vsock;
	int r = virtio_vsock_new(&vsock, &cfg, e);

	if (r)
		return r;
	s->model = vsock;
	s->free = free_vsock;
	s->dev = virtio_vsock_dev(vsock);
	return 0;
}

static void free_net(void *model)
{
	virtio_net_free(model);
}

/*
 * An address for a device that was given none: the same each time for this host and this interface,
 * different from those of other hosts and interfaces as far as chance goes, and locally
 * administered. Of user networks nobody sees it but their own passt.
 */
static void default_mac(const struct net_config *n, uint8_t mac[6])
{
	uint64_t hash = 0xcbf29ce484222325; /* FNV-1a */
	struct blob id = { 0 };
	struct err ignored;
	const char *p;
	unsigned int i;

	if (!blob_read("/etc/machine-id", 256, &id, &ignored))
		for (p = (const char *)id.data; *p; p++)
			hash = (hash ^ (uint8_t)*p) * 0x100000001b3;
	blob_free(&id);
	for (p = n->backend; *p; p++)
		hash = (hash ^ (uint8_t)*p) * 0x100000001b3;
	for (i = 0; i < 6; i++, hash >>= 8)
		mac[i] = (uint8_t)hash;
	mac[0] = (uint8_t)((mac[0] & 0xfc) | 2);
}

static int open_netio(struct slot *s, const struct net_config *n, struct netio **io, struct err *e)
{
	int fd, r;

	if (net_tap(n))
		return netio_tap_new(io, net_tap(n), n->mtu, e);
	r = passt_start(&s->passt, &fd, n->mtu, e);
	return r ? r : netio_stream_new(io, fd, "passt", e);
}

/* Leaves *v NULL where the queues are to be served here. */
static int open_vhost(struct vhost_net **v, const struct net_config *n, const struct netio *io,
	bool is_protected, struct err *e)
{
	struct err why = { "" };
	int r;

	if (n->vhost == NET_VHOST_ON && is_protected)
		return err_set(e, -EINVAL, "net %s: vhost=on is for guests that are not protected",
			n->backend);
	if (n->vhost == NET_VHOST_OFF || !net_tap(n) || net_is_limited(n) || is_protected)
		return 0;
	r = vhost_net_new(v, io->fd, &why);
	if (r && n->vhost == NET_VHOST_ON)
		return err_set(e, r, "net %s: %s", n->backend, why.msg);
	if (r)
		log_info("%s: without vhost: %s", io->name, why.msg);
	return 0;
}

static int make_net(struct slot *s, const struct place *p, const void *config, struct err *e)
{
	const struct net_config *n = config;
	struct nic_config cfg = {
		.mtu = (uint16_t)n->mtu,
		.rx_limit = { per_second(n->rx_bandwidth), per_second(n->rx_pps) },
		.tx_limit = { per_second(n->tx_bandwidth), per_second(n->tx_pps) },
		.mem = p->mem,
		.loop = p->io,
		.irq = p->irq,
		.is_protected = p->is_protected,
	};
	struct virtio_net *nic;
	struct netio *io;
	int r = open_netio(s, n, &io, e);

	if (r)
		return r;
	r = open_vhost(&cfg.vhost, n, io, p->is_protected, e);
	if (r) {
		netio_free(io);
		return r;
	}
	if (!n->mac || !net_parse_mac(n->mac, cfg.mac))
		default_mac(n, cfg.mac);
	r = virtio_net_new(&nic, io, &cfg, e);
	if (r)
		return r;
	s->model = nic;
	s->free = free_net;
	s->dev = virtio_net_dev(nic);
	return 0;
}

uint32_t virtio_set_count(const struct config *c)
{
	return c->disks.count + c->nets.count + c->vsock.count + (c->entropy ? 1 : 0) +
	       c->balloon.count + (c->console == CONSOLE_VIRTIO ? 1 : 0);
}

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

static int open_irq(struct virtio_set *set, struct slot *s, uint32_t gsi, struct err *e)
{
	s->irq.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->irq.fd < 0)
		return err_sys(e, "eventfd for interrupt %u", gsi);
	return kvm_irqfd(set->vm->fd, s->irq.fd, gsi, e);
}

/* Registers in the bus; notifications past it, straight from KVM to the device's loop. */
static int join(
	struct virtio_set *set, struct slot *s, const struct platform_dev *row, struct err *e)
{
	struct bus_dev d = {
		.name = s->dev->ops->name,
		.base = row->base,
		.size = VIRTIO_MMIO_SIZE,
		.ops = &virtio_mmio_ops,
		.dev = &s->mmio,
		.lock = &s->dev->lock,
	};
	unsigned int q;
	int r;

	virtio_mmio_init(&s->mmio, s->dev);
	r = bus_add(&set->vm->mmio, &d, e);
	for (q = 0; !r && q < s->dev->queue_count; q++)
		r = kvm_ioeventfd(set->vm->fd, row->base + VIRTIO_MMIO_NOTIFY, q,
			virtio_kick_fd(s->dev, q), e);
	return r;
}

typedef int (*make_fn)(struct slot *s, const struct place *p, const void *config, struct err *e);

/* config: the device's own part of the configuration, which make knows. */
static int add(struct virtio_set *set, make_fn make, const void *config, struct err *e)
{
	const struct platform_dev *row = next_row(set);
	struct slot *s = &set->slots[set->used];
	struct place p = {
		.mem = set->vm->mem,
		.io = set->io,
		.tty = set->tty,
		.is_protected = set->vm->config.protection != PROTECTION_NONE,
		.protection = set->vm->config.protection,
		.ram_bytes = set->vm->config.ram_bytes,
	};
	int r;

	if (!row || set->used == set->count)
		return err_set(e, -E2BIG, "no slot is left for a virtio device");
	set->used++;
	r = open_irq(set, s, row->irq, e);
	if (r)
		return r;
	p.irq = s->irq;
	r = make(s, &p, config, e);
	return r ? r : join(set, s, row, e);
}

static int add_all(struct virtio_set *set, const struct config *c, struct err *e)
{
	const struct disk_config *disks = c->disks.items;
	const struct net_config *nets = c->nets.items;
	uint32_t i;
	int r = 0;

	for (i = 0; !r && i < c->disks.count; i++)
		r = add(set, make_disk, &disks[i], e);
	for (i = 0; !r && i < c->nets.count; i++)
		r = add(set, make_net, &nets[i], e);
	if (!r && c->vsock.count)
		r = add(set, make_vsock, c->vsock.items, e);
	if (!r && c->entropy)
		r = add(set, make_rng, NULL, e);
	if (!r && c->balloon.count)
		r = add(set, make_balloon, config_balloon(c), e);
	if (!r && c->console == CONSOLE_VIRTIO) {
		r = add(set, make_console, NULL, e);
		set->console = r ? NULL : set->slots[set->used - 1].model;
	}
	return r;
}

int virtio_set_new(struct virtio_set **out, struct vm *vm, struct loop *io, struct tty *tty,
	const struct config *c, struct err *e)
{
	uint32_t i, count = virtio_set_count(c);
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

void virtio_set_resized(struct virtio_set *set)
{
	if (set->console)
		virtio_console_resized(set->console);
}

void virtio_set_free(struct virtio_set *set)
{
	unsigned int i;

	if (!set)
		return;
	for (i = 0; i < set->used; i++) {
		if (set->slots[i].free)
			set->slots[i].free(set->slots[i].model);
		passt_free(set->slots[i].passt);
		fd_close(&set->slots[i].irq.fd);
	}
	free(set);
}
