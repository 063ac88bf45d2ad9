/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "arch/x86/layout.h"
#include "arch/x86/tables.h"
#include "tests/bench/bare.h"
#include "vmm/kvm_abi.h"

#define CPUID_ROOM    128
#define MAP_GPA_RANGE (1u << 12)

const struct bare_place bare_place = { .ram = 0, .staging = X86_STAGING };

/* A head, and room for entries behind it. */
static union {
	struct kvm_cpuid2 head;
	uint8_t room[sizeof(struct kvm_cpuid2) + CPUID_ROOM * sizeof(struct kvm_cpuid_entry2)];
} cpuid = { .head.nent = CPUID_ROOM };

uint64_t bare_vm_type(const struct bare *b)
{
	(void)b;
	return 0;
}

static void enable(struct bare *b, uint32_t cap, uint64_t arg)
{
	struct kvm_enable_cap want = { .cap = cap, .args = { arg } };

	CALL(b->vm, KVM_ENABLE_CAP, &want);
}

void bare_vm(struct bare *b)
{
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	uint64_t identity = X86_IDENTITY_MAP;

	CALL(b->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
	CALL(b->vm, KVM_SET_TSS_ADDR, X86_TSS);
	CALL(b->vm, KVM_CREATE_IRQCHIP, 0);
	CALL(b->vm, KVM_CREATE_PIT2, &pit);
	if (b->private) {
		enable(b, KVM_CAP_EXIT_HYPERCALL, MAP_GPA_RANGE);
		enable(b, ABI_CAP_DISABLE_QUIRKS2, ABI_QUIRK_SLOT_ZAP_ALL);
	}
	CALL(b->kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
}

void bare_vcpu(struct bare *b)
{
	CALL(b->vcpu, KVM_SET_CPUID2, &cpuid);
}

void bare_ready(struct bare *b)
{
	(void)b;
}

uint64_t bare_tables(uint64_t ram_bytes, uint64_t at, void *buf)
{
	return x86_identity_tables(ram_bytes, at, buf);
}

void bare_start(struct bare *b, uint64_t pc, uint64_t arg, uint64_t tables)
{
	struct kvm_segment flat = { .limit = 0xffffffff, .present = 1, .s = 1, .g = 1 };
	struct kvm_regs regs = { .rflags = 2, .rip = pc, .rdi = arg };
	struct kvm_sregs s;

	CALL(b->vcpu, KVM_GET_SREGS, &s);
	s.cs = s.ds = flat;
	s.cs.selector = X86_SEL_CODE;
	s.cs.type = 11;
	s.cs.l = 1;
	s.ds.selector = X86_SEL_DATA;
	s.ds.type = 3;
	s.ds.db = 1;
	s.es = s.fs = s.gs = s.ss = s.ds;
	s.cr0 = 0x80050033;
	s.cr3 = tables;
	s.cr4 |= 0x20;
	s.efer |= 0x500;
	CALL(b->vcpu, KVM_SET_SREGS, &s);
	CALL(b->vcpu, KVM_SET_REGS, &regs);
}

bool bare_ended(const struct bare *b)
{
	return b->run->exit_reason == KVM_EXIT_IO && b->run->io.port == X86_POWER;
}
