/* SPDX-License-Identifier: Apache-2.0 */

/* What a driver sees of a network device, and what it sends: virtio 1.2, 5.1. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/virtio_net_impl.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_virtio_net.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"

static uint8_t buf[0x20000];
static const struct virtio_net_hdr_v1 plain;

static void get_space(struct virtio_net_config *c)
{
	uint32_t word;

	for (uint32_t i = 0; i < sizeof(*c) / 4; i++) {
		word = driver_get(&nt.drv, R_CONFIG + 4 * i);
		memcpy((uint8_t *)c + 4 * i, &word, 4);
	}
}

START_TEST(is_a_network_card)
{
	struct virtio_net_config c;

	nt.cfg.mtu = _i ? 9000 : 0;
	net_start();
	ck_assert_uint_eq(driver_get(&nt.drv, R_DEVICE_ID), 1);
	ck_assert_uint_eq(driver_features(&nt.drv), NET_BASE | NET_OFFLOADS | F_EVENT | F_INDIRECT |
							    F_RESET |
							    (_i ? F(VIRTIO_NET_F_MTU) : 0));
	get_space(&c);
	ck_assert_mem_eq(c.mac, nt.cfg.mac, 6);
	ck_assert_uint_eq(c.status, VIRTIO_NET_S_LINK_UP);
	ck_assert_uint_eq(c.mtu, _i ? 9000 : 0);
	driver_put(&nt.drv, R_QUEUE_SEL, 1);
	ck_assert_uint_eq(driver_get(&nt.drv, R_QUEUE_MAX), 256);
	driver_put(&nt.drv, R_QUEUE_SEL, 2);
	ck_assert_uint_eq(driver_get(&nt.drv, R_QUEUE_MAX), 0);
}
END_TEST

/* 5.1.3.1. */
START_TEST(features_need_others)
{
	static const uint64_t bad[] = {
		F(VIRTIO_NET_F_HOST_TSO4), F(VIRTIO_NET_F_GUEST_TSO4),
		F(VIRTIO_NET_F_HOST_TSO6) | F(VIRTIO_NET_F_GUEST_CSUM),
		F(VIRTIO_NET_F_GUEST_TSO6) | F(VIRTIO_NET_F_CSUM),
		F(VIRTIO_NET_F_CSUM) | F(VIRTIO_NET_F_HOST_ECN),
		F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_GUEST_ECN),
		F(VIRTIO_NET_F_MTU), /* not offered */
	};

	net_start();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_uint_eq(driver_negotiate(&nt.drv, NET_BASE | bad[i]), S_ACK | S_DRIVER);
	ck_assert_uint_eq(driver_negotiate(&nt.drv, F_VERSION), S_ACK | S_DRIVER | S_FEATURES_OK);
	ck_assert_uint_eq(driver_negotiate(&nt.drv, NET_BASE | F(VIRTIO_NET_F_CSUM) |
							    F(VIRTIO_NET_F_HOST_TSO6) |
							    F(VIRTIO_NET_F_HOST_ECN)),
		S_ACK | S_DRIVER | S_FEATURES_OK);
}
END_TEST

START_TEST(backend_hears_of_features_and_resets)
{
	nt.features = NET_BASE | F(VIRTIO_NET_F_GUEST_CSUM) | F(VIRTIO_NET_F_GUEST_TSO4);
	net_start();
	ck_assert_uint_eq(nt.offload, nt.features);
	driver_put(&nt.drv, R_STATUS, 0);
	ck_assert_uint_eq(nt.offload, 0);
	nt.features = NET_BASE;
	net_drive();
	ck_assert_uint_eq(nt.offload, nt.features);
}
END_TEST

/* ---- frames out ---- */

