/* SPDX-License-Identifier: Apache-2.0 */

/* Ranges to be zeroed or given back, and requests that are wrong: virtio 1.2, 5.2.6. */
#include <linux/falloc.h>
#include <string.h>

#include "tests/unit/test_virtio_blk.h"
#include "vmm/util/bits.h"

static uint8_t buf[0x4000];

/* ---- ranges ---- */

static uint8_t do_ranges(
	uint32_t type, const struct virtio_blk_discard_write_zeroes *z, unsigned int n)
{
	memcpy(blk_data(0), z, n * sizeof(*z));
	return blk_do(type, 0, GUEST_DATA, (uint32_t)(n * sizeof(*z)));
}

START_TEST(zeroes_are_written)
{
	struct virtio_blk_discard_write_zeroes z[] = { { 8, 8, _i & 1 }, { 0, 0, 0 },
		{ 33, 1, _i & 1 }, { DISK_SECTORS - 3, 3, _i & 1 } };

	if (!blk_start(&blk_modes[_i / 4]))
		return;
	blk_calls.no_fallocate = _i & 2;
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_WRITE_ZEROES, z, ARRAY_SIZE(z)), 0);
	ck_assert_uint_eq(bt.used_len, 1);
	ck_assert_int_eq(blk_calls.last_mode,
		FALLOC_FL_KEEP_SIZE | (_i & 1 ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE));
	for (uint64_t s = 0; s < DISK_SECTORS; s++) {
		blk_file(s * 512, buf, 512);
		if ((s >= 8 && s < 16) || s == 33 || s >= DISK_SECTORS - 3)
			blk_is_all(buf, 0, 512);
		else
			blk_is_disk(buf, s, 512);
	}
}
END_TEST

START_TEST(discarded_space_is_given_back)
{
	struct virtio_blk_discard_write_zeroes z[] = { { 0, DISK_SECTORS / 2, 0 },
		{ 2048, 1024, 0 } };

	if (!blk_start(&blk_modes[_i]))
		return;
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_DISCARD, z, ARRAY_SIZE(z)), 0);
	ck_assert_int_eq(blk_calls.last_mode, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE);
	blk_file(0, buf, 512);
	blk_is_all(buf, 0, 512);
	blk_file(DISK_SIZE - 512, buf, 512);
	blk_is_disk(buf, DISK_SECTORS - 1, 512);
	/* Where the host cannot, nothing is lost, and nothing is wrong. */
	blk_calls.no_fallocate = true;
	z[1].sector = DISK_SECTORS - 8;
	z[1].num_sectors = 8;
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_DISCARD, z + 1, 1), 0);
	blk_file(DISK_SIZE - 512, buf, 512);
	blk_is_disk(buf, DISK_SECTORS - 1, 512);
}
END_TEST

START_TEST(a_host_without_discard_offers_none)
{
	struct virtio_blk_discard_write_zeroes z = { 0, 8, 0 };

	blk_calls.no_fallocate = true;
	ck_assert(blk_start(&blk_modes[0]));
	ck_assert_uint_eq(driver_features(&bt.drv) >> VIRTIO_BLK_F_DISCARD & 3, 2);
	/* max_discard_sectors, _seg and discard_sector_alignment */
	for (uint32_t off = 36; off < 48; off += 4)
		ck_assert_uint_eq(driver_get(&bt.drv, R_CONFIG + off), 0);
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_DISCARD, &z, 1), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_WRITE_ZEROES, &z, 1), 0);
}
END_TEST

START_TEST(as_many_ranges_as_it_says)
{
	struct virtio_blk_discard_write_zeroes z[16];

	if (!blk_start(&blk_modes[_i]))
		return;
	for (unsigned int i = 0; i < 16; i++)
		z[i] = (struct virtio_blk_discard_write_zeroes){ 2 * i, 1, 0 };
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_WRITE_ZEROES, z, 16), 0);
	for (unsigned int i = 0; i < 16; i++) {
		blk_file(1024ull * i, buf, 1024);
		blk_is_all(buf, 0, 512);
		blk_is_disk(buf + 512, 2 * i + 1, 512);
	}
}
END_TEST

