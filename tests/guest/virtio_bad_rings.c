/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: rings and chains that break the rules make their device need a reset, whichever device and
 * queue it is. It works again after that, and others do not notice.
 */
#include "hostile.h"

/* Addresses of which only the running guest knows the numbers. */
enum place {
	AT_ZERO, /* that is, what off says */
	DATA,
	TABLE, /* where indirect tables are built */
	RAM_END,
	SLOT,	     /* the device's own registers */
	PRIVATE,     /* a page that is not shared, in protected modes */
	LAST_SHARED, /* the end of what is shared, as far as this device goes */
};

static uint64_t address(const struct virtio *v, enum place place, uint64_t off)
{
	switch (place) {
	case DATA:
		return v->data + off;
	case TABLE:
		return v->data + 2 * PAGE + off;
	case RAM_END:
		return ram_end() + off;
	case SLOT:
		return v->base + off;
	case PRIVATE:
		return ram_page(0) + off;
	case LAST_SHARED:
		/* Behind the last slot, of which there are fewer than we keep memory for. */
		return victims[victim_count - 1].v.data + VIRTIO_DATA * PAGE + off;
	default:
		return off;
	}
}

/* ---- rings in the wrong place, or of the wrong size ---- */

enum part { SIZE, DESC, AVAIL, USED };
static const struct {
	const char *what;
	enum part part;
	enum place place;
	uint64_t value;
	bool only_protected;
} bad_rings[] = {
	{ "size 0", SIZE, AT_ZERO, 0, false },
	{ "size 3", SIZE, AT_ZERO, 3, false },
	{ "size 1024, more than offered", SIZE, AT_ZERO, 1024, false },
	{ "size 65535", SIZE, AT_ZERO, 65535, false },
	{ "descriptors misaligned", DESC, DATA, 8, false },
	{ "descriptors at the end of RAM", DESC, RAM_END, 0, false },
	{ "descriptors across the end of RAM", DESC, RAM_END, -16ULL, false },
	{ "descriptors at the last address", DESC, AT_ZERO, -16ULL, false },
	{ "descriptors in the device's registers", DESC, SLOT, 0, false },
	{ "descriptors in a private page", DESC, PRIVATE, 0, true },
	{ "descriptors into a private page", DESC, LAST_SHARED, -16ULL, true },
	{ "available ring misaligned", AVAIL, DATA, 1, false },
	{ "available ring across the end of RAM", AVAIL, RAM_END, -2ULL, false },
	{ "available ring wraps", AVAIL, AT_ZERO, -2ULL, false },
	{ "available ring in the interrupt controller", AVAIL, AT_ZERO, IRQ_CHIP, false },
	{ "available ring in a private page", AVAIL, PRIVATE, 0, true },
	{ "available ring into a private page", AVAIL, LAST_SHARED, -4ULL, true },
	{ "used ring misaligned", USED, DATA, 2, false },
	{ "used ring across the end of RAM", USED, RAM_END, -4ULL, false },
	{ "used ring wraps", USED, AT_ZERO, -4ULL, false },
	{ "used ring far away", USED, AT_ZERO, 1ULL << 63, false },
	{ "used ring in a private page", USED, PRIVATE, 0, true },
	{ "used ring into a private page", USED, LAST_SHARED, -4ULL, true },
};

static void set_up(struct victim *t, uint32_t q, uint32_t i)
{
	const struct vring *r = &t->v.ring[q];
	uint64_t at = address(&t->v, bad_rings[i].place, bad_rings[i].value);
	enum part part = bad_rings[i].part;

	virtio_reset(&t->v);
	CHECK_ATTACK(virtio_negotiate(&t->v, t->v.wanted), "refused");
	reg_write(&t->v, REG_QUEUE_SEL, q);
	reg_write(&t->v, REG_QUEUE_NUM, part == SIZE ? (uint32_t)at : RING_SIZE);
	reg_write64(&t->v, REG_DESC, part == DESC ? at : r->desc);
	reg_write64(&t->v, REG_AVAIL, part == AVAIL ? at : r->avail);
	reg_write64(&t->v, REG_USED, part == USED ? at : r->used);
	reg_write(&t->v, REG_QUEUE_READY, 1);
}

