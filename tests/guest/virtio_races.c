/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: a driver that changes chains while the device works on them, resets queues and device under
 * it, and notifies without end, harms nobody but itself. Two vCPUs.
 */
#include "hostile.h"

#define N DESC_NEXT
#define W DESC_WRITE

static struct {
	struct victim *t;
	uint32_t q;	/* whose chains are changed */
	uint32_t phase; /* 1: the second vCPU works */
	struct random chance;
} race;

/* ---- chains that change ---- */

static uint64_t somewhere(struct random *r, const struct virtio *v)
{
	/* Nearly always the device's own pages: rings, too. */
	switch (random_below(r, 1024)) {
	case 0:
		return random_next(r);
	case 1:
		return ram_end() - random_below(r, 64);
	default:
		return v->data - 15 * PAGE + random_below(r, 20 * PAGE);
	}
}

/* The header of a request, for types that have one; kinds of operations are small numbers. */
static void change_data(struct random *r, const struct virtio *v)
{
	words(v->data)[random_below(r, 6)] =
		random_below(r, 2) ? random_next(r)
				   : random_below(r, 16) << (8 * random_below(r, 7));
}

static void change(struct random *r, struct virtio *v, struct vring *ring)
{
	uint64_t i = random_below(r, ring->size), what = random_below(r, 1024);
	volatile uint64_t *d = words(ring->desc) + 2 * i;

	/* What cannot be right is rare: else no device would get far. */
	if (what == 0)
		d[1] = random_next(r);
	else if (what == 1)
		*(volatile uint16_t *)where(ring->avail + 4 + 2 * i) = (uint16_t)random_next(r);
	else if (what == 2)
		*(volatile uint16_t *)where(ring->avail + 2) = (uint16_t)random_next(r);
	else if (what < 8)
		d[1] ^= random_below(r, 8) << 32;
	else if (what < 256)
		change_data(r, v);
	else if (what < 640)
		d[0] = somewhere(r, v);
	else
		d[1] = (d[1] & 0x3ffff00000000ULL) | (1 + random_below(r, 4096)) |
		       random_below(r, ring->size) << 48;
}

/* Chains of three buffers that the type may like, for as many as the ring holds. */
static void plausible(struct virtio *v, uint32_t q)
{
	static const uint32_t flags[][3] = {
		[READS] = { 0, 0, 0 }, [WRITES] = { W, W, W }, [BOTH] = { 0, W, W }
	};
	const uint32_t *f = flags[direction(v, q)];
	const struct vring *r = &v->ring[q];
	uint32_t i;

	for (i = 0; i + 2 < r->size; i += 3) {
		desc(r, i, v->data, 16, N | f[0], i + 1);
		desc(r, i + 1, v->data + PAGE, 28, N | f[1], i + 2);
		desc(r, i + 2, v->data + 2 * PAGE, v->id == VIRTIO_BLK ? 485 : 512, f[2], 0);
	}
}

static void second(uint32_t cpu)
{
	struct random *r = &race.chance;

	(void)cpu;
	while (load(&race.phase) == 1) {
		struct virtio *v = &race.t->v;

		change(r, v, &v->ring[race.q]);
		if (random_below(r, 16) == 0)
			mmio_write32(v->base + REG_QUEUE_NOTIFY,
				(uint32_t)random_below(r, v->queues + 1));
	}
}

static void run_races(uint32_t rounds)
{
	struct virtio *v = &race.t->v;
	uint32_t i, kicks, head, len;

	for (i = 0; i < rounds; i++) {
		struct vring *r = &v->ring[race.q];

		virtio_start(v);
		plausible(v, race.q);
		for (kicks = 0; kicks < 50 && !virtio_broken(v); kicks++) {
			if (random_below(&chance, 4) == 0)
				plausible(v, race.q);
			if ((uint16_t)(r->idx - r->last_used) < r->size)
				ring_offer(r, (uint16_t)(random_below(&chance, r->size / 3) * 3));
			virtio_kick(v, race.q);
			ring_take(r, &head, &len);
		}
	}
}

static void both(uint32_t cpu)
{
	if (cpu == 1) {
		second(cpu);
	} else if (cpu == 0) {
		run_races(4);
		store(&race.phase, 2);
	}
}

static void attack_changing(struct victim *t)
{
	uint64_t wanted = t->v.wanted;
	uint32_t q;

	for (q = 0; q < t->v.queues; q++) {
		begin_attack("chains that change", q);
		start_for(t, q);
		/* Event indices have their own loads from memory that we change. */
		t->v.wanted = q & 1 ? t->v.features : wanted;
		race.t = t;
		race.q = q;
		store(&race.phase, 1);
		smp_run(both);
		t->v.wanted = wanted;
		expect_recovery(t);
	}
}

/* ---- notifications without end ---- */

static void storm(uint32_t cpu)
{
	const struct virtio *v = &race.t->v;
	struct random r = { cpu + 7 };
	uint32_t i;

	for (i = 0; i < 300; i++) {
		uint32_t q = (uint32_t)random_below(&r, v->queues + 2);

		if (random_below(&r, 32) == 0)
			q = (uint32_t)random_next(&r);
		mmio_write32(v->base + REG_QUEUE_NOTIFY, q);
	}
}

