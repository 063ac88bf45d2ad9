/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: registers take anything, in any order and of any size. What comes at the wrong time or
 * does not exist changes nothing; what is nonsense lasts until the next reset.
 */
#include "hostile.h"

#define ALL_STATUS (STATUS_ACK | STATUS_DRIVER | STATUS_FEATURES_OK | STATUS_DRIVER_OK)

static uint32_t select(struct victim *t, uint32_t q, uint64_t reg)
{
	reg_write(&t->v, REG_QUEUE_SEL, q);
	return reg_read(&t->v, reg);
}

/* ---- the order of 3.1 ---- */

static void attack_negotiation(struct victim *t)
{
	struct virtio *v = &t->v;
	uint32_t bit;

	begin_attack("running before features are agreed", 0);
	virtio_reset(v);
	reg_write(v, REG_STATUS, STATUS_ACK | STATUS_DRIVER | STATUS_DRIVER_OK);
	CHECK_ATTACK(!(reg_read(v, REG_STATUS) & STATUS_DRIVER_OK), "accepted");

	begin_attack("a driver that has acknowledged nothing", 0);
	virtio_reset(v);
	reg_write(v, REG_STATUS, STATUS_DRIVER);
	CHECK_ATTACK(!reg_read(v, REG_STATUS), "accepted");

	begin_attack("no feature at all", 0);
	virtio_reset(v);
	CHECK_ATTACK(!virtio_negotiate(v, 0), "accepted");

	begin_attack("all features", 0);
	virtio_reset(v);
	CHECK_ATTACK(!virtio_negotiate(v, -1ULL), "accepted");

	begin_attack("a feature that is not offered", 0);
	for (bit = 0; bit < 64; bit += 3) {
		if (v->features & FEATURE(bit))
			continue;
		virtio_reset(v);
		CHECK_ATTACK(!virtio_negotiate(v, v->wanted | FEATURE(bit)), "bit %u", bit);
	}

	begin_attack("private memory is not spoken of", 0);
	virtio_reset(v);
	CHECK_ATTACK(virtio_negotiate(v, v->wanted & ~FEATURE(F_PLATFORM)) == mode_is(BOOT_NONE),
		"status 0x%x", reg_read(v, REG_STATUS));

	begin_attack("status bits taken back", 0);
	virtio_start(v);
	reg_write(v, REG_STATUS, STATUS_ACK);
	CHECK_ATTACK(reg_read(v, REG_STATUS) == ALL_STATUS, "status 0x%x", reg_read(v, REG_STATUS));
	expect_unharmed(t);

	begin_attack("features changed while it runs", 0);
	virtio_start(v);
	reg_write(v, REG_DRIVER_FEATURES, 0xffffffff);
	expect_unharmed(t);

	begin_attack("a driver that gave up", 0);
	reg_write(v, REG_STATUS, 0x80);
	reg_write(v, REG_STATUS, ALL_STATUS | 0x80);
	expect_recovery(t);
}

/* ---- queues at the wrong time ---- */

static void attack_queues(struct victim *t)
{
	static const uint32_t none[] = { VIRTIO_QUEUES, 31, 255, 65536, 0x80000000, 0xffffffff };
	struct virtio *v = &t->v;
	uint32_t q, i;

	for (q = 0; q < v->queues; q++) {
		begin_attack("enabled before features are agreed", q);
		virtio_reset(v);
		CHECK_ATTACK(!virtio_enable(v, q), "accepted");

		begin_attack("enabled twice", q);
		virtio_start(v);
		reg_write(v, REG_QUEUE_SEL, q);
		reg_write(v, REG_QUEUE_READY, 1);
		expect_unharmed(t);

		begin_attack("moved while it is ready", q);
		reg_write(v, REG_QUEUE_SEL, q);
		reg_write64(v, REG_DESC, -1ULL);
		reg_write64(v, REG_AVAIL, 1);
		reg_write64(v, REG_USED, 3);
		reg_write(v, REG_QUEUE_NUM, 0);
		expect_unharmed(t);

		begin_attack("enabled once more while the device runs", q);
		reg_write(v, REG_QUEUE_SEL, q);
		reg_write(v, REG_QUEUE_READY, 0);
		reg_write(v, REG_QUEUE_READY, 1);
		CHECK_ATTACK(!reg_read(v, REG_QUEUE_READY), "accepted");
		virtio_kick(v, q);
		expect_recovery(t);
	}
	begin_attack("queues that are not there", 0);
	for (i = 0; i < ARRAY_SIZE(none); i++) {
		CHECK_ATTACK(!select(t, none[i], REG_QUEUE_NUM_MAX), "queue %u", none[i]);
		reg_write(v, REG_QUEUE_NUM, 16);
		reg_write64(v, REG_DESC, v->data);
		reg_write(v, REG_QUEUE_READY, 1);
		CHECK_ATTACK(!reg_read(v, REG_QUEUE_READY), "queue %u is ready", none[i]);
		reg_write(v, REG_QUEUE_RESET, 1);
		CHECK_ATTACK(!reg_read(v, REG_QUEUE_RESET), "queue %u is being reset", none[i]);
		virtio_kick(v, none[i]);
	}
	expect_unharmed(t);
	begin_attack("a device that runs without queues", 0);
	virtio_reset(v);
	CHECK_ATTACK(virtio_negotiate(v, v->wanted), "refused");
	reg_write(v, REG_STATUS, ALL_STATUS);
	for (q = 0; q < v->queues; q++)
		virtio_kick(v, q);
	expect_recovery(t);
}

