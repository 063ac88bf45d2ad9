/* SPDX-License-Identifier: Apache-2.0 */

/* Random requests, many at a time, against a disk that is an array. */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test_virtio_blk.h"

/* Each slot has sectors and guest memory of its own, so that their order does not matter. */
#define SLOTS	     16u
#define SLOT_SECTORS 64u
#define SLOT_ROOM    0x8000u
#define ROUNDS	     150

static uint8_t model[DISK_SIZE], file[DISK_SIZE];

struct slot {
	uint32_t type, len;
	uint64_t sector, addr;
};

static uint32_t pick(uint32_t n)
{
	return (uint32_t)rand() % n;
}

static void put_zeroes(unsigned int i, struct slot *s)
{
	struct virtio_blk_discard_write_zeroes z = { s->sector, s->len / 512, pick(2) };

	memcpy(guest_ptr(&bt.guest, s->addr), &z, sizeof(z));
	blk_put(i, s->type, 0, s->addr, sizeof(z));
	memset(model + s->sector * 512, 0, s->len);
}

static void put_random(unsigned int i, struct slot *s)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT,
		VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_FLUSH, VIRTIO_BLK_T_WRITE_ZEROES };
	static const uint32_t grains[] = { 1, 512, 4096 };
	uint32_t first = pick(SLOT_SECTORS - 9), count, grain = grains[pick(3)];
	uint8_t *p;

	if (pick(2))
		first -= first % 8;
	count = 1 + pick(SLOT_SECTORS - 8 - first);
	s->type = types[pick(6)];
	s->sector = i * 256 + first;
	s->len = count * 512;
	s->addr = GUEST_DATA + i * SLOT_ROOM + pick(4096) / grain * grain;
	p = guest_ptr(&bt.guest, s->addr);
	for (uint32_t k = 0; k < s->len; k++)
		p[k] = (uint8_t)rand();
	if (s->type == VIRTIO_BLK_T_WRITE_ZEROES) {
		put_zeroes(i, s);
		return;
	}
	blk_put(i, s->type, s->sector, s->addr, s->type == VIRTIO_BLK_T_FLUSH ? 0 : s->len);
	if (s->type == VIRTIO_BLK_T_OUT)
		memcpy(model + s->sector * 512, p, s->len);
}

START_TEST(random_requests)
{
	uint32_t head, len;
	uint16_t used = 0;

	srand((unsigned int)_i + 1);
	if (!blk_start(&blk_modes[_i]))
		return;
	blk_file(0, model, DISK_SIZE);
	for (int round = 0; round < ROUNDS; round++) {
		struct slot slots[SLOTS];
		unsigned int n = 1 + pick(SLOTS);

		for (unsigned int i = 0; i < n; i++) {
			put_random(i, &slots[i]);
			if (!pick(3))
				blk_ring();
		}
		blk_ring();
		used = (uint16_t)(used + n);
		blk_wait(used);
		while (ring_take(&bt.ring, &head, &len)) {
			const struct slot *s = &slots[head / 3];
			bool in = s->type == VIRTIO_BLK_T_IN;

			ck_assert_uint_eq(*blk_status(head / 3), 0);
			ck_assert_uint_eq(len, in ? s->len + 1 : 1);
			if (in)
				ck_assert_mem_eq(guest_ptr(&bt.guest, s->addr),
					model + s->sector * 512, s->len);
		}
	}
	blk_file(0, file, DISK_SIZE);
	ck_assert_mem_eq(file, model, DISK_SIZE);
}
END_TEST

void blk_add_random_tests(Suite *s)
{
	TCase *t = tcase_create("random");

	tcase_add_checked_fixture(t, blk_setup, blk_teardown);
	tcase_add_loop_test(t, random_requests, 0, BLK_MODES);
	tcase_set_timeout(t, BLK_TIMEOUT);
	suite_add_tcase(s, t);
}
