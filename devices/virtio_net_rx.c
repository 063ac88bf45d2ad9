/* SPDX-License-Identifier: Apache-2.0 */

/* Frames to the guest: virtio 1.2, 5.1.6.3 and 5.1.6.4. See struct net_rx. */
#include <errno.h>
#include <string.h>

#include "devices/virtio_net_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

/* Ethernet's header, and a VLAN's tag in it. */
#define AROUND_PACKET 18u

/* ---- the driver's buffers ---- */

static bool merges(const struct virtio_net *n)
{
	return virtio_has(&n->dev, VIRTIO_NET_F_MRG_RXBUF);
}

/* Bytes of a frame that the buffers at hand can take. */
static uint32_t room(const struct net_rx *rx)
{
	return rx->bytes > NET_HEADER ? rx->bytes - NET_HEADER : 0;
}

/* No further buffer may be taken, whatever the driver offers. */
static bool is_full(const struct virtio_net *n)
{
	const struct net_rx *rx = &n->rx;

	/* A driver whose whole queue is here has none to offer until it gets some back. */
	return rx->count == (merges(n) ? RX_BUFFERS : 1) || rx->segs + VIRTQ_SEGS_MAX > RX_SEGS ||
	       rx->descs >= n->dev.queues[NET_RX].vq.size;
}

static bool take_buffer(struct virtio_net *n)
{
	struct virtio_dev *d = &n->dev;
	struct virtq_chain *c = &n->chain;
	struct net_rx *rx = &n->rx;

	if (is_full(n) || !virtio_pop(d, NET_RX, c))
		return false;
	if (c->readable)
		virtio_fail(d, "receive buffer with %u parts to read from", c->readable);
	else if (c->write_len < NET_HEADER)
		virtio_fail(d, "receive buffer of %u bytes", c->write_len);
	if (!virtio_running(d)) {
		virtio_drop(d, NET_RX);
		return false;
	}
	rx->generation = c->generation;
	rx->buffers[rx->count++] = (struct rx_buffer){ c->head, (uint16_t)c->writable,
		(uint16_t)c->descs, c->write_len };
	memcpy(&rx->iov[rx->segs], c->iov, c->writable * sizeof(c->iov[0]));
	memcpy(&rx->gpa[rx->segs], c->gpa, c->writable * sizeof(c->gpa[0]));
	rx->segs += c->writable;
	rx->descs += c->descs;
	rx->bytes += c->write_len;
	return true;
}

/* Takes buffers until there is room for so many bytes. False: the driver has offered too few. */
static bool make_room(struct virtio_net *n, uint32_t want)
{
	do {
		while (room(&n->rx) < want && take_buffer(n))
			continue;
		if (room(&n->rx) >= want)
			return true;
	} while (!is_full(n) && virtio_want_notify(&n->dev, NET_RX, true));
	return false;
}

/* The first of the buffers, with the frame in them, go to the driver, all at once. */
static void push_buffers(struct virtio_net *n, uint32_t bytes, unsigned int count)
{
	struct virtq_done done[RX_BUFFERS];
	struct net_rx *rx = &n->rx;
	unsigned int i, segs = 0;

	for (i = 0; i < count; i++) {
		uint32_t len = min_u32(rx->buffers[i].len, bytes);

		done[i] = (struct virtq_done){ rx->buffers[i].head, len };
		bytes -= len;
		segs += rx->buffers[i].segs;
		rx->bytes -= rx->buffers[i].len;
		rx->descs -= rx->buffers[i].descs;
	}
	rx->count -= count;
	rx->segs -= segs;
	memmove(rx->buffers, rx->buffers + count, rx->count * sizeof(rx->buffers[0]));
	memmove(rx->iov, rx->iov + segs, rx->segs * sizeof(rx->iov[0]));
	memmove(rx->gpa, rx->gpa + segs, rx->segs * sizeof(rx->gpa[0]));
	virtio_push_all(&n->dev, NET_RX, rx->generation, done, count);
}

