/* SPDX-License-Identifier: Apache-2.0 */

/* Frames to the guest: virtio 1.2, 5.1.6.3 and 5.1.6.4. */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_virtio_net.h"
#include "vmm/util/bits.h"

static uint8_t buf[NET_GOT_MAX];
static const struct virtio_net_hdr_v1 plain;

START_TEST(frames_come_in)
{
	static const uint32_t sizes[] = { 14, 60, 1500, 2036 };
	struct virtio_net_hdr_v1 h;

	if (_i)
		nt.features &= ~F(VIRTIO_NET_F_MRG_RXBUF);
	nt.hand_out = 10;
	net_start();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(net_ptr(GUEST_DATA + 2048 * i), 0xee, 2048);
		net_feed(&plain, (unsigned int)i, sizes[i]);
		net_pump(1);
		ck_assert_uint_eq(net_got(buf, 2048, &h), sizes[i]);
		ck_assert_uint_eq(h.num_buffers, 1);
		h.num_buffers = 0;
		ck_assert_mem_eq(&h, &plain, HDR);
		ck_assert(net_same(buf, (unsigned int)i, sizes[i]));
	}
	ck_assert_uint_eq(driver_get(&nt.drv, R_ISR), 1);
	ck_assert_uint_eq(virtio_net_dev(nt.nic)->queues[RXQ].vq.last_avail, _i ? 5 : 10);
}
END_TEST

START_TEST(large_frames_are_merged)
{
	static const uint32_t sizes[] = { 2037, 4084, 4085, 65550, 14, 65000 };
	struct virtio_net_hdr_v1 h;

	nt.hand_out = 150;
	net_start();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		net_feed(&plain, (unsigned int)i, sizes[i]);
	net_pump(5);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ck_assert_uint_eq(net_got(buf, 2048, &h), sizes[i]);
		ck_assert_uint_eq(h.num_buffers, (sizes[i] + HDR + 2047) / 2048);
		ck_assert(net_same(buf, (unsigned int)i, sizes[i]));
	}
}
END_TEST

/* As a driver on another CPU looks, which no sanitizer knows of. */
__attribute__((no_sanitize_thread)) static uint16_t peek(const volatile uint16_t *p)
{
	return *p;
}

/* 5.1.6.4: a driver that sees the first buffer looks for the others at once. */
START_TEST(merged_buffers_appear_together)
{
	const volatile uint16_t *idx;
	struct err e;
	uint16_t seen = 0, now;

	loop_event_free(nt.end);
	nt.end = NULL;
	nt.hand_out = 32;
	net_start();
	idx = (const volatile uint16_t *)net_ptr(nt.rx.used + 2);
	net_feed(&plain, 1, 60000);
	ck_assert_int_eq(loop_start_thread(nt.loop, THREAD_IO, "io", &e), 0);
	for (time_t end = time(NULL) + 20; !seen && time(NULL) < end;)
		seen = peek(idx);
	usleep(1000);
	now = peek(idx);
	ck_assert_uint_eq(seen, 30);
	ck_assert_uint_eq(now, 30);
}
END_TEST

START_TEST(offloads_come_in)
{
	struct virtio_net_hdr_v1 h = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN,
		.hdr_len = 74,
		.gso_size = 1428 };
	struct virtio_net_hdr_v1 seen;

	h.csum_start = 54;
	h.csum_offset = 16;
	nt.hand_out = 60;
	net_start();
	net_feed(&h, 1, 40000);
	net_pump(1);
	ck_assert_uint_eq(net_got(buf, 2048, &seen), 40000);
	ck_assert_uint_eq(seen.num_buffers, 20);
	seen.num_buffers = 0;
	ck_assert_mem_eq(&seen, &h, HDR);
}
END_TEST

