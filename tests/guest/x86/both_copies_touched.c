/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: a guest that uses both copies of all its pages has its RAM and the shared limit, not twice
 * its RAM: never having asked for it, it ends there. What is private stays as it was until then.
 */
#include "guest.h"

#define LOOKS 64u /* pages; so often all that is private is looked at */

void guest_main(void)
{
	uint64_t gpa, at;

	for (gpa = ram_start(); gpa < ram_end(); gpa += PAGE)
		words(gpa)[1] = ~gpa;
	for (gpa = ram_start(); gpa < ram_end(); gpa += PAGE) {
		*(volatile uint64_t *)(gpa | boot->alias_bit) = gpa;
		if (gpa / PAGE % LOOKS)
			continue;
		for (at = ram_start(); at < ram_end(); at += PAGE)
			CHECK(words(at)[1] == ~at, "0x%lx holds 0x%lx", at, words(at)[1]);
	}
	fail("there is a shared copy of everything");
}
