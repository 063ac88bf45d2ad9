/* SPDX-License-Identifier: Apache-2.0 */
/* The device: queues, time, reset. vsock_impl.h tells how it works. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "devices/vsock_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/log.h"

#define QUEUE_SIZE 256
#define HEADER	   VSOCK_HEADER

/* 5.10.3; not in Linux's headers. */
#define F_STREAM 0

#define REQUEST_MS 5000u
/* Linux gives up a connect() after two seconds. */
#define DIAL_MS 2000u
/* As long as Linux waits for the answer to a SHUTDOWN. */
#define CLOSE_MS 8000u
/* Since it last read something. */
#define DRAIN_MS 60000u

enum { RX = VSOCK_RX, TX = VSOCK_TX, QUEUES = 3 };

/* ---- to the guest ---- */

static bool next_rst(struct virtio_vsock *v, struct virtio_vsock_hdr *h)
{
	const struct vsock_rst *r = &v->rsts[v->rst_head];

	if (!v->rst_count)
		return false;
	*h = (struct virtio_vsock_hdr){
		.src_cid = r->cid,
		.dst_cid = v->cid,
		.src_port = r->host_port,
		.dst_port = r->guest_port,
		.type = r->type,
		.op = VIRTIO_VSOCK_OP_RST,
	};
	v->rst_head = (v->rst_head + 1) % VSOCK_RSTS_MAX;
	v->rst_count--;
	if (v->tx_waits)
		virtio_kick(&v->dev, TX);
	v->tx_waits = false;
	return true;
}

/* One buffer of the guest's, 5.10.6.4. */
static enum virtio_next fill_one(struct virtio_dev *d, unsigned int q, struct virtq_chain *chain)
{
	struct virtio_vsock *v = d->model;
	struct virtio_vsock_hdr h;
	struct vsock_conn *c;
	bool found;

	if (chain->readable || chain->write_len <= HEADER) {
		virtio_fail(d, "buffer to receive into with %u bytes, %u of them to read from",
			chain->read_len + chain->write_len, chain->read_len);
		virtio_push(d, q, chain, 0);
		return VIRTIO_NEXT;
	}
	found = next_rst(v, &h);
	while (!found && (c = TAILQ_FIRST(&v->ready)))
		found = vsock_next_packet(v, c, chain->write_len - HEADER, &h);
	if (!found)
		return VIRTIO_LATER;
	if (virtio_write(d, q, chain, 0, &h, HEADER) && h.len)
		virtio_write(d, q, chain, HEADER, v->bounce, h.len);
	v->counts.rx_packets++;
	v->counts.rx_bytes += h.len;
	virtio_push(d, q, chain, HEADER + h.len);
	return VIRTIO_NEXT;
}

void vsock_serve_rx(struct virtio_vsock *v)
{
	if (virtio_running(&v->dev) && (v->rst_count || TAILQ_FIRST(&v->ready)))
		virtio_serve(&v->dev, RX, fill_one);
}

/* ---- from the guest ---- */

/* There is room for it, or we would not be here: see serve_one. Never an answer to an RST. */
void vsock_refuse(struct virtio_vsock *v, const struct virtio_vsock_hdr *h)
{
	struct vsock_rst *r = &v->rsts[(v->rst_head + v->rst_count) % VSOCK_RSTS_MAX];

	if (h->op == VIRTIO_VSOCK_OP_RST)
		return;
	*r = (struct vsock_rst){ h->dst_cid, h->dst_port, h->src_port, h->type };
	v->rst_count++;
}

/* One packet of the guest. */
static enum virtio_next serve_one(struct virtio_dev *d, unsigned int q, struct virtq_chain *chain)
{
	struct virtio_vsock *v = d->model;
	struct virtio_vsock_hdr h;
	struct vsock_conn *c;