START_TEST(wrong_ranges_change_nothing)
{
	const uint32_t zeroes = VIRTIO_BLK_T_WRITE_ZEROES, discard = VIRTIO_BLK_T_DISCARD;
	const struct {
		uint32_t type;
		struct virtio_blk_discard_write_zeroes z;
		uint8_t status;
	} wrong[] = {
		{ zeroes, { 0, 8, 2 }, VIRTIO_BLK_S_UNSUPP },
		{ zeroes, { 0, 8, 3 }, VIRTIO_BLK_S_UNSUPP },
		{ zeroes, { 0, 8, 1u << 31 }, VIRTIO_BLK_S_UNSUPP },
		{ discard, { 0, 8, 1 }, VIRTIO_BLK_S_UNSUPP },
		{ discard, { 0, 8, 2 }, VIRTIO_BLK_S_UNSUPP },
		{ zeroes, { DISK_SECTORS, 1, 0 }, VIRTIO_BLK_S_IOERR },
		{ zeroes, { DISK_SECTORS - 1, 2, 0 }, VIRTIO_BLK_S_IOERR },
		{ discard, { DISK_SECTORS - 1, 2, 0 }, VIRTIO_BLK_S_IOERR },
		{ discard, { UINT64_MAX, 2, 0 }, VIRTIO_BLK_S_IOERR },
		{ zeroes, { 1ull << 55, 8, 0 }, VIRTIO_BLK_S_IOERR },
		{ discard, { 0, UINT32_MAX, 0 }, VIRTIO_BLK_S_IOERR },
	};
	static const uint32_t lengths[] = { 0, 1, 15, 17, 17 * 16 };
	struct virtio_blk_discard_write_zeroes z[2] = { { 0, 8, 0 } };

	ck_assert(blk_start(&blk_modes[_i]));
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		/* Behind a range that is right. */
		z[1] = wrong[i].z;
		ck_assert_uint_eq(do_ranges(wrong[i].type, z, 2), wrong[i].status);
		ck_assert_uint_eq(bt.used_len, 1);
	}
	/* Before one. */
	z[0] = wrong[0].z;
	z[1] = (struct virtio_blk_discard_write_zeroes){ 0, 8, 0 };
	ck_assert_uint_eq(do_ranges(zeroes, z, 2), VIRTIO_BLK_S_UNSUPP);
	/* None, less than one, more than it says; and the header alone. */
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		memset(blk_data(0), 0, 0x1000);
		ck_assert_uint_eq(blk_do(zeroes, 0, GUEST_DATA, lengths[i]), VIRTIO_BLK_S_IOERR);
		ck_assert_uint_eq(blk_do(discard, 0, GUEST_DATA, lengths[i]), VIRTIO_BLK_S_IOERR);
	}
	blk_file(0, buf, 0x4000);
	blk_is_disk(buf, 0, 0x4000);
	ck_assert(!blk_broken());
}
END_TEST

START_TEST(ranges_must_have_been_negotiated)
{
	struct virtio_blk_discard_write_zeroes z = { 0, 8, 0 };

	bt.drop = 1ull << VIRTIO_BLK_F_DISCARD;
	ck_assert(blk_start(&blk_modes[0]));
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_DISCARD, &z, 1), VIRTIO_BLK_S_UNSUPP);
	bt.drop = 1ull << VIRTIO_BLK_F_WRITE_ZEROES;
	ck_assert(blk_start(&blk_modes[0]));
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_WRITE_ZEROES, &z, 1), VIRTIO_BLK_S_UNSUPP);
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_DISCARD, &z, 1), 0);
	blk_file(0, buf, 512);
	blk_is_all(buf, 0, 512);
}
END_TEST

/* ---- mistakes ---- */

START_TEST(errors_are_told_by_the_status)
{
	const uint32_t in = VIRTIO_BLK_T_IN, out = VIRTIO_BLK_T_OUT;
	const struct {
		uint32_t type;
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} wrong[] = {
		{ in, DISK_SECTORS, 512, 1 },
		{ in, DISK_SECTORS - 1, 1024, 1 },
		{ out, DISK_SECTORS, 512, 1 },
		{ out, DISK_SECTORS - 1, 1024, 1 },
		{ in, UINT64_MAX, 512, 1 },
		{ in, UINT64_MAX / 512 + 1, 512, 1 },
		{ out, 1ull << 55, 512, 1 },
		{ in, DISK_SECTORS + 1, 0, 1 },
		{ in, 0, 511, 1 },
		{ in, 0, 513, 1 },
		{ out, 0, 100, 1 },
		{ in, 0, 0, 0 },
		{ out, DISK_SECTORS, 0, 0 },
		{ 2, 0, 512, 2 },
		{ 3, 0, 512, 2 },
		{ 5, 0, 0, 2 },
		{ 14, 0, 16, 2 },
		{ 0x80000000, 0, 512, 2 },
		{ 0xffffffff, 0, 0, 2 },
	};

	if (!blk_start(&blk_modes[_i]))
		return;
	memset(blk_data(0), 0xaa, 0x1000);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		ck_assert_msg(blk_do(wrong[i].type, wrong[i].sector, GUEST_DATA, wrong[i].len) ==
				      wrong[i].status,
			"%zu: status %u", i, *blk_status(0));
		ck_assert_uint_eq(bt.used_len, 1);
	}
	blk_is_all(blk_data(0), 0xaa, 0x1000);
	blk_file(0, buf, 0x1000);
	blk_is_disk(buf, 0, 0x1000);
	blk_file(DISK_SIZE - 512, buf, 512);
	blk_is_disk(buf, DISK_SECTORS - 1, 512);
	ck_assert(!blk_broken());
}
END_TEST

