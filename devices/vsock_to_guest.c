/* SPDX-License-Identifier: Apache-2.0 */
/* What connections have to say to the guest. */
#include <errno.h>
#include <strings.h>
#include <sys/socket.h>

#include "devices/vsock_impl.h"
#include "vmm/util/bits.h"

/* There is nothing more to read. */
static void end_of_file(struct virtio_vsock *v, struct vsock_conn *c)
{
	c->readable = false;
	loop_event_enable(c->read_ev, false);
	vsock_host_shut(
		v, c, vsock_has_hung_up(c->fd) ? VSOCK_SHUT_BOTH : VIRTIO_VSOCK_SHUTDOWN_SEND);
}

static struct virtio_vsock_hdr header(
	const struct virtio_vsock *v, struct vsock_conn *c, unsigned int op)
{
	/* Every packet tells of our credit. */
	c->told = c->forwarded;
	c->pending &= (uint8_t) ~(BIT(op) | BIT(VIRTIO_VSOCK_OP_CREDIT_UPDATE));
	return (struct virtio_vsock_hdr){
		.src_cid = VSOCK_HOST_CID,
		.dst_cid = v->cid,
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.flags = op == VIRTIO_VSOCK_OP_SHUTDOWN ? c->host_shut : 0,
		.buf_alloc = VSOCK_BUF_SIZE,
		.fwd_cnt = c->forwarded,
	};
}

/* If not, asks for it, once. */
static bool has_credit(struct virtio_vsock *v, struct vsock_conn *c)
{
	if (vsock_conn_credit(c))
		return true;
	if (!c->asked)
		vsock_say(v, c, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	c->asked = true;
	return false;
}

/*
 * Data into v->bounce, at most room; the number of bytes, 0 when there are none now. After that the
 * event is on again, unless there is more.
 */
static uint32_t read_data(struct virtio_vsock *v, struct vsock_conn *c, uint32_t room)
{
	ssize_t n;

	if (!has_credit(v, c))
		return 0;
	room = min_u32(min_u32(room, vsock_conn_credit(c)), sizeof(v->bounce));
	n = recv(c->fd, v->bounce, room, MSG_DONTWAIT);
	if (!n || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		end_of_file(v, c);
		return 0;
	}
	/* Less than asked for: the rest is not there yet. */
	if (n < (ssize_t)room) {
		c->readable = false;
		loop_event_enable(c->read_ev, true);
	}
	if (n < 0)
		return 0;
	c->sent += (uint32_t)n;
	/* It may be the last that the guest has room for. */
	if (c->readable)
		has_credit(v, c);
	return (uint32_t)n;
}

bool vsock_next_packet(
	struct virtio_vsock *v, struct vsock_conn *c, uint32_t room, struct virtio_vsock_hdr *h)
{
	/* These come before data. For SHUTDOWN that is right: if the host has ended there is none. */
	const unsigned int first = BIT(VIRTIO_VSOCK_OP_REQUEST) | BIT(VIRTIO_VSOCK_OP_RESPONSE) |
				   BIT(VIRTIO_VSOCK_OP_SHUTDOWN);
	uint32_t len = 0;

	vsock_leave_line(v, c);
	if (c->pending & BIT(VIRTIO_VSOCK_OP_RST)) {
		*h = header(v, c, VIRTIO_VSOCK_OP_RST);
		vsock_after_rst(v, c);
		return true;
	}
	if (!(c->pending & first) && c->state == VSOCK_OPEN && c->readable)
		len = read_data(v, c, room);
	if (!len && !c->pending)
		return false;
	/* The numbers of what is pending are in the order in which it is to be said. */
	*h = header(v, c, len ? VIRTIO_VSOCK_OP_RW : (unsigned int)ffs(c->pending) - 1);
	h->len = len;
	/* Behind the others, if there is more. */
	vsock_leave_line(v, c);
	vsock_join_line(v, c);
	return true;
}

/* ---- events ---- */

void vsock_on_readable(void *arg, int fd, short events)
{
	struct vsock_conn *c = arg;
	struct virtio_vsock *v = c->owner;

	(void)fd;
	(void)events;
	pthread_mutex_lock(&v->dev.lock);
	/* Perhaps a reset came first, and c is among the dead. */
	if (!v->closing && c->in_table && c->state == VSOCK_OPEN) {
		loop_event_enable(c->read_ev, false);
		c->readable = true;
		if (has_credit(v, c))
			vsock_join_line(v, c);
		vsock_serve_rx(v);
	}
	pthread_mutex_unlock(&v->dev.lock);
}
