/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: where each page has a private and a shared copy, at two addresses, a guest that touches both
 * of all its pages, asked for or not, has no more memory than its RAM and what it may share. The test
 * runs it with a memory limit below twice the RAM. What it holds privately stays through all of it, and
 * so does what it has shared.
 */
#include "guest.h"

#define STEP 512u /* pages: what one conversion shares */

/* The second word of a page's copies. The VMM may have to tell what the shared one's access was. */
static volatile uint64_t *private_copy(uint64_t gpa)
{
	return (volatile uint64_t *)(gpa + 8);
}

static uint64_t shared_copy(uint64_t gpa)
{
	return mmio_read64((gpa + 8) | boot->alias_bit);
}

static void write_shared(uint64_t gpa, uint64_t v)
{
	mmio_write64((gpa + 8) | boot->alias_bit, v);
}

/* From there on all is the guest's alone, and nothing of it is in use. */
static uint64_t first(void)
{
	return (ram_page(0) | (STEP * PAGE - 1)) + 1;
}

static void touch_all(uint64_t from, uint64_t seed)
{
	uint64_t gpa;

	for (gpa = from; gpa < ram_end(); gpa += PAGE) {
		*private_copy(gpa) = gpa ^ seed;
		write_shared(gpa, ~gpa);
	}
	for (gpa = from; gpa < ram_end(); gpa += PAGE)
		CHECK(*private_copy(gpa) == (gpa ^ seed), "0x%lx: 0x%lx, seed %lu", gpa,
			*private_copy(gpa), seed);
}

static void check_shared(uint64_t end)
{
	uint64_t gpa;

	for (gpa = first(); gpa < end; gpa += PAGE)
		CHECK(shared_copy(gpa) == (gpa ^ 2), "0x%lx: 0x%lx is shared", gpa,
			shared_copy(gpa));
}

/* As much as it gets; each copy that a page leaves is written to once more. Where that ends. */
static uint64_t share_all(void)
{
	uint64_t gpa, at, seen;

	for (gpa = first(); gpa < ram_end(); gpa += STEP * PAGE) {
		if (convert(gpa, STEP, false) != 0)
			break;
		for (at = gpa; at < gpa + STEP * PAGE; at += PAGE) {
			seen = shared_copy(at);
			CHECK(!seen || seen == ~at, "0x%lx comes with 0x%lx", at, seen);
			write_shared(at, at ^ 2);
			*private_copy(at) = at;
		}
	}
	return gpa;
}

void guest_main(void)
{
	uint64_t end;

	CHECK(boot->alias_bit, "each page has one address in this mode");
	touch_all(first(), 1);
	print("touched: %lu KiB resident\n", probe_rss() >> 10);
	end = share_all();
	print("shared %lu KiB: %lu KiB resident\n", (end - first()) >> 10, probe_rss() >> 10);
	CHECK(end > first(), "sharing is refused");
	CHECK(end < ram_end(), "all RAM can be shared, so the test shows nothing");
	check_shared(end);
	touch_all(end, 3);
	check_shared(end);
	print("all touched again: %lu KiB resident\n", probe_rss() >> 10);
}