START_TEST(read_only_disks_stay_as_they_are)
{
	struct virtio_blk_discard_write_zeroes z = { 0, 8, 0 };

	bt.cfg.read_only = true;
	if (!blk_start(&blk_modes[_i]))
		return;
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, 0, GUEST_DATA, 512), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_DISCARD, &z, 1), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(do_ranges(VIRTIO_BLK_T_WRITE_ZEROES, &z, 1), VIRTIO_BLK_S_IOERR);
	/* It is not even tried. */
	ck_assert_uint_eq(blk_calls.writes, 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 4096), 0);
	blk_is_disk(blk_data(0), 0, 4096);
	blk_file(0, buf, 4096);
	blk_is_disk(buf, 0, 4096);
}
END_TEST

START_TEST(malformed_chain_breaks_the_device)
{
	struct virtio_blk_outhdr h = { VIRTIO_BLK_T_OUT, 0, 0 };
	const uint64_t hdr = BLK_HEADERS;

	ck_assert(blk_start(&blk_modes[_i / 9]));
	memcpy(guest_ptr(&bt.guest, hdr), &h, 16);
	ring_desc(&bt.ring, 0, hdr, 16, DESC_NEXT, 1);
	ring_desc(&bt.ring, 1, BLK_STATUS, 1, DESC_WRITE, 0);
	switch (_i % 9) {
	case 0: /* no status */
		ring_desc(&bt.ring, 0, hdr, 16, 0, 0);
		break;
	case 1: /* data, and no status */
		ring_desc(&bt.ring, 1, GUEST_DATA, 512, 0, 0);
		break;
	case 2: /* a short header */
		ring_desc(&bt.ring, 0, hdr, 15, DESC_NEXT, 1);
		break;
	case 3: /* no header */
		ring_desc(&bt.ring, 0, BLK_STATUS, 1, DESC_WRITE, 0);
		break;
	case 4: /* a header that is writable */
		ring_desc(&bt.ring, 0, hdr, 16, DESC_NEXT | DESC_WRITE, 1);
		break;
	case 5: /* memory that is private */
		ring_desc(&bt.ring, 0, GUEST_PRIVATE, 16, DESC_NEXT, 1);
		break;
	case 6:
		ring_desc(&bt.ring, 1, GUEST_PRIVATE, 1, DESC_WRITE, 0);
		break;
	case 7:
		ring_desc(&bt.ring, 1, GUEST_PRIVATE - 512, 1024, DESC_NEXT, 2);
		ring_desc(&bt.ring, 2, BLK_STATUS, 1, DESC_WRITE, 0);
		break;
	case 8: /* no memory */
		ring_desc(&bt.ring, 1, GUEST_END, 1, DESC_WRITE, 0);
		break;
	}
	*blk_status(0) = 0xee;
	ring_offer(&bt.ring, 0);
	blk_ring();
	blk_pump(2);
	ck_assert(blk_broken());
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 0);
	ck_assert_uint_eq(*blk_status(0), 0xee);
	blk_file(0, buf, 4096);
	blk_is_disk(buf, 0, 4096);
	/* Nothing is under way, so a reset is over at once, and all is well again. */
	driver_put(&bt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&bt.drv, R_STATUS), 0);
	blk_drive();
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 1, GUEST_DATA, 512), 0);
	blk_is_disk(blk_data(0), 1, 512);
}
END_TEST

void blk_add_error_tests(Suite *s)
{
	TCase *t = tcase_create("errors");

	tcase_add_checked_fixture(t, blk_setup, blk_teardown);
	tcase_add_loop_test(t, zeroes_are_written, 0, 4 * BLK_MODES);
	tcase_add_loop_test(t, discarded_space_is_given_back, 0, BLK_MODES);
	tcase_add_test(t, a_host_without_discard_offers_none);
	tcase_add_loop_test(t, as_many_ranges_as_it_says, 0, BLK_MODES);
	tcase_add_loop_test(t, wrong_ranges_change_nothing, 0, 2);
	tcase_add_test(t, ranges_must_have_been_negotiated);
	tcase_add_loop_test(t, errors_are_told_by_the_status, 0, BLK_MODES);
	tcase_add_loop_test(t, read_only_disks_stay_as_they_are, 0, BLK_MODES);
	tcase_add_loop_test(t, malformed_chain_breaks_the_device, 0, 18);
	tcase_set_timeout(t, BLK_TIMEOUT);
	suite_add_tcase(s, t);
}
