/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/virtio_make.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "devices/virtio_net.h"
#include "vmm/passt.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

#define MACHINE_ID_DIGITS 32

static void free_net(void *model)
{
	virtio_net_free(model);
}

/*
 * The host's id; bytes of chance where it has none, as in an image that was not started before. Of
 * user networks nobody sees the address but their own passt.
 */
static int default_mac(const struct net_config *n, uint32_t item, uint8_t mac[6], struct err *e)
{
	struct blob id = { 0 };
	struct err ignored;
	uint8_t chance[16];
	int r = 0;

	if (!blob_read("/etc/machine-id", 256, &id, &ignored) &&
		strspn((const char *)id.data, "0123456789abcdef") == MACHINE_ID_DIGITS)
		net_default_mac(n, item, id.data, MACHINE_ID_DIGITS, mac);
	else if (getrandom(chance, sizeof(chance), 0) == sizeof(chance))
		net_default_mac(n, item, chance, sizeof(chance), mac);
	else
		r = err_sys(e, "net %s: getrandom", n->backend);
	blob_free(&id);
	return r;
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
		return err_set(e, -EINVAL,
			"net %s: vhost=on is for guests that are not protected (leave it out)",
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
		.rx_limit = n->rx_limit,
		.tx_limit = n->tx_limit,
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
		r = default_mac(n, p->item, cfg.mac, e);
	if (r) {
		vhost_net_free(cfg.vhost);
		netio_free(io);
		return r;
	}
	r = virtio_net_new(&nic, io, &cfg, e);
	if (r)
		return r;
	s->model = nic;
	s->free = free_net;
	s->dev = virtio_net_dev(nic);
	return 0;
}