/* What waited in the interface for a driver that could do more. */
START_TEST(frames_beyond_what_was_negotiated_are_dropped)
{
	static const struct {
		uint64_t without;
		uint8_t flags, gso_type;
	} cases[] = {
		{ NET_OFFLOADS, VIRTIO_NET_HDR_F_NEEDS_CSUM, 0 },
		{ F(VIRTIO_NET_F_GUEST_TSO4), VIRTIO_NET_HDR_F_NEEDS_CSUM, 1 },
		{ F(VIRTIO_NET_F_GUEST_TSO6), VIRTIO_NET_HDR_F_NEEDS_CSUM, 4 },
		{ F(VIRTIO_NET_F_GUEST_ECN), VIRTIO_NET_HDR_F_NEEDS_CSUM, 0x81 },
		{ 0, VIRTIO_NET_HDR_F_NEEDS_CSUM, 3 },
		{ 0, VIRTIO_NET_HDR_F_NEEDS_CSUM, 0x80 },
	};
	struct virtio_net_hdr_v1 h = {
		.flags = cases[_i].flags, .gso_type = cases[_i].gso_type, .gso_size = 1000
	};

	nt.features &= ~cases[_i].without;
	nt.hand_out = 4;
	net_start();
	net_feed(&h, 1, 1800);
	net_feed(&plain, 2, 100);
	net_pump(1);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 100);
	ck_assert(net_same(buf, 2, 100));
	ck_assert_uint_eq(net_got(buf, 2048, &h), 0);
}
END_TEST

/* 5.1.6.4.1: flags are zero without VIRTIO_NET_F_GUEST_CSUM; and some are not for a driver. */
START_TEST(flags_are_what_was_negotiated)
{
	struct virtio_net_hdr_v1 h = { .flags = 0xfe };

	nt.features = _i ? NET_BASE : NET_BASE | F(VIRTIO_NET_F_GUEST_CSUM);
	nt.hand_out = 4;
	net_start();
	net_feed(&h, 1, 100);
	net_pump(1);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 100);
	ck_assert_uint_eq(h.flags, _i ? 0 : VIRTIO_NET_HDR_F_DATA_VALID);
}
END_TEST

/* ---- a driver that is slow ---- */

START_TEST(frames_wait_for_buffers)
{
	struct virtio_net_hdr_v1 h;

	net_start();
	net_feed(&plain, 1, 1000);
	net_feed(&plain, 2, 1000);
	net_pump(5);
	ck_assert_uint_eq(ring_used_idx(&nt.rx), 0);
	/* Not even looked for: the loop would spin. */
	ck_assert(!nt.io->want_read);
	net_offer(0, GUEST_DATA, 2048);
	net_kick(RXQ);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 1000);
	ck_assert(net_same(buf, 1, 1000));
	ck_assert_uint_eq(ring_used_idx(&nt.rx), 1);
	net_offer(1, GUEST_DATA + 2048, 2048);
	net_kick(RXQ);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 1000);
	ck_assert(net_same(buf, 2, 1000));
}
END_TEST

/* Found too long only when it was read: what did not fit comes when there is room. */
START_TEST(long_frame_waits_for_more_buffers)
{
	struct virtio_net_hdr_v1 h;
	uint32_t flags = _i ? F_EVENT : 0;

	nt.features |= flags;
	nt.hand_out = 2;
	net_start();
	net_feed(&plain, 5, 10000);
	net_feed(&plain, 6, 100);
	net_pump(5);
	ck_assert_uint_eq(ring_used_idx(&nt.rx), 0);
	ck_assert(!nt.io->want_read);
	/* The driver is to say when it has more. */
	if (_i)
		ck_assert_uint_eq(ring_avail_event(&nt.rx), 2);
	else
		ck_assert_uint_eq(ring_used_flags(&nt.rx), 0);
	net_offer(2, GUEST_DATA + 4096, 2048);
	net_kick(RXQ);
	ck_assert_uint_eq(ring_used_idx(&nt.rx), 0);
	for (uint16_t i = 3; i < 8; i++)
		net_offer(i, GUEST_DATA + 2048ull * i, 2048);
	net_kick(RXQ);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 10000);
	ck_assert_uint_eq(h.num_buffers, 5);
	ck_assert(net_same(buf, 5, 10000));
	ck_assert_uint_eq(net_got(buf, 2048, &h), 100);
	ck_assert(net_same(buf, 6, 100));
}
END_TEST