START_TEST(frames_go_out)
{
	static const uint32_t sizes[] = { 14, 60, 1514, 9014, 65550 };
	struct virtio_net_hdr_v1 seen;
	uint32_t head, len;

	net_start();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		net_put((uint16_t)i, GUEST_DATA, &plain, sizes[i]);
		net_kick(TXQ);
		ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + sizes[i]);
		memcpy(&seen, buf, HDR);
		ck_assert_mem_eq(&seen, &plain, HDR);
		ck_assert(net_same(buf + HDR, (unsigned int)i, sizes[i]));
		ck_assert(ring_take(&nt.tx, &head, &len));
		ck_assert_uint_eq(head, i);
		ck_assert_uint_eq(len, 0);
	}
	ck_assert_uint_eq(device_count(virtio_net_dev(nt.nic), "tx_packets_count"), 5);
	ck_assert_uint_eq(device_count(virtio_net_dev(nt.nic), "tx_bytes_count"), 76152);
	ck_assert_uint_eq(device_count(virtio_net_dev(nt.nic), "tx_malformed_frames"), 0);
}
END_TEST

/* 2.7.4.2: nothing follows from how a frame and its header are cut into buffers. */
START_TEST(frames_may_be_cut_anywhere)
{
	uint8_t *p;
	uint16_t n;

	net_start();
	p = net_ptr(GUEST_DATA);
	memset(p, 0, HDR);
	net_fill(p + HDR, 3, 1000);
	for (n = 0; n < 11; n++)
		ring_desc(&nt.tx, n, GUEST_DATA + n, 1, DESC_NEXT, (uint16_t)(n + 1));
	ring_desc(&nt.tx, 11, GUEST_DATA + 11, 300, DESC_NEXT, 12);
	ring_desc(&nt.tx, 12, GUEST_DATA + 311, 1012 - 311, 0, 0);
	ring_offer(&nt.tx, 0);
	net_kick(TXQ);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + 1000);
	ck_assert(net_same(buf + HDR, 3, 1000));
	/* 256 buffers, the most a chain may have, by an indirect table. */
	driver_put(&nt.drv, R_STATUS, 0);
	nt.features |= F_INDIRECT;
	net_drive();
	for (n = 0; n < 256; n++)
		ring_desc_at(&nt.guest, GUEST_RAM + 0x60000, n,
			GUEST_DATA + (n ? HDR + 3ull * (n - 1) : 0), n ? 3 : HDR,
			n < 255 ? DESC_NEXT : 0, (uint16_t)(n + 1));
	ring_desc(&nt.tx, 0, GUEST_RAM + 0x60000, 256 * 16, DESC_INDIRECT, 0);
	ring_offer(&nt.tx, 0);
	net_kick(TXQ);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + 765);
	ck_assert(net_same(buf + HDR, 3, 765));
}
END_TEST

START_TEST(offloads_go_out)
{
	struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM | 0x82,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN,
		.hdr_len = 54,
		.gso_size = 1448,
		.num_buffers = 7 };
	struct virtio_net_hdr_v1 seen;

	h.csum_start = 34;
	h.csum_offset = 16;
	net_start();
	net_put(0, GUEST_DATA, &h, 20000);
	net_kick(TXQ);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + 20000);
	memcpy(&seen, buf, HDR);
	/* What is not for us to know is not passed on. */
	h.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	h.num_buffers = 0;
	ck_assert_mem_eq(&seen, &h, HDR);
	/* The length of the headers is a hint, and lies. */
	h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	h.hdr_len = 0xffff;
	net_put(1, GUEST_DATA, &h, 3000);
	net_kick(TXQ);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + 3000);
	memcpy(&seen, buf, HDR);
	ck_assert_uint_eq(seen.hdr_len, 3000);
	ck_assert_uint_eq(seen.gso_type, VIRTIO_NET_HDR_GSO_TCPV6);
}
END_TEST

#define NEEDS  VIRTIO_NET_HDR_F_NEEDS_CSUM
#define CSUM_F F(VIRTIO_NET_F_CSUM)
#define TSO4_F (CSUM_F | F(VIRTIO_NET_F_HOST_TSO4))

