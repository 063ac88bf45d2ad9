/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: vCPUs that convert as fast as they can neither stop another one that prints and works, nor
 * damage its memory, which lies page by page between what they convert.
 */
#include "guest.h"

#define LINES  100u
#define PAIRS  1024u /* of pages: one to keep, one to convert */
#define CHECKS 32u   /* per line */

static uint32_t stop, conversions;
static struct barrier ready;

static uint64_t kept(uint64_t pair)
{
	return ram_page(2 * pair);
}

static void storm(uint32_t cpu)
{
	bool to_private = false;
	uint32_t n = 0;

	/* Each its own pages, all to shared, then all back, and again. */
	for (;;) {
		uint64_t pair;

		for (pair = cpu; pair < PAIRS; pair += boot->cpus) {
			if (load(&stop)) {
				add_to(&conversions, n);
				return;
			}
			CHECK(convert(kept(pair) + PAGE, 1, to_private) == 0, "vCPU %u, pair %lu",
				cpu, pair);
			n++;
		}
		to_private = !to_private;
	}
}

static void work(uint32_t cpu)
{
	struct random r = { 1 };
	uint32_t i, k;

	barrier_wait(&ready);
	if (cpu != 0) {
		storm(cpu);
		return;
	}
	for (i = 1; i <= LINES; i++) {
		print("line %u\n", i);
		for (k = 0; k < CHECKS; k++) {
			uint64_t pair = random_below(&r, PAIRS);

			CHECK(page_holds(kept(pair), pair), "page of pair %lu, line %u", pair, i);
		}
	}
	store(&stop, 1);
}

void guest_main(void)
{
	uint64_t pair;

	for (pair = 0; pair < PAIRS; pair++)
		page_fill(kept(pair), pair);
	smp_run(work);
	print("%u conversions\n", conversions);
	CHECK(boot->cpus == 1 || conversions, "no storm");
	for (pair = 0; pair < PAIRS; pair++)
		CHECK(page_holds(kept(pair), pair), "page of pair %lu, at the end", pair);
}
