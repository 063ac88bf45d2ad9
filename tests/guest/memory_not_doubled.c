/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: the side that a page leaves holds no memory any more. The guest fills all its RAM on one
 * side, converts it and fills the other, again and again; the test runs it with a memory limit well
 * below twice the RAM, so keeping both sides would end in the out-of-memory killer.
 */
#include "guest.h"

#define STEP 512u /* pages */

static void fill(uint64_t seed)
{
	uint64_t gpa;

	for (gpa = ram_start(); gpa < ram_end(); gpa += PAGE)
		words(gpa)[1] = gpa ^ seed;
	for (gpa = ram_start(); gpa < ram_end(); gpa += PAGE)
		CHECK(words(gpa)[1] == (gpa ^ seed), "0x%lx: 0x%lx", gpa, words(gpa)[1]);
}

/* Each step filled at once, as a guest would that wants to keep both. */
static void turn(bool to_private, uint64_t pages)
{
	uint64_t gpa, at;

	for (gpa = ram_start(); gpa < ram_end(); gpa += pages * PAGE) {
		if (pages > (ram_end() - gpa) / PAGE)
			pages = (ram_end() - gpa) / PAGE;
		CHECK(convert(gpa, pages, to_private) == 0, "convert 0x%lx", gpa);
		for (at = gpa; at < gpa + pages * PAGE; at += PAGE) {
			CHECK(!words(at)[1], "0x%lx is not zeroed", at);
			words(at)[1] = at;
		}
	}
}

void guest_main(void)
{
	uint64_t all = ram_total() / PAGE;

	fill(1);
	turn(false, STEP);
	fill(2);
	turn(true, STEP);
	fill(3);
	if (CONVERT_RANGES) {
		turn(false, all);
		turn(true, all);
	}
	print("%lu KiB resident\n", probe_rss() >> 10);
}
