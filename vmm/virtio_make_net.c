/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio_make.h"

#include <errno.h>

#include "devices/virtio_net.h"
#include "vmm/passt.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

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

static int open_netio(
	struct virtio_made *s, const struct net_config *n, struct netio **io, struct err *e)
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
	r = vhost_net_new(v, VHOST_NET_DEVICE, io->fd, &why);
	if (r && n->vhost == NET_VHOST_ON)
		return err_set(e, r, "net %s: %s", n->backend, why.msg);
	if (r)
		log_info("%s: without vhost: %s", io->name, why.msg);
	return 0;
}

int virtio_make_net(
	struct virtio_made *s, const struct virtio_place *p, const void *config, struct err *e)
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
