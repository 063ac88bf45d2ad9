/* SPDX-License-Identifier: Apache-2.0 */

/* The x86-64 side of arch.h: the VM, its interrupt controllers and its vCPUs. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/x86/cpuid.h"
#include "arch/x86/features.h"
#include "arch/x86/hypercall.h"
#include "arch/x86/layout.h"
#include "arch/x86/sev.h"
#include "arch/x86/tables.h"
#include "vmm/kvm.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

#define MSR_MISC_ENABLE	  0x1a0u
#define MISC_FAST_STRINGS 1u
#define CR0_BOOT	  0x80050033ULL /* PG AM WP NE ET MP PE */
#define CR0_PVH		  0x11ULL	/* ET PE */
#define TSS_LIMIT	  0x67u		/* of a 32-bit TSS that is nothing but itself */
#define CR4_PAE		  0x20ULL
#define APIC_BASE_X2APIC  0xc00ULL /* both bits that enable */
#define EFER_LONG_MODE	  0x500ULL /* LME, LMA */

#define CPUID_ADDRESS_SIZES  0x80000008u
#define X86_ADDRESS_BITS_OLD 36u /* of a processor without that leaf */

_Static_assert(sizeof(struct x86_cpuid) == sizeof(struct kvm_cpuid_entry2) &&
		       offsetof(struct x86_cpuid, edx) == offsetof(struct kvm_cpuid_entry2, edx),
	"struct x86_cpuid is KVM's entry");

struct arch_vm {
	struct arch_config config;
	int vm;
	struct kvm_cpuid2 *cpuid; /* as KVM supports it */
	uint64_t c_bit;		  /* of mode soft-sev, else 0 */
	bool calls;		  /* see arch_guest_can_share */
};

const char *arch_name(void)
{
	return "x86_64";
}

int arch_vm_type(int kvm, const struct arch_config *c, const struct arch_layout *l, uint64_t *type,
	struct err *e)
{
	(void)kvm;
	(void)l;
	(void)e;
	*type = c->conversion == CONVERSION_ATTRIBUTES ? ABI_VM_TYPE_X86_SW_PROTECTED : 0;
	return 0;
}

bool arch_has_attributes(int kvm)
{
	/* The second is no need of theirs: it tells kernels that can guard memory (mem/attributes.h). */
	return (kvm_has(kvm, ABI_CAP_VM_TYPES) & (1 << ABI_VM_TYPE_X86_SW_PROTECTED)) &&
	       kvm_has(kvm, ABI_CAP_GUEST_MEMFD_FLAGS);
}

int arch_check(int kvm, int vm, const struct arch_config *c, struct err *e)
{
	(void)kvm;
	if (protection_has_gmem(c->protection) &&
		!(kvm_has(vm, KVM_CAP_EXIT_HYPERCALL) & (1 << X86_HC_MAP_GPA_RANGE)))
		return err_set(e, -ENOTSUP,
			"this KVM cannot forward the guest's sharing calls (KVM_CAP_EXIT_HYPERCALL "
			"lacks MAP_GPA_RANGE)");
	if (c->protection == PROTECTION_SOFT_SEV &&
		!(kvm_has(vm, KVM_CAP_X86_USER_SPACE_MSR) && kvm_has(vm, KVM_CAP_X86_MSR_FILTER)))
		return err_set(e, -ENOTSUP,
			"this KVM cannot forward the register in which a guest looks for SEV "
			"(KVM_CAP_X86_MSR_FILTER; Linux 5.10 or later has it)");
	return 0;
}

/* The first processor's line of flags stands for all. */
static bool cpu_has(const struct blob *cpuinfo, const char *flag)
{
	return strstr((char *)cpuinfo->data, flag) != NULL;
}

/*
 * AMD hosts need next-RIP save and decode assists, else KVM reads guest code through our mapping.
 * Intel's VMX always reports the instruction's length. The host's flags are the only place to ask.
 */
bool arch_kvm_emulates(void)
{
	struct blob info;
	struct err ignored;
	bool amd, helps;

	/* That one interprets all kernel code. */
	if (kvm_is_pvm())
		return true;
	if (blob_read("/proc/cpuinfo", 4u << 20, &info, &ignored))
		return false;
	amd = cpu_has(&info, " svm");
	helps = cpu_has(&info, " nrip_save") && cpu_has(&info, " decodeassists");
	blob_free(&info);
	return amd && !helps;
}

