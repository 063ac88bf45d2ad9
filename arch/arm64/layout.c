/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arm64/layout.h"

#include <errno.h>

#include "arch/arch.h"
#include "vmm/util/bits.h"

static const struct platform_dev arm64_devs[] = {
	{ PLATFORM_SERIAL, false, ARM64_SERIAL, 8, ARM64_SERIAL_SPI },
	{ PLATFORM_POWER, false, ARM64_POWER, 8, 0 },
	{ PLATFORM_PROBE, false, ARM64_PROBE, 64, 0 },
};

int arch_layout(const struct arch_config *c, struct arch_layout *out, struct err *e)
{
	if (c->cpus > ARM64_CPUS_MAX)
		return err_set(e, -EINVAL, "%u vCPUs: the address map has room for %llu", c->cpus,
			(unsigned long long)ARM64_CPUS_MAX);
	*out = (struct arch_layout){
		.ram = { { { ARM64_RAM }, c->ram_bytes } },
		.ram_count = 1,
		.staging = { ARM64_STAGING },
		.staging_max = ARM64_RAM - ARM64_STAGING,
		.platform = { arm64_devs, ARRAY_SIZE(arm64_devs) },
	};
	return 0;
}
