/* SPDX-License-Identifier: Apache-2.0 */

/* Boot plans of x86-64: for any kernel file the pieces lie in RAM, side by side, or a sentence says no. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/layout.c"
#include "arch/x86/boot.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool in_ram(const struct arch_layout *l, uint64_t at, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < l->ram_count; i++)
		if (at >= l->ram[i].base.v && len <= l->ram[i].size &&
			at - l->ram[i].base.v <= l->ram[i].size - len)
			return true;
	return false;
}

static void check_plan(const struct boot_plan *p, const struct arch_layout *l)
{
	unsigned int i, k;

	for (i = 0; i < p->count; i++) {
		uint64_t at = p->items[i].dst.v, end = at + p->items[i].len;

		if (!in_ram(l, at, p->items[i].len))
			abort();
		for (k = 0; k < i; k++)
			if (at < p->items[k].dst.v + p->items[k].len && p->items[k].dst.v < end)
				abort();
		if (p->handoff.v < end && at < p->handoff.v + PAGE_SIZE)
			abort();
	}
	if (!in_ram(l, p->handoff.v, PAGE_SIZE))
		abort();
}

/* The entry and what it is handed lie in pieces of the plan; 32-bit code lies where it can run. */
static void check_entry(const struct boot_plan *p)
{
	unsigned int i, pc = 0, arg = 0;

	for (i = 0; i < p->count; i++) {
		pc += p->entry.pc.v - p->items[i].dst.v < p->items[i].len;
		arg += p->entry.arg - p->items[i].dst.v < p->items[i].len;
	}
	if (pc != 1 || arg != 1 || (p->entry.is_pvh && p->entry.pc.v > UINT32_MAX))
		abort();
}

static void try_plan(const struct arch_config *c, const struct boot_files *f)
{
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	if (arch_layout(c, &l, &e))
		abort();
	if (!arch_boot_plan(c, &l, f, &p, &e)) {
		check_plan(&p, &l);
		check_entry(&p);
		if (p.entry.is_pvh && c->protection != PROTECTION_NONE)
			abort();
		boot_plan_free(&p);
	} else if (!e.msg[0]) {
		abort();
	}
}

/* The first two bytes: MiB of RAM beyond one, pages of initrd. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t initrd[256 * PAGE_SIZE];
	struct arch_config c = { .cpus = 1 };
	struct boot_files f = { .params = "console", .kernel_path = "k" };

	if (size < 3)
		return 0;
	c.ram_bytes = (data[0] + 1ULL) << 20;
	f.initrd = (struct blob){ data[1] ? initrd : NULL, data[1] * PAGE_SIZE };
	f.kernel = (struct blob){ malloc(size - 2), size - 2 };
	memcpy(f.kernel.data, data + 2, size - 2);
	try_plan(&c, &f);
	/* From the staging area there is no PVH. */
	c.protection = PROTECTION_PRIVATE;
	try_plan(&c, &f);
	/* Here a bzImage is unpacked. */
	c.protection = PROTECTION_SOFT_SEV;
	try_plan(&c, &f);
	free(f.kernel.data);
	return 0;
}
