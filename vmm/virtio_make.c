/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio_make.h"

#include "devices/vhost_vsock.h"
#include "devices/virtio_balloon.h"
#include "devices/virtio_blk.h"
#include "devices/virtio_console.h"
#include "devices/virtio_rng.h"
#include "devices/virtio_vsock.h"

static void free_rng(void *model)
{
	virtio_rng_free(model);
}

int virtio_make_rng(
	struct virtio_made *s, const struct virtio_place *p, const void *config, struct err *e)
{
	const struct virtio_rng_config cfg = {
		.mem = p->mem,
		.loop = p->io,
		.irq = p->irq,
		.is_protected = p->is_protected,
		.limit = *(const struct ratelimit_config *)config,
	};
	struct virtio_rng *rng;
	int r = virtio_rng_new(&rng, &cfg, e);

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

int virtio_make_disk(
	struct virtio_made *s, const struct virtio_place *p, const void *config, struct err *e)
{
	const struct disk_config *d = config;
	const struct blk_config cfg = {
		.path = d->path,
		.read_only = d->read_only,
		/* With a name it can be exchanged by the API: some begin with a file of no size. */
		.may_be_empty = d->id != NULL,
		.cache = d->cache,
		.engine = d->engine,
		.id = d->serial,
		.limit = d->limit,
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

int virtio_make_balloon(
	struct virtio_made *s, const struct virtio_place *p, const void *config, struct err *e)
{
	const struct balloon_options *b = config;
	const struct balloon_config cfg = {
		.mem = p->mem,
		.loop = p->io,
		.irq = p->irq,
		.ram_bytes = p->ram_bytes,
		.target = b->size_mib << 20,
		.deflate_on_oom = b->deflate_on_oom,
		.reporting = b->reporting,
		.stats_seconds = b->stats_seconds,
	};
	struct virtio_balloon *balloon;
	int r = virtio_balloon_new(&balloon, &cfg, e);

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

int virtio_make_console(
	struct virtio_made *s, const struct virtio_place *p, const void *config, struct err *e)
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

static void free_vhost_vsock(void *model)
{
	vhost_vsock_free(model);
}

static int make_vhost_vsock(struct virtio_made *s, const struct virtio_place *p,
	const struct vsock_config *c, struct err *e)
{
	const struct vhost_vsock_config cfg = {
		.device = VHOST_VSOCK_DEVICE,
		.cid = c->cid,
		.mem = p->mem,
		.loop = p->io,
		.irq = p->irq,
	};
	struct vhost_vsock *vsock;
	int r = vhost_vsock_new(&vsock, &cfg, e);

	if (r)
		return err_hint(e, err_prefix(e, r, "vsock"), "path=SOCKET does without vhost");
	s->model = vsock;
	s->free = free_vhost_vsock;
	s->dev = vhost_vsock_dev(vsock);
	return 0;
}

int virtio_make_vsock(
	struct virtio_made *s, const struct virtio_place *p, const void *config, struct err *e)
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
	int r = config_check_vsock(c, p->protection, e);

	if (!r && !c->path)
		return make_vhost_vsock(s, p, c, e);
	if (!r)
		r = virtio_vsock_new(&vsock, &cfg, e);
	if (r)
		return r;
	s->model = vsock;
	s->free = free_vsock;
	s->dev = virtio_vsock_dev(vsock);
	return 0;
}
