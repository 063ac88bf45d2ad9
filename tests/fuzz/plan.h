/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FUZZ_PLAN_H
#define NACRE_FUZZ_PLAN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/boot.h"
#include "vmm/util/bits.h"

/* What boot plans of both architectures have to keep to, whatever the kernel file. */

static inline bool plan_in_ram(const struct arch_layout *l, uint64_t at, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < l->ram_count; i++)
		if (at >= l->ram[i].base.v && len <= l->ram[i].size &&
			at - l->ram[i].base.v <= l->ram[i].size - len)
			return true;
	return false;
}

static inline void plan_check(const struct boot_plan *p, const struct arch_layout *l)
{
	unsigned int i, k;

	for (i = 0; i < p->count; i++) {
		uint64_t at = p->items[i].dst.v, end = at + p->items[i].len;

		if (!plan_in_ram(l, at, p->items[i].len))
			abort();
		for (k = 0; k < i; k++)
			if (at < p->items[k].dst.v + p->items[k].len && p->items[k].dst.v < end)
				abort();
		if (p->handoff.v < end && at < p->handoff.v + PAGE_SIZE)
			abort();
	}
	if (!plan_in_ram(l, p->handoff.v, PAGE_SIZE))
		abort();
}

/*
 * The first two bytes of an input: MiB of RAM beyond one, pages of initrd; the rest is the kernel, to be
 * freed. False when there is none.
 */
static inline bool plan_input(
	const uint8_t *data, size_t size, struct arch_config *c, struct boot_files *f)
{
	static uint8_t initrd[256 * PAGE_SIZE];

	if (size < 3)
		return false;
	*c = (struct arch_config){ .cpus = 1, .ram_bytes = (data[0] + 1ULL) << 20 };
	*f = (struct boot_files){ .params = "console", .kernel_path = "k" };
	f->initrd = (struct blob){ data[1] ? initrd : NULL, data[1] * PAGE_SIZE };
	f->kernel = (struct blob){ malloc(size - 2), size - 2 };
	memcpy(f->kernel.data, data + 2, size - 2);
	return true;
}

#endif
