/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: a guest that takes pages back while a disk reads into them or writes from them loses
 * nothing that it put there, and the disk gets none of it. The conversion waits for the disk, or is
 * refused, or the device needs a reset; the guest and the other pages are as before.
 */
#include "virtio.h"

#define ROUNDS	 48u
#define REQUESTS 5u  /* at a time: what a ring of 16 holds */
#define CHUNK	 32u /* pages of each: some time's work for the disk */
#define FIRST	 1024u
#define SECTORS	 (CHUNK * PAGE / 512)
#define SECRET	 0x5ec4e7ULL

enum { BLK_IN = 0, BLK_OUT = 1 };

static struct virtio found[VIRTIO_SLOTS];
static struct random chance = { 4711 };
static struct {
	uint32_t converted, refused, broken, done;
} counts;

static uint64_t page_of(uint32_t request, uint32_t n)
{
	return ram_page(FIRST + request * CHUNK + n);
}

static uint64_t status_of(const struct virtio *v, uint32_t request)
{
	return v->data + 512 + request;
}

/* Request i is for the i-th chunk of the disk, from or into its own pages. */
static void offer(struct virtio *v, uint32_t i, uint32_t type)
{
	uint64_t header = v->data + 16 * i;
	struct vring *r = &v->ring[0];

	words(header)[0] = type;
	words(header)[1] = i * SECTORS;
	*(volatile uint8_t *)where(status_of(v, i)) = 0xee;
	desc(r, 3 * i, header, 16, DESC_NEXT, 3 * i + 1);
	desc(r, 3 * i + 1, page_of(i, 0), CHUNK * PAGE,
		DESC_NEXT | (type == BLK_IN ? DESC_WRITE : 0), 3 * i + 2);
	desc(r, 3 * i + 2, status_of(v, i), 1, DESC_WRITE, 0);
	ring_offer(r, (uint16_t)(3 * i));
}

/* What the disk holds, page by page, all the time. */
static uint64_t seed_of(uint32_t request, uint32_t n)
{
	return 100 + request * CHUNK + n;
}

static void fill_all(void)
{
	uint32_t i, n;

	for (i = 0; i < REQUESTS; i++)
		for (n = 0; n < CHUNK; n++)
			page_fill(page_of(i, n), seed_of(i, n));
}

static void clear_all(void)
{
	uint32_t i, n, w;

	for (i = 0; i < REQUESTS; i++)
		for (n = 0; n < CHUNK; n++)
			for (w = 0; w < PAGE / 8; w++)
				words(page_of(i, n))[w] = 0;
}

/* All of them, without any mischief. */
static void transfer(struct virtio *v, uint32_t type)
{
	uint32_t i, len;

	for (i = 0; i < REQUESTS; i++)
		offer(v, i, type);
	virtio_kick(v, 0);
	for (i = 0; i < REQUESTS; i++)
		CHECK(virtio_await_used(v, 0, &len), "a request of %u is not done", REQUESTS);
	for (i = 0; i < REQUESTS; i++)
		CHECK(*(volatile uint8_t *)where(status_of(v, i)) == 0, "request %u failed", i);
}

static void check_disk(struct virtio *v)
{
	uint32_t i, n;

	clear_all();
	transfer(v, BLK_IN);
	for (i = 0; i < REQUESTS; i++)
		for (n = 0; n < CHUNK; n++)
			CHECK(page_holds(page_of(i, n), seed_of(i, n)),
				"the disk's page %u of chunk %u has changed", n, i);
}

/* Until all is done or the device broken: true when there is nothing under way any more. */
static void settle(struct virtio *v)
{
	uint32_t i, len;

	for (i = 0; i < REQUESTS; i++)
		if (!virtio_await_used(v, 0, &len)) {
			CHECK(virtio_broken(v), "a request is not done, and the device well");
			counts.broken++;
			virtio_start(v);
			return;
		}
	counts.done++;
}

static void take_back(const struct virtio *v, bool *taken)
{
	uint32_t i;

	for (i = 0; i < REQUESTS; i++) {
		uint64_t page = page_of(i, (uint32_t)random_below(&chance, CHUNK));

		taken[i] = false;
		if (random_below(&chance, 3) == 0)
			continue;
		if (unshare(page, 1)) {
			counts.refused++;
			continue;
		}
		counts.converted++;
		page_fill(page, SECRET + i);
		taken[i] = true;
		/* Where it is: the first page that is not what the disk has. */
		words(v->data + 1024)[i] = page;
	}
}

static void one_round(struct virtio *v, uint32_t type)
{
	bool taken[REQUESTS];
	volatile uint64_t spin;
	uint32_t i;

	fill_all();
	for (i = 0; i < REQUESTS; i++)
		offer(v, i, type);
	virtio_kick(v, 0);
	/* Before the device has looked, while it works, when it is done. */
	for (spin = random_below(&chance, 4096ULL << random_below(&chance, 11)); spin; spin--)
		continue;
	take_back(v, taken);
	settle(v);
	for (i = 0; i < REQUESTS; i++) {
		uint64_t page = words(v->data + 1024)[i];

		if (!taken[i])
			continue;
		CHECK(page_holds(page, SECRET + i), "a private page was written");
		CHECK(share(page, 1) == 0, "a page cannot be shared again");
		if (vmm_converts())
			CHECK(page_is_zero(page), "a page comes back with old bytes");
	}
}

void guest_main(void)
{
	uint32_t count = virtio_find(found), i;
	struct virtio *v = found;

	for (i = 0; i < count && v->id != VIRTIO_BLK; i++)
		v++;
	CHECK(i < count, "no disk");
	CHECK(share(page_of(0, 0), REQUESTS * CHUNK) == 0, "memory cannot be shared");
	virtio_start(v);
	fill_all();
	transfer(v, BLK_OUT);
	check_disk(v);
	for (i = 0; i < ROUNDS; i++) {
		one_round(v, i & 1 ? BLK_OUT : BLK_IN);
		if (i % 8 == 7)
			check_disk(v);
	}
	check_disk(v);
	print("%u pages taken back, %u refused; %u rounds done, %u with a reset\n",
		counts.converted, counts.refused, counts.done, counts.broken);
	CHECK(counts.converted, "no page could be taken back");
	success();
}