START_TEST(frame_that_can_never_fit_is_dropped)
{
	struct virtio_net_hdr_v1 h;

	if (_i == 0) { /* buffers that are not merged */
		nt.features &= ~F(VIRTIO_NET_F_MRG_RXBUF);
		nt.hand_out = 5;
	}
	net_start();
	/* The smallest buffers that may be: the first holds the header alone. */
	for (uint16_t i = 0; _i == 1 && i < 250; i++)
		net_offer(i, GUEST_DATA + 2048ull * i, HDR);
	net_feed(&plain, 1, _i ? 12 * 63 + 1 : 2037);
	net_feed(&plain, 2, _i ? 12 * 63 : 2036);
	net_kick(RXQ);
	net_pump(2);
	ck_assert_uint_eq(net_got(buf, 2048, &h), _i ? 12 * 63 : 2036);
	ck_assert_uint_eq(h.num_buffers, _i ? 64 : 1);
	ck_assert(net_same(buf, 2, _i ? 12 * 63 : 2036));
	ck_assert(!net_broken());
}
END_TEST

START_TEST(mtu_is_kept)
{
	struct virtio_net_hdr_v1 h, large = { .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
		.gso_size = 900 };

	large.csum_start = 34;
	large.csum_offset = 16;
	nt.cfg.mtu = 1000;
	if (!_i)
		nt.features |= F(VIRTIO_NET_F_MTU);
	nt.hand_out = 40;
	net_start();
	net_feed(&plain, 1, 1019);
	net_feed(&plain, 2, 1018);
	net_feed(&large, 3, 1800);
	net_pump(2);
	/* A driver that does not know of it takes what comes. */
	if (_i)
		ck_assert_uint_eq(net_got(buf, 2048, &h), 1019);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 1018);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 1800);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 0);
}
END_TEST

/* The device holds all that a small queue has: waiting would be for ever. */
START_TEST(frame_longer_than_the_queue_is_dropped)
{
	struct virtio_net_hdr_v1 h;

	nt.size = 16;
	net_start();
	for (uint16_t i = 0; i < 16; i++)
		ring_desc(&nt.rx, i, GUEST_DATA + 1526ull * i, 1526,
			DESC_WRITE | (_i && !(i % 2) ? DESC_NEXT : 0), (uint16_t)(i + 1));
	for (uint16_t i = 0; i < 16; i = (uint16_t)(i + 1 + _i))
		ring_offer(&nt.rx, i);
	net_feed(&plain, 1, 1526 * 16 - HDR + 1);
	net_feed(&plain, 2, 100);
	net_feed(&plain, 3, 200);
	net_kick(RXQ);
	net_pump(2);
	ck_assert_uint_eq(net_got(buf, 1526, &h), 100);
	ck_assert_uint_eq(net_got(buf, 1526, &h), 200);
	ck_assert(net_same(buf, 3, 200));
	/* And one that takes it all. */
	ring_offer(&nt.rx, 0);
	ring_offer(&nt.rx, _i ? 2 : 1);
	net_feed(&plain, 4, 1526 * 16 - HDR);
	net_kick(RXQ);
	net_pump(2);
	ck_assert_uint_eq(ring_used_idx(&nt.rx), _i ? 10 : 18);
	ck_assert(!net_broken());
}
END_TEST

