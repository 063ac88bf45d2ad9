/* SPDX-License-Identifier: Apache-2.0 */

/* How connections end: from either side, in one direction, with data under way; and many of them. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_virtio_vsock.h"
#include "vmm/util/bits.h"

static uint8_t bytes[300000], got[300000];

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

	vs_fill(bytes, sizeof(bytes));
	sent = vs_fill_up(&c);
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

	vs_fill(bytes, sizeof(bytes));
	sent = vs_fill_up(&c);
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
	vs_fill(bytes, sizeof(bytes));
	sent = vs_fill_up(&c);
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

	vs_fill(bytes, sizeof(bytes));
	for (uint32_t i = 0; i < ARRAY_SIZE(c); i++) {
		c[i] = vs_from_guest(listener, 5000, 100 + i);
		sent[i] = vs_fill_up(&c[i]);
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
	vs_fill_up(&c[0]);
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

void vs_add_end_tests(Suite *s)
{
	TCase *t = tcase_create("ends");

	tcase_add_checked_fixture(t, vs_setup, vs_teardown);
	tcase_set_timeout(t, 20);
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
}
