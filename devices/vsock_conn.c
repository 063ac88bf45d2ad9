/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vsock_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

/* Ports of connections from the host: far from those that programs listen on. */
#define PORT_FIRST 0x40000000u
#define PORT_LAST  0x7fffffffu

static unsigned int bucket(uint32_t host_port, uint32_t guest_port)
{
	/* The guest chooses both; a long bucket costs no more than the limit of the table. */
	return (host_port * 31 + guest_port) % VSOCK_BUCKETS;
}

void vsock_table_init(struct vsock_table *t)
{
	unsigned int i;

	*t = (struct vsock_table){ .next_port = PORT_FIRST };
	for (i = 0; i < VSOCK_BUCKETS; i++)
		LIST_INIT(&t->buckets[i]);
	TAILQ_INIT(&t->all);
}

struct vsock_conn *vsock_table_find(
	const struct vsock_table *t, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn *c;

	c = LIST_FIRST(&t->buckets[bucket(host_port, guest_port)]);
	while (c && (c->host_port != host_port || c->guest_port != guest_port))
		c = LIST_NEXT(c, hash);
	return c;
}

uint32_t vsock_table_port(struct vsock_table *t, uint32_t guest_port)
{
	uint32_t port;

	/* There are more ports than connections, so this ends. */
	do {
		port = t->next_port;
		t->next_port = port == PORT_LAST ? PORT_FIRST : port + 1;
	} while (vsock_table_find(t, port, guest_port));
	return port;
}

struct vsock_conn *vsock_conn_new(struct vsock_table *t, uint32_t host_port, uint32_t guest_port)
{
	struct vsock_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->host_port = host_port;
	c->guest_port = guest_port;
	c->fd = -1;
	c->in_table = true;
	LIST_INSERT_HEAD(&t->buckets[bucket(host_port, guest_port)], c, hash);
	TAILQ_INSERT_TAIL(&t->all, c, all);
	t->count++;
	return c;
}

void vsock_conn_unlink(struct vsock_conn *c)
{
	if (c->in_table)
		LIST_REMOVE(c, hash);
	c->in_table = false;
}

void vsock_conn_remove(struct vsock_table *t, struct vsock_conn *c)
{
	vsock_conn_unlink(c);
	TAILQ_REMOVE(&t->all, c, all);
	t->count--;
}

void vsock_conn_hang_up(struct vsock_conn *c)
{
	loop_event_free(c->read_ev);
	loop_event_free(c->write_ev);
	c->read_ev = c->write_ev = NULL;
	c->readable = false;
	fd_close(&c->fd);
	vsock_conn_discard(c);
}

void vsock_conn_free(struct vsock_conn *c)
{
	if (!c)
		return;
	vsock_conn_hang_up(c);
	free(c);
}

/* ---- credit: 5.10.6.3 ---- */

uint32_t vsock_conn_credit(const struct vsock_conn *c)
{
	uint32_t under_way = c->sent - c->guest_forwarded;

	return under_way < c->guest_buf ? c->guest_buf - under_way : 0;
}

uint32_t vsock_conn_room(const struct vsock_conn *c)
{
	return VSOCK_BUF_SIZE - (c->received - c->forwarded);
}

bool vsock_conn_should_tell(const struct vsock_conn *c)
{
	return c->forwarded - c->told >= VSOCK_BUF_SIZE / 2;
}

/* ---- to the socket ---- */

/* seccomp io+sockets: sendto recvfrom shutdown -- sockets of the guest */
/* How many of the bytes the socket takes now: perhaps none. */
static ssize_t send_some(int fd, const uint8_t *data, uint32_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n < 0 ? -errno : n;
}

/* Behind what is there already; vsock_conn_room says that it fits. */
static int keep(struct vsock_conn *c, const uint8_t *data, uint32_t len)
{
	uint32_t tail, first;

	if (!len)
		return 0;
	if (!c->out) {
		c->out = malloc(VSOCK_BUF_SIZE);
		if (!c->out)
			return -ENOMEM;
		c->out_head = 0;
	}
	tail = (c->out_head + c->out_len) % VSOCK_BUF_SIZE;
	first = min_u32(len, VSOCK_BUF_SIZE - tail);
	memcpy(c->out + tail, data, first);
	memcpy(c->out, data + first, len - first);
	c->out_len += len;
	return 0;
}

int vsock_conn_write(struct vsock_conn *c, const uint8_t *data, uint32_t len)
{
	ssize_t n = 0;

	c->received += len;
	if (!c->out_len) {
		n = send_some(c->fd, data, len);
		if (n < 0) {
			c->forwarded = c->received;
			return (int)n;
		}
		c->forwarded += (uint32_t)n;
	}
	return keep(c, data + n, len - (uint32_t)n);
}

int vsock_conn_flush(struct vsock_conn *c)
{
	while (c->out_len) {
		uint32_t len = min_u32(c->out_len, VSOCK_BUF_SIZE - c->out_head);
		ssize_t n = send_some(c->fd, c->out + c->out_head, len);

		if (n < 0)
			vsock_conn_discard(c);
		if (n <= 0)
			return (int)n;
		c->forwarded += (uint32_t)n;
		c->out_head = (c->out_head + (uint32_t)n) % VSOCK_BUF_SIZE;
		c->out_len -= (uint32_t)n;
	}
	vsock_conn_discard(c);
	return 0;
}

void vsock_conn_discard(struct vsock_conn *c)
{
	c->forwarded += c->out_len;
	c->out_len = 0;
	free(c->out);
	c->out = NULL;
}
