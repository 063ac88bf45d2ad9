/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: requests that are wrong for their type of device, in well-formed chains, end as its part of
 * the specification says: the request fails, or is dropped, or the device needs a reset. Whatever it
 * is, the device works afterwards.
 */
#include "hostile.h"

/*
 * What shall follow. Where the specification demands something of the driver and lets the device do
 * as it likes, ours is lenient where nothing can go wrong by that: USED says so.
 */
enum outcome {
	BREAKS, /* DEVICE_NEEDS_RESET */
	USED,	/* the chain comes back, and the device works on as it is */
	EITHER, /* one of the two, or one after the other */
};

#define N DESC_NEXT
#define W DESC_WRITE

/* Data of the requests lies behind what small correct ones use. */
#define AT 8192ULL

/* Bytes of each of three buffers, by kind; a chain is those that are not empty. */
struct shape {
	const char *what;
	uint32_t readable, readable2, writable;
	enum outcome outcome;
	uint64_t head[4]; /* the first bytes */
};

static void offer_shape(struct virtio *v, uint32_t q, const struct shape *s)
{
	const uint32_t len[] = { s->readable, s->readable2, s->writable };
	uint64_t at = v->data + AT;
	uint32_t i, n = 0;

	for (i = 0; i < ARRAY_SIZE(s->head); i++)
		words(at)[i] = s->head[i];
	for (i = 0; i < 3; i++) {
		if (!len[i])
			continue;
		if (n)
			words(v->ring[q].desc)[2 * n - 1] |= (uint64_t)N << 32 | (uint64_t)n << 48;
		desc(&v->ring[q], n++, at, len[i], i == 2 ? W : 0, 0);
		at += len[i];
	}
	ring_offer(&v->ring[q], 0);
	virtio_kick(v, q);
}

static void expect(struct victim *t, uint32_t q, enum outcome outcome)
{
	uint32_t len;
	bool used;

	if (outcome == BREAKS) {
		expect_broken(t, q);
	} else {
		used = virtio_await_used(&t->v, q, &len);
		CHECK_ATTACK(used || outcome == EITHER, "does not come back, status 0x%x",
			reg_read(&t->v, REG_STATUS));
		CHECK_ATTACK(used || virtio_broken(&t->v), "neither comes back nor breaks");
		if (outcome == USED) {
			expect_unharmed(t);
			return;
		}
	}
	expect_recovery(t);
}

static void run(struct victim *t, uint32_t q, const struct shape *shapes, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++) {
		begin_attack(shapes[i].what, q);
		offer_shape(&t->v, q, &shapes[i]);
		expect(t, q, shapes[i].outcome);
	}
}

/* ---- disk: 5.2.6 ---- */

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, ZEROES = 13 };
enum { S_OK = 0, S_IOERR = 1, S_UNSUPP = 2 };
#define BOGUS 0xee

/* In sectors from the disk's end on; the disk has 2048. */
struct blk_case {
	const char *what;
	uint32_t type;
	uint64_t sector;
	uint32_t out, in; /* bytes of data, besides header and status */
	uint8_t status;
	uint64_t range[2]; /* the first bytes of out */
};

