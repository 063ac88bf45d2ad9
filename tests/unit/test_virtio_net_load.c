/* SPDX-License-Identifier: Apache-2.0 */

/* Frames that come in: many of them, too many, and what no frame is. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_virtio_net.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"

static uint8_t buf[NET_GOT_MAX];
static const struct virtio_net_hdr_v1 plain;

START_TEST(receiving_is_limited)
{
	struct ratelimit_config by_bytes = { { 1000, 0, 100 }, { 0 } };
	struct ratelimit_config by_ops = { { 0 }, { 10, 0, 100 } };
	struct virtio_net_hdr_v1 h;
	uint64_t before;

	nt.cfg.rx_limit = _i ? by_ops : by_bytes;
	nt.hand_out = 40;
	net_start();
	before = clock_ms();
	for (unsigned int i = 0; i < 20; i++)
		net_feed(&plain, i, 100);
	net_pump(2);
	ck_assert_uint_ge(ring_used_idx(&nt.rx), 10);
	/* Half of the rest takes half of the time. */
	ck_assert(ring_used_idx(&nt.rx) < 15 || clock_ms() - before >= 35);
	for (int i = 0; i < 1000 && ring_used_idx(&nt.rx) < 20; i++)
		net_pump(5);
	ck_assert_uint_ge(clock_ms() - before, 85);
	for (unsigned int i = 0; i < 20; i++) {
		ck_assert_uint_eq(net_got(buf, 2048, &h), 100);
		ck_assert(net_same(buf, i, 100));
	}
}
END_TEST

/* More frames than one turn takes, with the queue going round. */
START_TEST(many_frames)
{
	struct virtio_net_hdr_v1 h;
	unsigned int in = 0, out = 0;
	uint16_t next = 0;

	nt.size = 128;
	nt.hand_out = 128;
	net_start();
	while (out < 3000) {
		for (unsigned int k = 0; k < 100 && in < 3000; k++, in++)
			net_feed(&plain, in, 60 + in % 1400);
		net_pump(1);
		while (net_got(buf, 2048, &h)) {
			ck_assert(net_same(buf, out, 60 + out % 1400));
			out++;
			next = (uint16_t)((out - 1) % 128);
			net_offer(next, GUEST_DATA + 2048ull * next, 2048);
		}
		driver_put(&nt.drv, R_NOTIFY, RXQ);
	}
}
END_TEST

/* Whatever a backend may come up with. */
START_TEST(frame_of_an_impossible_length_is_dropped)
{
	static const size_t lengths[] = { 1, 13, NETIO_FRAME_MAX + 1, 0x12000, 0x1ffff };
	struct virtio_net_hdr_v1 h;

	nt.hand_out = 200;
	net_start();
	net_feed(&plain, 1, lengths[_i]);
	net_feed(&plain, 2, 100);
	net_pump(2);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 100);
	ck_assert(net_same(buf, 2, 100));
}
END_TEST

/* What such a backend has read ahead makes no descriptor readable. */
START_TEST(frames_in_the_backends_buffer)
{
	static uint8_t all[150][64];
	struct virtio_net_hdr_v1 h;

	nt.is_stream = true;
	nt.features = NET_BASE;
	nt.hand_out = 200;
	for (unsigned int i = 0; i < 150; i++) {
		memcpy(all[i], "\0\0\0\x3c", 4);
		net_fill(all[i] + 4, i, 60);
	}
	net_start();
	net_pump(1);
	ck_assert_int_eq(write(nt.wire, all, sizeof(all)), sizeof(all));
	net_pump(5);
	for (unsigned int i = 0; i < 150; i++) {
		ck_assert_uint_eq(net_got(buf, 2048, &h), 60);
		ck_assert(net_same(buf, i, 60));
	}
}
END_TEST

/* A stream out of step is given up, though the socket would take more. */
START_TEST(backend_that_talks_nonsense)
{
	nt.is_stream = true;
	nt.features = NET_BASE;
	nt.hand_out = 4;
	net_start();
	net_pump(1);
	ck_assert_int_eq(write(nt.wire, "\xff\xff\xff\xff", 4), 4);
	net_pump(2);
	net_put(0, GUEST_DATA + 0x10000, &plain, 100);
	net_kick(TXQ);
	ck_assert_uint_eq(ring_used_idx(&nt.tx), 1);
	ck_assert_int_eq(recv(nt.wire, buf, sizeof(buf), MSG_DONTWAIT), -1);
	ck_assert(!net_broken());
}
END_TEST

void net_add_load_tests(Suite *s)
{
	TCase *t = tcase_create("load");

	tcase_add_checked_fixture(t, net_setup, net_teardown);
	tcase_add_loop_test(t, receiving_is_limited, 0, 2);
	tcase_add_test(t, many_frames);
	tcase_add_loop_test(t, frame_of_an_impossible_length_is_dropped, 0, 5);
	tcase_add_test(t, frames_in_the_backends_buffer);
	tcase_add_test(t, backend_that_talks_nonsense);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
}
