/* SPDX-License-Identifier: Apache-2.0 */
/* What the guest says, and the data it sends. */
#include <errno.h>
#include <sys/socket.h>

#include "devices/vsock_impl.h"
#include "vmm/util/log.h"

static void on_writable(void *arg, int fd, short events);

/* Waits for the socket to take more, or stops waiting. */
static int watch_write(struct virtio_vsock *v, struct vsock_conn *c)
{
	struct err e;

	if (c->write_ev) {
		loop_event_enable(c->write_ev, c->out_len > 0);
		return 0;
	}
	if (!c->out_len)
		return 0;
	return loop_add_fd(v->dev.loop, c->fd, LOOP_WRITE, on_writable, c, &c->write_ev, &e);
}

/* The socket took what it could; r is an error of its or ours. c may be gone if it was draining. */
static void after_write(struct virtio_vsock *v, struct vsock_conn *c, int r)
{
	if (c->state == VSOCK_RESET || c->state == VSOCK_DRAINING) {
		/* Nobody waits for this but the host's program. */
		if (!r && c->out_len && !watch_write(v, c)) {
			if (c->state == VSOCK_DRAINING)
				vsock_set_deadline(v, c, v->drain_ms);
			return;
		}
		vsock_conn_hang_up(c);
		if (c->state == VSOCK_DRAINING)
			vsock_discard(v, c);
		return;
	}
	if (r == -ENOMEM || watch_write(v, c)) {
		log_limited(LOG_WARN, "virtio-vsock: out of memory, a connection is reset");
		vsock_reset_conn(v, c);
		return;
	}
	if (r) {
		/* What it has written before may still be there to read. */
		vsock_host_shut(v, c, VIRTIO_VSOCK_SHUTDOWN_RCV);
		return;
	}
	if (!c->out_len && c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND)
		shutdown(c->fd, SHUT_WR);
	if (vsock_conn_should_tell(c))
		vsock_say(v, c, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
}

static void on_writable(void *arg, int fd, short events)
{
	struct vsock_conn *c = arg;
	struct virtio_vsock *v = c->owner;

	(void)fd;
	(void)events;
	pthread_mutex_lock(&v->dev.lock);
	if (!v->closing && c->fd >= 0) {
		after_write(v, c, vsock_conn_flush(c));
		vsock_serve_rx(v);
	}
	pthread_mutex_unlock(&v->dev.lock);
}

static void receive_data(
	struct virtio_vsock *v, struct vsock_conn *c, const struct virtq_chain *chain, uint32_t len)
{
	bool ended = c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND;

	if (ended || len > vsock_conn_room(c)) {
		log_limited(LOG_WARN, "virtio-vsock: guest sends %s, a connection is reset",
			ended ? "after it said that it will not" : "more than it may");
		vsock_reset_conn(v, c);
		return;
	}
	/* Not longer than the bounce buffer, which is as long as the room can be. */
	if (!len || !virtio_read(&v->dev, VSOCK_TX, chain, VSOCK_HEADER, v->bounce, len))
		return;
	if (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		c->received += len;
		c->forwarded += len;
		return;
	}
	after_write(v, c, vsock_conn_write(c, v->bounce, len));
}

/* The guest has closed one direction or both: 5.10.6.5. Both is answered by RST. */
static void receive_shutdown(struct virtio_vsock *v, struct vsock_conn *c, uint32_t flags)
{
	c->guest_shut |= (uint8_t)(flags & VSOCK_SHUT_BOTH);
	if (c->guest_shut == VSOCK_SHUT_BOTH) {
		if (!c->out_len) {
			vsock_reset_conn(v, c);
			return;
		}
		/* The guest is done with it. What it has written still goes to its reader. */
		c->state = VSOCK_RESET;
		c->pending = 0;
		c->deadline = 0;
		c->readable = false;
		loop_event_enable(c->read_ev, false);
		vsock_say(v, c, VIRTIO_VSOCK_OP_RST);
		return;
	}
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV) {
		/* Its writer gets EPIPE; from now on only writing shows that it is gone. */
		shutdown(c->fd, SHUT_RD);
		c->readable = false;
		loop_event_enable(c->read_ev, false);
		vsock_set_deadline(v, c, VSOCK_LOOK_MS);
	} else if (c->guest_shut && !c->out_len) {
		shutdown(c->fd, SHUT_WR);
	}
}

static void receive_open(struct virtio_vsock *v, struct vsock_conn *c,
	const struct virtq_chain *chain, const struct virtio_vsock_hdr *h)
{
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RW:
		receive_data(v, c, chain, h->len);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		vsock_say(v, c, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		receive_shutdown(v, c, h->flags);
		break;
	default:
		vsock_reset_conn(v, c);
		break;
	}
}

static void receive_rst(struct virtio_vsock *v, struct vsock_conn *c)
{
	c->pending = 0;
	if (c->state == VSOCK_RESET && c->fd >= 0)
		vsock_after_rst(v, c);
	else
		vsock_discard(v, c);
}

void vsock_receive(struct virtio_vsock *v, struct vsock_conn *c, const struct virtq_chain *chain,
	const struct virtio_vsock_hdr *h)
{
	c->guest_buf = h->buf_alloc;
	c->guest_forwarded = h->fwd_cnt;
	if (vsock_conn_credit(c)) {
		c->asked = false;
		vsock_join_line(v, c);
	}
	if (h->op == VIRTIO_VSOCK_OP_RST) {
		vsock_leave_line(v, c);
		receive_rst(v, c);
		return;
	}
	switch (c->state) {
	case VSOCK_REQUESTED:
		if (h->op == VIRTIO_VSOCK_OP_RESPONSE)
			vsock_accepted(v, c);
		else
			vsock_reset_conn(v, c);
		break;
	case VSOCK_OPEN:
		receive_open(v, c, chain, h);
		break;
	case VSOCK_CLOSING:
		/* What crossed our SHUTDOWN is for nobody. */
		if (h->op == VIRTIO_VSOCK_OP_REQUEST || h->op == VIRTIO_VSOCK_OP_SHUTDOWN)
			vsock_reset_conn(v, c);
		break;
	case VSOCK_DIALING:
		vsock_reset_conn(v, c);
		break;
	case VSOCK_RESET:
	case VSOCK_DRAINING: /* not in the table */
		break;
	}
}