static void attack_storm(struct victim *t)
{
	uint32_t q;

	race.t = t;
	begin_attack("notifications for empty queues", 0);
	virtio_start(&t->v);
	smp_run(storm);
	expect_unharmed(t);

	/* Each time it looks it finds what is wrong. */
	begin_attack("notifications while it is broken", 0);
	virtio_start(&t->v);
	for (q = 0; q < t->v.queues; q++)
		ring_set_idx(&t->v.ring[q], 0x4000);
	smp_run(storm);
	expect_recovery(t);

	begin_attack("notifications before it runs", 0);
	virtio_reset(&t->v);
	smp_run(storm);
	expect_recovery(t);
}

/* ---- resets while it works ---- */

/* Much to do on each queue, and nothing wrong with it. */
static void occupy(struct victim *t)
{
	static const uint16_t heads[] = { [BOTH] = 0, [WRITES] = 3, [READS] = 4 };
	struct virtio *v = &t->v;
	uint32_t q, i;

	for (q = 0; q < v->queues; q++) {
		struct vring *r = &v->ring[q];

		words(v->data)[0] = words(v->data)[1] = 0;
		desc(r, 0, v->data, 16, N, 1);
		desc(r, 1, v->data + PAGE, 15 * PAGE, N | W, 2);
		desc(r, 2, v->data + 16 * PAGE, 1, W, 0);
		desc(r, 3, v->data + PAGE, 15 * PAGE, W, 0);
		desc(r, 4, v->data, 4096, 0, 0);
		for (i = 0; i < r->size; i++)
			ring_offer(r, heads[direction(v, q)]);
		virtio_kick(v, q);
	}
}

/* After a reset memory is the driver's again: nothing may come late. */
static void check_silence(const struct virtio *v)
{
	uint64_t page;
	uint32_t i;

	for (page = 1; page < VIRTIO_DATA; page++)
		words(v->data + page * PAGE)[0] = ~page;
	for (i = 0; i < 20; i++)
		(void)virtio_broken(v);
	for (page = 1; page < VIRTIO_DATA; page++)
		CHECK_ATTACK(words(v->data + page * PAGE)[0] == ~page,
			"0x%lx comes into page %lu after it", words(v->data + page * PAGE)[0],
			page);
}

static void attack_resets(struct victim *t)
{
	struct virtio *v = &t->v;
	uint32_t i, q;

	begin_attack("a reset of the device while it works", 0);
	/* Output of the console would be a page of nothing each time. */
	for (i = 0; i < 9; i++) {
		virtio_start(v);
		if (v->id != VIRTIO_CONSOLE)
			occupy(t);
		if (i % 3 == 1) {
			virtio_reset(v);
			check_silence(v);
		} else if (i % 3 == 2) {
			/* A driver that does not wait for the end. */
			reg_write(v, REG_STATUS, 0);
			virtio_negotiate(v, v->wanted);
		}
	}
	expect_recovery(t);

	if (!(v->features & FEATURE(F_RING_RESET)))
		return;
	for (q = 0; q < v->queues; q++) {
		begin_attack("a reset of the queue while it works", q);
		for (i = 0; i < 4; i++) {
			uint32_t looks = 0;

			virtio_start(v);
			if (v->id != VIRTIO_CONSOLE)
				occupy(t);
			reg_write(v, REG_QUEUE_SEL, q);
			reg_write(v, REG_QUEUE_RESET, 1);
			if (i & 1)
				reg_write(v, REG_QUEUE_RESET, 1);
			while (reg_read(v, REG_QUEUE_RESET) && looks < 100000)
				looks++;
			CHECK_ATTACK(looks < 100000, "the reset never ends");
			CHECK_ATTACK(!reg_read(v, REG_QUEUE_READY), "still ready");
			/* Not from a device that broke meanwhile. */
			CHECK_ATTACK(virtio_enable(v, q) || virtio_broken(v), "cannot be enabled");
		}
		expect_recovery(t);
	}
}

/* Two at once: one starts and resets, the other notifies and writes any status. */
static void fight(uint32_t cpu)
{
	const struct virtio *v = &race.t->v;
	struct random r = { cpu + 70 };
	uint32_t i;

	for (i = 0; i < 200; i++) {
		switch (random_below(&r, 4)) {
		case 0:
			reg_write(v, REG_STATUS, (uint32_t)random_below(&r, 16));
			break;
		case 1:
			reg_write(v, REG_QUEUE_SEL, (uint32_t)random_below(&r, v->queues));
			break;
		case 2:
			reg_write(v, random_below(&r, 2) ? REG_QUEUE_READY : REG_QUEUE_RESET, 1);
			break;
		default:
			reg_write(v, REG_QUEUE_NOTIFY, (uint32_t)random_below(&r, v->queues));
			break;
		}
	}
}

static void attack_fight(struct victim *t)
{
	race.t = t;
	begin_attack("two drivers at once", 0);
	virtio_start(&t->v);
	smp_run(fight);
	expect_recovery(t);
}

/* Stays as it is while the test looks: broken by what the second vCPU did last, or busy for good. */
static void leave_busy(struct victim *t)
{
	if (t->v.id != VIRTIO_CONSOLE)
		occupy(t);
}

void guest_main(void)
{
	CHECK(boot->cpus >= 2, "%u vCPU, needs two", boot->cpus);
	hostile_start();
	group("changing chains", attack_changing);
	group("notify storms", attack_storm);
	group("resets in flight", attack_resets);
	group("two drivers", attack_fight);
	group("left busy", leave_busy);
	quiet();
}
