/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "arch/arm64/layout.h"
#include "arch/arm64/smccc.h"
#include "tests/bench/bare.h"
#include "vmm/kvm_abi.h"

#define CORE_REG(field) \
	(KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(field))
#define IPA_BITS 32

const struct bare_place bare_place = { .ram = ARM64_RAM, .staging = ARM64_STAGING };

/* Enough for the guests of up to 3 GiB that this is for. */
uint64_t bare_vm_type(const struct bare *b)
{
	return CALL(b->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE) ? IPA_BITS : 0;
}

void bare_vm(struct bare *b)
{
	(void)b;
}

void bare_vcpu(struct bare *b)
{
	struct kvm_vcpu_init init;

	CALL(b->vm, KVM_ARM_PREFERRED_TARGET, &init);
	init.features[0] |= 1u << KVM_ARM_VCPU_PSCI_0_2;
	if (CALL(b->vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
		CALL(b->vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_GENERIC))
		init.features[0] |=
			1u << KVM_ARM_VCPU_PTRAUTH_ADDRESS | 1u << KVM_ARM_VCPU_PTRAUTH_GENERIC;
	CALL(b->vcpu, KVM_ARM_VCPU_INIT, &init);
}

static void set(int fd, uint32_t group, uint64_t attr, const void *value)
{
	struct kvm_device_attr want = {
		.group = group,
		.attr = attr,
		.addr = (uint64_t)(uintptr_t)value,
	};

	CALL(fd, KVM_SET_DEVICE_ATTR, &want);
}

static void make_gic(struct bare *b)
{
	struct kvm_create_device gic = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	uint64_t dist = ARM64_GICD, redist = ARM64_GICR;
	uint32_t irqs = ARM64_SPI_FIRST + ARM64_SPI_COUNT;
	int fd;

	CALL(b->vm, KVM_CREATE_DEVICE, &gic);
	fd = (int)gic.fd;
	set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &dist);
	set(fd, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_REDIST, &redist);
	set(fd, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs);
	set(fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL);
}

void bare_ready(struct bare *b)
{
	unsigned int i;

	make_gic(b);
	for (i = 0; b->private && i < smccc_private_range_count; i++) {
		struct abi_smccc_filter f = {
			.base = smccc_private_ranges[i].base,
			.nr_functions = smccc_private_ranges[i].count,
			.action = ABI_SMCCC_FWD_TO_USER,
		};

		set(b->vm, ABI_ARM_VM_SMCCC_CTRL, ABI_ARM_VM_SMCCC_FILTER, &f);
	}
}

uint64_t bare_tables(uint64_t ram_bytes, uint64_t at, void *buf)
{
	(void)ram_bytes;
	(void)at;
	(void)buf;
	return 0;
}

static void set_reg(struct bare *b, uint64_t id, uint64_t value)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uint64_t)(uintptr_t)&value };

	CALL(b->vcpu, KVM_SET_ONE_REG, &reg);
}

void bare_start(struct bare *b, uint64_t pc, uint64_t arg, uint64_t tables)
{
	(void)tables;
	set_reg(b, CORE_REG(regs.pc), pc);
	set_reg(b, CORE_REG(regs.regs[0]), arg);
}

bool bare_ended(const struct bare *b)
{
	return b->run->exit_reason == KVM_EXIT_MMIO && b->run->mmio.phys_addr == ARM64_POWER;
}
