/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/layout.h"

#include <errno.h>

#include "arch/arch.h"
#include "vmm/util/bits.h"

#define VIRTIO(n, gsi)                                                                             \
	{                                                                                          \
		PLATFORM_VIRTIO, false, X86_VIRTIO + (n)*X86_VIRTIO_STRIDE, X86_VIRTIO_STRIDE, gsi \
	}

static const struct platform_dev x86_devs[] = {
	{ PLATFORM_SERIAL, true, X86_SERIAL, 8, X86_SERIAL_IRQ },
	{ PLATFORM_POWER, true, X86_POWER, 8, 0 },
	{ PLATFORM_PROBE, true, X86_PROBE, 64, 0 },
	{ PLATFORM_I8042, true, X86_I8042, 1, 0 },
	{ PLATFORM_ACPI, true, X86_ACPI, 4, X86_ACPI_IRQ },
	{ PLATFORM_PVPANIC, true, X86_PVPANIC, 1, 0 },
	/* The lines that are left, those of old fame last. */
	VIRTIO(0, 16),
	VIRTIO(1, 17),
	VIRTIO(2, 18),
	VIRTIO(3, 19),
	VIRTIO(4, 20),
	VIRTIO(5, 21),
	VIRTIO(6, 22),
	VIRTIO(7, 23),
	VIRTIO(8, 5),
	VIRTIO(9, 6),
	VIRTIO(10, 7),
	VIRTIO(11, 10),
	VIRTIO(12, 11),
	VIRTIO(13, 12),
	VIRTIO(14, 14),
	VIRTIO(15, 15),
};

/* The bit lies above all RAM, and the private copy is the one that has it (AMD's C-bit). */
static int choose_alias(struct arch_layout *l, struct err *e)
{
	uint64_t top = l->ram[l->ram_count - 1].base.v + l->ram[l->ram_count - 1].size;
	unsigned int bit = X86_ALIAS_BIT_MIN;

	while (bit <= X86_ALIAS_BIT_MAX && top > BIT(bit))
		bit++;
	if (bit > X86_ALIAS_BIT_MAX)
		return err_set(e, -EINVAL, "mode soft-sev: at most %llu GiB of RAM (lower --mem)",
			(BIT(X86_ALIAS_BIT_MAX) - X86_HIGH_RAM + X86_HOLE) >> 30);
	l->alias_bit = BIT(bit);
	l->alias_is_private = true;
	l->alias_both = X86_ALIAS_BOTH;
	l->alias_traps = true;
	return 0;
}

int arch_layout(const struct arch_config *c, struct arch_layout *out, struct err *e)
{
	uint64_t low = min_u64(c->ram_bytes, X86_HOLE);

	if (c->protection == PROTECTION_PKVM)
		return err_set(
			e, -ENOTSUP, "mode pkvm exists on arm64 only (use --protection private)");
	if (c->protection == PROTECTION_SOFT_REALM)
		return err_set(e, -ENOTSUP,
			"mode soft-realm exists on arm64 only (use --protection soft-sev)");
	if (c->cpus > X86_CPUS_MAX)
		return err_set(e, -EINVAL,
			"%u vCPUs: x86-64 guests have %u at most, since KVM's I/O APIC cannot send "
			"interrupts to more (lower --cpus)",
			c->cpus, X86_CPUS_MAX);
	*out = (struct arch_layout){
		.ram = { { { 0 }, low }, { { X86_HIGH_RAM }, c->ram_bytes - low } },
		.ram_count = c->ram_bytes > low ? 2 : 1,
		.staging = { X86_STAGING },
		.staging_max = X86_STAGING_END - X86_STAGING,
	};
	if (c->protection == PROTECTION_SOFT_SEV && choose_alias(out, e))
		return -EINVAL;
	return platform_cut(&out->platform, x86_devs, ARRAY_SIZE(x86_devs), c->virtio, e);
}
