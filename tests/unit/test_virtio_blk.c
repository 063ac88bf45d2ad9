/* SPDX-License-Identifier: Apache-2.0 */

/* What a driver asks of a disk, and what it gets: virtio 1.2, 5.2. */
#include <string.h>

#include "tests/unit/suites.h"
#include "tests/unit/test_virtio_blk.h"
#include "vmm/util/bits.h"

static uint8_t buf[0x80000];

START_TEST(is_a_block_device)
{
	struct virtio_blk_config c;
	uint64_t want = BLK_FEATURES | 1ull << VIRTIO_BLK_F_SEG_MAX |
			1ull << VIRTIO_BLK_F_BLK_SIZE | 1ull << VIRTIO_BLK_F_TOPOLOGY;

	bt.cfg.read_only = _i;
	ck_assert(blk_start(&blk_modes[0]));
	if (_i) {
		want &= ~(1ull << VIRTIO_BLK_F_DISCARD | 1ull << VIRTIO_BLK_F_WRITE_ZEROES);
		want |= 1ull << VIRTIO_BLK_F_RO;
	}
	ck_assert_uint_eq(driver_get(&bt.drv, R_DEVICE_ID), 2);
	ck_assert_uint_eq(driver_features(&bt.drv) & ~(F_EVENT | F_INDIRECT | F_RESET), want);
	for (uint32_t i = 0; i < sizeof(c) / 4; i++) {
		uint32_t word = driver_get(&bt.drv, R_CONFIG + 4 * i);

		memcpy((uint8_t *)&c + 4 * i, &word, 4);
	}
	ck_assert_uint_eq(c.capacity, DISK_SECTORS);
	ck_assert_uint_eq(c.seg_max, 254);
	ck_assert_uint_eq(c.blk_size, 512);
	ck_assert_uint_eq(c.physical_block_exp, 3);
	ck_assert_uint_eq(c.min_io_size, 8);
	ck_assert_uint_eq(c.write_zeroes_may_unmap, !_i);
	ck_assert_uint_eq(c.max_discard_seg, _i ? 0 : 16);
	ck_assert_uint_eq(c.max_discard_sectors, _i ? 0 : 1 << 21);
	ck_assert_uint_eq(c.discard_sector_alignment, _i ? 0 : 8);
	ck_assert_uint_eq(c.max_write_zeroes_seg, _i ? 0 : 16);
	ck_assert_uint_eq(c.max_write_zeroes_sectors, _i ? 0 : 1 << 17);
	ck_assert_uint_eq(driver_get(&bt.drv, R_CONFIG + 4 * (sizeof(c) / 4)), 0);
}
END_TEST

/* One sector, a page, more than a piece; at the beginning, at the end, and unaligned. */
static const struct {
	uint64_t sector;
	uint32_t len;
	uint32_t at;
} transfers[] = { { 0, 512, 0 }, { 1, 512, 0 }, { 8, 4096, 0 }, { 8, 4096, 512 }, { 8, 4096, 3 },
	{ 3, 0x21200, 0 }, { 0, 0x20000, 0 }, { 0, 0x20200, 1 }, { 16, 0x60000, 0x1000 },
	{ 40, 0x41000, 7 }, { DISK_SECTORS - 1, 512, 5 }, { DISK_SECTORS - 8, 4096, 0 } };

START_TEST(reads_give_the_disk)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(transfers); i++) {
		uint32_t len = transfers[i].len, at = transfers[i].at;

		memset(blk_data(0), 0xaa, 0x80000);
		ck_assert_uint_eq(
			blk_do(VIRTIO_BLK_T_IN, transfers[i].sector, GUEST_DATA + at, len), 0);
		ck_assert_uint_eq(bt.used_len, len + 1);
		blk_is_disk(blk_data(at), transfers[i].sector, len);
		blk_is_all(blk_data(0), 0xaa, at);
		blk_is_all(blk_data(at + len), 0xaa, 0x80000 - at - len);
	}
}
END_TEST

