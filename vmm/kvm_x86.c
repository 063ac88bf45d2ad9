/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/kvm.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#define CPUID_ENTRIES_MAX 4096u

int kvm_supported_cpuid(int kvm, struct kvm_cpuid2 **out, struct err *e)
{
	unsigned int room;

	/* KVM does not say how many entries there will be, only E2BIG when they do not fit. */
	for (room = 128; room <= CPUID_ENTRIES_MAX; room *= 2) {
		struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + room * sizeof(c->entries[0]));

		if (!c)
			return err_set(e, -ENOMEM, "KVM_GET_SUPPORTED_CPUID: out of memory");
		c->nent = room;
		if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, c) == 0) {
			*out = c;
			return 0;
		}
		free(c);
		if (errno != E2BIG)
			return err_sys(e, "KVM_GET_SUPPORTED_CPUID");
	}
	return err_set(
		e, -E2BIG, "KVM_GET_SUPPORTED_CPUID: more than %u entries", CPUID_ENTRIES_MAX);
}

int kvm_set_cpuid(int vcpu, const struct kvm_cpuid2 *cpuid, struct err *e)
{
	return KVM_IOCTL(vcpu, KVM_SET_CPUID2, (void *)(uintptr_t)cpuid, e);
}

int kvm_create_irqchip(int vm, struct err *e)
{
	return KVM_IOCTL(vm, KVM_CREATE_IRQCHIP, NULL, e);
}

int kvm_create_pit(int vm, struct err *e)
{
	/* The dummy speaker port keeps guests that poke port 0x61 from exiting to us. */
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

	struct kvm_reinject_control reinject = { .pit_reinject = 0 };
	int r = KVM_IOCTL(vm, KVM_CREATE_PIT2, &pit, e);

	/*
	 * Ticks that were late are lost rather than delivered in a row: on a busy host a guest
	 * could otherwise do nothing but catch up. Guests keep time by better clocks.
	 */
	return r < 0 ? r : KVM_IOCTL(vm, KVM_REINJECT_CONTROL, &reinject, e);
}

/* seccomp control: ioctl:KVM_KVMCLOCK_CTRL -- the guest goes on after a pause */
int kvm_tell_paused(int vcpu, struct err *e)
{
	return KVM_IOCTL(vcpu, KVM_KVMCLOCK_CTRL, NULL, e);
}

int kvm_set_tss(int vm, uint64_t tss_gpa, uint64_t identity_gpa, struct err *e)
{
	int r = KVM_IOCTL(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_gpa, e);

	if (r < 0)
		return r;
	if (ioctl(vm, KVM_SET_TSS_ADDR, (unsigned long)tss_gpa) < 0)
		return err_sys(e, "KVM_SET_TSS_ADDR");
	return 0;
}

int kvm_get_sregs(int vcpu, struct kvm_sregs *sregs, struct err *e)
{
	return KVM_IOCTL(vcpu, KVM_GET_SREGS, sregs, e);
}

int kvm_set_sregs(int vcpu, const struct kvm_sregs *sregs, struct err *e)
{
	return KVM_IOCTL(vcpu, KVM_SET_SREGS, (void *)(uintptr_t)sregs, e);
}

/* seccomp vcpu: ioctl:KVM_GET_REGS ioctl:KVM_GET_SREGS -- where a guest stopped that fails */
int kvm_get_regs(int vcpu, struct kvm_regs *regs, struct err *e)
{
	return KVM_IOCTL(vcpu, KVM_GET_REGS, regs, e);
}

int kvm_set_regs(int vcpu, const struct kvm_regs *regs, struct err *e)
{
	return KVM_IOCTL(vcpu, KVM_SET_REGS, (void *)(uintptr_t)regs, e);
}

int kvm_set_msr(int vcpu, uint32_t index, uint64_t value, struct err *e)
{
	/* A header with one entry behind it; the kernel's struct ends in an open array. */
	union {
		struct kvm_msrs head;
		char room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} msrs = { .head.nmsrs = 1 };
	int r;

	msrs.head.entries[0] = (struct kvm_msr_entry){ .index = index, .data = value };
	r = ioctl(vcpu, KVM_SET_MSRS, &msrs);
	if (r == 1)
		return 0;
	if (r == 0)
		errno = EINVAL;
	return err_sys(e, "KVM_SET_MSRS (msr 0x%x = 0x%llx)", index, (unsigned long long)value);
}

int kvm_forward_msrs(int vm, const uint32_t *index, unsigned int count, struct err *e)
{
	struct kvm_msr_filter filter = { .flags = KVM_MSR_FILTER_DEFAULT_ALLOW };
	uint8_t denied = 0;
	unsigned int i;
	int r;

	if (count > KVM_MSR_FILTER_MAX_RANGES)
		return err_set(e, -E2BIG, "KVM_X86_SET_MSR_FILTER: %u registers", count);
	for (i = 0; i < count; i++)
		filter.ranges[i] =
			(struct kvm_msr_filter_range){ KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
				1, index[i], &denied };
	r = kvm_enable_cap(vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER, e);
	return r < 0 ? r : KVM_IOCTL(vm, KVM_X86_SET_MSR_FILTER, &filter, e);
}