static const struct blk_case blk_cases[] = {
	{ "read at the end", IN, 2048, 0, 512, S_IOERR, { 0 } },
	{ "read across the end", IN, 2047, 0, 1024, S_IOERR, { 0 } },
	{ "read at the last sector of all", IN, -1ULL, 0, 512, S_IOERR, { 0 } },
	{ "read where the byte overflows", IN, 1ULL << 55, 0, 512, S_IOERR, { 0 } },
	{ "read of a sector and a byte", IN, 0, 0, 513, S_IOERR, { 0 } },
	{ "read of nothing", IN, 0, 0, 0, S_OK, { 0 } },
	{ "write at the end", OUT, 2048, 512, 0, S_IOERR, { 0 } },
	{ "write at the last sector of all", OUT, -1ULL, 512, 0, S_IOERR, { 0 } },
	{ "write of 511 bytes", OUT, 0, 511, 0, S_IOERR, { 0 } },
	{ "write of what we may write to", OUT, 0, 0, 512, S_OK, { 0 } },
	{ "flush of a sector", FLUSH, 7, 512, 0, S_OK, { 0 } },
	{ "identity into one byte", GET_ID, 0, 0, 1, S_OK, { 0 } },
	{ "identity into nothing", GET_ID, 0, 0, 0, S_OK, { 0 } },
	{ "an unknown type", 1234, 0, 512, 512, S_UNSUPP, { 0 } },
	{ "the last type of all", 0xffffffff, 0, 0, 512, S_UNSUPP, { 0 } },
	{ "a packet command of old", 2, 0, 16, 512, S_UNSUPP, { 0 } },
	{ "discard of no range", DISCARD, 0, 0, 0, S_IOERR, { 0 } },
	{ "discard of half a range", DISCARD, 0, 8, 0, S_IOERR, { 0 } },
	{ "discard of a range and a byte", DISCARD, 0, 17, 0, S_IOERR, { 0, 8 } },
	{ "discard of too many ranges", DISCARD, 0, 4096, 0, S_IOERR, { 0, 8 } },
	{ "discard at the end", DISCARD, 0, 16, 0, S_IOERR, { 2048, 8 } },
	{ "discard of the last sectors of all", DISCARD, 0, 16, 0, S_IOERR, { -8ULL, 8 } },
	{ "discard of 2^32 - 1 sectors", DISCARD, 0, 16, 0, S_IOERR, { 0, 0xffffffff } },
	{ "discard with unknown flags", DISCARD, 0, 16, 0, S_UNSUPP, { 0, 8 | 1ULL << 63 } },
	{ "discard that unmaps", DISCARD, 0, 16, 0, S_UNSUPP, { 0, 8 | 1ULL << 32 } },
	{ "zeroes at the end", ZEROES, 0, 16, 0, S_IOERR, { 2041, 8 } },
	{ "zeroes of 2^32 - 1 sectors", ZEROES, 0, 16, 0, S_IOERR, { 0, 0xffffffff } },
	{ "zeroes with unknown flags", ZEROES, 0, 16, 0, S_UNSUPP, { 0, 8 | 1ULL << 62 } },
};

static void attack_disk(struct victim *t)
{
	static const struct shape shapes[] = {
		{ "a header of one byte", 1, 0, 1, BREAKS, { 0 } },
		{ "a header of 15 bytes", 15, 0, 512, BREAKS, { 0 } },
		{ "no header", 0, 0, 529, BREAKS, { 0 } },
		{ "no room for the status", 16, 512, 0, BREAKS, { OUT } },
		{ "a read without room for the status", 16, 0, 0, BREAKS, { IN } },
		{ "a header in two parts", 3, 13, 513, USED, { IN } },
	};
	volatile uint8_t *status;
	uint32_t i;

	run(t, 0, shapes, ARRAY_SIZE(shapes));
	for (i = 0; i < ARRAY_SIZE(blk_cases); i++) {
		const struct blk_case *c = &blk_cases[i];
		struct shape s = { c->what, 16, c->out, c->in + 1, USED,
			{ c->type, c->sector, c->range[0], c->range[1] } };

		begin_attack(c->what, 0);
		status = (volatile uint8_t *)where(t->v.data + AT + 16 + c->out + c->in);
		*status = BOGUS;
		offer_shape(&t->v, 0, &s);
		expect(t, 0, USED);
		CHECK_ATTACK(*status == c->status, "status %u, expected %u", *status, c->status);
	}
}

/* ---- network: 5.1.6 ---- */

/* Fields of the header that stands before each frame, as its first eight bytes. */
#define NET_HEAD(flags, gso, size, start) \
	((flags) | (uint64_t)(gso) << 8 | (uint64_t)(size) << 32 | (uint64_t)(start) << 48)