START_TEST(writes_change_what_they_say_and_no_more)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(transfers); i++) {
		uint64_t sector = transfers[i].sector, off = sector * 512;
		uint32_t len = transfers[i].len;

		for (uint32_t k = 0; k < len; k++)
			*blk_data(transfers[i].at + k) = (uint8_t)~disk_byte(off + k);
		ck_assert_uint_eq(
			blk_do(VIRTIO_BLK_T_OUT, sector, GUEST_DATA + transfers[i].at, len), 0);
		ck_assert_uint_eq(bt.used_len, 1);
		blk_file(off, buf, len);
		ck_assert_mem_eq(buf, blk_data(transfers[i].at), len);
		if (sector) {
			blk_file(off - 512, buf, 512);
			blk_is_disk(buf, sector - 1, 512);
		}
		if (sector + len / 512 < DISK_SECTORS) {
			blk_file(off + len, buf, 512);
			blk_is_disk(buf, sector + len / 512, 512);
		}
		/* As it was, for the next. */
		for (uint32_t k = 0; k < len; k++)
			*blk_data(k) = disk_byte(off + k);
		ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, sector, GUEST_DATA, len), 0);
	}
}
END_TEST

/* 2.7.4.2: how a request is cut into buffers means nothing. */
START_TEST(buffers_may_be_cut_anywhere)
{
	struct virtio_blk_outhdr h = { VIRTIO_BLK_T_IN, 0, 5 };
	uint32_t head;
	uint16_t n = 0;

	if (!blk_start(&blk_modes[_i]))
		return;
	/* In: sixteen buffers of a byte; 100, 923 and 1025 of 2047 bytes, the last one the status. */
	memcpy(guest_ptr(&bt.guest, BLK_HEADERS), &h, 16);
	for (; n < 16; n++)
		ring_desc(&bt.ring, n, BLK_HEADERS + n, 1, DESC_NEXT, (uint16_t)(n + 1));
	ring_desc(&bt.ring, 16, GUEST_DATA, 100, DESC_NEXT | DESC_WRITE, 17);
	ring_desc(&bt.ring, 17, GUEST_DATA + 0x1000, 923, DESC_NEXT | DESC_WRITE, 18);
	ring_desc(&bt.ring, 18, GUEST_DATA + 0x2000, 514, DESC_WRITE, 0);
	memset(blk_data(0x2000), 0xee, 1000);
	ring_offer(&bt.ring, 0);
	blk_ring();
	blk_wait(1);
	ck_assert(ring_take(&bt.ring, &head, &bt.used_len));
	ck_assert_uint_eq(bt.used_len, 1537);
	memcpy(buf, blk_data(0), 100);
	memcpy(buf + 100, blk_data(0x1000), 923);
	memcpy(buf + 1023, blk_data(0x2000), 513);
	blk_is_disk(buf, 5, 1536);
	ck_assert_uint_eq(*blk_data(0x2000 + 513), 0);
	blk_is_all(blk_data(0x2000 + 514), 0xee, 400);
	/* Out: data directly behind the header, in the same buffer, and a rest. */
	h.type = VIRTIO_BLK_T_OUT;
	memcpy(blk_data(0), &h, 16);
	memset(blk_data(16), 0x5a, 2048);
	ring_desc(&bt.ring, 0, GUEST_DATA, 9, DESC_NEXT, 1);
	ring_desc(&bt.ring, 1, GUEST_DATA + 9, 7 + 1000, DESC_NEXT, 2);
	ring_desc(&bt.ring, 2, GUEST_DATA + 1016, 24, DESC_NEXT, 3);
	ring_desc(&bt.ring, 3, BLK_STATUS, 1, DESC_WRITE, 0);
	*blk_status(0) = 0xee;
	ring_offer(&bt.ring, 0);
	blk_ring();
	blk_wait(2);
	ck_assert_uint_eq(*blk_status(0), 0);
	blk_file(4 * 512, buf, 2048);
	blk_is_disk(buf, 4, 512);
	blk_is_all(buf + 512, 0x5a, 1024);
	blk_is_disk(buf + 1536, 7, 512);
}
END_TEST

