/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "tests/unit/test_virtio_vsock.h"
#include "vmm/util/bits.h"

static uint8_t bytes[300000], got[300000];

static void fill_bytes(void)
{
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 13 + (i >> 8) * 7);
}

START_TEST(is_a_socket_device)
{
	ck_assert_uint_eq(driver_get(&vt.drv, R_DEVICE_ID), 19);
	ck_assert_uint_eq(driver_get(&vt.drv, R_CONFIG), VS_CID);
	ck_assert_uint_eq(driver_get(&vt.drv, R_CONFIG + 4), 0);
	ck_assert_uint_eq(driver_features(&vt.drv) & 3, 1);
	for (uint32_t q = 0; q < 3; q++) {
		driver_put(&vt.drv, R_QUEUE_SEL, q);
		ck_assert_uint_eq(driver_get(&vt.drv, R_QUEUE_MAX), 256);
	}
}
END_TEST

START_TEST(host_connects)
{
	struct vs_conn c = vs_from_host(1234);

	vs_is_alive(&c);
	vs_is_alive(&c);
	close(c.fd);
}
END_TEST

START_TEST(guest_connects)
{
	int listener = vs_listen(5000, 8);
	struct vs_conn c = vs_from_guest(listener, 5000, 77);

	vs_is_alive(&c);
	vs_is_alive(&c);
	close(c.fd);
	close(listener);
}
END_TEST