static bool is_amd(void)
{
	struct blob info;
	struct err ignored;
	bool amd;

	if (blob_read("/proc/cpuinfo", 4u << 20, &info, &ignored))
		return false;
	amd = cpu_has(&info, " svm");
	blob_free(&info);
	return amd;
}

/*
 * The call of an SEV guest is VMMCALL. On Intel's processors that is an undefined instruction, which
 * KVM would have to read and mend.
 */
bool arch_guest_can_share(void)
{
	return is_amd();
}

/* Decode assists bring the instruction's bytes along; Intel's only tell its address and length. */
bool arch_private_mmio(void)
{
	return is_amd() && !arch_kvm_emulates();
}

static int enable_caps(struct arch_vm *a, struct err *e)
{
	static const uint32_t sev_msrs[] = { X86_MSR_SEV, X86_MSR_KVM_MIGRATION };
	uint64_t quirks = (uint64_t)kvm_has(a->vm, ABI_CAP_DISABLE_QUIRKS2);
	int r = 0;

	/* AMD's oldest counters show in no CPUID bit: only this takes them away. */
	if (x86_feature_hidden(a->config.hidden, X86_PMU) &&
		(kvm_has(a->vm, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE))
		r = kvm_enable_cap(a->vm, KVM_CAP_PMU_CAPABILITY, KVM_PMU_CAP_DISABLE, e);
	if (!r && a->c_bit)
		r = kvm_forward_msrs(a->vm, sev_msrs, ARRAY_SIZE(sev_msrs), e);
	if (r || !protection_has_gmem(a->config.protection))
		return r;
	r = kvm_enable_cap(a->vm, KVM_CAP_EXIT_HYPERCALL, 1u << X86_HC_MAP_GPA_RANGE, e);
	/* By default KVM drops all of the guest's mappings when any slot goes: each conversion
	 * would cost the guest a refault of its whole memory. */
	if (!r && (quirks & ABI_QUIRK_SLOT_ZAP_ALL))
		r = kvm_enable_cap(a->vm, ABI_CAP_DISABLE_QUIRKS2, ABI_QUIRK_SLOT_ZAP_ALL, e);
	return r;
}

/* The bit must be one that addresses have on this host. */
static int check_c_bit(const struct arch_vm *a, struct err *e)
{
	uint32_t i, bits = X86_ADDRESS_BITS_OLD;

	for (i = 0; i < a->cpuid->nent; i++)
		if (a->cpuid->entries[i].function == CPUID_ADDRESS_SIZES)
			bits = a->cpuid->entries[i].eax & 0xff;
	if (!(a->c_bit >> bits))
		return 0;
	return err_set(e, -ENOTSUP,
		"mode soft-sev: %llu MiB of RAM need addresses of %u bits, this host has %u "
		"(lower --mem)",
		(unsigned long long)(a->config.ram_bytes >> 20),
		(unsigned int)__builtin_ctzll(a->c_bit) + 1, bits);
}

int arch_vm_new(struct arch_vm **out, int kvm, int vm, const struct arch_config *c, struct err *e)
{
	struct arch_vm *a = calloc(1, sizeof(*a));
	struct arch_layout layout;
	int r;

	if (!a)
		return err_set(e, -ENOMEM, "VM: out of memory");
	a->config = *c;
	a->vm = vm;
	r = arch_layout(c, &layout, e);
	a->c_bit = r ? 0 : layout.alias_bit;
	a->calls = a->c_bit ? arch_guest_can_share() : c->protection == PROTECTION_PRIVATE;
	if (!r)
		r = kvm_set_tss(vm, X86_TSS, X86_IDENTITY_MAP, e);
	if (!r)
		r = kvm_create_irqchip(vm, e);
	if (!r)
		r = kvm_create_pit(vm, e);
	if (!r)
		r = enable_caps(a, e);
	if (!r)
		r = kvm_supported_cpuid(kvm, &a->cpuid, e);
	if (!r)
		r = check_c_bit(a, e);
	if (r < 0) {
		arch_vm_free(a);
		return r;
	}
	*out = a;
	return 0;
}

void arch_vm_free(struct arch_vm *a)
{
	if (!a)
		return;
	free(a->cpuid);
	free(a);
}

int arch_vcpu_init(struct arch_vm *a, int vcpu, unsigned int index, struct err *e)
{
	struct cpuid_policy policy = {
		.index = index,
		.cpus = a->config.cpus,
		.smt = a->config.smt,
		.convert_calls = a->calls,
		.migration = a->calls && a->c_bit,
		.hidden = a->config.hidden,
		.c_bit = a->c_bit,
	};
	size_t size = sizeof(*a->cpuid) + a->cpuid->nent * sizeof(a->cpuid->entries[0]);
	_free struct kvm_cpuid2 *copy =
		malloc(size + CPUID_ADDED_MAX * sizeof(a->cpuid->entries[0]));

	if (!copy)
		return err_set(e, -ENOMEM, "CPUID: out of memory");
	/* The addresses of SEV's interface end with four levels of tables. */
	if (a->c_bit)
		policy.hidden |= BIT(X86_LA57);
	memcpy(copy, a->cpuid, size);
	copy->nent =
		x86_cpuid_apply((struct x86_cpuid *)(void *)copy->entries, copy->nent, &policy);
	return kvm_set_cpuid(vcpu, copy, e);
}

int arch_vm_ready(struct arch_vm *a, struct err *e)
{
	(void)a;
	(void)e;
	return 0;
}

static struct kvm_segment flat(uint16_t selector, uint8_t type, bool code)
{
	return (struct kvm_segment){
		.selector = selector,
		.base = 0,
		.limit = 0xffffffff,
		.type = type,
		.present = 1,
		.dpl = 0,
		.db = !code,
		.s = 1,
		.l = code,
		.g = 1,
	};
}

/* 64-bit mode as the boot protocol's 64-bit entry wants it (Documentation/arch/x86/boot.rst). */
static int start_long_mode(int vcpu, const struct boot_entry *entry, struct err *e)
{
	struct kvm_segment data = flat(X86_SEL_DATA, 3, false);
	struct kvm_sregs s;
	int r = kvm_get_sregs(vcpu, &s, e);

	if (r < 0)
		return r;
	s.cs = flat(X86_SEL_CODE, 11, true);
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	/* The table itself comes with the kernel; the selectors above match it. */
	s.gdt.base = X86_GDT;
	s.gdt.limit = X86_GDT_SIZE - 1;
	s.cr0 = CR0_BOOT;
	s.cr3 = entry->tables.v;
	s.cr4 |= CR4_PAE;
	s.efer |= EFER_LONG_MODE;
	return kvm_set_sregs(vcpu, &s, e);
}

/* 32-bit protected mode without paging, all segments flat (Xen's misc/pvh: "entry point"). */
static int start_protected_mode(int vcpu, struct err *e)
{
	struct kvm_segment data = flat(X86_SEL_DATA, 3, false), code = flat(X86_SEL_CODE, 11, true);
	struct kvm_sregs s;
	int r = kvm_get_sregs(vcpu, &s, e);

	if (r < 0)
		return r;
	code.l = 0;
	code.db = 1;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.tr = (struct kvm_segment){ .limit = TSS_LIMIT, .type = 11, .present = 1 };
	s.cr0 = CR0_PVH;
	s.cr3 = s.cr4 = 0;
	s.efer = 0;
	return kvm_set_sregs(vcpu, &s, e);
}

/*
 * A kernel finds its APIC switched over and never uses the memory-mapped one, for which KVM would
 * have to read its instructions.
 */
static int enable_x2apic(int vcpu, struct err *e)
{
	struct kvm_sregs s;
	int r = kvm_get_sregs(vcpu, &s, e);

	if (r < 0)
		return r;
	s.apic_base |= APIC_BASE_X2APIC;
	return kvm_set_sregs(vcpu, &s, e);
}

void arch_vcpu_resumed(int vcpu)
{
	struct err ignored;

	/* Refused for a guest with another clock, whose watchdogs it would not calm either. */
	kvm_tell_paused(vcpu, &ignored);
}

int arch_vcpu_start(struct arch_vm *a, int vcpu, unsigned int index, const struct boot_entry *entry,
	struct err *e)
{
	struct kvm_regs regs = { .rflags = 2, .rip = entry->pc.v };
	struct err ignored;
	int r = 0;

	if (a->c_bit && !x86_feature_hidden(a->config.hidden, X86_X2APIC))
		r = enable_x2apic(vcpu, e);
	/* The others wait for INIT and SIPI, in real mode. */
	if (r || index > 0)
		return r;
	if (entry->is_program)
		regs.rdi = entry->arg;
	else if (entry->is_pvh)
		regs.rbx = entry->arg;
	else
		regs.rsi = entry->arg;
	/* Not all hosts let it be set, none needs it. */
	kvm_set_msr(vcpu, MSR_MISC_ENABLE, MISC_FAST_STRINGS, &ignored);
	r = entry->is_pvh ? start_protected_mode(vcpu, e) : start_long_mode(vcpu, entry, e);
	return r < 0 ? r : kvm_set_regs(vcpu, &regs, e);
}

bool arch_hypercall(struct arch_vm *a, int vcpu, struct kvm_run *run, struct arch_convert *c)
{
	uint64_t args[3] = { run->hypercall.args[0], run->hypercall.args[1],
		run->hypercall.args[2] };
	uint64_t answer;

	(void)a;
	(void)vcpu;
	if (x86_hypercall_decode(run->hypercall.nr, args, c, &answer))
		return true;
	run->hypercall.ret = answer;
	return false;
}

void arch_convert_done(
	struct arch_vm *a, int vcpu, struct kvm_run *run, const struct arch_convert *c, int result)
{
	(void)a;
	(void)c;
	(void)vcpu;
	run->hypercall.ret = x86_hypercall_result(result);
}

int arch_vm_memory(struct arch_vm *a, struct mem *m, struct err *e)
{
	(void)a;
	(void)m;
	(void)e;
	return 0;
}

int arch_own_pieces(const struct arch_config *c, const struct arch_layout *l, boot_piece_fn *fn,
	void *ctx, struct err *e)
{
	(void)c;
	(void)l;
	(void)fn;
	(void)ctx;
	(void)e;
	return 0;
}

void arch_set_measurement(struct arch_vm *a, const uint8_t *digest, size_t len)
{
	/* No call of a guest's asks for it. */
	(void)a;
	(void)digest;
	(void)len;
}

uint64_t arch_stage_extra(const struct arch_layout *l, gpa_t at, void *buf, uint64_t room)
{
	uint64_t size = x86_boot_tables(l, at.v, NULL);

	if (buf && size <= room)
		x86_boot_tables(l, at.v, buf);
	return size;
}

const char *arch_dump(int vcpu, char *buf, size_t room)
{
	struct kvm_regs r;
	struct kvm_sregs s;
	struct err ignored;

	if (kvm_get_regs(vcpu, &r, &ignored) < 0 || kvm_get_sregs(vcpu, &s, &ignored) < 0)
		return "";
	snprintf(buf, room,
		"rax %016llx rbx %016llx rcx %016llx rdx %016llx\n"
		"rsi %016llx rdi %016llx rbp %016llx rsp %016llx\n"
		"r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n"
		"r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n"
		"rip %016llx rfl %016llx\n"
		"cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx efer %llx cs %04x",
		r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10, r.r11,
		r.r12, r.r13, r.r14, r.r15, r.rip, r.rflags, s.cr0, s.cr2, s.cr3, s.cr4, s.efer,
		s.cs.selector);
	return buf;
}

bool arch_exit(struct arch_vm *a, int vcpu, struct kvm_run *run)
{
	uint64_t data;

	(void)a;
	(void)vcpu;
	if (run->exit_reason != KVM_EXIT_X86_RDMSR && run->exit_reason != KVM_EXIT_X86_WRMSR)
		return false;
	data = run->msr.data;
	run->msr.error =
		!x86_sev_msr(run->msr.index, run->exit_reason == KVM_EXIT_X86_WRMSR, &data);
	run->msr.data = data;
	return true;
}

const char *arch_mmio_note(const struct arch_layout *l, uint64_t addr)
{
	(void)l;
	(void)addr;
	return NULL;
}

const char *arch_exit_name(uint32_t reason)
{
	return reason == KVM_EXIT_HLT ? "HLT with no interrupt controller" : "";
}
