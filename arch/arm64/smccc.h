/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ARM64_SMCCC_H
#define NACRE_ARM64_SMCCC_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"

/*
 * The hypervisor calls of a `private` guest (SMC Calling Convention, Arm DEN0028): those of pKVM,
 * which Linux with ARM_PKVM_GUEST makes. Pure functions: registers in, registers or a conversion
 * out.
 */
#define SMCCC_VENDOR_FEATURES 0x86000000u
#define SMCCC_HYP_MEMINFO     0xC6000002u
#define SMCCC_MEM_SHARE	      0xC6000003u
#define SMCCC_MEM_UNSHARE     0xC6000004u
#define SMCCC_MMIO_GUARD      0xC6000007u

#define SMCCC_OK		0ULL
#define SMCCC_NOT_SUPPORTED	((uint64_t)-1)
#define SMCCC_INVALID_PARAMETER ((uint64_t)-3)

/* The ranges that the kernel shall forward to us. */
struct smccc_range {
	uint32_t base;
	uint32_t count;
};
extern const struct smccc_range smccc_private_ranges[];
extern const unsigned int smccc_private_range_count;

struct smccc_regs {
	uint64_t x[4];
};

struct smccc_context {
	uint64_t kvm_features; /* what KVM itself offers in FEATURES */
	const struct arch_layout *layout;
};

/*
 * Decodes call `id` with arguments x1-x3. Returns true for a conversion to carry out (*c filled;
 * its result goes through smccc_result); else *r holds the answer in x0-x3.
 */
bool smccc_decode(
	const struct smccc_context *ctx, uint64_t id, struct smccc_regs *r, struct arch_convert *c);

/* x0 for the result of a conversion (0 or -errno). */
uint64_t smccc_result(int result);

#endif