/* Frames that are wrong in themselves: dropped, and the device goes on. */
static const struct {
	uint64_t features;
	uint32_t len;
	uint8_t flags, gso_type;
	uint16_t gso_size, csum_start, csum_offset;
} wrong[] = {
	{ 0, 0, 0, 0, 0, 0, 0 }, { 0, 1, 0, 0, 0, 0, 0 }, { 0, 13, 0, 0, 0, 0, 0 },
	{ 0, 65551, 0, 0, 0, 0, 0 }, { 0, 0x1f000, 0, 0, 0, 0, 0 },
	{ 0, 100, NEEDS, 0, 0, 34, 16 },     /* not negotiated */
	{ CSUM_F, 100, NEEDS, 0, 0, 99, 0 }, /* a byte beyond */
	{ CSUM_F, 100, NEEDS, 0, 0, 0, 99 },
	{ CSUM_F, 100, NEEDS, 0, 0, 0xffff, 0xffff }, /* not 16 bits */
	{ CSUM_F, 100, NEEDS, 1, 50, 34, 16 },	      /* no segmentation negotiated */
	{ CSUM_F, 100, NEEDS, 4, 50, 34, 16 },
	{ CSUM_F, 100, NEEDS, 3, 50, 34, 16 }, /* UFO never is */
	{ TSO4_F, 100, NEEDS, 4, 50, 34, 16 }, { TSO4_F, 100, NEEDS, 2, 50, 34, 16 },
	{ TSO4_F, 100, NEEDS, 0x7f, 50, 34, 16 },
	{ TSO4_F, 100, NEEDS, 0x81, 50, 34, 16 }, /* no ECN */
	{ TSO4_F, 100, NEEDS, 0x80, 50, 34, 16 }, /* ECN of nothing */
	{ TSO4_F, 100, 0, 1, 50, 34, 16 },	  /* complete checksum */
	{ TSO4_F, 100, NEEDS, 1, 0, 34, 16 },	  /* segments of 0 bytes */
};

START_TEST(wrong_frame_is_dropped)
{
	struct virtio_net_hdr_v1 h = { .flags = wrong[_i].flags,
		.gso_type = wrong[_i].gso_type,
		.gso_size = wrong[_i].gso_size };

	h.csum_start = wrong[_i].csum_start;
	h.csum_offset = wrong[_i].csum_offset;
	nt.features = NET_BASE | wrong[_i].features;
	net_start();
	net_put(0, GUEST_DATA, &h, wrong[_i].len);
	net_put(1, GUEST_DATA + 0x40000, &plain, 60);
	net_kick(TXQ);
	ck_assert(!net_broken());
	ck_assert_uint_eq(ring_used_idx(&nt.tx), 2);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + 60);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), -1);
	ck_assert_uint_eq(device_count(virtio_net_dev(nt.nic), "tx_malformed_frames"), 1);
}
END_TEST

/* A checksum at the very end, and numbers that nobody asked for, are right. */
START_TEST(odd_frames_that_are_right)
{
	struct virtio_net_hdr_v1 h = { .flags = NEEDS };

	net_start();
	h.csum_start = 90;
	h.csum_offset = 8;
	net_put(0, GUEST_DATA, &h, 100);
	h.flags = 0;
	h.csum_start = h.csum_offset = h.gso_size = 0xffff;
	net_put(1, GUEST_DATA + 0x1000, &h, 100);
	net_kick(TXQ);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + 100);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + 100);
}
END_TEST

