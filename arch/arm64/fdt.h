/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ARM64_FDT_H
#define NACRE_ARM64_FDT_H

#include <stddef.h>

#include "arch/arch.h"

/* What goes into the device tree beside configuration and layout. */
struct fdt_params {
	const struct arch_config *config;
	const struct arch_layout *layout;
	const char *bootargs;
	uint64_t initrd_base; /* 0: none */
	uint64_t initrd_size;
	uint64_t seed[8]; /* random; for the kernel's address layout and its random generator */
};

/*
 * Builds the flattened device tree of the machine (Devicetree Specification 0.4, the kernel's
 * bindings for arm GICv3, PSCI and ns16550a). *out is malloc'ed, *len its size. 0 or -errno.
 */
int arm64_fdt_build(const struct fdt_params *p, void **out, size_t *len, struct err *e);

#endif
