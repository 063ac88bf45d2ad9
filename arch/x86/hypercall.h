/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_X86_HYPERCALL_H
#define NACRE_X86_HYPERCALL_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"

/* KVM_HC_MAP_GPA_RANGE (Documentation/virt/kvm/x86/hypercalls.rst), the one call we take. */
#define X86_HC_MAP_GPA_RANGE   12u
#define X86_MAP_GPA_PRIVATE    (1u << 4)
#define X86_MAP_GPA_PAGE_SIZES 0xfu /* a hint; our granule serves all */
#define X86_HC_EINVAL	       ((uint64_t)-22)
#define X86_HC_ENOSYS	       ((uint64_t)-1000)

/*
 * True for a conversion to carry out (*c filled); else *answer holds the guest's return value.
 * args: gpa, number of 4 KiB pages, attributes.
 */
bool x86_hypercall_decode(
	uint64_t nr, const uint64_t args[3], struct arch_convert *c, uint64_t *answer);

/* The guest's return value for the result (0 or -errno) of a conversion. */
uint64_t x86_hypercall_result(int result);

#endif