/* ---- any access anywhere ---- */

/* x86 and arm64's uncached memory allow any alignment; the page behind is another device's. */
static void access(const struct virtio *v, uint64_t off, uint32_t size, bool write, uint64_t value)
{
	uint64_t at = v->base + off + (off % size ? MMIO_UNALIGNED : 0);

	if (size == 1)
		write ? mmio_write8(at, (uint8_t)value) : (void)mmio_read8(at);
	else if (size == 2)
		write ? mmio_write16(at, (uint16_t)value) : (void)mmio_read16(at);
	else if (size == 4)
		write ? mmio_write32(at, (uint32_t)value) : (void)mmio_read32(at);
	else
		write ? mmio_write64(at, value) : (void)mmio_read64(at);
}

static bool is_control(uint64_t off, uint32_t size)
{
	return off < REG_CONFIG && size == 4 && off % 4 == 0;
}

static void attack_sizes(struct victim *t)
{
	static const uint64_t ends[] = { 0x1f8, 0x3ff, 0x7fe, 0xff0, 0xff8 };
	uint32_t size, i;
	uint64_t off;

	/* Where sizes are wrong nothing happens, so the device runs on. */
	virtio_start(&t->v);
	for (size = 1; size <= 8; size *= 2) {
		begin_attack("control registers, accessed with a wrong size", size);
		for (off = 0; off < REG_CONFIG; off++) {
			/* Each register, and some of what lies between. */
			if ((off % 4 && off % 7) || is_control(off, size) ||
				off + size > REG_CONFIG)
				continue;
			access(&t->v, off, size, false, 0);
			access(&t->v, off, size, true, off % 8 ? -1ULL : 0);
		}
		CHECK_ATTACK(reg_read(&t->v, REG_STATUS) == ALL_STATUS, "status 0x%x",
			reg_read(&t->v, REG_STATUS));
		expect_unharmed(t);

		begin_attack("configuration, accessed with any size", size);
		for (off = REG_CONFIG; off < REG_CONFIG + 0x48; off += size == 1 ? 1 : 3) {
			access(&t->v, off, size, false, 0);
			access(&t->v, off, size, true, random_next(&chance));
		}
		for (i = 0; i < ARRAY_SIZE(ends); i++) {
			access(&t->v, ends[i], size, false, 0);
			access(&t->v, ends[i], size, true, -1ULL);
		}
		expect_unharmed(t);
	}
	begin_attack("the control registers that can only be read", 4);
	for (off = 0; off < REG_CONFIG; off += 4)
		if (off < REG_DEVICE_FEATURES_SEL || off == REG_DEVICE_FEATURES ||
			off > REG_QUEUE_RESET)
			reg_write(&t->v, off, 0xffffffff);
	expect_unharmed(t);
}

static void attack_any(struct victim *t)
{
	uint32_t round, i;

	for (round = 0; round < 5; round++) {
		begin_attack("any value in any register", round);
		for (i = 0; i < 60; i++) {
			uint64_t off = 4 * random_below(&chance, 0x120 / 4);
			uint64_t value = random_next(&chance);

			/* Small ones mean more. */
			access(&t->v, off, 4, random_below(&chance, 2),
				random_below(&chance, 2) ? value % 32 : value);
		}
		expect_recovery(t);
	}
}

/* Stays as it is while the test looks: set up, running, and asked again and again before that. */
static void leave_notified(struct victim *t)
{
	uint32_t i;

	for (i = 0; i < 100; i++)
		virtio_kick(&t->v, i % (t->v.queues + 1));
}

void guest_main(void)
{
	hostile_start();
	group("the order of negotiation", attack_negotiation);
	group("queues at the wrong time", attack_queues);
	/* The same in all modes, and emulated hosts are slow. */
	if (mode_is(BOOT_NONE)) {
		group("accesses of any size", attack_sizes);
		group("random registers", attack_any);
	}
	group("left notified", leave_notified);
	quiet();
}
