/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem/guard.h"
#include "tests/unit/test_virtio_net.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

struct net_test nt;

/* ---- the backend ---- */

static int wire_send(
	struct netio *io, const struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count)
{
	nt.writes++;
	iov[0] = (struct iovec){ (void *)(uintptr_t)h, sizeof(*h) };
	if (writev(io->fd, iov, (int)count) >= 0)
		return 0;
	return errno == EAGAIN || errno == EFAULT ? -errno : -ENODEV;
}

static ssize_t wire_recv(
	struct netio *io, struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count)
{
	ssize_t n;

	iov[0] = (struct iovec){ h, sizeof(*h) };
	n = readv(io->fd, iov, (int)count);
	if (n > 0)
		return n - (ssize_t)sizeof(*h);
	return n && (errno == EAGAIN || errno == EFAULT) ? -errno : -ENODEV;
}

static void wire_offload(struct netio *io, uint64_t features)
{
	(void)io;
	nt.offload = features;
}

static void wire_free(struct netio *io)
{
	fd_close(&io->fd);
	free(io);
}

static const struct netio_ops wire_ops = {
	.send = wire_send, .recv = wire_recv, .offload = wire_offload, .free = wire_free
};

static struct netio *stream_new(void)
{
	struct netio *io;
	struct err e = { "" };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(netio_stream_new(&io, pair[0], "stream", &e), 0);
	fd_close(&nt.wire);
	nt.wire = pair[1];
	return io;
}

static struct netio *wire_new(void)
{
	struct netio *io = calloc(1, sizeof(*io));
	int pair[2], size = 4 << 20;

	ck_assert_int_eq(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	setsockopt(pair[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	*io = (struct netio){ .ops = &wire_ops, .features = NET_OFFLOADS, .fd = pair[0] };
	snprintf(io->name, sizeof(io->name), "wire");
	fd_close(&nt.wire);
	nt.wire = pair[1];
	return io;
}

/* ---- life ---- */

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(nt.loop);
}

void net_setup(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(guard_init(&e), 0);
	memset(&nt, 0, sizeof(nt));
	nt.wire = -1;
	guest_new(&nt.guest);
	nt.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(loop_new(&nt.loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(nt.loop, on_end, NULL, &nt.end, &e), 0);
	nt.cfg = (struct nic_config){ .mac = { 2, 0, 0, 0x12, 0x34, 0x56 } };
	nt.cfg.mem = nt.guest.mem;
	nt.cfg.loop = nt.loop;
	nt.cfg.irq.fd = nt.irq;
	nt.features = NET_BASE | NET_OFFLOADS;
	nt.size = 256;
}

void net_teardown(void)
{
	virtio_net_free(nt.nic);
	loop_event_free(nt.end);
	loop_free(nt.loop);
	fd_close(&nt.wire);
	close(nt.irq);
	guest_free(&nt.guest);
	log_set_level(LOG_WARN);
}

void net_drive(void)
{
	uint32_t status;

	ring_new(&nt.rx, &nt.guest, GUEST_RAM, nt.size);
	ring_new(&nt.tx, &nt.guest, GUEST_RAM + RING_BYTES, nt.size);
	for (unsigned int i = 0; i < nt.hand_out; i++)
		net_offer((uint16_t)i, GUEST_DATA + 2048ull * i, 2048);
	for (unsigned int i = 0; i < nt.sends; i++)
		net_put((uint16_t)i, GUEST_DATA + 0x30000 + 256ull * i,
			&(const struct virtio_net_hdr_v1){ 0 }, 100);
	status = driver_negotiate(&nt.drv, nt.features);
	ck_assert_uint_eq(status, S_ACK | S_DRIVER | S_FEATURES_OK);
	ck_assert_uint_eq(driver_queue(&nt.drv, RXQ, &nt.rx), 1);
	ck_assert_uint_eq(driver_queue(&nt.drv, TXQ, &nt.tx), 1);
	driver_put(&nt.drv, R_STATUS, status | S_DRIVER_OK);
	ck_assert_uint_eq(driver_get(&nt.drv, R_STATUS), status | S_DRIVER_OK);
}

void net_start(void)
{
	struct err e = { "" };

	virtio_net_free(nt.nic);
	nt.nic = NULL;
	nt.io = nt.is_stream ? stream_new() : wire_new();
	ck_assert_msg(!virtio_net_new(&nt.nic, nt.io, &nt.cfg, &e), "%s", e.msg);
	driver_new(&nt.drv, virtio_net_dev(nt.nic));
	net_drive();
}

void net_pump(unsigned int ms)
{
	loop_timer_set(nt.end, ms * 1000ull);
	ck_assert_int_eq(loop_run(nt.loop), 0);
}

bool net_broken(void)
{
	return driver_get(&nt.drv, R_STATUS) & S_NEEDS_RESET;
}

/* ---- frames ---- */

uint8_t net_byte(unsigned int seed, size_t i)
{
	return (uint8_t)(seed * 31 + i * 7 + (i >> 8) * 13);
}

void net_fill(uint8_t *p, unsigned int seed, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = net_byte(seed, i);
}

bool net_same(const uint8_t *p, unsigned int seed, size_t len)
{
	size_t i = 0;

	while (i < len && p[i] == net_byte(seed, i))
		i++;
	return i == len;
}

void *net_ptr(uint64_t at)
{
	return guest_ptr(&nt.guest, at);
}

void net_put(uint16_t i, uint64_t at, const struct virtio_net_hdr_v1 *h, uint32_t len)
{
	memcpy(net_ptr(at), h, HDR);
	net_fill((uint8_t *)net_ptr(at) + HDR, i, len);
	ring_desc(&nt.tx, i, at, HDR + len, 0, 0);
	ring_offer(&nt.tx, i);
}

void net_kick(unsigned int q)
{
	driver_put(&nt.drv, R_NOTIFY, q);
	net_pump(1);
}

ssize_t net_take(void *buf, size_t size)
{
	return read(nt.wire, buf, size);
}

void net_feed(const struct virtio_net_hdr_v1 *h, unsigned int seed, size_t len)
{
	static uint8_t data[0x20000];
	struct iovec iov[2] = { { (void *)(uintptr_t)h, HDR }, { data, len } };

	net_fill(data, seed, len);
	ck_assert_int_eq(writev(nt.wire, iov, 2), (ssize_t)(HDR + len));
}

void net_offer(uint16_t i, uint64_t at, uint32_t len)
{
	ring_desc(&nt.rx, i, at, len, DESC_WRITE, 0);
	ring_offer(&nt.rx, i);
}

size_t net_got(uint8_t *buf, uint64_t step, struct virtio_net_hdr_v1 *h)
{
	uint32_t head, len;
	size_t total = 0;

	if (!ring_take(&nt.rx, &head, &len))
		return 0;
	memcpy(h, net_ptr(GUEST_DATA + step * head), HDR);
	memcpy(buf, net_ptr(GUEST_DATA + step * head + HDR), len - HDR);
	total = len - HDR;
	for (unsigned int i = 1; i < h->num_buffers; i++) {
		ck_assert(ring_take(&nt.rx, &head, &len));
		memcpy(buf + total, net_ptr(GUEST_DATA + step * head), len);
		total += len;
	}
	return total;
}