static void attack_network(struct victim *t)
{
	static const struct shape to_send[] = {
		{ "a header of 11 bytes", 11, 0, 0, BREAKS, { 0 } },
		{ "a frame to write to", 0, 0, 100, BREAKS, { 0 } },
		{ "a frame with a part to write to", 12, 60, 8, BREAKS, { 0 } },
		/* These are dropped, as frames may be. */
		{ "no frame", 12, 0, 0, USED, { 0 } },
		{ "a frame of 13 bytes", 12, 13, 0, USED, { 0 } },
		{ "a frame of 32 KiB", 12, 32768, 0, USED, { 0 } },
		{ "a checksum behind the end", 12, 60, 0, USED,
			{ NET_HEAD(1, 0, 0, 65535), 65535 } },
		{ "an unknown segmentation", 12, 60, 0, USED, { NET_HEAD(1, 0x7f, 100, 34), 16 } },
		{ "segments of no bytes", 12, 60, 0, USED, { NET_HEAD(1, 1, 0, 34), 16 } },
		{ "segments without a checksum", 12, 60, 0, USED, { NET_HEAD(0, 1, 100, 34), 16 } },
		{ "nothing but ECN", 12, 60, 0, USED, { NET_HEAD(1, 0x80, 100, 34), 16 } },
		{ "UDP segments", 12, 60, 0, USED, { NET_HEAD(1, 3, 100, 34), 16 } },
		{ "segments of a frame that has none", 12, 60, 0, USED,
			{ NET_HEAD(1, 1, 1, 0), 0 } },
		{ "all flags", 12, 60, 0, USED, { -1ULL, -1ULL } },
		{ "a header in two parts", 5, 67, 0, USED, { 0 } },
	};
	static const struct shape to_receive[] = {
		{ "room for less than a header", 0, 0, 11, BREAKS, { 0 } },
		{ "a buffer to read from", 1600, 0, 0, BREAKS, { 0 } },
		{ "a buffer with a part to read from", 12, 0, 1600, BREAKS, { 0 } },
	};

	run(t, 0, to_receive, ARRAY_SIZE(to_receive));
	run(t, 1, to_send, ARRAY_SIZE(to_send));
}

/* ---- sockets: 5.10.6 ---- */

#define STREAM 1ULL
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };
#define PORTS (1000 | 77ULL << 32)
#define VSOCK(len, op)                                                   \
	{                                                                \
		3, 2, PORTS, (len) | STREAM << 32 | (uint64_t)(op) << 48 \
	}
#define ANSWERS 64u

/* Offers one of them, if the ring has room within some time. */
static bool send_one(struct virtio *v)
{
	static const struct shape s = { "", 44, 0, 0, USED, VSOCK(0, RW) };
	struct vring *r = &v->ring[1];
	uint32_t head, len, looks;

	for (looks = 0; looks < 1000; looks++) {
		while (ring_take(r, &head, &len))
			continue;
		if ((uint16_t)(r->idx - r->last_used) < r->size) {
			offer_shape(v, 1, &s);
			return true;
		}
		/* An exit: time for the device. */
		(void)virtio_broken(v);
	}
	return false;
}

/* 256 packets for no connection may wait for room for their answers; the others are not taken. */
static void flood(struct victim *t)
{
	struct vring *rx = &t->v.ring[0];
	uint32_t head, len, sent = 0, answers = 0, looks;

	begin_attack("packets for no connection, and no room for answers", 1);
	while (sent < 300 && send_one(&t->v))
		sent++;
	CHECK_ATTACK(!virtio_broken(&t->v), "the device needs a reset");
	CHECK_ATTACK(sent == 256u + t->v.ring[1].size, "%u packets were taken", sent);
	/* Now there is room. */
	for (looks = 0; looks < 20000 && answers < sent; looks++) {
		if ((uint16_t)(rx->idx - rx->last_used) < rx->size) {
			desc(rx, 0, t->v.data, ANSWERS, W, 0);
			ring_offer(rx, 0);
			virtio_kick(&t->v, 0);
		}
		(void)virtio_broken(&t->v);
		answers += ring_take(rx, &head, &len);
	}
	CHECK_ATTACK(answers == sent, "%u answers to %u packets", answers, sent);
	expect_recovery(t);
}

