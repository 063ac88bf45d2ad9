/* SPDX-License-Identifier: Apache-2.0 */

/* Boot plans of arm64: for any kernel file the pieces lie in RAM, side by side, or a sentence says no. */
#include "arch/arm64/layout.c"
#include "arch/arm64/boot.c"
#include "tests/fuzz/plan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arch_config c;
	struct boot_files f;
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	if (!plan_input(data, size, &c, &f))
		return 0;
	if (arch_layout(&c, &l, &e))
		abort();
	if (!arch_boot_plan(&c, &l, &f, &p, &e)) {
		plan_check(&p, &l);
		boot_plan_free(&p);
	} else if (!e.msg[0]) {
		abort();
	}
	free(f.kernel.data);
	return 0;
}