/* Chains that are wrong: a driver's mistake. */
START_TEST(wrong_chain_breaks_the_device)
{
	net_start();
	switch (_i) {
	case 0: /* shorter than a header */
		ring_desc(&nt.tx, 0, GUEST_DATA, 11, 0, 0);
		break;
	case 1: /* the wrong direction */
		ring_desc(&nt.tx, 0, GUEST_DATA, 100, DESC_WRITE, 0);
		break;
	case 2: /* both directions */
		ring_desc(&nt.tx, 0, GUEST_DATA, 100, DESC_NEXT, 1);
		ring_desc(&nt.tx, 1, GUEST_DATA, 100, DESC_WRITE, 0);
		break;
	case 3: /* private */
		ring_desc(&nt.tx, 0, GUEST_PRIVATE - 0x800, 0x1000, 0, 0);
		break;
	case 4: /* empty */
		ring_desc(&nt.tx, 0, GUEST_DATA, 0, 0, 0);
		break;
	case 5: /* nowhere */
		ring_desc(&nt.tx, 0, GUEST_END, 100, 0, 0);
		break;
	}
	ring_offer(&nt.tx, 0);
	net_put(2, GUEST_DATA, &plain, 60);
	net_kick(TXQ);
	ck_assert(net_broken());
	ck_assert_uint_eq(ring_used_idx(&nt.tx), 0);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), -1);
	/* Nothing is held up by it, neither reset nor what comes then. */
	driver_put(&nt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&nt.drv, R_STATUS), 0);
	net_drive();
	net_put(0, GUEST_DATA, &plain, 60);
	net_kick(TXQ);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + 60);
}
END_TEST

/* ---- a backend that is slow, or gone ---- */

START_TEST(full_backend_is_waited_for)
{
	unsigned int sent = 0, tries;

	net_start();
	for (uint16_t i = 0; i < 200; i++)
		net_put(i, GUEST_DATA + 2048ull * i, &plain, 1500 + i);
	net_kick(TXQ);
	net_pump(20);
	ck_assert_uint_lt(ring_used_idx(&nt.tx), 200);
	/* Nobody asks again and again meanwhile. */
	tries = nt.writes;
	net_pump(50);
	ck_assert_uint_le(nt.writes, tries + 1);
	for (int i = 0; i < 2000 && sent < 200; i++) {
		ssize_t n = net_take(buf, sizeof(buf));

		if (n < 0) {
			net_pump(1);
			continue;
		}
		ck_assert_int_eq(n, HDR + 1500 + sent);
		ck_assert(net_same(buf + HDR, sent, 1500 + sent));
		sent++;
	}
	ck_assert_uint_eq(sent, 200);
	ck_assert_uint_eq(ring_used_idx(&nt.tx), 200);
}
END_TEST

START_TEST(reset_while_the_backend_is_full)
{
	net_start();
	for (uint16_t i = 0; i < 250; i++)
		net_put(i, GUEST_DATA + 2048ull * i, &plain, 2000);
	net_kick(TXQ);
	net_pump(10);
	driver_put(&nt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&nt.drv, R_STATUS), 0);
	net_pump(5);
	while (net_take(buf, sizeof(buf)) > 0)
		net_pump(1);
	net_drive();
	net_put(0, GUEST_DATA, &plain, 77);
	net_kick(TXQ);
	ck_assert_int_eq(net_take(buf, sizeof(buf)), HDR + 77);
}
END_TEST

START_TEST(link_goes_down_with_the_backend)
{
	struct virtio_net_config c;
	uint32_t generation;

	nt.hand_out = 4;
	net_start();
	net_pump(1);
	generation = driver_get(&nt.drv, R_GENERATION);
	close(nt.wire);
	nt.wire = -1;
	if (_i) { /* found by sending */
		net_put(0, GUEST_DATA + 0x10000, &plain, 60);
		net_put(1, GUEST_DATA + 0x11000, &plain, 60);
		driver_put(&nt.drv, R_NOTIFY, TXQ);
	}
	net_pump(5);
	get_space(&c);
	ck_assert_uint_eq(c.status, 0);
	ck_assert_uint_ne(driver_get(&nt.drv, R_GENERATION), generation);
	ck_assert_uint_eq(driver_get(&nt.drv, R_ISR) & 2, 2);
	ck_assert(!net_broken());
	/* What is sent now is lost, and nobody waits for it. */
	net_put(2, GUEST_DATA + 0x12000, &plain, 60);
	net_kick(TXQ);
	ck_assert_uint_eq(ring_used_idx(&nt.tx), _i ? 3 : 1);
	ck_assert_uint_eq(ring_used_idx(&nt.rx), 0);
	driver_put(&nt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&nt.drv, R_STATUS), 0);
	net_drive();
	get_space(&c);
	ck_assert_uint_eq(c.status, 0);
}
END_TEST

