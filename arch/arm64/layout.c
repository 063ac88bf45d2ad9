/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arm64/layout.h"

#include <errno.h>

#include "arch/arch.h"
#include "vmm/util/bits.h"

#define VIRTIO(n)                                                               \
	{                                                                       \
		PLATFORM_VIRTIO, false, ARM64_VIRTIO + (n)*ARM64_VIRTIO_STRIDE, \
			ARM64_VIRTIO_STRIDE, ARM64_VIRTIO_SPI + (n)             \
	}

static const struct platform_dev arm64_devs[] = {
	{ PLATFORM_SERIAL, false, ARM64_SERIAL, 8, ARM64_SERIAL_SPI },
	{ PLATFORM_POWER, false, ARM64_POWER, 8, 0 },
	{ PLATFORM_PROBE, false, ARM64_PROBE, 64, 0 },
	{ PLATFORM_RTC, false, ARM64_RTC, 0x1000, ARM64_RTC_SPI },
	VIRTIO(0),
	VIRTIO(1),
	VIRTIO(2),
	VIRTIO(3),
	VIRTIO(4),
	VIRTIO(5),
	VIRTIO(6),
	VIRTIO(7),
	VIRTIO(8),
	VIRTIO(9),
	VIRTIO(10),
	VIRTIO(11),
	VIRTIO(12),
	VIRTIO(13),
	VIRTIO(14),
	VIRTIO(15),
};

/*
 * At the end of RAM: what is loaded grows from its start. No more than a quarter of it, since the
 * guest cannot use the pool for anything else. Linux wants whole segments of 256 KiB; with 2 MiB
 * the rest of RAM keeps its large mappings.
 */
static void place_pool(const struct arch_config *c, struct arch_layout *l)
{
	uint64_t size = align_down(min_u64(c->swiotlb, c->ram_bytes / 4), MIB(2));

	if (!size || !c->virtio ||
		(c->protection != PROTECTION_PRIVATE && c->protection != PROTECTION_PKVM))
		return;
	l->pool.base = gpa(align_down(ARM64_RAM + c->ram_bytes - size, MIB(2)));
	l->pool.size = size;
}

unsigned int arm64_ipa_bits(const struct arch_layout *l)
{
	uint64_t top = l->ram[0].base.v + l->ram[0].size - 1;

	return (unsigned int)max_u64(64 - (unsigned int)__builtin_clzll(top | l->alias_bit), 32);
}

int arch_layout(const struct arch_config *c, struct arch_layout *out, struct err *e)
{
	if (c->protection == PROTECTION_SOFT_SEV)
		return err_set(e, -ENOTSUP,
			"mode soft-sev exists on x86-64 only (use --protection soft-realm)");
	if (c->cpus > ARM64_CPUS_MAX)
		return err_set(e, -EINVAL, "%u vCPUs: the address map has room for %llu", c->cpus,
			(unsigned long long)ARM64_CPUS_MAX);
	*out = (struct arch_layout){
		.ram = { { { ARM64_RAM }, c->ram_bytes } },
		.ram_count = 1,
		.staging = { ARM64_STAGING },
		.staging_max = ARM64_RAM - ARM64_STAGING,
	};
	place_pool(c, out);
	/* The top bit of a realm's addresses says shared, and all of the map lies below it. */
	if (c->protection == PROTECTION_SOFT_REALM)
		out->alias_bit = 1ULL << arm64_ipa_bits(out);
	return platform_cut(&out->platform, arm64_devs, ARRAY_SIZE(arm64_devs), c->virtio, e);
}