void net_rx_drop(struct virtio_net *n)
{
	struct net_rx *rx = &n->rx;

	rx->frame = 0;
	rx->segs = 0;
	rx->descs = 0;
	rx->bytes = 0;
	for (; rx->count; rx->count--)
		virtio_drop(&n->dev, NET_RX);
}

/*
 * Buffers that an earlier callback took: a page may have become private since. Those of a queue that
 * was stopped are no longer ours to look at, and a reset takes them away before it starts again.
 */
static bool look_up_again(struct virtio_net *n)
{
	struct net_rx *rx = &n->rx;
	unsigned int i;

	if (!virtio_running(&n->dev) || !n->dev.queues[NET_RX].vq.ready)
		return false;
	for (i = 0; i < rx->segs; i++) {
		rx->iov[i].iov_base = mem_host(n->dev.mem, rx->gpa[i], rx->iov[i].iov_len);
		if (!rx->iov[i].iov_base) {
			virtio_fault(&n->dev, "queue %d (receiveq): buffer at gpa 0x%llx: %s",
				NET_RX, (unsigned long long)rx->gpa[i].v,
				mem_refusal(n->dev.mem, rx->gpa[i], rx->iov[i].iov_len));
			return false;
		}
	}
	return true;
}

/* Into the buffers at hand, off bytes behind their start; they are long enough. */
static bool copy_in(struct virtio_net *n, uint32_t off, const void *from, size_t len)
{
	struct net_rx *rx = &n->rx;
	const uint8_t *p = from;
	struct err e = { "" };
	unsigned int i;

	for (i = 0; len; i++) {
		size_t have = rx->iov[i].iov_len, part;

		if (off >= have) {
			off -= (uint32_t)have;
			continue;
		}
		part = min_u64(have - off, len);
		if (mem_write(n->dev.mem, gpa_add(rx->gpa[i], off), p, part, &e)) {
			virtio_fault(&n->dev, "receive buffer: %s", e.msg);
			return false;
		}
		off = 0;
		p += part;
		len -= part;
	}
	return true;
}

/* ---- one frame ---- */

/*
 * What the host's kernel says of a frame is right, but perhaps for a driver before this one, which
 * had negotiated more: the frame waited in the interface over a reset.
 */
