/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: all vCPUs come up, each under its own number, and share memory coherently. */
#include "guest.h"

#define TURNS 1000u

static uint32_t came, counter, next;
static struct barrier all;

static void count(uint32_t cpu)
{
	uint32_t i;

	CHECK(!(__atomic_fetch_or(&came, 1u << cpu, __ATOMIC_ACQ_REL) & 1u << cpu),
		"vCPU %u came twice", cpu);
	barrier_wait(&all);
	CHECK(load(&came) == (1u << boot->cpus) - 1, "vCPUs 0x%x came", load(&came));
	for (i = 0; i < TURNS; i++)
		add_to(&counter, 1);
	/* One after the other, in order. */
	while (load(&next) != cpu)
		cpu_relax();
	print("vCPU %u\n", cpu);
	add_to(&next, 1);
}

void guest_main(void)
{
	smp_run(count);
	CHECK(counter == TURNS * boot->cpus, "counted to %u, not %u", counter, TURNS * boot->cpus);
}
