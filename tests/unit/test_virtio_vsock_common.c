/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "mem/guard.h"
#include "tests/unit/test_virtio_vsock.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

#define PATIENCE_MS 10000u

struct vs_test vt;

/* ---- life ---- */

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(vt.loop);
}

/* Whoever waits for the device looks again. */
static void on_irq(void *arg, int fd, short events)
{
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == sizeof(count) && vt.stop_at_irq)
		on_end(arg);
}

/* Until the device has done something; one millisecond at most. */
static void pump_a_little(void)
{
	vt.stop_at_irq = true;
	vs_pump(1);
	vt.stop_at_irq = false;
}

void vs_pump(unsigned int ms)
{
	loop_timer_set(vt.end, ms * 1000ull);
	ck_assert_int_eq(loop_run(vt.loop), 0);
}

void vs_setup(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(guard_init(&e), 0);
	memset(&vt, 0, sizeof(vt));
	guest_new(&vt.guest);
	vt.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(loop_new(&vt.loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(vt.loop, on_end, NULL, &vt.end, &e), 0);
	ck_assert_int_eq(loop_add_fd(vt.loop, vt.irq, LOOP_READ, on_irq, NULL, &vt.on_irq, &e), 0);
	scratch_dir(vt.dir);
	snprintf(vt.path, sizeof(vt.path), "%s/sock", vt.dir);
	vt.cfg = (struct vsock_device_config){ .cid = VS_CID, .path = vt.path };
	vt.cfg.mem = vt.guest.mem;
	vt.cfg.loop = vt.loop;
	vt.cfg.irq.fd = vt.irq;
	vt.rx_size = VS_RX_SIZE;
	vt.rx_bufs = VS_RX_BUFS;
	vs_start();
}

void vs_teardown(void)
{
	virtio_vsock_free(vt.dev);
	ck_assert_int_ne(access(vt.path, F_OK), 0);
	loop_event_free(vt.end);
	loop_event_free(vt.on_irq);
	loop_free(vt.loop);
	close(vt.irq);
	guest_free(&vt.guest);
	log_set_level(LOG_WARN);
}

void vs_give(uint16_t i)
{
	ring_desc(&vt.rx, i, VS_RX_AT + (uint64_t)VS_RX_SIZE * i, vt.rx_size, DESC_WRITE, 0);
	ring_offer(&vt.rx, i);
}

void vs_drive(void)
{
	uint64_t want = F_VERSION | F_INDIRECT | (vt.cfg.is_protected ? F_PLATFORM : 0);
	uint32_t status;

	ring_new(&vt.rx, &vt.guest, GUEST_RAM, 64);
	ring_new(&vt.tx, &vt.guest, GUEST_RAM + RING_BYTES, 256);
	ring_new(&vt.event, &vt.guest, GUEST_RAM + 2 * RING_BYTES, 8);
	for (uint16_t i = 0; i < vt.rx_bufs; i++)
		vs_give(i);
	status = driver_negotiate(&vt.drv, want);
	driver_queue(&vt.drv, 0, &vt.rx);
	driver_queue(&vt.drv, 1, &vt.tx);
	driver_queue(&vt.drv, 2, &vt.event);
	driver_put(&vt.drv, R_STATUS, status | S_DRIVER_OK);
	ck_assert_uint_eq(
		driver_get(&vt.drv, R_STATUS), S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
	vs_pump(1);
}

void vs_start(void)
{
	struct err e = { "" };

	virtio_vsock_free(vt.dev);
	vt.dev = NULL;
	ck_assert_msg(!virtio_vsock_new(&vt.dev, &vt.cfg, &e), "%s", e.msg);
	driver_new(&vt.drv, virtio_vsock_dev(vt.dev));
	vs_drive();
}

bool vs_broken(void)
{
	return driver_get(&vt.drv, R_STATUS) & S_NEEDS_RESET;
}

/* ---- the guest ---- */

bool vs_take(struct vs_packet *p, unsigned int patience_ms)
{
	uint32_t head, len;

	for (unsigned int tries = 0; !ring_take(&vt.rx, &head, &len); tries++) {
		if (tries >= patience_ms)
			return false;
		pump_a_little();
	}
	ck_assert_uint_ge(len, VS_HEADER);
	memcpy(p, guest_ptr(&vt.guest, VS_RX_AT + (uint64_t)VS_RX_SIZE * head), len);
	ck_assert_uint_eq(p->h.len, len - VS_HEADER);
	vs_give((uint16_t)head);
	driver_put(&vt.drv, R_NOTIFY, 0);
	return true;
}

struct vs_packet vs_expect(uint16_t op)
{
	struct vs_packet p;

	ck_assert_msg(vs_take(&p, PATIENCE_MS), "no packet, expected operation %u", op);
	ck_assert_uint_eq(p.h.op, op);
	ck_assert_uint_eq(p.h.dst_cid, VS_CID);
	return p;
}

void vs_expect_nothing(void)
{
	struct vs_packet p;

	ck_assert_msg(!vs_take(&p, 20), "a packet of operation %u", p.h.op);
}

void vs_put(const struct virtio_vsock_hdr *h, const void *data, uint32_t len, bool wait)
{
	uint16_t before = wait ? ring_used_idx(&vt.tx) : 0;
	/* Those that are not waited for must not overwrite each other. */
	uint16_t i = (uint16_t)(wait ? 0 : vt.tx.idx % vt.tx.size);
	pthread_mutex_t *lock = &virtio_vsock_dev(vt.dev)->lock;
	uint64_t at = VS_TX_AT + (wait ? 0 : 64ull * i);

	ck_assert_uint_le(len, VS_TX_MAX);
	/* Where the loop has a thread, the sanitizer sees no barriers of ours in the rings. */
	pthread_mutex_lock(lock);
	memcpy(guest_ptr(&vt.guest, at), h, VS_HEADER);
	if (len)
		memcpy(guest_ptr(&vt.guest, at + VS_HEADER), data, len);
	ring_desc(&vt.tx, i, at, VS_HEADER + len, 0, 0);
	ring_offer(&vt.tx, i);
	pthread_mutex_unlock(lock);
	driver_put(&vt.drv, R_NOTIFY, 1);
	for (unsigned int tries = 0; wait && ring_used_idx(&vt.tx) == before; tries++) {
		ck_assert_uint_lt(tries, PATIENCE_MS);
		pump_a_little();
		if (vs_broken())
			return;
	}
}

struct virtio_vsock_hdr vs_header(const struct vs_conn *c, uint16_t op)
{
	return (struct virtio_vsock_hdr){
		.src_cid = VS_CID,
		.dst_cid = 2,
		.src_port = c->guest_port,
		.dst_port = c->host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.buf_alloc = c->buf,
		.fwd_cnt = c->fwd,
	};
}

void vs_send(const struct vs_conn *c, uint16_t op, const void *data, uint32_t len)
{
	struct virtio_vsock_hdr h = vs_header(c, op);

	h.len = len;
	vs_put(&h, data, len, true);
}

void vs_shutdown(const struct vs_conn *c, uint32_t flags)
{
	struct virtio_vsock_hdr h = vs_header(c, VIRTIO_VSOCK_OP_SHUTDOWN);

	h.flags = flags;
	vs_put(&h, NULL, 0, true);
}

/* ---- the host ---- */

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	return a;
}

int vs_listen(uint32_t port, int backlog)
{
	char path[104];
	struct sockaddr_un a;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(path, sizeof(path), "%s_%u", vt.path, port);
	a = address(path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, backlog), 0);
	return fd;
}