START_TEST(sending_is_limited)
{
	/* Ten frames at once, ten more in 100 ms. The header does not count. */
	struct ratelimit_config by_bytes = { { 1000, 0, 100 }, { 0 } };
	struct ratelimit_config by_ops = { { 0 }, { 10, 0, 100 } };
	uint64_t before;
	int i;

	nt.cfg.tx_limit = _i ? by_ops : by_bytes;
	net_start();
	before = clock_ms();
	for (uint16_t k = 0; k < 20; k++)
		net_put(k, GUEST_DATA + 256ull * k, &plain, 100);
	net_kick(TXQ);
	ck_assert_uint_ge(ring_used_idx(&nt.tx), 10);
	/* Half of the rest takes half of the time. */
	ck_assert(ring_used_idx(&nt.tx) < 15 || clock_ms() - before >= 35);
	for (i = 0; i < 1000 && ring_used_idx(&nt.tx) < 20; i++)
		net_pump(5);
	ck_assert_uint_ge(clock_ms() - before, 85);
	for (i = 0; net_take(buf, sizeof(buf)) > 0; i++)
		ck_assert(net_same(buf + HDR, (unsigned int)i, 100));
	ck_assert_int_eq(i, 20);
}
END_TEST

/* What waits for tokens goes on at once when there are more; both directions change, or neither. */
START_TEST(limits_may_be_raised)
{
	const struct ratelimit_config few = { { 0 }, { 1, 0, 1000000 } }, none = { { 0 }, { 0 } };
	const struct ratelimit_config endless = { { 0 }, { 1, 0, UINT64_MAX } };
	struct err e = { "" };

	nt.cfg.tx_limit = nt.cfg.rx_limit = few;
	nt.hand_out = 40;
	net_start();
	for (uint16_t k = 0; k < 20; k++)
		net_put(k, GUEST_DATA + 256ull * k, &plain, 100);
	net_kick(TXQ);
	net_pump(50);
	ck_assert_uint_lt(ring_used_idx(&nt.tx), 5);
	ck_assert_int_eq(virtio_net_set_limits(nt.nic, &endless, &none, &e), -EINVAL);
	ck_assert_int_eq(virtio_net_set_limits(nt.nic, &none, &endless, &e), -EINVAL);
	for (unsigned int k = 0; k < 20; k++)
		net_feed(&plain, k, 100);
	net_pump(50);
	ck_assert_uint_lt(ring_used_idx(&nt.tx), 5);
	ck_assert_uint_lt(ring_used_idx(&nt.rx), 5);
	ck_assert_int_eq(virtio_net_set_limits(nt.nic, &none, &none, &e), 0);
	for (int i = 0; i < 1000 && (ring_used_idx(&nt.tx) < 20 || ring_used_idx(&nt.rx) < 20); i++)
		net_pump(5);
	ck_assert_uint_eq(ring_used_idx(&nt.tx), 20);
	ck_assert_uint_eq(ring_used_idx(&nt.rx), 20);
}
END_TEST

/* Tokens of a frame that the backend did not take come back. */
START_TEST(waiting_costs_no_tokens)
{
	nt.cfg.tx_limit = (struct ratelimit_config){ { 0 }, { 1000, 0, 100000 } };
	net_start();
	for (uint16_t i = 0; i < 250; i++)
		net_put(i, GUEST_DATA + 2048ull * i, &plain, 2000);
	for (int i = 0; i < 2000; i++)
		driver_put(&nt.drv, R_NOTIFY, TXQ), net_pump(0);
	for (int i = 0; i < 2000 && ring_used_idx(&nt.tx) < 250; i++) {
		while (net_take(buf, sizeof(buf)) > 0)
			continue;
		net_pump(1);
	}
	ck_assert_uint_eq(ring_used_idx(&nt.tx), 250);
}
END_TEST

