/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ARM64_REGS_H
#define NACRE_ARM64_REGS_H

/* Numbers of registers for kvm_get_reg and kvm_set_reg. arm64 only: they come from its headers. */
#include "vmm/kvm_abi.h"

#define REG_CORE(field) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define REG_X(n)   (REG_CORE(regs.regs[0]) + (uint64_t)(n)*2)
#define REG_PC	   REG_CORE(regs.pc)
#define REG_PSTATE REG_CORE(regs.pstate)
#define REG_SCTLR  ARM64_SYS_REG(3, 0, 1, 0, 0) /* SCTLR_EL1 */
/* Which of KVM's own vendor calls the guest sees: a firmware pseudo-register. */
#define REG_VENDOR_HYP (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | (0x16ULL << 16) | 2)

#endif
