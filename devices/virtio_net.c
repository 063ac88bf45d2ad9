/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtio_net.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "devices/virtio_net_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

#define QUEUE_SIZE 256u

/* ---- features: virtio 1.2, 5.1.3 ---- */

static bool any(uint64_t features, uint64_t of)
{
	return features & of;
}

#define HOST_TSO  (BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6))
#define GUEST_TSO (BIT(VIRTIO_NET_F_GUEST_TSO4) | BIT(VIRTIO_NET_F_GUEST_TSO6))

/* What needs what: 5.1.3.1. */
static bool net_features(struct virtio_dev *d, uint64_t f)
{
	static const struct {
		uint64_t feature, needs;
	} rules[] = {
		{ HOST_TSO, BIT(VIRTIO_NET_F_CSUM) },
		{ GUEST_TSO, BIT(VIRTIO_NET_F_GUEST_CSUM) },
		{ BIT(VIRTIO_NET_F_HOST_ECN), HOST_TSO },
		{ BIT(VIRTIO_NET_F_GUEST_ECN), GUEST_TSO },
	};
	size_t i;

	(void)d;
	for (i = 0; i < ARRAY_SIZE(rules); i++)
		if (any(f, rules[i].feature) && !any(f, rules[i].needs))
			return false;
	return true;
}

static uint64_t offered(const struct virtio_net *n)
{
	uint64_t f = BIT(VIRTIO_NET_F_MAC) | BIT(VIRTIO_NET_F_STATUS) |
		     BIT(VIRTIO_NET_F_MRG_RXBUF) | n->io->features;

	return n->space.mtu ? f | BIT(VIRTIO_NET_F_MTU) : f;
}

static void net_activate(struct virtio_dev *d)
{
	struct virtio_net *n = d->model;
	struct err e = { "" };

	netio_offload(n->io, d->features);
	if (n->vhost && vhost_start(vhost_net_base(n->vhost), &e))
		virtio_fail(d, "%s", e.msg);
}

/* ---- the link ---- */

void net_link_down(struct virtio_net *n)
{
	if (!n->space.status)
		return;
	log_warn("%s: gone; the guest's link is down", n->io->name);
	n->space.status = 0;
	netio_want_read(n->io, false);
	virtio_config_changed(&n->dev);
}

/* ---- frames from the guest: 5.1.6.2 ---- */

static const char *csum_flaw(
	const struct virtio_net *n, const struct virtio_net_hdr_v1 *h, uint32_t len)
{
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return NULL;
	if (!virtio_has(&n->dev, VIRTIO_NET_F_CSUM))
		return "a checksum is left to us, which was not negotiated";
	if ((uint32_t)h->csum_start + h->csum_offset + sizeof(uint16_t) > len)
		return "its checksum is to be behind its end";
	return NULL;
}

static const char *gso_flaw(const struct virtio_net *n, const struct virtio_net_hdr_v1 *h)
{
	bool ecn = h->gso_type & VIRTIO_NET_HDR_GSO_ECN, negotiated = false;

	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return ecn ? "ECN without segmentation" : NULL;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		negotiated = virtio_has(&n->dev, VIRTIO_NET_F_HOST_TSO4);
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		negotiated = virtio_has(&n->dev, VIRTIO_NET_F_HOST_TSO6);
		break;
	}
	if (!negotiated || (ecn && !virtio_has(&n->dev, VIRTIO_NET_F_HOST_ECN)))
		return "a kind of segmentation that was not negotiated";
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM))
		return "segmentation with a checksum that is complete";
	return h->gso_size ? NULL : "segments of no bytes";
}

/* Why that frame will not do, or NULL; then the header is fit for a backend. */
static const char *tx_flaw(const struct virtio_net *n, struct virtio_net_hdr_v1 *h, uint32_t len)
{
	const char *flaw;

	if (len < NETIO_FRAME_MIN)
		return "shorter than an Ethernet header";
	if (len > NETIO_FRAME_MAX)
		return "longer than any frame can be";
	flaw = csum_flaw(n, h, len);
	if (!flaw)
		flaw = gso_flaw(n, h);
	/* Bits we do not know mean nothing; the header's length is a hint, and no more (5.1.6.2.2). */
	h->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h->hdr_len = (uint16_t)min_u32(h->hdr_len, len);
	h->num_buffers = 0;
	return flaw;
}

/* 0: sent, or lost as frames may be. -EAGAIN: later. */
static int send_frame(
	struct virtio_net *n, const struct virtio_net_hdr_v1 *h, const struct virtq_chain *c)
{
	uint32_t skip = NET_HEADER;
	unsigned int i, count = 1; /* the first is the backend's */
	int r;

	for (i = 0; i < c->readable; i++) {
		size_t len = c->iov[i].iov_len;

		if (skip >= len) {
			skip -= (uint32_t)len;
			continue;
		}
		n->tx_iov[count++] =
			(struct iovec){ (uint8_t *)c->iov[i].iov_base + skip, len - skip };
		skip = 0;
	}
	r = netio_send(n->io, h, n->tx_iov, count);
	n->counts.tx_packets += !r;
	n->counts.tx_bytes += r ? 0 : c->read_len - NET_HEADER;
	n->counts.tx_failures += r && r != -EAGAIN;
	if (r == -EFAULT)
		virtio_fault(&n->dev, "frame to send: private page");
	if (r == -ENODEV)
		net_link_down(n);
	return r;
}