	/* Any packet may ask for an RST. */
	if (v->rst_count == VSOCK_RSTS_MAX) {
		v->tx_waits = true;
		return VIRTIO_LATER;
	}
	if (chain->writable || chain->read_len < HEADER)
		virtio_fail(d, "packet of %u bytes, with %u to write to", chain->read_len,
			chain->write_len);
	else if (virtio_read(d, q, chain, 0, &h, HEADER) && h.len > chain->read_len - HEADER)
		virtio_fail(d, "packet with %u bytes of data says it has %u",
			chain->read_len - HEADER, h.len);
	if (!virtio_running(d)) {
		virtio_push(d, q, chain, 0);
		return VIRTIO_NEXT;
	}
	v->counts.tx_packets++;
	v->counts.tx_bytes += h.len;
	c = vsock_table_find(&v->table, h.dst_port, h.src_port);
	if (h.src_cid != v->cid)
		log_limited(LOG_WARN, "virtio-vsock: guest sends as CID %llu",
			(unsigned long long)h.src_cid);
	else if (h.dst_cid != VSOCK_HOST_CID || h.type != VIRTIO_VSOCK_TYPE_STREAM)
		vsock_refuse(v, &h);
	else if (c)
		vsock_receive(v, c, chain, &h);
	else if (h.op == VIRTIO_VSOCK_OP_REQUEST)
		vsock_receive_request(v, &h);
	else
		vsock_refuse(v, &h);
	virtio_push(d, q, chain, 0);
	return VIRTIO_NEXT;
}

static void vsock_notify(struct virtio_dev *d, unsigned int q)
{
	struct virtio_vsock *v = d->model;

	v->counts.rx_events += q == RX;
	v->counts.tx_events += q == TX;
	/* Buffers for events stay where they are: nothing happens that the guest must hear of. */
	if (q == TX)
		virtio_serve(d, TX, serve_one);
	vsock_serve_rx(v);
}

/* ---- time ---- */

static void on_tick(void *arg)
{
	struct virtio_vsock *v = arg;
	struct vsock_conn *c, *next;
	uint64_t now = clock_ms();
	bool more = false;

	pthread_mutex_lock(&v->dev.lock);
	if (v->closing)
		goto out;
	v->ticking = false;
	for (c = TAILQ_FIRST(&v->table.all); c; c = next) {
		/* No other one is freed here: who is reset waits for its turn in line. */
		next = TAILQ_NEXT(c, all);
		if (c->deadline && now >= c->deadline)
			vsock_expire(v, c);
		else
			more = more || c->deadline;
	}
	if (more)
		vsock_tick_on(v);
	vsock_serve_rx(v);
out:
	pthread_mutex_unlock(&v->dev.lock);
}

/* ---- reset ---- */

static void on_reap(void *arg)
{
	struct virtio_vsock *v = arg;
	struct vsock_conn *c;

	pthread_mutex_lock(&v->dev.lock);
	while (!v->closing && (c = TAILQ_FIRST(&v->dead))) {
		TAILQ_REMOVE(&v->dead, c, all);
		vsock_conn_free(c);
	}
	pthread_mutex_unlock(&v->dev.lock);
}

/*
 * On a vCPU's thread: events are not freed here, for that may wait for a callback that waits for
 * the lock. The host's programs see the end at once.
 */
static void vsock_reset(struct virtio_dev *d)
{
	struct virtio_vsock *v = d->model;
	struct vsock_conn *c;

	while ((c = TAILQ_FIRST(&v->table.all))) {
		vsock_leave_line(v, c);
		vsock_conn_remove(&v->table, c);
		v->counts.removed++;
		c->state = VSOCK_RESET;
		if (c->fd >= 0)
			/* seccomp vcpu+sockets: shutdown -- connections end with a reset */
			shutdown(c->fd, SHUT_RDWR);
		TAILQ_INSERT_TAIL(&v->dead, c, all);
	}
	v->draining = 0;
	v->rst_count = 0;
	v->tx_waits = false;
	if (TAILQ_FIRST(&v->dead))
		loop_timer_set(v->reap, 0);
}

static void vsock_queue_reset(struct virtio_dev *d, unsigned int q)
{
	/* No chain is kept beyond the notification. */
	(void)d;
	(void)q;
}

static void vsock_config_read(struct virtio_dev *d, uint32_t off, void *data, unsigned int len)
{
	const struct virtio_vsock *v = d->model;
	struct virtio_vsock_config space = { v->cid };

	virtio_config_copy(&space, sizeof(space), off, data, len);
}

static const char *const queue_names[] = { "rx", "tx", "event" };

#define COUNTER(field) offsetof(struct virtio_vsock, field)

