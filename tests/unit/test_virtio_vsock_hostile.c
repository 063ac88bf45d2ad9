/* SPDX-License-Identifier: Apache-2.0 */

/* Guests that break the rules of the socket device. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_virtio_vsock.h"
#include "vmm/util/bits.h"

static const struct vs_conn nobody = { -1, 5000, 77, VS_BUF, 0 };

START_TEST(packet_from_another_cid_is_dropped)
{
	struct vs_conn c = vs_from_host(1234);
	struct virtio_vsock_hdr h = vs_header(&c, VIRTIO_VSOCK_OP_RST);

	h.src_cid = _i ? VS_CID | 1ull << 32 : VS_CID + 1;
	vs_put(&h, NULL, 0, true);
	h.op = VIRTIO_VSOCK_OP_REQUEST;
	vs_put(&h, NULL, 0, true);
	vs_expect_nothing();
	vs_is_alive(&c);
	close(c.fd);
}
END_TEST

START_TEST(packet_to_another_cid_is_refused)
{
	static const uint64_t cids[] = { 0, 1, 3, VS_CID, 0xffffffff, 2 | 1ull << 32 };
	struct virtio_vsock_hdr h = vs_header(&nobody, VIRTIO_VSOCK_OP_REQUEST);
	int listener = vs_listen(5000, 8);
	struct vs_packet p;

	for (size_t i = 0; i < ARRAY_SIZE(cids); i++) {
		h.dst_cid = cids[i];
		vs_put(&h, NULL, 0, true);
		p = vs_expect(VIRTIO_VSOCK_OP_RST);
		ck_assert_uint_eq(p.h.src_cid, cids[i]);
		ck_assert_uint_eq(p.h.src_port, 5000);
		ck_assert_uint_eq(p.h.dst_port, 77);
	}
	close(listener);
}
END_TEST

START_TEST(other_types_are_refused)
{
	struct vs_conn c = vs_from_host(1234);
	struct virtio_vsock_hdr h = vs_header(&c, VIRTIO_VSOCK_OP_RW);
	struct vs_packet p;

	h.type = (uint16_t)(_i == 0 ? VIRTIO_VSOCK_TYPE_SEQPACKET : _i == 1 ? 0 : 0xffff);
	vs_put(&h, NULL, 0, true);
	p = vs_expect(VIRTIO_VSOCK_OP_RST);
	ck_assert_uint_eq(p.h.type, h.type);
	h.op = VIRTIO_VSOCK_OP_RST;
	vs_put(&h, NULL, 0, true);
	vs_expect_nothing();
	vs_is_alive(&c);
	close(c.fd);
}
END_TEST

START_TEST(unknown_connection_is_refused_but_no_rst)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_INVALID, VIRTIO_VSOCK_OP_RESPONSE,
		VIRTIO_VSOCK_OP_SHUTDOWN, VIRTIO_VSOCK_OP_RW, VIRTIO_VSOCK_OP_CREDIT_UPDATE,
		VIRTIO_VSOCK_OP_CREDIT_REQUEST, 8, 0xffff };

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		vs_send(&nobody, ops[i], NULL, 0);
		vs_expect(VIRTIO_VSOCK_OP_RST);
	}
	vs_send(&nobody, VIRTIO_VSOCK_OP_RST, NULL, 0);
	vs_expect_nothing();
}
END_TEST

START_TEST(wrong_operation_ends_the_connection)
{
	static const uint16_t ops[] = { VIRTIO_VSOCK_OP_INVALID, VIRTIO_VSOCK_OP_REQUEST,
		VIRTIO_VSOCK_OP_RESPONSE, 8, 0xffff };
	struct vs_conn c = vs_from_host(1234);

	vs_send(&c, ops[_i], NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	vs_expect_nothing();
	ck_assert(vs_at_end(c.fd));
	ck_assert(!vs_broken());
	close(c.fd);
	/* The same before it is open. */
	c.fd = vs_connect("CONNECT 1234\n");
	c.host_port = vs_expect(VIRTIO_VSOCK_OP_REQUEST).h.src_port;
	vs_send(&c, ops[_i] == VIRTIO_VSOCK_OP_RESPONSE ? 9 : ops[_i], NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	ck_assert(vs_at_end(c.fd));
	close(c.fd);
}
END_TEST