static void attack_set_up(struct victim *t)
{
	uint32_t q, i;

	for (q = 0; q < t->v.queues; q++) {
		for (i = 0; i < ARRAY_SIZE(bad_rings); i++) {
			if (!is_made(i, q) || (bad_rings[i].only_protected && mode_is(BOOT_NONE)))
				continue;
			begin_attack(bad_rings[i].what, q);
			set_up(t, q, i);
			CHECK_ATTACK(virtio_broken(&t->v), "accepted");
			CHECK_ATTACK(!reg_read(&t->v, REG_QUEUE_READY), "the queue is ready");
			/* A driver that does not look. */
			reg_write(&t->v, REG_STATUS, 15);
			virtio_kick(&t->v, q);
			CHECK_ATTACK(virtio_broken(&t->v), "runs");
		}
		expect_recovery(t);
	}
}

/* ---- chains ---- */

#define N DESC_NEXT
#define W DESC_WRITE
#define I DESC_INDIRECT

/*
 * Two descriptors at head 0 of the ring; or in an indirect table that the first descriptor of the
 * ring, at head 0, points to, with a length of its own if table_len is not 0. A third says the same as
 * the second, so that any index below three is one of the chain.
 */
struct entry {
	enum place place;
	uint64_t off;
	uint32_t len, flags, next;
};
static const struct chain {
	const char *what;
	struct entry e[2];
	uint32_t table_len;
	bool indirect, only_protected;
} chains[] = {
	{ "a loop of one", { { DATA, 0, 16, N, 0 } }, 0, false, false },
	{ "a loop of two", { { DATA, 0, 16, N, 1 }, { DATA, 16, 16, N, 0 } }, 0, false, false },
	{ "next is the queue's size", { { DATA, 0, 16, N, RING_SIZE } }, 0, false, false },
	{ "next is 65535", { { DATA, 0, 16, N, 65535 } }, 0, false, false },
	{ "a buffer at the end of RAM", { { RAM_END, 0, 16, 0, 0 } }, 0, false, false },
	{ "a buffer across the end of RAM", { { RAM_END, -8ULL, 16, W, 0 } }, 0, false, false },
	{ "a buffer that wraps", { { AT_ZERO, -8ULL, 16, W, 0 } }, 0, false, false },
	{ "a buffer far away", { { AT_ZERO, 1ULL << 63, 16, W, 0 } }, 0, false, false },
	{ "a buffer where nothing is", { { AT_ZERO, UNCLAIMED_MMIO, 16, W, 0 } }, 0, false, false },
	{ "a buffer in the registers", { { SLOT, 0, 4, W, 0 } }, 0, false, false },
	{ "a buffer in the interrupt controller", { { AT_ZERO, IRQ_CHIP, 16, W, 0 } }, 0, false,
		false },
	{ "the second buffer outside RAM", { { DATA, 0, 64, N, 1 }, { RAM_END, 0, 64, 0, 0 } }, 0,
		false, false },
	{ "an empty buffer", { { DATA, 0, 0, 0, 0 } }, 0, false, false },
	{ "an empty buffer behind another", { { DATA, 0, 64, W | N, 1 }, { DATA, 64, 0, W, 0 } }, 0,
		false, false },
	{ "a buffer of 4 GiB - 1", { { DATA, 0, 0xffffffff, W, 0 } }, 0, false, false },
	{ "writable before readable", { { DATA, 0, 64, W | N, 1 }, { DATA, 64, 64, 0, 0 } }, 0,
		false, false },
	{ "a private buffer", { { PRIVATE, 0, 64, 0, 0 } }, 0, false, true },
	{ "a private writable buffer", { { PRIVATE, 0, 64, W, 0 } }, 0, false, true },
	{ "a buffer into a private page", { { LAST_SHARED, -8ULL, 16, W, 0 } }, 0, false, true },
	{ "a loop in a table", { { DATA, 0, 16, N, 1 }, { DATA, 0, 16, N, 0 } }, 0, true, false },
	{ "next outside a table", { { DATA, 0, 16, N, 3 } }, 0, true, false },
	{ "an empty buffer in a table", { { DATA, 0, 0, 0, 0 } }, 0, true, false },
	{ "a buffer outside RAM in a table", { { RAM_END, 0, 16, W, 0 } }, 0, true, false },
	{ "writable before readable in a table",
		{ { DATA, 0, 16, W | N, 1 }, { DATA, 0, 16, 0, 0 } }, 0, true, false },
	{ "a table in a table", { { TABLE, 0, 48, I, 0 } }, 0, true, false },
	{ "a private buffer in a table", { { PRIVATE, 0, 64, W, 0 } }, 0, true, true },
	{ "a table with a next one", { { TABLE, 0, 48, I | N, 1 }, { DATA, 0, 16, 0, 0 } }, 0,
		false, false },
	{ "a table of no bytes", { { TABLE, 0, 0, I, 0 } }, 0, false, false },
	{ "a table of 17 bytes", { { TABLE, 0, 17, I, 0 } }, 0, false, false },
	{ "a table of 257 entries", { { TABLE, 0, 257 * 16, I, 0 } }, 0, false, false },
	{ "a table of 4 GiB - 16", { { TABLE, 0, 0xfffffff0, I, 0 } }, 0, false, false },
	{ "a table outside RAM", { { RAM_END, 0, 16, I, 0 } }, 0, false, false },
	{ "a table across the end of RAM", { { RAM_END, -16ULL, 32, I, 0 } }, 0, false, false },
	{ "a table that wraps", { { AT_ZERO, -16ULL, 32, I, 0 } }, 0, false, false },
	{ "a table behind a buffer, outside RAM",
		{ { DATA, 0, 16, N, 1 }, { RAM_END, 0, 16, I, 0 } }, 0, false, false },
	{ "a private table", { { PRIVATE, 0, 16, I, 0 } }, 0, false, true },
	{ "a table into a private page", { { LAST_SHARED, -16ULL, 32, I, 0 } }, 0, false, true },
};