static void attack_vsock(struct victim *t)
{
	static const struct shape to_send[] = {
		{ "a header of 43 bytes", 43, 0, 0, BREAKS, VSOCK(0, RST) },
		{ "a packet to write to", 0, 0, 44, BREAKS, { 0 } },
		{ "a packet with a part to write to", 44, 0, 8, BREAKS, VSOCK(0, RST) },
		{ "one byte of data that is not there", 44, 0, 0, BREAKS, VSOCK(1, RW) },
		{ "2^32 - 1 bytes of data", 44, 64, 0, BREAKS, VSOCK(0xffffffff, RW) },
		/* None of these has an answer. */
		{ "a sender that we are not", 44, 0, 0, USED,
			{ 4, 2, PORTS, STREAM << 32 | 1ULL << 48 } },
		{ "a sender that is the host", 44, 0, 0, USED,
			{ 2, 2, PORTS, STREAM << 32 | 1ULL << 48 } },
		{ "a reset of no connection", 44, 0, 0, USED, VSOCK(0, RST) },
	};
	/* To these there is one. */
	static const struct shape refused[] = {
		{ "a receiver that is not there", 44, 0, 0, USED,
			{ 3, 77, PORTS, STREAM << 32 | 1ULL << 48 } },
		{ "a receiver of 64 bits", 44, 0, 0, USED,
			{ 3, -1ULL, PORTS, STREAM << 32 | 1ULL << 48 } },
		{ "an unknown type", 44, 0, 0, USED, { 3, 2, PORTS, 99ULL << 32 | 1ULL << 48 } },
		{ "operation 0", 44, 0, 0, USED, VSOCK(0, 0) },
		{ "operation 65535", 44, 0, 0, USED, VSOCK(0, 65535) },
		{ "a response to nobody", 44, 0, 0, USED, VSOCK(0, RESPONSE) },
		{ "data for nobody", 44, 64, 0, USED, VSOCK(64, RW) },
		{ "less data than there is", 44, 64, 0, USED, VSOCK(1, RW) },
		{ "the end of nothing", 44, 0, 0, USED, VSOCK(0, SHUTDOWN) },
		{ "credit for nobody", 44, 0, 0, USED, VSOCK(0, CREDIT_UPDATE) },
		{ "credit from nobody", 44, 0, 0, USED, VSOCK(0, CREDIT_REQUEST) },
	};
	static const struct shape to_receive[] = {
		{ "room for a header and no more", 0, 0, 44, BREAKS, { 0 } },
		{ "a buffer to read from", 64, 0, 0, BREAKS, { 0 } },
		{ "a buffer with a part to read from", 8, 0, 64, BREAKS, { 0 } },
	};
	uint32_t i, len;

	run(t, 1, to_send, ARRAY_SIZE(to_send));
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		begin_attack(refused[i].what, 1);
		desc(&t->v.ring[0], 0, t->v.data, ANSWERS, W, 0);
		ring_offer(&t->v.ring[0], 0);
		offer_shape(&t->v, 1, &refused[i]);
		CHECK_ATTACK(virtio_await_used(&t->v, 0, &len) && len == 44, "no answer");
		CHECK_ATTACK(words(t->v.data)[3] >> 48 == RST, "answered by %u",
			(uint32_t)(words(t->v.data)[3] >> 48));
		expect(t, 1, USED);
	}
	for (i = 0; i < ARRAY_SIZE(to_receive); i++) {
		begin_attack(to_receive[i].what, 0);
		offer_shape(&t->v, 0, &to_receive[i]);
		t->provoke(&t->v, 0);
		expect(t, 0, BREAKS);
	}
	flood(t);
}

/* ---- balloon: 5.5.6 ---- */

#define PFNS(a, b) ((uint32_t)(a) | (uint64_t)(b) << 32)

static void attack_balloon(struct victim *t)
{
	static const struct shape lists[] = {
		{ "a list of 3 bytes", 3, 0, 0, BREAKS, { 0 } },
		{ "a list of 5 bytes", 5, 0, 0, BREAKS, { 0 } },
		{ "a list to write to", 0, 0, 4, BREAKS, { 0 } },
		{ "a list with a part to write to", 4, 0, 4, BREAKS, { 0 } },
	};
	static const struct shape inflated[] = {
		{ "the last page of all", 4, 0, 0, BREAKS, { PFNS(0xffffffff, 0) } },
		{ "the interrupt controller", 4, 0, 0, BREAKS, { PFNS(IRQ_CHIP / PAGE, 0) } },
		{ "a virtio slot", 4, 0, 0, BREAKS, { PFNS(VIRTIO_BASE / PAGE, 0) } },
	};
	static const struct shape stats[] = {
		{ "statistics to write to", 0, 0, 20, BREAKS, { 0 } },
		{ "statistics with a part to write to", 20, 0, 20, BREAKS, { 0 } },
	};
	static const struct shape reported[] = {
		{ "free pages to read from", 4096, 0, 0, BREAKS, { 0 } },
		{ "free pages with a part to read from", 4096, 0, 4096, BREAKS, { 0 } },
		{ "a free range of no whole page", 0, 0, 4095, USED, { 0 } },
	};
	struct shape end = { "a page behind the end of RAM", 8, 0, 0, BREAKS, { 0 } };
	struct shape own = { "the rings", 4, 0, 0, EITHER, { 0 } };
	struct shape code = { "our own code", 4, 0, 0, BREAKS, { 0 } };
	uint64_t free = ram_page(0) / PAGE;

	run(t, 0, lists, ARRAY_SIZE(lists));
	run(t, 0, inflated, ARRAY_SIZE(inflated));
	run(t, 1, lists, ARRAY_SIZE(lists));
	end.head[0] = PFNS(free, ram_end() / PAGE);
	run(t, 0, &end, 1);
	code.head[0] = boot->staging_base / PAGE + 16;
	run(t, 0, &code, 1);
	/* Zeroes where the device reads the rest of what it was told, and nobody is to blame but us. */
	own.head[0] = t->v.ring[0].avail / PAGE;
	run(t, 0, &own, 1);
	own.head[0] = t->v.ring[0].used / PAGE;
	run(t, 0, &own, 1);
	own.head[0] = t->v.ring[0].desc / PAGE;
	run(t, 0, &own, 1);
	if (t->v.queues > 2) {
		static const struct shape odd = { "statistics of 7 bytes", 7, 0, 0, EITHER, { 0 } };

		run(t, 2, stats, ARRAY_SIZE(stats));
		begin_attack("a second report while the first is held", 2);
		offer_shape(&t->v, 2, &odd);
		offer_shape(&t->v, 2, &odd);
		expect(t, 2, BREAKS);
	}
	if (t->v.queues > 4)
		run(t, 4, reported, ARRAY_SIZE(reported));
}