START_TEST(many_small_buffers_of_many_parts)
{
	struct virtio_net_hdr_v1 h;
	const uint64_t table = GUEST_RAM + 0x60000;

	/* Each chain 200 buffers of a byte, more than a read may name. */
	nt.features |= F_INDIRECT;
	net_start();
	for (uint16_t i = 0; i < 20; i++) {
		for (uint16_t k = 0; k < 200; k++)
			ring_desc_at(&nt.guest, table + 0x1000ull * i, k,
				GUEST_DATA + 2048ull * i + k, 1,
				DESC_WRITE | (k < 199 ? DESC_NEXT : 0), (uint16_t)(k + 1));
		ring_desc(&nt.rx, i, table + 0x1000ull * i, 200 * 16, DESC_INDIRECT, 0);
		ring_offer(&nt.rx, i);
	}
	net_feed(&plain, 1, 700);
	net_feed(&plain, 2, 1000); /* four chains of 200 are what fits: too long */
	net_feed(&plain, 3, 700);
	net_kick(RXQ);
	net_pump(2);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 700);
	ck_assert(net_same(buf, 1, 700));
	ck_assert_uint_eq(net_got(buf, 2048, &h), 700);
	ck_assert(net_same(buf, 3, 700));
	ck_assert(!net_broken());
}
END_TEST

/* ---- mistakes, resets, conversions ---- */

START_TEST(wrong_buffer_breaks_the_device)
{
	struct virtio_net_hdr_v1 h;

	net_start();
	switch (_i) {
	case 0:
		net_offer(0, GUEST_DATA, HDR - 1);
		break;
	case 1:
		ring_desc(&nt.rx, 0, GUEST_DATA, 2048, 0, 0);
		ring_offer(&nt.rx, 0);
		break;
	case 2:
		ring_desc(&nt.rx, 0, GUEST_DATA, 2048, DESC_NEXT, 1);
		ring_desc(&nt.rx, 1, GUEST_DATA + 2048, 2048, DESC_WRITE, 0);
		ring_offer(&nt.rx, 0);
		break;
	case 3:
		net_offer(0, GUEST_PRIVATE, 2048);
		break;
	case 4: /* a good one is taken before the bad one is seen */
		net_offer(1, GUEST_DATA, 2048);
		net_offer(0, GUEST_DATA, 1);
		break;
	}
	net_feed(&plain, 1, 100);
	net_kick(RXQ);
	ck_assert(net_broken());
	ck_assert_uint_eq(ring_used_idx(&nt.rx), 0);
	net_feed(&plain, 2, 100);
	net_pump(5);
	driver_put(&nt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&nt.drv, R_STATUS), 0);
	nt.hand_out = 4;
	net_drive();
	net_pump(2);
	/* Nothing was read by a device that could not give it away. */
	ck_assert_uint_eq(net_got(buf, 2048, &h), 100);
	ck_assert(net_same(buf, 1, 100));
}
END_TEST

static bool untouched(uint64_t at, size_t len)
{
	const uint8_t *p = net_ptr(at);

	while (len && *p == 0xee)
		p++, len--;
	return !len;
}

START_TEST(page_that_became_private_is_not_written)
{
	nt.hand_out = 40;
	net_start();
	net_pump(2); /* the buffers are taken */
	ck_assert_uint_gt(virtio_net_dev(nt.nic)->queues[RXQ].vq.in_flight, 30);
	memset(net_ptr(GUEST_DATA), 0xee, 2048 * 40);
	guest_convert(&nt.guest, GUEST_DATA + 0x1000, 0x1000, false);
	net_feed(&plain, 1, 5000);
	net_pump(2);
	ck_assert(net_broken());
	ck_assert(untouched(GUEST_DATA, 2048 * 40));
	driver_put(&nt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&nt.drv, R_STATUS), 0);
}
END_TEST

