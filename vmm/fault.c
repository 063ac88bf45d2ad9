/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/fault.h"

#include <errno.h>
#include <string.h>

#include "mem/convert.h"
#include "vmm/kvm_abi.h"
#include "vmm/util/log.h"
#include "vmm/vm.h"

/* At the start of the union that follows the exit's reason. */
static struct abi_memory_fault fault_read(const struct kvm_run *run)
{
	struct abi_memory_fault f;

	memcpy(&f, (const char *)&run->hw, sizeof(f));
	return f;
}

unsigned long long fault_gpa(const struct kvm_run *run)
{
	return fault_read(run).gpa;
}

bool fault_is_conversion(struct vcpu *v, int code)
{
	struct abi_memory_fault f = fault_read(v->run);
	struct arch_convert c = { gpa(f.gpa), f.size, (f.flags & ABI_FAULT_PRIVATE) != 0 };
	const char *want = c.to_private ? "private" : "shared",
		   *is = c.to_private ? "shared" : "private";
	struct vm *vm = v->vm;
	struct err e;

	/* A page of the kind that was wanted: the host could not provide it. */
	if (code != -EFAULT || vm->config.conversion != CONVERSION_ATTRIBUTES ||
		convert_check(vm->mem, c.gpa, c.len, &e) ||
		convert_is_noop(vm->mem, c.gpa, c.len, c.to_private))
		return false;
	if (vm->config.implicit == IMPLICIT_DENY)
		vm_end(vm, VM_FAILED,
			"vCPU %u: the guest used gpa 0x%llx as %s memory, which is %s, without "
			"asking for a conversion (--implicit-conversion allow makes it one, and "
			"the page loses its content)",
			v->index, (unsigned long long)f.gpa, want, is);
	else if (vm_convert(vm, v, &c))
		vm_end(vm, VM_FAILED,
			"vCPU %u: gpa 0x%llx cannot be made %s, as which the guest used it",
			v->index, (unsigned long long)f.gpa, want);
	else
		log_debug("vCPU %u: gpa 0x%llx became %s by an access", v->index,
			(unsigned long long)f.gpa, want);
	return true;
}
