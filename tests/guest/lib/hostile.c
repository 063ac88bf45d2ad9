/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile.h"

struct victim victims[VIRTIO_SLOTS];
uint32_t victim_count;
const struct victim *victim;
uint32_t victim_queue;
const char *attack = "nothing yet";
struct random chance = { 1 };

static struct victim *witness;
static uint32_t attacks;

/* ---- small correct requests ---- */

/* Offers what was put at head, and waits until the device is done with it. */
static uint32_t submit(struct virtio *v, uint32_t q, uint16_t head)
{
	uint32_t len = 0;

	ring_offer(&v->ring[q], head);
	virtio_kick(v, q);
	CHECK(virtio_await_used(v, q, &len),
		"device %u does not answer a correct request after: %s, queue %u, %s; status 0x%x",
		v->id, victim ? victim->name : "start", victim_queue, attack,
		reg_read(v, REG_STATUS));
	return len;
}

/* 5.2.6: a sector, in or out. */
static void blk_transfer(struct virtio *v, uint32_t type, uint64_t at)
{
	struct vring *r = &v->ring[0];
	volatile uint8_t *status = (volatile uint8_t *)where(v->data + 16);

	words(v->data)[0] = type;
	words(v->data)[1] = 0;
	*status = 0xff;
	desc(r, 0, v->data, 16, DESC_NEXT, 1);
	desc(r, 1, at, 512, DESC_NEXT | (type ? 0 : DESC_WRITE), 2);
	desc(r, 2, v->data + 16, 1, DESC_WRITE, 0);
	submit(v, 0, 0);
	CHECK(*status == 0, "disk: status %u after: %s, queue %u, %s", *status,
		victim ? victim->name : "start", victim_queue, attack);
}

static void blk_request(struct virtio *v)
{
	uint64_t out = v->data + PAGE, in = v->data + PAGE + 512;

	words(out)[0] = random_next(&chance);
	words(in)[0] = 0;
	blk_transfer(v, 1, out);
	blk_transfer(v, 0, in);
	CHECK(words(in)[0] == words(out)[0], "disk: read 0x%lx, written was 0x%lx", words(in)[0],
		words(out)[0]);
}

/* 5.1.6.2: a broadcast of an EtherType for experiments. */
static void net_request(struct virtio *v)
{
	uint32_t i;

	for (i = 0; i < 9; i++)
		words(v->data)[i] = 0;
	words(v->data)[1] = 0xffffffff00000000ULL;
	words(v->data)[2] = 0x000000020202ffffULL;
	words(v->data)[3] = 0xb5880200ULL;
	desc(&v->ring[1], 0, v->data, 12 + 60, 0, 0);
	submit(v, 1, 0);
}

/* Goes out among our own lines, and does no harm there. */
static void console_request(struct virtio *v)
{
	words(v->data)[0] = '\r';
	desc(&v->ring[1], 0, v->data, 1, 0, 0);
	submit(v, 1, 0);
}

static void rng_request(struct virtio *v)
{
	uint32_t len;

	words(v->data)[0] = words(v->data)[1] = 0;
	desc(&v->ring[0], 0, v->data, 16, DESC_WRITE, 0);
	len = submit(v, 0, 0);
	CHECK(len == 16 && words(v->data)[0] && words(v->data)[1], "entropy: %u bytes, 0x%lx", len,
		words(v->data)[0]);
}

/* A page that nobody needs goes, and is there when it is touched. */
static void balloon_request(struct virtio *v)
{
	uint64_t page = ram_page(0);

	*(volatile uint32_t *)where(v->data) = (uint32_t)(page / PAGE);
	desc(&v->ring[0], 0, v->data, 4, 0, 0);
	submit(v, 0, 0);
	if (mode_is(BOOT_NONE))
		CHECK(!words(page)[0], "balloon: the page was not given back");
	words(page)[0] = 1;
	CHECK(words(page)[0] == 1, "balloon: the page is gone for good");
}

/* 5.10.6: a REQUEST to a port that nobody listens on; at is a page. */
static void vsock_call(struct virtio *v, uint64_t at)
{
	uint32_t i;

	for (i = 0; i < 6; i++)
		words(at)[i] = 0;
	words(at)[0] = reg_read(v, REG_CONFIG);
	words(at)[1] = 2;
	words(at)[2] = 1000 | 99ULL << 32;
	words(at)[3] = 1ULL << 32 | 1ULL << 48;
	desc(&v->ring[1], 0, at, 44, 0, 0);
}

static void vsock_request(struct virtio *v)
{
	uint64_t answer = v->data + PAGE;
	uint32_t len = 0;

	words(answer)[3] = 0;
	desc(&v->ring[0], 0, answer, 64, DESC_WRITE, 0);
	ring_offer(&v->ring[0], 0);
	vsock_call(v, v->data);
	submit(v, 1, 0);
	CHECK(virtio_await_used(v, 0, &len) && len == 44, "vsock: an answer of %u bytes", len);
	CHECK(words(answer)[3] >> 48 == 3, "vsock: the answer is %u",
		(uint32_t)(words(answer)[3] >> 48));
}

