/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/kvm.h"

#include <errno.h>
#include <sys/ioctl.h>

int kvm_preferred_target(int vm, struct kvm_vcpu_init *init, struct err *e)
{
	return KVM_IOCTL(vm, KVM_ARM_PREFERRED_TARGET, init, e);
}

int kvm_vcpu_init(int vcpu, const struct kvm_vcpu_init *init, struct err *e)
{
	struct kvm_vcpu_init copy = *init;

	return KVM_IOCTL(vcpu, KVM_ARM_VCPU_INIT, &copy, e);
}

/* seccomp vcpu: ioctl:KVM_GET_ONE_REG ioctl:KVM_SET_ONE_REG -- calls that we answer */
int kvm_get_reg(int vcpu, uint64_t id, void *value, struct err *e)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uint64_t)(uintptr_t)value };
	int r = ioctl(vcpu, KVM_GET_ONE_REG, &reg);

	return r < 0 ? err_sys(e, "KVM_GET_ONE_REG (0x%llx)", (unsigned long long)id) : 0;
}

int kvm_set_reg(int vcpu, uint64_t id, const void *value, struct err *e)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uint64_t)(uintptr_t)value };
	int r = ioctl(vcpu, KVM_SET_ONE_REG, &reg);

	return r < 0 ? err_sys(e, "KVM_SET_ONE_REG (0x%llx)", (unsigned long long)id) : 0;
}
