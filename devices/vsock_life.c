/* SPDX-License-Identifier: Apache-2.0 */
/* How connections begin and end. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/vsock_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/log.h"

void vsock_tick_on(struct virtio_vsock *v)
{
	if (!v->ticking)
		loop_timer_set(v->tick, VSOCK_TICK_US);
	v->ticking = true;
}

void vsock_set_deadline(struct virtio_vsock *v, struct vsock_conn *c, unsigned int ms)
{
	c->deadline = clock_ms() + ms;
	vsock_tick_on(v);
}

/* ---- the line of those who have something to say ---- */

static bool may_read(const struct vsock_conn *c)
{
	return c->state == VSOCK_OPEN && c->readable;
}

void vsock_leave_line(struct virtio_vsock *v, struct vsock_conn *c)
{
	if (c->is_ready)
		TAILQ_REMOVE(&v->ready, c, ready);
	c->is_ready = false;
}

void vsock_join_line(struct virtio_vsock *v, struct vsock_conn *c)
{
	if (c->is_ready || (!c->pending && !(may_read(c) && vsock_conn_credit(c))))
		return;
	c->is_ready = true;
	TAILQ_INSERT_TAIL(&v->ready, c, ready);
}

void vsock_say(struct virtio_vsock *v, struct vsock_conn *c, unsigned int op)
{
	c->pending |= (uint8_t)BIT(op);
	vsock_join_line(v, c);
}

void vsock_discard(struct virtio_vsock *v, struct vsock_conn *c)
{
	if (c->state == VSOCK_DRAINING)
		v->draining--;
	vsock_leave_line(v, c);
	v->counts.removed++;
	vsock_conn_remove(&v->table, c);
	vsock_conn_free(c);
}

/* ---- ending connections ---- */

void vsock_reset_conn(struct virtio_vsock *v, struct vsock_conn *c)
{
	v->counts.killed++;
	vsock_conn_hang_up(c);
	c->state = VSOCK_RESET;
	c->pending = 0;
	c->deadline = 0;
	vsock_say(v, c, VIRTIO_VSOCK_OP_RST);
}

/* Who does not read what a guest has left behind has had the longest time to. */
static void discard_oldest_draining(struct virtio_vsock *v)
{
	struct vsock_conn *c = TAILQ_FIRST(&v->table.all);

	while (c->state != VSOCK_DRAINING)
		c = TAILQ_NEXT(c, all);
	vsock_discard(v, c);
}

void vsock_after_rst(struct virtio_vsock *v, struct vsock_conn *c)
{
	if (c->fd < 0) {
		vsock_discard(v, c);
		return;
	}
	if (v->draining == VSOCK_DRAINING_MAX)
		discard_oldest_draining(v);
	vsock_conn_unlink(c);
	c->state = VSOCK_DRAINING;
	v->draining++;
	TAILQ_REMOVE(&v->table.all, c, all);
	TAILQ_INSERT_TAIL(&v->table.all, c, all);
	vsock_set_deadline(v, c, v->drain_ms);
}

/* Room for one more connection: those that are open come before those that are not any more. */
static bool has_place(struct virtio_vsock *v)
{
	if (v->table.count >= VSOCK_CONNS_MAX && v->draining)
		discard_oldest_draining(v);
	if (v->table.count < VSOCK_CONNS_MAX)
		return true;
	log_limited(LOG_WARN, "vsock: more than %u connections", VSOCK_CONNS_MAX);
	return false;
}

/* Neither direction is left: the socket can go, and the guest shall confirm. */
static void host_gone(struct virtio_vsock *v, struct vsock_conn *c)
{
	vsock_conn_hang_up(c);
	c->state = VSOCK_CLOSING;
	vsock_say(v, c, VIRTIO_VSOCK_OP_SHUTDOWN);
	vsock_set_deadline(v, c, v->close_ms);
}