/* It looks for buffers when it has something to say. */
static void vsock_provoke(struct virtio *v, uint32_t q)
{
	if (q != 0)
		return;
	vsock_call(v, v->data);
	ring_offer(&v->ring[1], 0);
	virtio_kick(v, 1);
}

static const struct {
	uint32_t id;
	const char *name;
	void (*request)(struct virtio *v);
	void (*provoke)(struct virtio *v, uint32_t q);
	uint32_t unseen;
} kinds[] = {
	{ VIRTIO_BLK, "disk", blk_request, NULL, 0 },
	{ VIRTIO_NET, "network", net_request, NULL, 0 },
	{ VIRTIO_CONSOLE, "console", console_request, NULL, 0 },
	{ VIRTIO_RNG, "entropy", rng_request, NULL, 0 },
	{ VIRTIO_BALLOON, "balloon", balloon_request, NULL, 0 },
	/* Nothing ever happens that its queue for events would tell of. */
	{ VIRTIO_VSOCK, "vsock", vsock_request, vsock_provoke, 1 << 2 },
};

/* ---- victims and witness ---- */

enum direction direction(const struct virtio *v, uint32_t q)
{
	switch (v->id) {
	case VIRTIO_BLK:
		return BOTH;
	case VIRTIO_RNG:
		return WRITES;
	case VIRTIO_BALLOON:
		return q < 3 ? READS : WRITES;
	default:
		return q == 0 ? WRITES : READS;
	}
}

static void know(struct victim *t)
{
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(kinds) && kinds[i].id != t->v.id; i++)
		continue;
	CHECK(i < ARRAY_SIZE(kinds), "a device of type %u", t->v.id);
	t->name = kinds[i].name;
	t->request = kinds[i].request;
	t->provoke = kinds[i].provoke;
	t->unseen = kinds[i].unseen;
}

void hostile_start(void)
{
	static struct virtio found[VIRTIO_SLOTS];
	uint32_t i;

	victim_count = virtio_find(found);
	CHECK(victim_count >= 2, "%u virtio devices, expected a victim and a witness",
		victim_count);
	for (i = 0; i < victim_count; i++) {
		victims[i].v = found[i];
		know(&victims[i]);
	}
}

/* Entropy; and for entropy another. */
static struct victim *witness_of(const struct victim *t)
{
	struct victim *w = NULL;
	uint32_t i;

	for (i = 0; i < victim_count; i++)
		if (&victims[i] != t && (!w || victims[i].v.id == VIRTIO_RNG))
			w = &victims[i];
	return w;
}

void group(const char *name, void (*fn)(struct victim *t))
{
	uint32_t i;

	for (i = 0; i < victim_count; i++) {
		attacks = 0;
		victim = &victims[i];
		witness = witness_of(victim);
		virtio_start(&witness->v);
		victims[i].v.used = (1u << victims[i].v.queues) - 1;
		virtio_start(&victims[i].v);
		attack = "before the first";
		fn(&victims[i]);
		if (attacks)
			/* In a line of its own, whatever a console was made to print. */
			print("\r\nok %s: %s (%u attacks)\n", name, victim->name, attacks);
	}
}

void start_for(struct victim *t, uint32_t q)
{
	/* Small correct requests use the first two at most. */
	t->v.used = (1u << q | 3) & ((1u << t->v.queues) - 1);
	if (t->v.id == VIRTIO_BALLOON)
		t->v.used = 1u << q | 1;
	virtio_start(&t->v);
}

void begin_attack(const char *what, uint32_t q)
{
	attack = what;
	victim_queue = q;
	attacks++;
}

/* ---- what shall follow ---- */

void expect_broken(struct victim *t, uint32_t q)
{
	uint32_t status, head, len;

	CHECK_ATTACK(virtio_await_broken(&t->v), "the device does not need a reset");
	status = reg_read(&t->v, REG_STATUS);
	if (status & STATUS_DRIVER_OK)
		CHECK_ATTACK(reg_read(&t->v, REG_ISR) & 2, "needs a reset, but tells nobody");
	virtio_kick(&t->v, q);
	CHECK_ATTACK(!ring_take(&t->v.ring[q], &head, &len), "descriptor %u was used", head);
}

void expect_unharmed(struct victim *t)
{
	t->request(&t->v);
	witness->request(&witness->v);
	CHECK_ATTACK(!virtio_broken(&witness->v), "the witness needs a reset");
}

void expect_recovery(struct victim *t)
{
	virtio_start(&t->v);
	CHECK_ATTACK(!virtio_broken(&t->v), "needs a reset right after one");
	expect_unharmed(t);
}

static void stop(uint32_t cpu)
{
	static const char *const modes[] = { "none", "private", "pkvm", "soft-realm", "soft-sev" };

	if (cpu == 0)
		print("\r\nquiet in mode %s\n", modes[boot->protection % ARRAY_SIZE(modes)]);
	halt();
}

void quiet(void)
{
	smp_run(stop);
	halt();
}