START_TEST(data_after_the_end_is_refused)
{
	struct vs_conn c = vs_from_host(1234);

	vs_shutdown(&c, VIRTIO_VSOCK_SHUTDOWN_SEND | 0xfffffff8);
	vs_send(&c, VIRTIO_VSOCK_OP_RW, "x", 1);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	close(c.fd);
}
END_TEST

/* Mistakes of the driver, not of a program: 2.1.2. */
START_TEST(malformed_chain_breaks_the_device)
{
	struct vs_conn c = vs_from_host(1234);
	struct virtio_vsock_hdr h = vs_header(&c, VIRTIO_VSOCK_OP_RW);
	struct ring *r = _i < 5 ? &vt.tx : &vt.rx;

	h.len = _i == 1 ? 5 : _i == 2 ? 0xffffffff : 4;
	memcpy(guest_ptr(&vt.guest, VS_TX_AT), &h, VS_HEADER);
	switch (_i) {
	case 0: /* a header that is too short */
		ring_desc(r, 0, VS_TX_AT, VS_HEADER - 1, 0, 0);
		break;
	case 1: /* less data than it says */
	case 2:
		ring_desc(r, 0, VS_TX_AT, VS_HEADER + 4, 0, 0);
		break;
	case 3: /* to write to, on the tx queue */
		ring_desc(r, 0, VS_TX_AT, VS_HEADER + 4, DESC_NEXT, 1);
		ring_desc(r, 1, VS_TX_AT + 4096, 4, DESC_WRITE, 0);
		break;
	case 4: /* private */
		ring_desc(r, 0, GUEST_PRIVATE, VS_HEADER + 4, 0, 0);
		break;
	default: /* to read from, or without room, on the rx queue */
		vt.rx_bufs = 0;
		driver_put(&vt.drv, R_STATUS, 0);
		vs_drive();
		close(c.fd);
		c.fd = vs_connect("CONNECT 9\n");
		ring_desc(r, 0, VS_RX_AT, _i == 5 ? VS_HEADER : 4096,
			(uint16_t)(_i == 5 ? DESC_WRITE : 0), 0);
		break;
	}
	ring_offer(r, 0);
	driver_put(&vt.drv, R_NOTIFY, r == &vt.tx);
	for (int tries = 0; tries < 100 && !vs_broken(); tries++)
		vs_pump(1);
	ck_assert(vs_broken());
	/* A reset mends it. */
	driver_put(&vt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&vt.drv, R_STATUS), 0);
	ck_assert(vs_at_end(c.fd));
	close(c.fd);
	vt.rx_bufs = VS_RX_BUFS;
	vs_drive();
	c = vs_from_host(1234);
	vs_is_alive(&c);
	close(c.fd);
}
END_TEST

