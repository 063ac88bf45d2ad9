/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/hypercall.h"

#include "vmm/util/bits.h"

bool x86_hypercall_decode(
	uint64_t nr, const uint64_t args[3], struct arch_convert *c, uint64_t *answer)
{
	uint64_t pages = args[1], attributes = args[2];

	if (nr != X86_HC_MAP_GPA_RANGE) {
		*answer = X86_HC_ENOSYS;
		return false;
	}
	/* A page count whose bytes overflow must not come out as a small length. */
	if ((attributes & ~(uint64_t)(X86_MAP_GPA_PRIVATE | X86_MAP_GPA_PAGE_SIZES)) ||
		pages > UINT64_MAX / PAGE_SIZE) {
		*answer = X86_HC_EINVAL;
		return false;
	}
	*c = (struct arch_convert){ gpa(args[0]), pages * PAGE_SIZE,
		(attributes & X86_MAP_GPA_PRIVATE) != 0 };
	return true;
}

uint64_t x86_hypercall_result(int result)
{
	return result ? X86_HC_EINVAL : 0;
}