/* False: no tokens, or the backend is full; each has the queue served again. */
static bool transmit(struct virtio_net *n, struct virtio_net_hdr_v1 *h, const struct virtq_chain *c)
{
	uint32_t len = c->read_len - NET_HEADER;
	const char *flaw = tx_flaw(n, h, len);

	if (flaw) {
		log_limited(LOG_WARN, "%s: frame of %u bytes from the guest dropped: %s",
			n->io->name, len, flaw);
		n->counts.tx_malformed++;
		return true;
	}
	if (!n->space.status)
		return true;
	if (!ratelimit_take(&n->tx_limit, 1, len))
		return false;
	if (send_frame(n, h, c) != -EAGAIN)
		return true;
	ratelimit_give(&n->tx_limit, 1, len);
	netio_want_write(n->io);
	return false;
}

static enum virtio_next send_one(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_net *n = d->model;
	struct virtio_net_hdr_v1 header;

	if (!n->tx_left) {
		virtio_kick(d, q);
		return VIRTIO_LATER;
	}
	n->tx_left--;
	if (c->writable)
		virtio_fail(d, "frame to send with %u buffers to write to", c->writable);
	else if (c->read_len < NET_HEADER)
		virtio_fail(d, "frame to send with a header of %u bytes", c->read_len);
	if (virtio_running(d) && virtio_read(d, q, c, 0, &header, NET_HEADER) &&
		!transmit(n, &header, c))
		return VIRTIO_LATER;
	virtio_push(d, q, c, 0);
	return VIRTIO_NEXT;
}

static void net_tx_run(struct virtio_net *n)
{
	/* A queue of the longest frames would keep others on the loop waiting for too long. */
	n->tx_left = NET_TURN;
	virtio_serve(&n->dev, NET_TX, send_one);
}

static void net_notify(struct virtio_dev *d, unsigned int q)
{
	struct virtio_net *n = d->model;

	/* A notification from before the kernel took over. It has got it too. */
	if (n->vhost)
		return;
	if (q == NET_RX) {
		n->counts.rx_events++;
		net_rx_run(n);
	} else {
		n->counts.tx_events++;
		net_tx_run(n);
	}
}

/* ---- events; on the loop, without the lock ---- */

static void on_backend(void *arg, int events)
{
	struct virtio_net *n = arg;
	struct virtio_dev *d = &n->dev;

	pthread_mutex_lock(&d->lock);
	n->counts.backend_events += (events & NETIO_READABLE) != 0;
	if (events & NETIO_READABLE && !n->closing)
		net_rx_run(n);
	if (events & NETIO_WRITABLE && !n->closing && virtio_running(d) &&
		d->queues[NET_TX].vq.ready)
		net_tx_run(n);
	pthread_mutex_unlock(&d->lock);
}

static void on_rx_tokens(void *arg)
{
	struct virtio_net *n = arg;

	virtio_kick(&n->dev, NET_RX);
}

static void on_tx_tokens(void *arg)
{
	struct virtio_net *n = arg;

	virtio_kick(&n->dev, NET_TX);
}

/* ---- resets, configuration ---- */

static void net_reset(struct virtio_dev *d)
{
	struct virtio_net *n = d->model;

	if (n->vhost)
		vhost_stop(vhost_net_base(n->vhost));
	net_rx_drop(n);
	netio_offload(n->io, 0);
}

static void net_vhost_broken(struct virtio_dev *d)
{
	const struct virtio_net *n = d->model;

	vhost_stop(vhost_net_base(n->vhost));
}

static void net_queue_reset(struct virtio_dev *d, unsigned int q)
{
	/* Chains of the other queue are not kept beyond net_notify. */
	if (q == NET_RX)
		net_rx_drop(d->model);
}

static void net_config_read(struct virtio_dev *d, uint32_t off, void *data, unsigned int len)
{
	const struct virtio_net *n = d->model;

	virtio_config_copy(&n->space, sizeof(n->space), off, data, len);
}

static const char *const queue_names[NET_QUEUES] = { "receiveq1", "transmitq1" };

#define COUNTER(field) offsetof(struct virtio_net, field)

static const struct virtio_counter counters[] = {
	{ "rx_packets_count", COUNTER(counts.rx_packets) },
	{ "rx_bytes_count", COUNTER(counts.rx_bytes) },
	{ "rx_fails", COUNTER(counts.rx_failures) },
	{ "rx_queue_event_count", COUNTER(counts.rx_events) },
	{ "rx_tap_event_count", COUNTER(counts.backend_events) },
	{ "rx_rate_limiter_throttled", COUNTER(rx.limit.refused) },
	{ "no_rx_avail_buffer", COUNTER(counts.no_rx_buffer) },
	{ "tx_packets_count", COUNTER(counts.tx_packets) },
	{ "tx_bytes_count", COUNTER(counts.tx_bytes) },
	{ "tx_fails", COUNTER(counts.tx_failures) },
	{ "tx_malformed_frames", COUNTER(counts.tx_malformed) },
	{ "tx_queue_event_count", COUNTER(counts.tx_events) },
	{ "tx_rate_limiter_throttled", COUNTER(tx_limit.refused) },
	{ "event_fails", COUNTER(dev.failed) },
	{ NULL, 0 },
};