static void build(struct virtio *v, uint32_t q, const struct chain *c)
{
	uint64_t table = c->indirect ? address(v, TABLE, 0) : v->ring[q].desc;
	uint32_t i;

	/* What bad lengths and indices lead to shall be harmless by itself. */
	for (i = 0; i < 3; i++)
		desc_at(address(v, TABLE, 0), i, v->data, 16, 0, 0);
	for (i = 0; i < 3; i++) {
		const struct entry *e = &c->e[i ? 1 : 0];

		desc_at(table, i, address(v, e->place, e->off), e->len, e->flags, e->next);
	}
	if (c->indirect)
		desc(&v->ring[q], 0, table, c->table_len ? c->table_len : 48, I, 0);
}

/* After the kick: a device that only looks when it has something to say must have it. */
static void deliver(struct victim *t, uint32_t q)
{
	virtio_kick(&t->v, q);
	if (t->provoke)
		t->provoke(&t->v, q);
	if (t->unseen & 1u << q) {
		expect_unharmed(t);
		return;
	}
	expect_broken(t, q);
	/* That the device works is seen after one in four, for emulated hosts are slow. */
	if (random_below(&chance, 4)) {
		virtio_start(&t->v);
		CHECK_ATTACK(!virtio_broken(&t->v), "needs a reset right after one");
	} else {
		expect_recovery(t);
	}
}

static void attack_chains(struct victim *t)
{
	uint32_t q, i;

	for (q = 0; q < t->v.queues; q++) {
		start_for(t, q);
		for (i = 0; i < ARRAY_SIZE(chains); i++) {
			if (!is_made(i, q) || (chains[i].only_protected && mode_is(BOOT_NONE)))
				continue;
			begin_attack(chains[i].what, q);
			build(&t->v, q, &chains[i]);
			ring_offer(&t->v.ring[q], 0);
			deliver(t, q);
		}
		expect_recovery(t);
	}
}

/* ---- long ones ---- */

/* n buffers of len bytes, in the ring or in a table; the last one says that another follows. */
static void long_chain(uint64_t table, uint32_t n, uint64_t at, uint32_t len, uint32_t flags)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		desc_at(table, i, at, len, flags | N, (i + 1) % n);
}

static void attack_long(struct victim *t)
{
	/* In none all of RAM is ours to point to; elsewhere the first is as good as the sum. */
	uint64_t half = ram_total() / 2;
	uint32_t q;

	for (q = 0; q < t->v.queues; q++) {
		const struct vring *r = &t->v.ring[q];

		start_for(t, q);
		begin_attack("a loop through the whole queue", q);
		long_chain(r->desc, RING_SIZE, t->v.data, 16, 0);
		ring_offer(&t->v.ring[q], 0);
		deliver(t, q);

		begin_attack("a loop through a table of 256", q);
		long_chain(address(&t->v, TABLE, 0), 256, t->v.data, 16, 0);
		desc(r, 0, address(&t->v, TABLE, 0), 256 * 16, I, 0);
		ring_offer(&t->v.ring[q], 0);
		deliver(t, q);

		begin_attack("a chain of more than 4 GiB", q);
		long_chain(address(&t->v, TABLE, 0), 256, ram_page(0), (uint32_t)half, W);
		desc(r, 0, address(&t->v, TABLE, 0), 256 * 16, I, 0);
		ring_offer(&t->v.ring[q], 0);
		deliver(t, q);
		expect_recovery(t);
	}
}

