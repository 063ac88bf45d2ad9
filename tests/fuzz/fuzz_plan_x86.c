/* SPDX-License-Identifier: Apache-2.0 */

/* Boot plans of x86-64: for any kernel file the pieces lie in RAM, side by side, or a sentence says no. */
#include "arch/x86/layout.c"
#include "arch/x86/boot.c"
#include "tests/fuzz/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
		plan_check(&p, &l);
		check_entry(&p);
		if (p.entry.is_pvh && c->protection != PROTECTION_NONE)
			abort();
		boot_plan_free(&p);
	} else if (!e.msg[0]) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arch_config c;
	struct boot_files f;

	if (!plan_input(data, size, &c, &f))
		return 0;
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