/* With vhost we see none of the frames. */
static const struct virtio_counter vhost_counters[] = {
	{ "event_fails", COUNTER(dev.failed) },
	{ NULL, 0 },
};

static const struct virtio_ops net_ops = {
	.name = "virtio-net",
	.metrics = "net",
	.counters = counters,
	.id = VIRTIO_ID_NET,
	.queue_names = queue_names,
	.features = net_features,
	.activate = net_activate,
	.reset = net_reset,
	.queue_reset = net_queue_reset,
	.queue_notify = net_notify,
	.config_read = net_config_read,
};

/* A queue that was reset alone would have to be handed over anew; drivers do without. */
static const struct virtio_ops vhost_ops = {
	.name = "virtio-net",
	.metrics = "net",
	.counters = vhost_counters,
	.id = VIRTIO_ID_NET,
	.queue_names = queue_names,
	.features = net_features,
	.activate = net_activate,
	.reset = net_reset,
	.broken = net_vhost_broken,
	.queue_notify = net_notify,
	.config_read = net_config_read,
};

/* ---- life ---- */

static int set_up(struct virtio_net *n, const struct nic_config *cfg, struct err *e)
{
	static const uint16_t queue_max[NET_QUEUES] = { QUEUE_SIZE, QUEUE_SIZE };
	struct virtio_config vc;
	int r;

	memcpy(n->space.mac, cfg->mac, sizeof(n->space.mac));
	n->space.status = VIRTIO_NET_S_LINK_UP;
	n->space.max_virtqueue_pairs = 1;
	n->space.mtu = cfg->mtu;
	vc = (struct virtio_config){ .ops = n->vhost ? &vhost_ops : &net_ops,
		.model = n,
		.features = offered(n),
		.queue_max = queue_max,
		.queues = NET_QUEUES,
		.mem = cfg->mem,
		.loop = cfg->loop,
		.irq = cfg->irq,
		.is_protected = cfg->is_protected };
	r = virtio_init(&n->dev, &vc, e);
	if (!r && n->vhost)
		r = vhost_join(vhost_net_base(n->vhost), &n->dev, e);
	if (!r)
		r = ratelimit_init(&n->rx.limit, &cfg->rx_limit, cfg->loop, on_rx_tokens, n, e);
	if (!r)
		r = ratelimit_init(&n->tx_limit, &cfg->tx_limit, cfg->loop, on_tx_tokens, n, e);
	return r ? r : netio_attach(n->io, cfg->loop, on_backend, n, e);
}

int virtio_net_new(
	struct virtio_net **out, struct netio *io, const struct nic_config *cfg, struct err *e)
{
	struct virtio_net *n = calloc(1, sizeof(*n));
	int r;

	if (!n) {
		r = err_set(e, -ENOMEM, "%s: out of memory", io->name);
		vhost_net_free(cfg->vhost);
		netio_free(io);
		return r;
	}
	n->io = io;
	n->vhost = cfg->vhost;
	r = set_up(n, cfg, e);
	if (r) {
		virtio_net_free(n);
		return r;
	}
	*out = n;
	return 0;
}

void virtio_net_free(struct virtio_net *n)
{
	if (!n)
		return;
	/*
	 * Serving the queues arms timers and asks for the backend's events; both serve the queues. An
	 * event that is being freed must not be asked for by its own callback: hence closing.
	 */
	if (n->dev.ops) {
		pthread_mutex_lock(&n->dev.lock);
		n->closing = true;
		pthread_mutex_unlock(&n->dev.lock);
		virtio_leave(&n->dev);
	}
	netio_detach(n->io);
	ratelimit_free(&n->rx.limit);
	ratelimit_free(&n->tx_limit);
	vhost_net_free(n->vhost);
	virtio_fini(&n->dev);
	netio_free(n->io);
	free(n);
}

int virtio_net_set_limits(struct virtio_net *n, const struct ratelimit_config *rx,
	const struct ratelimit_config *tx, struct err *e)
{
	int r;

	if (n->vhost)
		return err_set(e, -ENOTSUP,
			"%s: the host's kernel serves this device, and knows no limits (start it "
			"with one, or with vhost=off)",
			n->io->name);
	pthread_mutex_lock(&n->dev.lock);
	/* Both or none. */
	r = ratelimit_check(tx, e);
	if (!r)
		r = ratelimit_set(&n->rx.limit, rx, e);
	if (!r)
		r = ratelimit_set(&n->tx_limit, tx, e);
	pthread_mutex_unlock(&n->dev.lock);
	return r;
}

struct virtio_dev *virtio_net_dev(struct virtio_net *n)
{
	return &n->dev;
}
