/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "tests/unit/test_virtio_vsock.h"
#include "vmm/util/bits.h"

static uint8_t bytes[300000], got[300000];

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

	vs_fill(bytes, sizeof(bytes));
	guest_sends(&c, sizes[_i], sizes[_i] % 2 ? 65536 : 4052);
	ck_assert(!vs_broken());
	ck_assert_uint_eq(device_count(virtio_vsock_dev(vt.dev), "tx_bytes_count"), sizes[_i]);
	ck_assert_uint_eq(device_count(virtio_vsock_dev(vt.dev), "conns_added"), 1);
	close(c.fd);
	close(listener);
}
END_TEST

START_TEST(data_from_the_host)
{
	struct vs_conn c = vs_from_host(1234);
	uint32_t size = sizes[_i], sent = 0, read = 0;
	struct vs_packet p;

	vs_fill(bytes, sizeof(bytes));
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

	vs_fill(bytes, sizeof(bytes));
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

START_TEST(guest_that_sends_too_much_is_reset)
{
	int listener = vs_listen(5000, 8);
	struct vs_conn c = vs_from_guest(listener, 5000, 77);
	struct vs_conn other = vs_from_guest(listener, 5000, 78);

	vs_fill_up(&c);
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

	vs_fill(bytes, sizeof(bytes));
	sent = vs_fill_up(&stalled);
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
	suite_add_tcase(s, t);
	vs_add_end_tests(s);
	vs_add_hostile_tests(s);
	vs_add_host_tests(s);
	return s;
}
