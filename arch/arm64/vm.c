/* SPDX-License-Identifier: Apache-2.0 */

/* The arm64 side of arch.h: the VM, its interrupt controller and its vCPUs. */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/arm64/caps.h"
#include "arch/arm64/copier.h"
#include "arch/arm64/layout.h"
#include "arch/arm64/regs.h"
#include "arch/arm64/rsi.h"
#include "arch/arm64/smccc.h"
#include "vmm/kvm.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

#define IPA_BITS_DEFAULT 40u

struct arch_vm {
	struct arch_config config;
	struct arch_layout layout;
	int vm;
	int gic;
	uint64_t kvm_features;
	struct kvm_vcpu_init init;
	/* soft-realm */
	const struct mem *mem;
	struct rsi_realm realm;
	struct realm_vcpu {
		int fd;
		struct copier copier; /* its own thread's only */
	} * vcpus;
};

const char *arch_name(void)
{
	return "arm64";
}

static bool is_realm(const struct arch_vm *a)
{
	return a->config.protection == PROTECTION_SOFT_REALM;
}

int arch_vm_type(int kvm, const struct arch_config *c, const struct arch_layout *l, uint64_t *type,
	struct err *e)
{
	unsigned int need = arm64_ipa_bits(l);
	unsigned int max = (unsigned int)kvm_has(kvm, KVM_CAP_ARM_VM_IPA_SIZE);

	if (!max)
		max = IPA_BITS_DEFAULT;
	if (need > max)
		return err_set(e, -EINVAL,
			"%llu MiB of RAM need %u address bits%s, this CPU gives guests %u (lower "
			"--mem)",
			(unsigned long long)(c->ram_bytes >> 20), need,
			l->alias_bit ? ", one of them for shared memory" : "", max);
	/* Without the capability only 0, meaning 40, is known. */
	*type = kvm_has(kvm, KVM_CAP_ARM_VM_IPA_SIZE) ? need : 0;
	if (c->protection == PROTECTION_PKVM)
		*type |= ABI_VM_TYPE_ARM_PROTECTED;
	return 0;
}

int arch_check(int kvm, int vm, const struct arch_config *c, struct err *e)
{
	(void)kvm;
	if (protection_has_gmem(c->protection) &&
		!kvm_has_attr(vm, ABI_ARM_VM_SMCCC_CTRL, ABI_ARM_VM_SMCCC_FILTER))
		return err_set(e, -ENOTSUP,
			"this kernel cannot forward the guest's hypercalls (SMCCC filter): mode "
			"%s needs Linux 6.18 or later",
			protection_name(c->protection));
	if (c->mte && !kvm_has(vm, ABI_CAP_ARM_MTE))
		return err_set(e, -ENOTSUP, "mte: %s", arm64_no_mte());
	return 0;
}

bool arch_has_attributes(int kvm)
{
	(void)kvm;
	return false;
}

bool arch_kvm_emulates(void)
{
	/* MMIO exits carry a decoded syndrome; KVM never fetches guest code here. */
	return false;
}

bool arch_guest_can_share(void)
{
	return true;
}

bool arch_private_mmio(void)
{
	return true;
}