START_TEST(as_many_buffers_as_it_says)
{
	struct virtio_blk_outhdr h = { VIRTIO_BLK_T_IN, 0, 100 };
	const uint64_t table = GUEST_RAM + 0x60000;

	if (!blk_start(&blk_modes[_i]))
		return;
	memcpy(guest_ptr(&bt.guest, BLK_HEADERS), &h, 16);
	ring_desc_at(&bt.guest, table, 0, BLK_HEADERS, 16, DESC_NEXT, 1);
	/* From behind, so that they do not become one. */
	for (uint16_t i = 0; i < 254; i++)
		ring_desc_at(&bt.guest, table, (uint16_t)(i + 1), GUEST_DATA + 1024ull * (253 - i),
			512, DESC_NEXT | DESC_WRITE, (uint16_t)(i + 2));
	ring_desc_at(&bt.guest, table, 255, BLK_STATUS, 1, DESC_WRITE, 0);
	ring_desc(&bt.ring, 0, table, 256 * 16, DESC_INDIRECT, 0);
	*blk_status(0) = 0xee;
	ring_offer(&bt.ring, 0);
	blk_ring();
	blk_wait(1);
	ck_assert_uint_eq(*blk_status(0), 0);
	for (uint32_t i = 0; i < 254; i++)
		blk_is_disk(blk_data(1024ull * (253 - i)), 100 + i, 512);
}
END_TEST

/* Done at once, without the loop and without the host. */
START_TEST(requests_for_nothing_wait_for_nobody)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	blk_put(0, VIRTIO_BLK_T_IN, 0, GUEST_DATA, 0);
	blk_put(1, VIRTIO_BLK_T_OUT, DISK_SECTORS, GUEST_DATA, 0);
	blk_serve();
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 2);
	ck_assert_uint_eq(*blk_status(0), 0);
	ck_assert_uint_eq(*blk_status(1), 0);
}
END_TEST

START_TEST(many_requests_at_once)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	for (unsigned int i = 0; i < 80; i++)
		blk_put(i, i % 5 == 4 ? VIRTIO_BLK_T_FLUSH : VIRTIO_BLK_T_IN, i * 16,
			GUEST_DATA + 4096ull * i, i % 5 == 4 ? 0 : 4096);
	blk_ring();
	blk_wait(80);
	for (unsigned int i = 0; i < 80; i++) {
		ck_assert_uint_eq(*blk_status(i), 0);
		if (i % 5 != 4)
			blk_is_disk(blk_data(4096ull * i), i * 16, 4096);
	}
}
END_TEST

START_TEST(tells_its_id)
{
	static const char want[24] = "serial-0\0\0\0\0\0\0\0\0\0\0\0\0\xaa\xaa\xaa\xaa";

	ck_assert(blk_start(&blk_modes[1]));
	memset(blk_data(0), 0xaa, 64);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_GET_ID, 0, GUEST_DATA, 20), 0);
	ck_assert_uint_eq(bt.used_len, 21);
	ck_assert_mem_eq(blk_data(0), want, 24);
	/* With less room, what fits. */
	memset(blk_data(0), 0xaa, 64);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_GET_ID, 0, GUEST_DATA, 4), 0);
	ck_assert_mem_eq(blk_data(0), "seri\xaa", 5);
	/* All of it is used, and nothing follows it; none is zeroes. */
	bt.cfg.id = "abcdefghijklmnopqrst";
	ck_assert(blk_start(&blk_modes[1]));
	memset(blk_data(0), 0xaa, 64);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_GET_ID, 0, GUEST_DATA, 40), 0);
	ck_assert_mem_eq(blk_data(0), "abcdefghijklmnopqrst\xaa", 21);
	bt.cfg.id = NULL;
	ck_assert(blk_start(&blk_modes[1]));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_GET_ID, 0, GUEST_DATA, 20), 0);
	blk_is_all(blk_data(0), 0, 20);
}
END_TEST

START_TEST(flush_reaches_the_host)
{
	ck_assert(blk_start(&blk_modes[0]));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, 0, GUEST_DATA, 512), 0);
	ck_assert_uint_eq(blk_calls.syncs, 0);
	ck_assert_uint_eq(blk_calls.stable, 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
	ck_assert_uint_eq(blk_calls.syncs, 1);
	/* With cache=unsafe that is what is left out. */
	ck_assert(blk_start(&(struct blk_mode){ "", BLK_SYNC, BLK_UNSAFE, false, false }));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
	ck_assert_uint_eq(blk_calls.syncs, 1);
}
END_TEST