START_TEST(nobody_listens)
{
	struct vs_conn c = { -1, 5000, 77, VS_BUF, 0 };
	struct vs_packet p;

	vs_send(&c, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	p = vs_expect(VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(p.h.src_port, 5000);
	ck_assert_uint_eq(p.h.dst_port, 77);
	/* A file that nobody listens on any more is the same. */
	close(vs_listen(5000, 1));
	vs_send(&c, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RST);
}
END_TEST

START_TEST(guest_refuses)
{
	int fd = vs_connect("CONNECT 1234\n");
	struct vs_packet p = vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	struct vs_conn c = { fd, p.h.src_port, 1234, VS_BUF, 0 };

	vs_send(&c, VIRTIO_VSOCK_OP_RST, NULL, 0);
	ck_assert(vs_at_end(fd));
	vs_expect_nothing();
	close(fd);
}
END_TEST

START_TEST(guest_does_not_answer)
{
	int fd;

	vt.cfg.request_ms = 30;
	vs_start();
	fd = vs_connect("CONNECT 1234\n");
	vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	ck_assert(vs_at_end(fd));
	vs_expect(VIRTIO_VSOCK_OP_RST);
	close(fd);
}
END_TEST

/* ---- data ---- */

static const uint32_t sizes[] = { 1, 2, 43, 44, 45, 4051, 4052, 4053, 8104, 65535, 65536, 200000,
	300000 };

/* The guest sends no more than it may, in packets of various lengths; the host reads meanwhile. */
static void guest_sends(struct vs_conn *c, uint32_t size, uint32_t packet)
{
	uint32_t sent = 0, told = 0, read = 0;
	struct vs_packet p;

	while (read < size) {
		uint32_t n = min_u32(min_u32(packet, size - sent), VS_BUF - (sent - told));

		if (n)
			vs_send(c, VIRTIO_VSOCK_OP_RW, bytes + sent, n);
		sent += n;
		while (vs_take(&p, n ? 0 : 1)) {
			ck_assert_uint_eq(p.h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			told = p.h.fwd_cnt;
		}
		ck_assert_uint_le(told, sent);
		n = min_u32(sent - read, 10000);
		if (n)
			ck_assert_uint_eq(vs_read(c->fd, got + read, n), n);
		read += n;
	}
	ck_assert_mem_eq(got, bytes, size);
}

START_TEST(data_from_the_guest)
{
	int listener = vs_listen(5000, 8);
	struct vs_conn c = vs_from_guest(listener, 5000, 77);

	fill_bytes();
	guest_sends(&c, sizes[_i], sizes[_i] % 2 ? 65536 : 4052);
	ck_assert(!vs_broken());
	close(c.fd);
	close(listener);
}
END_TEST

START_TEST(data_from_the_host)
{
	struct vs_conn c = vs_from_host(1234);
	uint32_t size = sizes[_i], sent = 0, read = 0;
	struct vs_packet p;

	fill_bytes();
	while (read < size) {
		ssize_t n = send(c.fd, bytes + sent, size - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (uint32_t)n : 0;
		while (vs_take(&p, 1)) {
			if (p.h.op == VIRTIO_VSOCK_OP_CREDIT_REQUEST) {
				vs_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
				continue;
			}
			ck_assert_uint_eq(p.h.op, VIRTIO_VSOCK_OP_RW);
			ck_assert_uint_le(read + p.h.len, size);
			memcpy(got + read, p.data, p.h.len);
			read += p.h.len;
			c.fwd = read;
		}
	}
	ck_assert_mem_eq(got, bytes, size);
	close(c.fd);
}
END_TEST

START_TEST(data_behind_the_line_is_not_lost)
{
	int fd = vs_connect("CONNECT 1234\nearly");
	struct vs_packet p = vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	struct vs_conn c = { fd, p.h.src_port, 1234, VS_BUF, 0 };

	vs_expect_nothing();
	vs_send(&c, VIRTIO_VSOCK_OP_RESPONSE, NULL, 0);
	p = vs_expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(p.h.len, 5);
	ck_assert_mem_eq(p.data, "early", 5);
	close(fd);
}
END_TEST

/* The device's memory is private: the driver may share what it likes. */
START_TEST(protected_guest)
{
	struct vs_conn c;
	struct virtio_vsock_hdr h;

	vt.cfg.is_protected = true;
	vs_start();
	c = vs_from_host(1234);
	vs_is_alive(&c);
	h = vs_header(&c, VIRTIO_VSOCK_OP_RW);
	h.len = 10;
	memcpy(guest_ptr(&vt.guest, VS_TX_AT), &h, VS_HEADER);
	ring_desc(&vt.tx, 0, VS_TX_AT, VS_HEADER, DESC_NEXT, 1);
	ring_desc(&vt.tx, 1, GUEST_PRIVATE, 10, 0, 0);
	ring_offer(&vt.tx, 0);
	driver_put(&vt.drv, R_NOTIFY, 1);
	vs_pump(5);
	ck_assert(vs_broken());
	close(c.fd);
}
END_TEST

/* ---- credit ---- */

START_TEST(guest_gets_what_it_has_room_for)
{
	int listener = vs_listen(5000, 8);
	struct vs_conn c = { -1, 5000, 77, 1000, 0 };
	struct vs_packet p;

	fill_bytes();
	vs_send(&c, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RESPONSE);
	c.fd = vs_accept(listener);
	ck_assert_int_eq(send(c.fd, bytes, 2500, MSG_NOSIGNAL), 2500);
	p = vs_expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(p.h.len, 1000);
	/* It asks once, and does not go on asking. */
	vs_expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	vs_expect_nothing();
	c.fwd = 300;
	vs_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	p = vs_expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(p.h.len, 300);
	ck_assert_mem_eq(p.data, bytes + 1000, 300);
	vs_expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	/* A larger buffer is credit as well. */
	c.buf = 5000;
	vs_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	p = vs_expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(p.h.len, 1200);
	close(c.fd);
	close(listener);
}
END_TEST

/* How much a Unix socket holds is the kernel's business; ours is what comes behind. */
static uint32_t fill_up(struct vs_conn *c)
{
	uint32_t sent = 0, told = 0;
	struct vs_packet p;

	for (;;) {
		uint32_t n = min_u32(4096, VS_BUF - (sent - told));

		if (n)
			vs_send(c, VIRTIO_VSOCK_OP_RW, bytes + sent % 200000, n);
		sent += n;
		if (vs_take(&p, n ? 0 : 5)) {
			ck_assert_uint_eq(p.h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			told = p.h.fwd_cnt;
		} else if (!n) {
			vs_send(c, VIRTIO_VSOCK_OP_CREDIT_REQUEST, NULL, 0);
			p = vs_expect(VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			if (p.h.fwd_cnt == told)
				return sent;
			told = p.h.fwd_cnt;
		}
	}
}

START_TEST(guest_that_sends_too_much_is_reset)
{
	int listener = vs_listen(5000, 8);
	struct vs_conn c = vs_from_guest(listener, 5000, 77);
	struct vs_conn other = vs_from_guest(listener, 5000, 78);

	fill_up(&c);
	vs_send(&c, VIRTIO_VSOCK_OP_RW, "x", 1);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	vs_is_alive(&other);
	ck_assert(!vs_broken());
	close(c.fd);
	close(other.fd);
	close(listener);
}
END_TEST

START_TEST(stalled_reader_holds_up_nobody)
{
	int listener = vs_listen(5000, 8);
	struct vs_conn stalled = vs_from_guest(listener, 5000, 77);
	struct vs_conn live = vs_from_host(1234);
	uint32_t sent, n = 0;

	fill_bytes();
	sent = fill_up(&stalled);
	guest_sends(&live, 100000, 4052);
	/* Nor does one that stalls the other way: the guest has no room, and says so. */
	ck_assert_int_gt(send(stalled.fd, bytes, 100000, MSG_NOSIGNAL), 65536);
	for (uint32_t have = 0; have < VS_BUF;) {
		struct vs_packet p = vs_expect(VIRTIO_VSOCK_OP_RW);

		have += p.h.len;
	}
	vs_expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	vs_is_alive(&live);
	/* When it reads again nothing is missing. */
	while (n < sent) {
		uint32_t piece = min_u32(sent - n, 4096);

		ck_assert_uint_eq(vs_read(stalled.fd, got, piece), piece);
		ck_assert_mem_eq(got, bytes + n % 200000, piece);
		n += piece;
	}
	close(stalled.fd);
	close(live.fd);
	close(listener);
}
END_TEST

/* ---- the end ---- */

START_TEST(host_closes_one_direction)
{
	struct vs_conn c = vs_from_host(1234);
	struct vs_packet p;

	ck_assert_int_eq(send(c.fd, "last", 4, MSG_NOSIGNAL), 4);
	shutdown(c.fd, SHUT_WR);
	p = vs_expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(p.h.len, 4);
	p = vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(p.h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	vs_send(&c, VIRTIO_VSOCK_OP_RW, "answer", 6);
	ck_assert_uint_eq(vs_read(c.fd, got, 6), 6);
	vs_expect_nothing();
	/* And when it has gone for good, the guest hears of that too. */
	close(c.fd);
	p = vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(p.h.flags, 3);
	vs_send(&c, VIRTIO_VSOCK_OP_RST, NULL, 0);
	vs_expect_nothing();
}
END_TEST

START_TEST(guest_closes_one_direction)
{
	struct vs_conn c = vs_from_host(1234);
	struct vs_packet p;

	vs_send(&c, VIRTIO_VSOCK_OP_RW, "last", 4);
	vs_shutdown(&c, VIRTIO_VSOCK_SHUTDOWN_SEND);
	ck_assert_uint_eq(vs_read(c.fd, got, 10), 4);
	ck_assert(vs_at_end(c.fd));
	ck_assert_int_eq(send(c.fd, "answer", 6, MSG_NOSIGNAL), 6);
	p = vs_expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(p.h.len, 6);
	vs_expect_nothing();
	/* The other direction ends as well: that is all. */
	vs_shutdown(&c, VIRTIO_VSOCK_SHUTDOWN_RCV);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	vs_send(&c, VIRTIO_VSOCK_OP_RW, "more", 4);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	close(c.fd);
}
END_TEST

/* Its end comes behind its data, also when the reader is slow. */
START_TEST(guest_closes_one_direction_of_a_full_one)
{
	struct vs_conn c = vs_from_host(1234);
	uint32_t sent, n = 0;
	struct vs_packet p;

	fill_bytes();
	sent = fill_up(&c);
	vs_shutdown(&c, VIRTIO_VSOCK_SHUTDOWN_SEND);
	while (n < sent) {
		uint32_t piece = min_u32(sent - n, 4096);

		ck_assert_uint_eq(vs_read(c.fd, got, piece), piece);
		ck_assert_mem_eq(got, bytes + n % 200000, piece);
		n += piece;
	}
	ck_assert(vs_at_end(c.fd));
	while (vs_take(&p, 5))
		ck_assert_uint_eq(p.h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	ck_assert_int_eq(send(c.fd, "answer", 6, MSG_NOSIGNAL), 6);
	vs_expect(VIRTIO_VSOCK_OP_RW);
	close(c.fd);
}
END_TEST

START_TEST(guest_reads_no_more)
{
	struct vs_conn c = vs_from_host(1234);
	struct vs_packet p;

	vs_shutdown(&c, VIRTIO_VSOCK_SHUTDOWN_RCV);
	ck_assert_int_eq(send(c.fd, "x", 1, MSG_NOSIGNAL), -1);
	ck_assert_int_eq(errno, EPIPE);
	vs_send(&c, VIRTIO_VSOCK_OP_RW, "still", 5);
	ck_assert_uint_eq(vs_read(c.fd, got, 5), 5);
	close(c.fd);
	p = vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(p.h.flags, 3);
}
END_TEST

START_TEST(host_reads_no_more)
{
	struct vs_conn c = vs_from_host(1234);
	struct vs_packet p;

	shutdown(c.fd, SHUT_RD);
	vs_send(&c, VIRTIO_VSOCK_OP_RW, "x", 1);
	p = vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(p.h.flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
	/* What was under way is nobody's; what it writes still comes. */
	vs_send(&c, VIRTIO_VSOCK_OP_RW, "y", 1);
	ck_assert_int_eq(send(c.fd, "still", 5, MSG_NOSIGNAL), 5);
	p = vs_expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(p.h.len, 5);
	ck_assert_uint_eq(p.h.fwd_cnt, 2);
	close(c.fd);
	p = vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(p.h.flags, 3);
}
END_TEST

/* What the host wrote before it closed still comes, though the guest's own data found nobody. */
START_TEST(host_closes_with_data_on_the_way)
{
	struct vs_conn c = vs_from_host(1234);
	struct vs_packet p;

	c.buf = 0;
	vs_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	ck_assert_int_eq(send(c.fd, "last words", 10, MSG_NOSIGNAL), 10);
	close(c.fd);
	vs_expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	vs_send(&c, VIRTIO_VSOCK_OP_RW, "x", 1);
	p = vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(p.h.flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
	vs_pump(1200); /* longer than it takes to look after those who write no more */
	c.buf = VS_BUF;
	vs_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	p = vs_expect(VIRTIO_VSOCK_OP_RW);
	ck_assert_uint_eq(p.h.len, 10);
	p = vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(p.h.flags, 3);
}
END_TEST

START_TEST(host_closes)
{
	struct vs_conn c;
	struct vs_packet p;

	vt.cfg.close_ms = 30;
	vs_start();
	c = vs_from_host(1234);
	close(c.fd);
	p = vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	ck_assert_uint_eq(p.h.flags, 3);
	/* What crossed it on the way is no mistake. */
	vs_send(&c, VIRTIO_VSOCK_OP_RW, "x", 1);
	if (_i == 0) {
		/* The guest confirms; after that the connection is unknown. */
		vs_send(&c, VIRTIO_VSOCK_OP_RST, NULL, 0);
		vs_expect_nothing();
		vs_send(&c, VIRTIO_VSOCK_OP_RW, "x", 1);
	} else if (_i == 1) {
		/* It closes too. */
		vs_shutdown(&c, 3);
	} /* else it says nothing, and we do not wait for ever. */
	vs_expect(VIRTIO_VSOCK_OP_RST);
	vs_pump(100);
	vs_expect_nothing();
}
END_TEST

START_TEST(guest_closes_and_its_data_arrives)
{
	int listener = vs_listen(5000, 8);
	struct vs_conn c = vs_from_guest(listener, 5000, 77), again;
	uint32_t sent, n = 0;

	fill_bytes();
	sent = fill_up(&c);
	vs_shutdown(&c, 3);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	/* The ports are free. */
	again = vs_from_guest(listener, 5000, 77);
	vs_is_alive(&again);
	while (n < sent) {
		uint32_t piece = min_u32(sent - n, 4096);

		ck_assert_uint_eq(vs_read(c.fd, got, piece), piece);
		ck_assert_mem_eq(got, bytes + n % 200000, piece);
		n += piece;
	}
	ck_assert(vs_at_end(c.fd));
	vs_is_alive(&again);
	close(c.fd);
	close(again.fd);
	close(listener);
}
END_TEST

/* One whose reader does not read: its data is kept for a while, and its place in the table too. */
START_TEST(guest_closes_and_nobody_reads)
{
	int listener = vs_listen(5000, 8);
	struct vs_conn c;
	uint32_t sent, n = 0, piece;

	vt.cfg.drain_ms = 1;
	vs_start();
	c = vs_from_guest(listener, 5000, 77);
	fill_bytes();
	sent = fill_up(&c);
	vs_shutdown(&c, 3);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	vs_pump(200);
	while ((piece = (uint32_t)vs_read(c.fd, got, 4096)))
		n += piece;
	ck_assert_uint_lt(n, sent);
	ck_assert(vs_at_end(c.fd));
	close(c.fd);
	close(listener);
}
END_TEST

/* All of the last ones may still be read; the first is over before its time. */
START_TEST(few_closed_connections_are_kept)
{
	static struct vs_conn c[VSOCK_DRAINING_MAX + 1];
	int listener = vs_listen(5000, 8);
	uint32_t sent[ARRAY_SIZE(c)], n = 0, piece;

	fill_bytes();
	for (uint32_t i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = vs_from_guest(listener, 5000, 100 + i);
		sent[i] = fill_up(&c[i]);
		vs_shutdown(&c[i], 3);
		vs_expect(VIRTIO_VSOCK_OP_RST);
	}
	for (uint32_t i = 0; i < 2; i++, n = 0) {
		while ((piece = (uint32_t)vs_read(c[i].fd, got, 4096)))
			n += piece;
		if (i)
			ck_assert_uint_eq(n, sent[i]);
		else
			ck_assert_uint_lt(n, sent[i]);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(c); i++)
		close(c[i].fd);
	close(listener);
}
END_TEST

START_TEST(guest_aborts)
{
	struct vs_conn c = vs_from_host(1234);

	vs_send(&c, VIRTIO_VSOCK_OP_RST, NULL, 0);
	ck_assert(vs_at_end(c.fd));
	vs_expect_nothing();
	close(c.fd);
}
END_TEST

/* ---- many ---- */

START_TEST(hundred_connections)
{
	static struct vs_conn c[100];
	int listener = vs_listen(5000, 128);

	for (uint32_t i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = i % 2 ? vs_from_host(1234) : vs_from_guest(listener, 5000, 100 + i);
		for (uint32_t k = 0; k < i; k++)
			ck_assert(c[i].host_port != c[k].host_port ||
				  c[i].guest_port != c[k].guest_port);
	}
	for (int round = 0; round < 3; round++)
		for (uint32_t i = 0; i < ARRAY_SIZE(c); i++)
			vs_is_alive(&c[(i * 37) % ARRAY_SIZE(c)]);
	for (uint32_t i = 0; i < ARRAY_SIZE(c); i++) {
		struct vs_packet p;

		close(c[i].fd);
		p = vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
		ck_assert_uint_eq(p.h.dst_port, c[i].guest_port);
		vs_send(&c[i], VIRTIO_VSOCK_OP_RST, NULL, 0);
	}
	close(listener);
}
END_TEST

START_TEST(reset_closes_all)
{
	static struct vs_conn c[20];
	int listener = vs_listen(5000, 128), waiting;

	for (uint32_t i = 0; i < ARRAY_SIZE(c); i++)
		c[i] = i % 2 ? vs_from_host(1234) : vs_from_guest(listener, 5000, 100 + i);
	fill_up(&c[0]);
	waiting = vs_connect("CONNECT 99\n");
	vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_int_eq(send(c[1].fd, "data", 4, MSG_NOSIGNAL), 4);
	driver_put(&vt.drv, R_STATUS, 0);
	/* Before the loop has run, even. */
	ck_assert_uint_eq(driver_get(&vt.drv, R_STATUS), 0);
	ck_assert_int_eq(send(c[3].fd, "x", 1, MSG_NOSIGNAL), -1);
	for (uint32_t i = 1; i < ARRAY_SIZE(c); i++)
		ck_assert(vs_at_end(c[i].fd));
	ck_assert(vs_at_end(waiting));
	/* Without a driver nobody gets through. */
	close(waiting);
	waiting = vs_connect("CONNECT 99\n");
	ck_assert(vs_at_end(waiting));
	close(waiting);
	vs_drive();
	for (uint32_t i = 0; i < ARRAY_SIZE(c); i++)
		close(c[i].fd);
	vs_expect_nothing();
	c[0] = vs_from_host(1234);
	vs_is_alive(&c[0]);
	close(c[0].fd);
	close(listener);
}
END_TEST

Suite *virtio_vsock_suite(void)
{
	Suite *s = suite_create("virtio_vsock");
	TCase *t = tcase_create("connections");

	tcase_add_checked_fixture(t, vs_setup, vs_teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, is_a_socket_device);
	tcase_add_test(t, host_connects);
	tcase_add_test(t, guest_connects);
	tcase_add_test(t, nobody_listens);
	tcase_add_test(t, guest_refuses);
	tcase_add_test(t, guest_does_not_answer);
	tcase_add_loop_test(t, data_from_the_guest, 0, (int)ARRAY_SIZE(sizes));
	tcase_add_loop_test(t, data_from_the_host, 0, (int)ARRAY_SIZE(sizes));
	tcase_add_test(t, data_behind_the_line_is_not_lost);
	tcase_add_test(t, protected_guest);
	tcase_add_test(t, guest_gets_what_it_has_room_for);
	tcase_add_test(t, guest_that_sends_too_much_is_reset);
	tcase_add_test(t, stalled_reader_holds_up_nobody);
	tcase_add_test(t, host_closes_one_direction);
	tcase_add_test(t, guest_closes_one_direction);
	tcase_add_test(t, guest_closes_one_direction_of_a_full_one);
	tcase_add_test(t, guest_reads_no_more);
	tcase_add_test(t, host_reads_no_more);
	tcase_add_test(t, host_closes_with_data_on_the_way);
	tcase_add_loop_test(t, host_closes, 0, 3);
	tcase_add_test(t, guest_closes_and_its_data_arrives);
	tcase_add_test(t, guest_closes_and_nobody_reads);
	tcase_add_test(t, few_closed_connections_are_kept);
	tcase_add_test(t, guest_aborts);
	tcase_add_test(t, hundred_connections);
	tcase_add_test(t, reset_closes_all);
	suite_add_tcase(s, t);
	vs_add_hostile_tests(s);
	vs_add_host_tests(s);
	return s;
}
