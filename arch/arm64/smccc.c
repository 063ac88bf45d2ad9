/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arm64/smccc.h"

#include "vmm/util/bits.h"

/* Bits of FEATURES: one per function number of the vendor-specific range. */
#define FEATURE_BITS (BIT(2) | BIT(3) | BIT(4) | BIT(7))

const struct smccc_range smccc_private_ranges[] = {
	{ SMCCC_VENDOR_FEATURES, 1 },
	{ SMCCC_HYP_MEMINFO, 3 },
	{ SMCCC_MMIO_GUARD, 1 },
};
const unsigned int smccc_private_range_count = ARRAY_SIZE(smccc_private_ranges);

static void answer(struct smccc_regs *r, uint64_t x0)
{
	*r = (struct smccc_regs){ { x0, 0, 0, 0 } };
}

static bool touches_ram(const struct arch_layout *l, uint64_t page)
{
	unsigned int i;

	for (i = 0; i < l->ram_count; i++)
		if (page - l->ram[i].base.v < l->ram[i].size)
			return true;
	return false;
}

/* Arguments that a call does not use must be zero, so that they can mean something later. */
static bool unused_are_zero(const struct smccc_regs *r, unsigned int from)
{
	unsigned int i;

	for (i = from; i < ARRAY_SIZE(r->x); i++)
		if (r->x[i])
			return false;
	return true;
}

/*
 * Every MMIO access of this guest exits to us anyway: a guard has nothing to switch on. A guest
 * that names its own RAM is mistaken and is told.
 */
static uint64_t mmio_guard(const struct smccc_context *ctx, const struct smccc_regs *r)
{
	if (!is_aligned(r->x[1], PAGE_SIZE) || touches_ram(ctx->layout, r->x[1]) ||
		!unused_are_zero(r, 2))
		return SMCCC_INVALID_PARAMETER;
	return SMCCC_OK;
}

bool smccc_decode(
	const struct smccc_context *ctx, uint64_t id, struct smccc_regs *r, struct arch_convert *c)
{
	switch (id) {
	case SMCCC_VENDOR_FEATURES:
		answer(r, ctx->kvm_features | FEATURE_BITS);
		return false;
	case SMCCC_HYP_MEMINFO:
		answer(r, unused_are_zero(r, 1) ? PAGE_SIZE : SMCCC_INVALID_PARAMETER);
		return false;
	case SMCCC_MEM_SHARE:
	case SMCCC_MEM_UNSHARE:
		if (!unused_are_zero(r, 2)) {
			answer(r, SMCCC_INVALID_PARAMETER);
			return false;
		}
		/* Alignment and range are checked by the conversion itself. */
		*c = (struct arch_convert){ gpa(r->x[1]), PAGE_SIZE, id == SMCCC_MEM_UNSHARE };
		return true;
	case SMCCC_MMIO_GUARD:
		answer(r, mmio_guard(ctx, r));
		return false;
	default:
		answer(r, SMCCC_NOT_SUPPORTED);
		return false;
	}
}

uint64_t smccc_result(int result)
{
	return result ? SMCCC_INVALID_PARAMETER : SMCCC_OK;
}