/* ---- indices ---- */

static void attack_indices(struct victim *t)
{
	static const struct {
		const char *what;
		uint16_t idx;
	} jumps[] = {
		{ "the available index jumps by the queue's size and one", RING_SIZE + 1 },
		{ "the available index jumps by half of all", 0x8000 },
		{ "the available index goes back", 0xffff },
	};
	static const uint16_t heads[] = { RING_SIZE, RING_SIZE + 1, 0x7fff, 0xffff };
	uint32_t q, i;

	for (q = 0; q < t->v.queues; q++) {
		start_for(t, q);
		for (i = 0; i < ARRAY_SIZE(jumps); i++) {
			begin_attack(jumps[i].what, q);
			ring_set_idx(&t->v.ring[q], jumps[i].idx);
			deliver(t, q);
		}
		for (i = 0; i < ARRAY_SIZE(heads); i++) {
			begin_attack("a head outside the table", q);
			ring_offer(&t->v.ring[q], heads[i]);
			deliver(t, q);
		}
		expect_recovery(t);
	}
}

/* ---- features that were not negotiated ---- */

static void attack_features(struct victim *t)
{
	uint64_t all = t->v.wanted;
	uint32_t q;

	for (q = 0; q < t->v.queues; q++) {
		begin_attack("a table without the feature", q);
		t->v.wanted = all & ~FEATURE(F_INDIRECT);
		virtio_start(&t->v);
		desc_at(address(&t->v, TABLE, 0), 0, t->v.data, 64, W, 0);
		desc(&t->v.ring[q], 0, address(&t->v, TABLE, 0), 16, I, 0);
		ring_offer(&t->v.ring[q], 0);
		virtio_kick(&t->v, q);
		if (t->provoke)
			t->provoke(&t->v, q);
		if (!(t->unseen & 1u << q))
			expect_broken(t, q);
		t->v.wanted = all;
		expect_recovery(t);
	}
}

/* ---- a ring that is taken back while the device uses it ---- */

static void attack_taken_back(struct victim *t)
{
	uint32_t q, part;
	uint64_t at;

	if (mode_is(BOOT_NONE))
		return;
	for (q = 0; q < t->v.queues; q++) {
		for (part = 0; part < 3; part++) {
			begin_attack("a part of the ring becomes private", q);
			at = t->v.ring[q].desc + part * PAGE;
			desc(&t->v.ring[q], 0, t->v.data, 64, q == 0 ? W : 0, 0);
			CHECK_ATTACK(unshare(at, 1) == 0, "cannot be taken back");
			/* Not before: the device may look at any time after its start. */
			ring_offer(&t->v.ring[q], 0);
			virtio_kick(&t->v, q);
			if (t->provoke)
				t->provoke(&t->v, q);
			/* Not every device has a use for every part of every queue now. */
			if (part < 2 && !(t->unseen & 1u << q))
				CHECK_ATTACK(virtio_await_broken(&t->v), "does not need a reset");
			CHECK_ATTACK(share(at, 1) == 0, "cannot be shared again");
			expect_recovery(t);
		}
	}
}

/* Stays as it is while the test looks: every device broken, with a chain that loops. */
static void leave_broken(struct victim *t)
{
	uint32_t q;

	for (q = 0; q < t->v.queues; q++) {
		desc(&t->v.ring[q], 0, t->v.data, 16, N, 0);
		ring_offer(&t->v.ring[q], 0);
		virtio_kick(&t->v, q);
	}
}

void guest_main(void)
{
	hostile_start();
	group("rings set up wrong", attack_set_up);
	group("bad chains", attack_chains);
	group("long chains", attack_long);
	group("bad indices", attack_indices);
	group("features not negotiated", attack_features);
	group("rings taken back", attack_taken_back);
	group("left broken", leave_broken);
	quiet();
}
