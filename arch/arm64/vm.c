/* SPDX-License-Identifier: Apache-2.0 */

/* The arm64 side of arch.h: the VM, its interrupt controller and its vCPUs. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/smccc.h"
#include "vmm/kvm.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

#define IPA_BITS_DEFAULT 40u
/* Which of KVM's own vendor calls the guest sees: a firmware pseudo-register. */
#define REG_VENDOR_HYP (KVM_REG_ARM64 | KVM_REG_SIZE_U64 | (0x16ULL << 16) | 2)

#define CORE_REG(field) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define CORE_X(n) (CORE_REG(regs.regs[0]) + (uint64_t)(n)*2)

struct arch_vm {
	struct arch_config config;
	struct arch_layout layout;
	int vm;
	int gic;
	uint64_t kvm_features;
	struct kvm_vcpu_init init;
};

const char *arch_name(void)
{
	return "arm64";
}

int arch_vm_type(int kvm, const struct arch_config *c, const struct arch_layout *l, uint64_t *type,
	struct err *e)
{
	uint64_t top = l->ram[0].base.v + l->ram[0].size - 1;
	unsigned int need = 64 - (unsigned int)__builtin_clzll(top);
	unsigned int max = (unsigned int)kvm_has(kvm, KVM_CAP_ARM_VM_IPA_SIZE);

	if (!max)
		max = IPA_BITS_DEFAULT;
	if (need > max)
		return err_set(e, -EINVAL,
			"%llu MiB of RAM need %u address bits, this CPU gives guests %u",
			(unsigned long long)(c->ram_bytes >> 20), need, max);
	/* KVM takes 32 bits or more. Without the capability only 0, meaning 40, is known. */
	*type = kvm_has(kvm, KVM_CAP_ARM_VM_IPA_SIZE) ? max_u64(need, 32) : 0;
	if (c->protection == PROTECTION_PKVM)
		*type |= ABI_VM_TYPE_ARM_PROTECTED;
	return 0;
}

int arch_check(int kvm, int vm, const struct arch_config *c, struct err *e)
{
	(void)kvm;
	if (c->protection == PROTECTION_SOFT_SEV)
		return err_set(e, -ENOTSUP,
			"mode soft-sev exists on x86-64 only (use --protection soft-realm)");
	if (protection_has_gmem(c->protection) &&
		!kvm_has_attr(vm, ABI_ARM_VM_SMCCC_CTRL, ABI_ARM_VM_SMCCC_FILTER))
		return err_set(e, -ENOTSUP,
			"this kernel cannot forward the guest's hypercalls (SMCCC filter): mode "
			"%s needs Linux 6.18 or later",
			protection_name(c->protection));
	return 0;
}

bool arch_kvm_emulates(void)
{
	/* MMIO exits carry a decoded syndrome; KVM never fetches guest code here. */
	return false;
}