static bool header_fits(struct virtio_net *n)
{
	struct virtio_net_hdr_v1 *h = &n->rx.header;
	bool ecn = h->gso_type & VIRTIO_NET_HDR_GSO_ECN;

	if (!virtio_has(&n->dev, VIRTIO_NET_F_GUEST_CSUM)) {
		if (h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
			return false;
		h->flags = 0;
	}
	h->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	if (ecn && !virtio_has(&n->dev, VIRTIO_NET_F_GUEST_ECN))
		return false;
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return !ecn;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return virtio_has(&n->dev, VIRTIO_NET_F_GUEST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return virtio_has(&n->dev, VIRTIO_NET_F_GUEST_TSO6);
	default:
		return false;
	}
}

static void drop_frame(struct virtio_net *n, const char *why)
{
	log_limited(LOG_INFO, "%s: frame of %u bytes for the guest dropped: %s", n->io->name,
		n->rx.frame, why);
	n->counts.rx_failures++;
	n->rx.frame = 0;
}

/* The driver's pieces behind the place for the header, then the spill. */
static unsigned int read_buffers(struct net_rx *rx)
{
	uint32_t skip = NET_HEADER;
	unsigned int i, count = 1; /* the first is the backend's */

	for (i = 0; i < rx->segs; i++) {
		size_t len = rx->iov[i].iov_len;

		if (skip >= len) {
			skip -= (uint32_t)len;
			continue;
		}
		rx->read_iov[count++] =
			(struct iovec){ (uint8_t *)rx->iov[i].iov_base + skip, len - skip };
		skip = 0;
	}
	rx->read_iov[count++] = (struct iovec){ rx->spill, sizeof(rx->spill) };
	return count;
}

/* 5.1.4.1: with VIRTIO_NET_F_MTU no packet may be longer; segmentation is the guest's business. */
static bool exceeds_mtu(const struct virtio_net *n)
{
	const struct net_rx *rx = &n->rx;

	return virtio_has(&n->dev, VIRTIO_NET_F_MTU) &&
	       rx->header.gso_type == VIRTIO_NET_HDR_GSO_NONE &&
	       rx->frame > n->space.mtu + AROUND_PACKET;
}

/* 0: there is one in rx.frame, or there was one and it is dropped. */
static int read_frame(struct virtio_net *n)
{
	struct net_rx *rx = &n->rx;
	ssize_t len = netio_recv(n->io, &rx->header, rx->read_iov, read_buffers(rx));

	if (len == -EFAULT)
		virtio_fault(&n->dev, "receive buffer: private page");
	if (len == -ENODEV)
		net_link_down(n);
	if (len < 0)
		return (int)len;
	rx->frame = (uint32_t)len;
	rx->in_guest = min_u32(rx->frame, room(rx));
	rx->is_paid = false;
	if (rx->frame > NETIO_FRAME_MAX || rx->frame < NETIO_FRAME_MIN)
		drop_frame(n, "not of a length that can be");
	else if (!header_fits(n))
		drop_frame(n, "the driver did not negotiate what it needs");
	else if (exceeds_mtu(n))
		drop_frame(n, "longer than the MTU that the guest was told");
	return 0;
}

/* The frame is in rx.frame; true when it is gone. False: buffers, tokens or the device are missing. */
static bool deliver(struct virtio_net *n)
{
	struct net_rx *rx = &n->rx;
	uint32_t left, count = 0;

	if (!make_room(n, rx->frame)) {
		if (virtio_running(&n->dev) && is_full(n)) {
			drop_frame(n, "longer than the driver's buffers");
			return true;
		}
		n->counts.no_rx_buffer++;
		return false;
	}
	if (!rx->is_paid && !ratelimit_take(&rx->limit, 1, rx->frame))
		return false;
	rx->is_paid = true;
	if (!copy_in(n, NET_HEADER + rx->in_guest, rx->spill, rx->frame - rx->in_guest))
		return false;
	for (left = NET_HEADER + rx->frame; left; count++)
		left -= min_u32(left, rx->buffers[count].len);
	/* 5.1.6.4.1: 1 also where buffers are not merged. */
	rx->header.num_buffers = (uint16_t)count;
	if (!copy_in(n, 0, &rx->header, NET_HEADER))
		return false;
	push_buffers(n, NET_HEADER + rx->frame, count);
	n->counts.rx_packets++;
	n->counts.rx_bytes += rx->frame;
	rx->frame = 0;
	return true;
}

/* What to hold before a read: room for the longest frame that may come, as far as we know. */
static uint32_t usual_room(const struct virtio_net *n)
{
	if (virtio_has(&n->dev, VIRTIO_NET_F_GUEST_TSO4) ||
		virtio_has(&n->dev, VIRTIO_NET_F_GUEST_TSO6))
		return NETIO_FRAME_MAX;
	return (n->space.mtu ? n->space.mtu : 1500u) + AROUND_PACKET;
}

/* One frame, or a part of the way. True: go on. */
static bool run_once(struct virtio_net *n)
{
	if (n->rx.frame)
		return deliver(n);
	make_room(n, usual_room(n));
	/* Some room will do; what does not fit waits in the spill. */
	if (!n->rx.count || !virtio_running(&n->dev))
		return false;
	return !read_frame(n) && (!n->rx.frame || deliver(n));
}

void net_rx_run(struct virtio_net *n)
{
	struct virtio_dev *d = &n->dev;
	unsigned int budget = NET_TURN;

	if (!look_up_again(n)) {
		netio_want_read(n->io, false);
		return;
	}
	virtio_want_notify(d, NET_RX, false);
	while (budget && run_once(n))
		budget--;
	virtio_notify(d, NET_RX);
	/* A backend that has frames in a buffer of its own does not become readable for them. */
	if (!budget)
		virtio_kick(d, NET_RX);
	netio_want_read(n->io, virtio_running(d) && n->rx.count && !n->rx.frame && n->space.status);
}
