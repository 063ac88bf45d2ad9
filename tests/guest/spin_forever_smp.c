/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: the same with all vCPUs spinning. */
#include "guest.h"

static struct barrier all;

static void spin(uint32_t cpu)
{
	barrier_wait(&all);
	if (cpu == 0)
		print("spinning\n");
	for (;;)
		cpu_relax();
}

void guest_main(void)
{
	smp_run(spin);
}