START_TEST(nonsense_about_credit_harms_nobody_else)
{
	int listener = vs_listen(5000, 8);
	struct vs_conn c = vs_from_guest(listener, 5000, 77), other = vs_from_host(1234);

	/* It has read more than there was: it gets nothing. */
	c.fwd = 1u << 31;
	vs_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	ck_assert_int_eq(send(c.fd, "data", 4, MSG_NOSIGNAL), 4);
	vs_expect(VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	vs_is_alive(&other);
	vs_expect_nothing();
	/* As much room as there can be. */
	c.fwd = 0;
	c.buf = UINT32_MAX;
	vs_send(&c, VIRTIO_VSOCK_OP_CREDIT_UPDATE, NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RW);
	c.fwd = 4;
	vs_is_alive(&c);
	close(c.fd);
	close(other.fd);
	close(listener);
}
END_TEST

/* No buffers to receive into: we stop taking packets that want an answer, and lose none. */
START_TEST(starved_of_buffers)
{
	struct vs_conn c = nobody;
	struct virtio_vsock_hdr h;
	unsigned int i, answers, requests = 0, misplaced = 0;

	vt.rx_bufs = 0;
	driver_put(&vt.drv, R_STATUS, 0);
	vs_drive();
	for (i = 0; i < 256; i++) {
		c.guest_port = i;
		h = vs_header(&c, VIRTIO_VSOCK_OP_RW);
		vs_put(&h, NULL, 0, false);
	}
	vs_pump(5);
	ck_assert_uint_eq(ring_used_idx(&vt.tx), 256);
	for (; i < 456; i++) {
		c.guest_port = i;
		h = vs_header(&c, VIRTIO_VSOCK_OP_RW);
		vs_put(&h, NULL, 0, false);
	}
	vs_pump(5);
	ck_assert_uint_eq(ring_used_idx(&vt.tx), 256);
	/* A program of the host waits as well. */
	c.fd = vs_connect("CONNECT 3\n");
	vs_pump(5);
	for (uint16_t b = 0; b < VS_RX_BUFS; b++)
		vs_give(b);
	driver_put(&vt.drv, R_NOTIFY, 0);
	for (answers = 0; answers < 456;) {
		struct vs_packet p;

		ck_assert(vs_take(&p, 1000));
		if (p.h.op == VIRTIO_VSOCK_OP_REQUEST)
			requests++;
		else
			misplaced += p.h.op != VIRTIO_VSOCK_OP_RST || p.h.dst_port != answers++;
	}
	if (!requests)
		vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_le(requests, 1);
	ck_assert_uint_eq(misplaced, 0);
	ck_assert_uint_eq(ring_used_idx(&vt.tx), 456);
	close(c.fd);
}
END_TEST

/* The driver is quicker than any host: others still get their turn. */
START_TEST(flood_of_packets)
{
	struct vs_conn c = vs_from_host(1234);
	unsigned int rounds;

	for (rounds = 0; rounds < 50; rounds++) {
		for (unsigned int i = 0; i < 256; i++) {
			struct virtio_vsock_hdr h = vs_header(&c, VIRTIO_VSOCK_OP_CREDIT_REQUEST);

			vs_put(&h, NULL, 0, false);
		}
		while ((uint16_t)(vt.tx.idx - ring_used_idx(&vt.tx)))
			vs_pump(1);
	}
	/* One answer may stand for many questions. */
	for (struct vs_packet p; vs_take(&p, 5); rounds++)
		ck_assert_uint_eq(p.h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	ck_assert_uint_lt(rounds, 50 + 50 * 256 / 4);
	vs_is_alive(&c);
	close(c.fd);
}
END_TEST

static uint32_t rnd(uint32_t n)
{
	return (uint32_t)(random() % n);
}

/* Packets of few ports and all operations, programs that come and go, resets between. */
START_TEST(random_packets)
{
	static const uint64_t cids[] = { 2, 2, 2, 2, 2, 2, 2, 1 };
	static uint8_t data[5000];
	int host[8], listener = vs_listen(1, 64), other = vs_listen(2, 64), accepted[64];
	unsigned int i, n, got;
	struct vs_conn c;
	struct vs_packet p;

	srandom((unsigned int)_i + 1);
	memset(host, -1, sizeof(host));
	memset(accepted, -1, sizeof(accepted));
	for (i = n = 0; i < 3000; i++) {
		uint32_t which = rnd(8), len = rnd(4) ? 0 : rnd(sizeof(data));
		struct virtio_vsock_hdr h = { .src_cid = VS_CID, .dst_cid = cids[rnd(8)] };

		h.src_port = rnd(4);
		h.dst_port = rnd(3) ? rnd(4) : 0x40000000u + rnd(20);
		h.type = rnd(20) ? VIRTIO_VSOCK_TYPE_STREAM : 2;
		h.op = (uint16_t)(rnd(5) ? rnd(8) : rnd(10));
		h.flags = rnd(4);
		h.len = len;
		h.buf_alloc = rnd(3) * 40000;
		h.fwd_cnt = rnd(2) ? rnd(10000) : rnd(UINT32_MAX);
		vs_put(&h, data, len, true);
		while (vs_take(&p, 0))
			continue;
		if (which == 0) {
			close(host[n % 8]);
			host[n++ % 8] = vs_connect(rnd(2) ? "CONNECT 1\n" : "CONN");
		} else if (which < 4 && host[which] >= 0) {
			send(host[which], data, rnd(sizeof(data)), MSG_NOSIGNAL);
		} else if (which == 4) {
			close(accepted[i % 64]);
			accepted[i % 64] = accept4(rnd(2) ? listener : other, NULL, NULL,
				SOCK_NONBLOCK | SOCK_CLOEXEC);
		} else if (which == 5 && accepted[i % 64] >= 0) {
			shutdown(accepted[i % 64], (int)rnd(3));
		}
		if (!rnd(300)) {
			driver_put(&vt.drv, R_STATUS, 0);
			vs_drive();
		}
	}
	ck_assert(!vs_broken());
	for (i = 0; i < ARRAY_SIZE(host); i++)
		close(host[i]);
	for (i = 0; i < ARRAY_SIZE(accepted); i++)
		close(accepted[i]);
	close(listener);
	close(other);
	for (got = 0; vs_take(&p, 20) && got < 5000; got++)
		continue;
	ck_assert_uint_lt(got, 5000);
	c = vs_from_host(1234);
	vs_is_alive(&c);
	close(c.fd);
}
END_TEST

/* The loop on a thread of its own, as in life; and a driver that resets whenever it likes. */
START_TEST(resets_beside_a_running_loop)
{
	int fd[8];
	struct err e;

	memset(fd, -1, sizeof(fd));
	vs_listen(5000, 64);
	ck_assert_int_eq(loop_start_thread(vt.loop, THREAD_IO, "test-io", &e), 0);
	for (unsigned int i = 0; i < 300; i++) {
		struct vs_conn c = { -1, i % 3 ? 5000 : 1, i % 5, VS_BUF, 0 };
		struct virtio_vsock_hdr h = vs_header(&c, VIRTIO_VSOCK_OP_REQUEST);
		uint32_t status;

		close(fd[i % 8]);
		fd[i % 8] = vs_connect("CONNECT 1\n");
		if (i % 4) {
			vs_put(&h, NULL, 0, false);
			h.op = VIRTIO_VSOCK_OP_RW;
			vs_put(&h, NULL, 0, false);
			usleep(rnd(300));
			continue;
		}
		driver_put(&vt.drv, R_STATUS, 0);
		while (driver_get(&vt.drv, R_STATUS))
			continue;
		ring_new(&vt.rx, &vt.guest, GUEST_RAM, 64);
		ring_new(&vt.tx, &vt.guest, GUEST_RAM + RING_BYTES, 256);
		for (uint16_t b = 0; b < 8; b++)
			vs_give(b);
		status = driver_negotiate(&vt.drv, F_VERSION);
		driver_queue(&vt.drv, 0, &vt.rx);
		driver_queue(&vt.drv, 1, &vt.tx);
		driver_put(&vt.drv, R_STATUS, status | S_DRIVER_OK);
	}
	ck_assert(!vs_broken());
	/* And so does the end of it all. */
	virtio_vsock_free(vt.dev);
	vt.dev = NULL;
	for (unsigned int i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
}
END_TEST

void vs_add_hostile_tests(Suite *s)
{
	TCase *t = tcase_create("hostile guests");

	tcase_add_checked_fixture(t, vs_setup, vs_teardown);
	tcase_set_timeout(t, 20);
	tcase_add_loop_test(t, packet_from_another_cid_is_dropped, 0, 2);
	tcase_add_test(t, packet_to_another_cid_is_refused);
	tcase_add_loop_test(t, other_types_are_refused, 0, 3);
	tcase_add_test(t, unknown_connection_is_refused_but_no_rst);
	tcase_add_loop_test(t, wrong_operation_ends_the_connection, 0, 5);
	tcase_add_test(t, data_after_the_end_is_refused);
	tcase_add_loop_test(t, malformed_chain_breaks_the_device, 0, 7);
	tcase_add_test(t, nonsense_about_credit_harms_nobody_else);
	tcase_add_test(t, starved_of_buffers);
	tcase_add_test(t, flood_of_packets);
	tcase_add_loop_test(t, random_packets, 0, 4);
	tcase_add_test(t, resets_beside_a_running_loop);
	suite_add_tcase(s, t);
}