START_TEST(may_go_away_while_the_loop_runs)
{
	struct err e;

	loop_event_free(nt.end);
	nt.end = NULL;
	ck_assert_int_eq(loop_start_thread(nt.loop, THREAD_IO, "io", &e), 0);
	nt.hand_out = 64;
	nt.sends = 40;
	for (unsigned int i = 0; i < 40; i++) {
		net_start();
		for (uint16_t k = 0; k < 40; k++)
			net_feed(&plain, k, 900);
		driver_put(&nt.drv, R_NOTIFY, TXQ);
		if (i % 3 == 0)
			shutdown(nt.wire, SHUT_RDWR);
		usleep(i * 20);
	}
	virtio_net_free(NULL);
}
END_TEST

START_TEST(others_get_their_turn)
{
	unsigned int i;

	net_start();
	for (uint16_t k = 0; k < 250; k++)
		net_put(k, GUEST_DATA + 256ull * k, &plain, 100);
	driver_put(&nt.drv, R_NOTIFY, TXQ);
	/* Until the loop comes round to a timer: two turns, and one while it ends. */
	net_pump(0);
	ck_assert_uint_le(nt.writes, 64 * 3);
	for (i = 0; i < 2000 && ring_used_idx(&nt.tx) < 250; i++) {
		while (net_take(buf, sizeof(buf)) > 0)
			continue;
		net_pump(1);
	}
	ck_assert_uint_eq(ring_used_idx(&nt.tx), 250);
}
END_TEST

/* The backend's callback must not ask for the event that is being freed, which waits for it. */
START_TEST(closing_leaves_the_backend_alone)
{
	unsigned int writes;

	net_start();
	for (uint16_t i = 0; i < 250; i++)
		net_put(i, GUEST_DATA + 2048ull * i, &plain, 2000);
	driver_put(&nt.drv, R_NOTIFY, TXQ);
	for (int i = 0; i < 1000 && !nt.io->want_write; i++)
		net_pump(1);
	ck_assert(nt.io->want_write);
	writes = nt.writes;
	nt.nic->closing = true;
	while (net_take(buf, sizeof(buf)) > 0)
		continue;
	for (int i = 0; i < 1000 && nt.io->want_write; i++)
		net_pump(1);
	ck_assert(!nt.io->want_write);
	ck_assert_uint_eq(nt.writes, writes);
}
END_TEST

Suite *virtio_net_suite(void)
{
	Suite *s = suite_create("virtio_net");
	TCase *t = tcase_create("net");

	tcase_add_checked_fixture(t, net_setup, net_teardown);
	tcase_add_loop_test(t, is_a_network_card, 0, 2);
	tcase_add_test(t, features_need_others);
	tcase_add_test(t, backend_hears_of_features_and_resets);
	tcase_add_test(t, frames_go_out);
	tcase_add_test(t, frames_may_be_cut_anywhere);
	tcase_add_test(t, offloads_go_out);
	tcase_add_loop_test(t, wrong_frame_is_dropped, 0, (int)ARRAY_SIZE(wrong));
	tcase_add_test(t, odd_frames_that_are_right);
	tcase_add_loop_test(t, wrong_chain_breaks_the_device, 0, 6);
	tcase_add_test(t, full_backend_is_waited_for);
	tcase_add_test(t, reset_while_the_backend_is_full);
	tcase_add_loop_test(t, link_goes_down_with_the_backend, 0, 2);
	tcase_add_loop_test(t, sending_is_limited, 0, 2);
	tcase_add_test(t, limits_may_be_raised);
	tcase_add_test(t, waiting_costs_no_tokens);
	tcase_add_test(t, others_get_their_turn);
	tcase_add_test(t, may_go_away_while_the_loop_runs);
	tcase_add_test(t, closing_leaves_the_backend_alone);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	net_add_rx_tests(s);
	net_add_load_tests(s);
	return s;
}