static int forward_calls(struct arch_vm *a, struct err *e)
{
	unsigned int i;

	for (i = 0; i < smccc_private_range_count; i++) {
		struct abi_smccc_filter f = {
			.base = smccc_private_ranges[i].base,
			.nr_functions = smccc_private_ranges[i].count,
			.action = ABI_SMCCC_FWD_TO_USER,
		};
		int r = kvm_set_attr(a->vm, ABI_ARM_VM_SMCCC_CTRL, ABI_ARM_VM_SMCCC_FILTER, &f,
			"SMCCC filter", e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int make_gic(struct arch_vm *a, struct err *e)
{
	uint64_t dist = ARM64_GICD, redist = ARM64_GICR;
	int r;

	a->gic = kvm_create_device(a->vm, KVM_DEV_TYPE_ARM_VGIC_V3, e);
	if (a->gic < 0)
		return err_prefix(e, a->gic, "interrupt controller GICv3");
	r = kvm_set_attr(a->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist,
		"GICv3 distributor address", e);
	if (!r)
		r = kvm_set_attr(a->gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST,
			&redist, "GICv3 redistributor address", e);
	return r;
}

/* Pointer authentication works as a pair; a kernel that sees it in its ID registers uses it. */
static void choose_features(struct arch_vm *a)
{
	a->init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (kvm_has(a->vm, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
		kvm_has(a->vm, KVM_CAP_ARM_PTRAUTH_GENERIC))
		a->init.features[0] |=
			1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
}

int arch_vm_new(struct arch_vm **out, int kvm, int vm, const struct arch_config *c, struct err *e)
{
	struct arch_vm *a = calloc(1, sizeof(*a));
	int r;

	(void)kvm;
	if (!a)
		return err_set(e, -ENOMEM, "VM: out of memory");
	a->config = *c;
	a->vm = vm;
	a->gic = -1;
	r = arch_layout(c, &a->layout, e);
	if (!r)
		r = kvm_preferred_target(vm, &a->init, e);
	if (r < 0) {
		arch_vm_free(a);
		return r;
	}
	choose_features(a);
	/* So that an access KVM does not decode is reported as such; pKVM has its own answer. */
	if (c->protection != PROTECTION_PKVM && kvm_has(vm, KVM_CAP_ARM_NISV_TO_USER))
		kvm_enable_cap(vm, KVM_CAP_ARM_NISV_TO_USER, 0, NULL);
	*out = a;
	return 0;
}

int arch_vcpu_init(struct arch_vm *a, int vcpu, unsigned int index, struct err *e)
{
	struct kvm_vcpu_init init = a->init;

	if (index > 0)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	return kvm_vcpu_init(vcpu, &init, e);
}

int arch_vm_ready(struct arch_vm *a, struct err *e)
{
	uint32_t irqs = ARM64_SPI_FIRST + ARM64_SPI_COUNT;
	int r = make_gic(a, e);

	/* Redistributors are laid out for the vCPUs that exist now. */
	if (!r)
		r = kvm_set_attr(
			a->gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs, "number of interrupts", e);
	if (!r)
		r = kvm_set_attr(a->gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT,
			NULL, "GICv3 start", e);
	if (!r && a->config.protection == PROTECTION_PRIVATE)
		r = forward_calls(a, e);
	return r;
}

void arch_set_measurement(struct arch_vm *a, const uint8_t *digest, size_t len)
{
	(void)a;
	(void)digest;
	(void)len;
}

void arch_vm_free(struct arch_vm *a)
{
	if (!a)
		return;
	fd_close(&a->gic);
	free(a);
}

int arch_vcpu_start(struct arch_vm *a, int vcpu, unsigned int index, const struct boot_entry *entry,
	struct err *e)
{
	struct err ignored;
	int r;

	/* The others wait for PSCI CPU_ON, which gives them their state. */
	if (index > 0)
		return 0;
	/* Absent in old kernels and in pKVM guests: then FEATURES has no bits of KVM's own. */
	if (kvm_get_reg(vcpu, REG_VENDOR_HYP, &a->kvm_features, &ignored) < 0)
		a->kvm_features = 1;
	r = kvm_set_reg(vcpu, CORE_REG(regs.pc), &entry->pc.v, e);
	if (r >= 0)
		r = kvm_set_reg(vcpu, CORE_X(0), &entry->arg, e);
	return r < 0 ? r : 0;
}

static void put_result(int vcpu, const struct smccc_regs *regs)
{
	struct err ignored;
	unsigned int i;

	/* These cannot fail on a vCPU that just left the guest in this very call. */
	for (i = 0; i < ARRAY_SIZE(regs->x); i++)
		kvm_set_reg(vcpu, CORE_X(i), &regs->x[i], &ignored);
}

bool arch_hypercall(struct arch_vm *a, int vcpu, struct kvm_run *run, struct arch_convert *c)
{
	struct smccc_context ctx = { a->kvm_features, &a->layout };
	struct smccc_regs regs = { { 0 } };
	struct err ignored;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(regs.x); i++)
		kvm_get_reg(vcpu, CORE_X(i), &regs.x[i], &ignored);
	if (smccc_decode(&ctx, run->hypercall.nr, &regs, c))
		return true;
	put_result(vcpu, &regs);
	return false;
}

void arch_convert_done(struct arch_vm *a, int vcpu, struct kvm_run *run, int result)
{
	struct smccc_regs regs = { { smccc_result(result), 0, 0, 0 } };

	(void)a;
	(void)run;
	put_result(vcpu, &regs);
}

uint64_t arch_stage_extra(const struct arch_layout *l, gpa_t at, void *buf, uint64_t room)
{
	/* A program starts with its MMU off. */
	(void)l;
	(void)at;
	(void)buf;
	(void)room;
	return 0;
}

const char *arch_dump(int vcpu, char *buf, size_t room)
{
	struct err ignored;
	uint64_t v;
	size_t used = 0;
	int i;

	buf[0] = 0;
	for (i = 0; i < 31 && used < room; i++) {
		if (kvm_get_reg(vcpu, CORE_X(i), &v, &ignored) < 0)
			return "";
		used += (size_t)snprintf(buf + used, room - used, "x%-2d %016llx%c", i,
			(unsigned long long)v, i % 4 == 3 ? '\n' : ' ');
	}
	if (used < room && kvm_get_reg(vcpu, CORE_REG(regs.pc), &v, &ignored) >= 0)
		used += (size_t)snprintf(
			buf + used, room - used, "\npc  %016llx", (unsigned long long)v);
	if (used < room && kvm_get_reg(vcpu, CORE_REG(regs.pstate), &v, &ignored) >= 0)
		snprintf(buf + used, room - used, " pstate %016llx", (unsigned long long)v);
	return buf;
}

bool arch_exit(struct arch_vm *a, int vcpu, struct kvm_run *run)
{
	(void)a;
	(void)vcpu;
	(void)run;
	return false;
}

const char *arch_exit_name(uint32_t reason)
{
	return reason == KVM_EXIT_ARM_NISV
		       ? "an MMIO access by an instruction that KVM does not decode"
		       : "";
}