/* ---- console and entropy: 5.3.6, 5.4.6 ---- */

static void attack_console(struct victim *t)
{
	static const struct shape to_send[] = {
		{ "output to write to", 0, 0, 4, BREAKS, { 0 } },
		{ "output with a part to write to", 1, 0, 4, BREAKS, { '\r' } },
		{ "output in two parts", 1, 1, 0, USED, { 0x0d0d } },
	};
	static const struct shape to_receive[] = {
		{ "input to read from", 4, 0, 0, BREAKS, { 0 } },
		{ "input with a part to read from", 4, 0, 4, BREAKS, { 0 } },
	};

	run(t, 0, to_receive, ARRAY_SIZE(to_receive));
	run(t, 1, to_send, ARRAY_SIZE(to_send));
}

static void attack_entropy(struct victim *t)
{
	static const struct shape shapes[] = {
		{ "entropy to read from", 16, 0, 0, BREAKS, { 0 } },
		{ "entropy with a part to read from", 1, 0, 16, BREAKS, { 0 } },
		{ "entropy for 36 KiB", 0, 0, 36864, USED, { 0 } },
	};
	uint32_t i;

	run(t, 0, shapes, ARRAY_SIZE(shapes));
	/* More than the queue is long, which only the driver is told not to do (2.7.5.3.1). */
	begin_attack("a table longer than the queue", 0);
	for (i = 0; i < 256; i++)
		desc_at(t->v.data + AT, i, t->v.data + AT + PAGE, 16, W | (i < 255 ? N : 0), i + 1);
	desc(&t->v.ring[0], 0, t->v.data + AT, 256 * 16, DESC_INDIRECT, 0);
	ring_offer(&t->v.ring[0], 0);
	virtio_kick(&t->v, 0);
	expect(t, 0, USED);
}

static void attack_requests(struct victim *t)
{
	switch (t->v.id) {
	case VIRTIO_BLK:
		attack_disk(t);
		break;
	case VIRTIO_NET:
		attack_network(t);
		break;
	case VIRTIO_VSOCK:
		attack_vsock(t);
		break;
	case VIRTIO_BALLOON:
		attack_balloon(t);
		break;
	case VIRTIO_CONSOLE:
		attack_console(t);
		break;
	default:
		attack_entropy(t);
		break;
	}
}

/*
 * Stays as it is while the test looks: on every queue of every device a ring full of the same chain,
 * which it may take, fail at, or leave where it is.
 */
static void leave_full(struct victim *t)
{
	uint32_t q, i;

	for (q = 0; q < t->v.queues; q++) {
		desc(&t->v.ring[q], 0, t->v.data, 64, 0, 0);
		for (i = 0; i < t->v.ring[q].size; i++)
			ring_offer(&t->v.ring[q], 0);
		virtio_kick(&t->v, q);
	}
}

void guest_main(void)
{
	hostile_start();
	group("bad requests", attack_requests);
	group("left full", leave_full);
	quiet();
}
