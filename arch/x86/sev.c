/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/sev.h"

bool x86_sev_msr(uint32_t index, bool is_write, uint64_t *data)
{
	switch (index) {
	case X86_MSR_SEV:
		*data = X86_MSR_SEV_ENABLED;
		return !is_write;
	case X86_MSR_KVM_MIGRATION:
		if (is_write)
			return !(*data & ~(uint64_t)X86_MSR_MIGRATION_READY);
		*data = 0;
		return true;
	default:
		return false;
	}
}