START_TEST(requests_are_counted)
{
	const struct virtio_dev *d;

	if (!blk_start(&blk_modes[_i]))
		return;
	d = virtio_blk_dev(bt.disk);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, 0, GUEST_DATA, 0x30000), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 512), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 1024), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
	ck_assert_uint_ne(blk_do(VIRTIO_BLK_T_IN, DISK_SECTORS, GUEST_DATA, 512), 0);
	ck_assert_uint_eq(device_count(d, "write_count"), 1);
	ck_assert_uint_eq(device_count(d, "write_bytes"), 0x30000);
	ck_assert_uint_eq(device_count(d, "read_count"), 2);
	ck_assert_uint_eq(device_count(d, "read_bytes"), 1536);
	ck_assert_uint_eq(device_count(d, "flush_count"), 1);
	ck_assert_uint_eq(device_count(d, "invalid_reqs_count"), 1);
	ck_assert_uint_eq(device_count(d, "execute_fails"), 0);
	ck_assert_uint_ge(device_count(d, "queue_event_count"), 1);
}
END_TEST

START_TEST(flush_works_everywhere)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
	ck_assert_uint_eq(bt.used_len, 1);
	/* io_uring does it itself, and once is enough. */
	ck_assert_uint_eq(blk_calls.syncs,
		blk_modes[_i].engine == BLK_SYNC || blk_modes[_i].engine == BLK_AIO);
}
END_TEST

/* 5.2.6.2: a driver that cannot flush may rely on each write that is done. */
START_TEST(writes_are_stable_for_a_driver_without_flush)
{
	bool is_native = _i & 1, unsafe = _i & 2;
	struct virtio_blk_discard_write_zeroes z = { 8, 8, 0 };

	bt.drop = BLK_F_FLUSH;
	ck_assert(blk_start(&(struct blk_mode){
		"", BLK_SYNC, unsafe ? BLK_UNSAFE : BLK_WRITEBACK, is_native, is_native }));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, 0, GUEST_DATA, 0x30000), 0);
	ck_assert_uint_ge(blk_calls.writes, is_native ? 2 : 1);
	ck_assert_uint_eq(blk_calls.stable, unsafe ? 0 : blk_calls.writes);
	memcpy(blk_data(0), &z, sizeof(z));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_WRITE_ZEROES, 0, GUEST_DATA, 16), 0);
	ck_assert_uint_eq(blk_calls.syncs, unsafe ? 0 : 1);
}
END_TEST

Suite *virtio_blk_suite(void)
{
	Suite *s = suite_create("virtio_blk");
	TCase *t = tcase_create("virtio_blk");

	tcase_add_checked_fixture(t, blk_setup, blk_teardown);
	tcase_add_loop_test(t, is_a_block_device, 0, 2);
	tcase_add_loop_test(t, reads_give_the_disk, 0, BLK_MODES);
	tcase_add_loop_test(t, writes_change_what_they_say_and_no_more, 0, BLK_MODES);
	tcase_add_loop_test(t, buffers_may_be_cut_anywhere, 0, BLK_MODES);
	tcase_add_loop_test(t, as_many_buffers_as_it_says, 0, BLK_MODES);
	tcase_add_loop_test(t, requests_for_nothing_wait_for_nobody, 0, BLK_MODES);
	tcase_add_loop_test(t, many_requests_at_once, 0, BLK_MODES);
	tcase_add_test(t, tells_its_id);
	tcase_add_test(t, flush_reaches_the_host);
	tcase_add_loop_test(t, requests_are_counted, 0, BLK_MODES);
	tcase_add_loop_test(t, flush_works_everywhere, 0, BLK_MODES);
	tcase_add_loop_test(t, writes_are_stable_for_a_driver_without_flush, 0, 4);
	tcase_set_timeout(t, BLK_TIMEOUT);
	suite_add_tcase(s, t);
	blk_add_change_tests(s);
	blk_add_error_tests(s);
	blk_add_host_tests(s);
	blk_add_reset_tests(s);
	blk_add_random_tests(s);
	return s;
}