int vs_accept(int listener)
{
	for (unsigned int tries = 0; tries < PATIENCE_MS; tries++) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0)
			return fd;
		vs_pump(1);
	}
	ck_abort_msg("nobody connects");
	return -1;
}

int vs_connect(const char *line)
{
	struct sockaddr_un a = address(vt.path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;
	unsigned int tries = 0;

	/* A loop with a thread of its own may not have got round to those before. */
	while ((r = connect(fd, (struct sockaddr *)&a, sizeof(a))) && errno == EAGAIN &&
		tries++ < PATIENCE_MS)
		usleep(1000);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
	return fd;
}

size_t vs_read(int fd, void *buf, size_t n)
{
	size_t have = 0;

	for (unsigned int tries = 0; have < n && tries < PATIENCE_MS; tries++) {
		ssize_t got = recv(fd, (uint8_t *)buf + have, n - have, MSG_DONTWAIT);

		if (!got || (got < 0 && errno != EAGAIN))
			break;
		have += got > 0 ? (size_t)got : 0;
		if (got < 0)
			vs_pump(1);
	}
	return have;
}

bool vs_at_end(int fd)
{
	for (unsigned int tries = 0; tries < PATIENCE_MS; tries++) {
		char byte;
		ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

		if (!n || (n < 0 && errno != EAGAIN))
			return true;
		if (n > 0)
			return false;
		vs_pump(1);
	}
	return false;
}

/* ---- both ---- */

struct vs_conn vs_from_host(uint32_t port)
{
	struct vs_conn c = { .guest_port = port, .buf = VS_BUF };
	char line[32], want[32];
	struct vs_packet p;

	snprintf(line, sizeof(line), "CONNECT %u\n", port);
	c.fd = vs_connect(line);
	p = vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(p.h.src_cid, 2);
	ck_assert_uint_eq(p.h.dst_port, port);
	ck_assert_uint_eq(p.h.type, VIRTIO_VSOCK_TYPE_STREAM);
	ck_assert_uint_eq(p.h.buf_alloc, VS_BUF);
	c.host_port = p.h.src_port;
	vs_send(&c, VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
	snprintf(want, sizeof(want), "OK %u\n", c.host_port);
	memset(line, 0, sizeof(line));
	ck_assert_uint_eq(vs_read(c.fd, line, strlen(want)), strlen(want));
	ck_assert_str_eq(line, want);
	return c;
}

struct vs_conn vs_from_guest(int listener, uint32_t host_port, uint32_t guest_port)
{
	struct vs_conn c = { -1, host_port, guest_port, VS_BUF, 0 };
	struct vs_packet p;

	vs_send(&c, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	p = vs_expect(VIRTIO_VSOCK_OP_RESPONSE);
	ck_assert_uint_eq(p.h.src_cid, 2);
	ck_assert_uint_eq(p.h.src_port, host_port);
	ck_assert_uint_eq(p.h.dst_port, guest_port);
	ck_assert_uint_eq(p.h.buf_alloc, VS_BUF);
	c.fd = vs_accept(listener);
	return c;
}

void vs_is_alive(struct vs_conn *c)
{
	struct vs_packet p;
	char line[8] = "";

	vs_send(c, VIRTIO_VSOCK_OP_RW, "hello", 5);
	ck_assert_uint_eq(vs_read(c->fd, line, 5), 5);
	ck_assert_str_eq(line, "hello");
	ck_assert_int_eq(send(c->fd, "world!", 6, MSG_NOSIGNAL), 6);
	p = vs_expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(p.h.dst_port, c->guest_port);
	ck_assert_uint_eq(p.h.src_port, c->host_port);
	ck_assert_uint_eq(p.h.len, 6);
	ck_assert_mem_eq(p.data, "world!", 6);
	c->fwd += 6;
}

void vs_fill(uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] = (uint8_t)(i * 13 + (i >> 8) * 7);
}

/* How much a Unix socket holds is the kernel's business; ours is what comes behind. */
uint32_t vs_fill_up(struct vs_conn *c)
{
	static uint8_t bytes[300000];
	uint32_t sent = 0, told = 0;
	struct vs_packet p;

	vs_fill(bytes, sizeof(bytes));
	for (;;) {
		uint32_t n = min_u32(4096, VS_BUF - (sent - told));

		if (n) {
			vs_send(c, VIRTIO_VSOCK_OP_RW, bytes + sent % 200000, n);
			sent += n;
			if (!vs_take(&p, 0))
				continue;
		} else {
			/* It tells how much has left when it is asked. */
			vs_send(c, VIRTIO_VSOCK_OP_CREDIT_REQUEST, NULL, 0);
			p = vs_expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			if (p.h.fwd_cnt == told && !vs_take(&p, 5))
				return sent;
		}
		ck_assert_uint_eq(p.h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
		told = p.h.fwd_cnt;
	}
}