/* Also while a frame waits for the rest of its buffers. */
START_TEST(rest_of_a_frame_does_not_go_to_a_private_page)
{
	nt.hand_out = 1;
	net_start();
	net_feed(&plain, 1, 5000);
	net_pump(2);
	guest_convert(&nt.guest, GUEST_DATA, 0x1000, false);
	memset(net_ptr(GUEST_DATA), 0xee, 0x1000);
	net_offer(1, GUEST_DATA + 0x1000, 2048);
	net_offer(2, GUEST_DATA + 0x2000, 2048);
	net_kick(RXQ);
	ck_assert(net_broken());
	ck_assert(untouched(GUEST_DATA, 0x1000));
}
END_TEST

/* By reset of the device, reset of the queue, and by QueueReady, which tells the model nothing. */
START_TEST(stopped_queue_gets_no_frames)
{
	struct virtio_net_hdr_v1 h;

	nt.features |= F_RESET;
	nt.hand_out = _i & 1 ? 40 : 1;
	net_start();
	if (!(_i & 1))
		net_feed(&plain, 9, 5000); /* and waits for the rest */
	net_pump(2);
	memset(net_ptr(GUEST_DATA), 0xee, 2048 * 40);
	driver_put(&nt.drv, R_QUEUE_SEL, RXQ);
	if (_i / 2 == 0)
		driver_put(&nt.drv, R_STATUS, 0);
	else if (_i / 2 == 1)
		driver_put(&nt.drv, R_QUEUE_RESET, 1);
	else
		driver_put(&nt.drv, R_QUEUE_READY, 0);
	ck_assert_uint_eq(driver_get(&nt.drv, R_STATUS) & S_NEEDS_RESET, 0);
	if (_i / 2 < 2)
		ck_assert_uint_eq(virtio_net_dev(nt.nic)->queues[RXQ].vq.in_flight, 0);
	net_feed(&plain, 1, 5000);
	net_pump(2);
	ck_assert(untouched(GUEST_DATA, 2048 * 40));
	ck_assert(!nt.io->want_read);
	nt.hand_out = 0;
	if (_i / 2 == 1) {
		ring_new(&nt.rx, &nt.guest, GUEST_RAM, 64);
		ck_assert_uint_eq(driver_queue(&nt.drv, RXQ, &nt.rx), 1);
	} else {
		net_drive();
	}
	for (uint16_t i = 0; i < 5; i++)
		net_offer(i, GUEST_DATA + 2048ull * i, 2048);
	net_kick(RXQ);
	ck_assert_uint_eq(net_got(buf, 2048, &h), 5000);
	ck_assert(net_same(buf, 1, 5000));
	ck_assert_uint_eq(net_got(buf, 2048, &h), 0);
}
END_TEST

void net_add_rx_tests(Suite *s)
{
	TCase *t = tcase_create("rx");

	tcase_add_checked_fixture(t, net_setup, net_teardown);
	tcase_add_loop_test(t, frames_come_in, 0, 2);
	tcase_add_test(t, large_frames_are_merged);
	tcase_add_test(t, merged_buffers_appear_together);
	tcase_add_test(t, offloads_come_in);
	tcase_add_loop_test(t, frames_beyond_what_was_negotiated_are_dropped, 0, 6);
	tcase_add_loop_test(t, flags_are_what_was_negotiated, 0, 2);
	tcase_add_test(t, frames_wait_for_buffers);
	tcase_add_loop_test(t, long_frame_waits_for_more_buffers, 0, 2);
	tcase_add_loop_test(t, frame_that_can_never_fit_is_dropped, 0, 2);
	tcase_add_loop_test(t, mtu_is_kept, 0, 2);
	tcase_add_loop_test(t, frame_longer_than_the_queue_is_dropped, 0, 2);
	tcase_add_test(t, many_small_buffers_of_many_parts);
	tcase_add_loop_test(t, wrong_buffer_breaks_the_device, 0, 5);
	tcase_add_test(t, page_that_became_private_is_not_written);
	tcase_add_test(t, rest_of_a_frame_does_not_go_to_a_private_page);
	tcase_add_loop_test(t, stopped_queue_gets_no_frames, 0, 6);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
}