void vsock_host_shut(struct virtio_vsock *v, struct vsock_conn *c, unsigned int flags)
{
	unsigned int all = c->host_shut | flags;

	if (all == c->host_shut)
		return;
	c->host_shut = (uint8_t)all;
	if (all == VSOCK_SHUT_BOTH) {
		host_gone(v, c);
		return;
	}
	vsock_say(v, c, VIRTIO_VSOCK_OP_SHUTDOWN);
	/* Who still writes is seen to end by that; who has ended writing, only by looking. */
	if (all & VIRTIO_VSOCK_SHUTDOWN_SEND)
		vsock_set_deadline(v, c, VSOCK_LOOK_MS);
}

bool vsock_has_hung_up(int fd)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, 0) == 1 && p.revents & POLLHUP;
}

/* ---- connecting ---- */

/* Both sides are there. */
static void open_conn(struct virtio_vsock *v, struct vsock_conn *c)
{
	struct err e;

	c->state = VSOCK_OPEN;
	c->deadline = 0;
	if (loop_add_fd(v->dev.loop, c->fd, LOOP_READ, vsock_on_readable, c, &c->read_ev, &e))
		vsock_reset_conn(v, c);
}

/* The guest has accepted: 5.10.6.1. */
void vsock_accepted(struct virtio_vsock *v, struct vsock_conn *c)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "OK %u\n", c->host_port);

	/* Nothing was written to this socket yet, so there is room; or nobody to read it. */
	if (send(c->fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) == n)
		open_conn(v, c);
	else
		vsock_reset_conn(v, c);
}

void vsock_on_wanted(void *arg, int fd, uint32_t port)
{
	struct virtio_vsock *v = arg;
	struct vsock_conn *c = NULL;

	if (v->closing || !virtio_running(&v->dev))
		log_debug("vsock: port %u is wanted, but the guest has no driver", port);
	else if (has_place(v))
		c = vsock_conn_new(&v->table, vsock_table_port(&v->table, port), port);
	if (!c) {
		close(fd);
		return;
	}
	v->counts.added++;
	c->owner = v;
	c->fd = fd;
	vsock_set_deadline(v, c, v->request_ms);
	vsock_say(v, c, VIRTIO_VSOCK_OP_REQUEST);
	vsock_serve_rx(v);
}

/* Tries to reach the host's listener; comes back later when that has no room now. */
static void dial(struct virtio_vsock *v, struct vsock_conn *c)
{
	int fd = vsock_unix_dial(v->host, c->host_port);

	if (fd == -EAGAIN && clock_ms() < c->give_up) {
		vsock_set_deadline(v, c, VSOCK_TICK_US / 1000);
		return;
	}
	if (fd < 0) {
		if (fd != -ENOENT && fd != -ECONNREFUSED)
			log_limited(LOG_WARN, "vsock: connect to the host's port %u: %s",
				c->host_port, strerror(-fd));
		vsock_reset_conn(v, c);
		return;
	}
	c->fd = fd;
	vsock_say(v, c, VIRTIO_VSOCK_OP_RESPONSE);
	open_conn(v, c);
}

void vsock_receive_request(struct virtio_vsock *v, const struct virtio_vsock_hdr *h)
{
	struct vsock_conn *c = NULL;

	if (has_place(v))
		c = vsock_conn_new(&v->table, h->dst_port, h->src_port);
	if (!c) {
		vsock_refuse(v, h);
		return;
	}
	v->counts.added++;
	c->owner = v;
	c->state = VSOCK_DIALING;
	c->guest_buf = h->buf_alloc;
	c->guest_forwarded = h->fwd_cnt;
	c->give_up = clock_ms() + v->dial_ms;
	dial(v, c);
}

void vsock_expire(struct virtio_vsock *v, struct vsock_conn *c)
{
	c->deadline = 0;
	if (c->state == VSOCK_DIALING)
		dial(v, c);
	else if (c->state == VSOCK_REQUESTED || c->state == VSOCK_CLOSING)
		vsock_reset_conn(v, c);
	else if (c->state == VSOCK_OPEN && vsock_has_hung_up(c->fd))
		vsock_host_shut(v, c, VSOCK_SHUT_BOTH);
	else if (c->state == VSOCK_OPEN)
		vsock_set_deadline(v, c, VSOCK_LOOK_MS);
	else if (c->state == VSOCK_DRAINING)
		vsock_discard(v, c);
}
