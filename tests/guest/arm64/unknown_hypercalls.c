/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: hypercalls that are unknown, not on offer in this mode, or malformed get the answer that
 * the SMC Calling Convention (Arm DEN0028) and pKVM's interface give them, and nothing happens.
 */
#include "guest.h"

#define NOT_SUPPORTED (-1)
#define INVALID	      (-3)
/* Bits of FEATURES: HYP_MEMINFO, MEM_SHARE, MEM_UNSHARE, MMIO_GUARD. */
#define CONVERSION_BITS (1u << 2 | 1u << 3 | 1u << 4)
#define MMIO_GUARD_BIT	(1u << 7)

static void expect(int64_t x0, uint64_t id, uint64_t x1, uint64_t x2, uint64_t x3)
{
	int64_t r = (int64_t)hypercall(id, x1, x2, x3);

	CHECK(r == x0, "call 0x%lx(0x%lx, 0x%lx, 0x%lx): %ld, not %ld", id, x1, x2, x3, r, x0);
}

static void check_unknown(void)
{
	static const uint64_t ids[] = { 0xC6000005, 0xC600003e, 0x86000009, 0x8600003e, 0xC4000190,
		0xC4000197, 0x12345678, 0xC5000000, 0x8400ffff };
	struct call c;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(ids); i++) {
		expect(NOT_SUPPORTED, ids[i], 0, 0, 0);
		c = (struct call){ { ids[i], 1, 2, 3 } };
		smc(&c);
		CHECK((int64_t)c.x[0] == NOT_SUPPORTED, "call 0x%lx by SMC: 0x%lx", ids[i], c.x[0]);
	}
}

static void check_none(uint64_t page)
{
	uint64_t bits = hypercall(VENDOR_FEATURES, 0, 0, 0);

	CHECK(!(bits & (CONVERSION_BITS | MMIO_GUARD_BIT)), "FEATURES 0x%lx", bits);
	expect(NOT_SUPPORTED, HYP_MEMINFO, 0, 0, 0);
	expect(NOT_SUPPORTED, MEM_SHARE, page, 0, 0);
	expect(NOT_SUPPORTED, MEM_UNSHARE, page, 0, 0);
	expect(NOT_SUPPORTED, MMIO_GUARD, boot->serial_base, 0, 0);
}

static void check_protected(uint64_t page)
{
	uint64_t bits = hypercall(VENDOR_FEATURES, 0, 0, 0);

	CHECK((bits & CONVERSION_BITS) == CONVERSION_BITS && (bits & 1), "FEATURES 0x%lx", bits);
	expect(PAGE, HYP_MEMINFO, 0, 0, 0);
	expect(INVALID, HYP_MEMINFO, 1, 0, 0);
	expect(INVALID, HYP_MEMINFO, 0, 0, 1);
	expect(INVALID, MEM_SHARE, page, 1, 0);
	expect(INVALID, MEM_SHARE, page, 0, 1ULL << 63);
	expect(INVALID, MEM_UNSHARE, page, 1, 0);
	expect(INVALID, MEM_UNSHARE, page, 0, 1);
	expect(INVALID, MEM_SHARE, page + 8, 0, 0);
}

/* What we say ourselves: x1 to x3 come back as zero, and the guard refuses RAM. */
static void check_private(uint64_t page)
{
	struct call c = { { HYP_MEMINFO, 0, 0, 0 } };

	CHECK(hypercall(VENDOR_FEATURES, 0, 0, 0) & MMIO_GUARD_BIT,
		"FEATURES lacks the MMIO guard");
	hvc(&c);
	CHECK(c.x[0] == PAGE && !c.x[1] && !c.x[2] && !c.x[3], "HYP_MEMINFO leaves 0x%lx", c.x[1]);
	c = (struct call){ { HYP_MEMINFO, 0, 0, 0 } };
	smc(&c);
	CHECK(c.x[0] == PAGE, "HYP_MEMINFO by SMC: 0x%lx", c.x[0]);
	expect(0, MMIO_GUARD, boot->serial_base, 0, 0);
	expect(0, MMIO_GUARD, UNCLAIMED_MMIO, 0, 0);
	expect(INVALID, MMIO_GUARD, boot->serial_base + 8, 0, 0);
	expect(INVALID, MMIO_GUARD, boot->serial_base, 1, 0);
	expect(INVALID, MMIO_GUARD, boot->serial_base, 0, 1);
	expect(INVALID, MMIO_GUARD, page, 0, 0);
	expect(INVALID, MMIO_GUARD, boot->ram[0].base, 0, 0);
	expect(INVALID, MMIO_GUARD, ram_end() - PAGE, 0, 0);
}

void guest_main(void)
{
	uint64_t page = ram_page(0), v = 0;

	page_fill(page, 42);
	check_unknown();
	if (mode_is(BOOT_NONE))
		check_none(page);
	else
		check_protected(page);
	if (mode_is(BOOT_PRIVATE))
		check_private(page);
	CHECK(page_holds(page, 42), "the page has changed");
	CHECK(probe_as_promised(probe(PROBE_PEEK, page, &v)), "the page was converted");
}
