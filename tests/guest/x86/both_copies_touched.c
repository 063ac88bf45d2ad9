/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: a guest that uses both copies of all its pages, and never says that it shares one, has its
 * RAM and the shared limit, not twice its RAM; what is private stays as it was. The test runs it with
 * a memory limit between the two.
 */
#include "guest.h"

#define ROUNDS 3u

void guest_main(void)
{
	uint64_t round, gpa;
	uint32_t r;

	for (gpa = ram_start(); gpa < ram_end(); gpa += PAGE)
		words(gpa)[1] = ~gpa;
	for (round = 0; round < ROUNDS; round++)
		for (gpa = ram_start(); gpa < ram_end(); gpa += PAGE)
			*(volatile uint64_t *)(gpa | boot->alias_bit) = gpa ^ round;
	for (gpa = ram_start(); gpa < ram_end(); gpa += PAGE)
		CHECK(words(gpa)[1] == ~gpa, "0x%lx holds 0x%lx", gpa, words(gpa)[1]);
	/* Touched is not shared. */
	gpa = ram_end() - PAGE;
	r = probe(PROBE_READ, gpa, &round);
	CHECK(r == PROBE_GATE, "read of 0x%lx: result %u", gpa, r);
	print("%lu KiB resident\n", probe_rss() >> 10);
}
