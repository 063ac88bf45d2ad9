/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_X86_FEATURES_H
#define NACRE_X86_FEATURES_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/features.h"
#include "arch/x86/cpuid.h"

/*
 * The x86 features that arch_feature_hide knows; a set of them has bit 1 << feature. Each stands
 * behind those that it needs.
 */
enum x86_feature {
	/* KVM's own, of leaf 0x40000001. */
	X86_KVMCLOCK,
	X86_NOP_IO_DELAY,
	X86_ASYNC_PF,
	X86_STEAL_TIME,
	X86_PV_EOI,
	X86_PV_UNHALT,
	X86_PV_TLB_FLUSH,
	X86_PV_SEND_IPI,
	X86_PV_SCHED_YIELD,
	X86_POLL_CONTROL,
	X86_MSI_EXT_DEST_ID,
	/* The processor's. */
	X86_X2APIC,
	X86_TSC_DEADLINE,
	X86_INVTSC,
	X86_PMU,
	X86_VMX,
	X86_SVM,
	X86_XSAVE,
	X86_AVX,
	X86_AVX2,
	X86_AVX512,
	X86_AMX,
	X86_PKU,
	X86_TSX,
	X86_LA57,
	X86_RDRAND,
	X86_RDSEED,
	X86_FEATURES
};

static inline bool x86_feature_hidden(uint64_t hidden, enum x86_feature f)
{
	return hidden >> f & 1;
}

/* Takes the bits, leaves and state components of these features out of the entries. */
void x86_features_withdraw(struct x86_cpuid *entries, uint32_t count, uint64_t hidden);

#endif