static const struct virtio_counter counters[] = {
	{ "rx_queue_event_count", COUNTER(counts.rx_events) },
	{ "rx_packets_count", COUNTER(counts.rx_packets) },
	{ "rx_bytes_count", COUNTER(counts.rx_bytes) },
	{ "tx_queue_event_count", COUNTER(counts.tx_events) },
	{ "tx_packets_count", COUNTER(counts.tx_packets) },
	{ "tx_bytes_count", COUNTER(counts.tx_bytes) },
	{ "conns_added", COUNTER(counts.added) },
	{ "conns_killed", COUNTER(counts.killed) },
	{ "conns_removed", COUNTER(counts.removed) },
	{ "event_fails", COUNTER(dev.failed) },
	{ NULL, 0 },
};

static const struct virtio_ops vsock_ops = {
	.name = "virtio-vsock",
	.metrics = "vsock",
	.counters = counters,
	.id = VIRTIO_ID_VSOCK,
	.queue_names = queue_names,
	.reset = vsock_reset,
	.queue_reset = vsock_queue_reset,
	.queue_notify = vsock_notify,
	.config_read = vsock_config_read,
};

/* ---- life ---- */

static int set_up(struct virtio_vsock *v, const struct vsock_device_config *cfg, struct err *e)
{
	static const uint16_t queue_max[QUEUES] = { QUEUE_SIZE, QUEUE_SIZE, QUEUE_SIZE };
	const struct virtio_config vc = {
		.ops = &vsock_ops,
		.model = v,
		.features = BIT(F_STREAM),
		.queue_max = queue_max,
		.queues = QUEUES,
		.mem = cfg->mem,
		.loop = cfg->loop,
		.irq = cfg->irq,
		.is_protected = cfg->is_protected,
	};
	const struct vsock_unix_config uc = {
		.path = cfg->path,
		.loop = cfg->loop,
		.lock = &v->dev.lock,
		.wanted = vsock_on_wanted,
		.arg = v,
		.line_ms = cfg->line_ms,
	};
	int r = virtio_init(&v->dev, &vc, e);

	if (!r)
		r = loop_add_timer(cfg->loop, on_tick, v, &v->tick, e);
	if (!r)
		r = loop_add_timer(cfg->loop, on_reap, v, &v->reap, e);
	/* Last: programs may connect at once. */
	return r ? r : vsock_unix_new(&v->host, &uc, e);
}

int virtio_vsock_new(
	struct virtio_vsock **out, const struct vsock_device_config *cfg, struct err *e)
{
	struct virtio_vsock *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return err_set(e, -ENOMEM, "virtio-vsock: out of memory");
	v->cid = cfg->cid;
	v->request_ms = cfg->request_ms ? cfg->request_ms : REQUEST_MS;
	v->dial_ms = cfg->dial_ms ? cfg->dial_ms : DIAL_MS;
	v->close_ms = cfg->close_ms ? cfg->close_ms : CLOSE_MS;
	v->drain_ms = cfg->drain_ms ? cfg->drain_ms : DRAIN_MS;
	vsock_table_init(&v->table);
	TAILQ_INIT(&v->ready);
	TAILQ_INIT(&v->dead);
	r = set_up(v, cfg, e);
	if (r) {
		virtio_vsock_free(v);
		return r;
	}
	*out = v;
	return 0;
}

void virtio_vsock_free(struct virtio_vsock *v)
{
	struct vsock_conn *c;

	if (!v)
		return;
	if (v->dev.ops) {
		pthread_mutex_lock(&v->dev.lock);
		v->closing = true;
		pthread_mutex_unlock(&v->dev.lock);
		virtio_leave(&v->dev);
	}
	vsock_unix_free(v->host);
	loop_event_free(v->tick);
	loop_event_free(v->reap);
	/* Callbacks that still come see that we are closing; freeing each event waits for its own. */
	TAILQ_CONCAT(&v->table.all, &v->dead, all);
	while ((c = TAILQ_FIRST(&v->table.all))) {
		TAILQ_REMOVE(&v->table.all, c, all);
		vsock_conn_free(c);
	}
	virtio_fini(&v->dev);
	free(v);
}

struct virtio_dev *virtio_vsock_dev(struct virtio_vsock *v)
{
	return &v->dev;
}