static int forward_calls(
	struct arch_vm *a, const struct smccc_range *ranges, unsigned int count, struct err *e)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct abi_smccc_filter f = {
			.base = ranges[i].base,
			.nr_functions = ranges[i].count,
			.action = ABI_SMCCC_FWD_TO_USER,
		};
		int r = kvm_set_attr(a->vm, ABI_ARM_VM_SMCCC_CTRL, ABI_ARM_VM_SMCCC_FILTER, &f,
			"SMCCC filter", e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int forward_mode_calls(struct arch_vm *a, struct err *e)
{
	static const struct smccc_range rsi = { RSI_FIRST, RSI_COUNT };

	if (is_realm(a))
		return forward_calls(a, &rsi, 1, e);
	if (a->config.protection == PROTECTION_PRIVATE)
		return forward_calls(a, smccc_private_ranges, smccc_private_range_count, e);
	return 0;
}

static int make_gic(struct arch_vm *a, struct err *e)
{
	/* KVM knows one address for each: a realm's kernel uses the shared one, once it is up. */
	uint64_t dist = ARM64_GICD | a->layout.alias_bit, redist = ARM64_GICR | a->layout.alias_bit;
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
	rsi_realm_init(&a->realm);
	r = arch_layout(c, &a->layout, e);
	if (!r && is_realm(a)) {
		a->vcpus = calloc(c->cpus, sizeof(*a->vcpus));
		r = a->vcpus ? 0 : err_set(e, -ENOMEM, "VM: out of memory");
	}
	if (!r)
		r = kvm_preferred_target(vm, &a->init, e);
	if (r < 0) {
		arch_vm_free(a);
		return r;
	}
	choose_features(a);
	if (c->mte) {
		r = kvm_enable_cap(vm, ABI_CAP_ARM_MTE, 0, e);
		if (r < 0) {
			arch_vm_free(a);
			return err_prefix(e, r, "mte");
		}
	}
	/* So that an access KVM does not decode is reported as such; pKVM has its own answer. */
	if (c->protection != PROTECTION_PKVM && kvm_has(vm, KVM_CAP_ARM_NISV_TO_USER))
		kvm_enable_cap(vm, KVM_CAP_ARM_NISV_TO_USER, 0, NULL);
	*out = a;
	return 0;
}

static struct rsi_config realm_config(const struct arch_layout *l)
{
	return (struct rsi_config){ .ipa_bits = arm64_ipa_bits(l), .hash = RSI_HASH_SHA_256 };
}

int arch_vm_memory(struct arch_vm *a, struct mem *m, struct err *e)
{
	struct rsi_config config = realm_config(&a->layout);

	a->mem = m;
	return is_realm(a) ? copier_add(m, &config, e) : 0;
}

int arch_own_pieces(const struct arch_config *c, const struct arch_layout *l, boot_piece_fn *fn,
	void *ctx, struct err *e)
{
	struct rsi_config config = realm_config(l);

	return c->protection == PROTECTION_SOFT_REALM ? copier_each(&config, fn, ctx, e) : 0;
}

void arch_set_measurement(struct arch_vm *a, const uint8_t *digest, size_t len)
{
	rsi_realm_measure(&a->realm, digest, len);
}

int arch_vcpu_init(struct arch_vm *a, int vcpu, unsigned int index, struct err *e)
{
	struct kvm_vcpu_init init = a->init;

	if (index > 0)
		init.features[0] |= 1u << KVM_ARM_VCPU_POWER_OFF;
	if (a->vcpus)
		a->vcpus[index].fd = vcpu;
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
	return r ? r : forward_mode_calls(a, e);
}

void arch_vm_free(struct arch_vm *a)
{
	if (!a)
		return;
	fd_close(&a->gic);
	rsi_realm_destroy(&a->realm);
	free(a->vcpus);
	free(a);
}

void arch_vcpu_resumed(int vcpu)
{
	/* There is no such notice; Linux's watchdogs there go by the virtual counter, too. */
	(void)vcpu;
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
	r = kvm_set_reg(vcpu, REG_PC, &entry->pc.v, e);
	if (r >= 0)
		r = kvm_set_reg(vcpu, REG_X(0), &entry->arg, e);
	return r < 0 ? r : 0;
}

/* These cannot fail on a vCPU that just left the guest in this very call. */
static void get_regs(int vcpu, uint64_t *x, unsigned int first, unsigned int count)
{
	struct err ignored;
	unsigned int i;

	for (i = first; i < first + count; i++)
		kvm_get_reg(vcpu, REG_X(i), &x[i], &ignored);
}

static void put_regs(int vcpu, const uint64_t *x, unsigned int count)
{
	struct err ignored;
	unsigned int i;

	for (i = 0; i < count; i++)
		kvm_set_reg(vcpu, REG_X(i), &x[i], &ignored);
}

static struct copier *copier_of(struct arch_vm *a, int vcpu)
{
	struct realm_vcpu *v = a->vcpus;

	while (v->fd != vcpu)
		v++;
	return &v->copier;
}

static bool copier_is_done(struct arch_vm *a, int vcpu)
{
	static const uint64_t success = RSI_SUCCESS;

	if (!copier_finish(copier_of(a, vcpu), vcpu))
		return false;
	put_regs(vcpu, &success, 1);
	return true;
}

static bool rsi_call(struct arch_vm *a, int vcpu, uint64_t id, struct arch_convert *c)
{
	struct rsi_context ctx = { &a->layout, a->mem, &a->realm };
	struct rsi_shape shape = rsi_shape(id);
	struct rsi_regs regs = { { 0 } };

	if (id == RSI_COPIER_DONE && copier_is_done(a, vcpu))
		return false;
	get_regs(vcpu, regs.x, 1, shape.args);
	switch (rsi_decode(&ctx, id, &regs, c)) {
	case RSI_ANSWERED:
		put_regs(vcpu, regs.x, shape.results);
		return false;
	case RSI_CONVERT:
		return true;
	case RSI_COPY_CONFIG:
		copier_start(copier_of(a, vcpu), vcpu, COPIER_CONFIG, gpa(regs.x[1]));
		return false;
	case RSI_COPY_HOST_CALL:
		copier_start(copier_of(a, vcpu), vcpu, COPIER_NOT_SUPPORTED,
			gpa(regs.x[1] + RSI_HOST_CALL_GPR0));
		return false;
	}
	return false;
}

bool arch_hypercall(struct arch_vm *a, int vcpu, struct kvm_run *run, struct arch_convert *c)
{
	struct smccc_context ctx = { a->kvm_features, &a->layout };
	struct smccc_regs regs = { { 0 } };

	if (is_realm(a))
		return rsi_call(a, vcpu, run->hypercall.nr, c);
	get_regs(vcpu, regs.x, 0, ARRAY_SIZE(regs.x));
	if (smccc_decode(&ctx, run->hypercall.nr, &regs, c))
		return true;
	put_regs(vcpu, regs.x, ARRAY_SIZE(regs.x));
	return false;
}

void arch_convert_done(
	struct arch_vm *a, int vcpu, struct kvm_run *run, const struct arch_convert *c, int result)
{
	struct smccc_regs regs = { { smccc_result(result), 0, 0, 0 } };
	struct rsi_regs realm = { { 0 } };

	if (is_realm(a)) {
		rsi_converted(c, result, &realm);
		put_regs(vcpu, realm.x, rsi_shape(run->hypercall.nr).results);
		return;
	}
	put_regs(vcpu, regs.x, ARRAY_SIZE(regs.x));
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
		if (kvm_get_reg(vcpu, REG_X(i), &v, &ignored) < 0)
			return "";
		used += (size_t)snprintf(buf + used, room - used, "x%-2d %016llx%c", i,
			(unsigned long long)v, i % 4 == 3 ? '\n' : ' ');
	}
	if (used < room && kvm_get_reg(vcpu, REG_PC, &v, &ignored) >= 0)
		used += (size_t)snprintf(
			buf + used, room - used, "\npc  %016llx", (unsigned long long)v);
	if (used < room && kvm_get_reg(vcpu, REG_PSTATE, &v, &ignored) >= 0)
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

const char *arch_mmio_note(const struct arch_layout *l, uint64_t addr)
{
	/* A realm's is at shared addresses, and accesses there end in KVM. */
	if (l->alias_bit && addr >= ARM64_GICD && addr < ARM64_COPIER)
		return "it looks for the interrupt controller at a private address: its kernel "
		       "cannot be a realm (Linux 6.13 and later can, older ones run in other "
		       "modes)";
	return NULL;
}

const char *arch_exit_name(uint32_t reason)
{
	return reason == KVM_EXIT_ARM_NISV
		       ? "an MMIO access by an instruction that KVM does not decode"
		       : "";
}
