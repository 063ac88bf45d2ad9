/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: a page that the guest shares is open to the VMM in both directions, and only that page;
 * taken back it is closed again. Where the VMM converts (mode private), each change starts with a
 * zeroed page, so no old private byte ever shows; under pKVM the content stays. All that holds at
 * every place where memory slots or regions of RAM meet.
 */
#include "guest.h"

#define SECRET	  0x1111ULL
#define TO_HOST	  0x2222222222222222ULL
#define FROM_HOST 0x3333333333333333ULL
#define FORGED	  0x4444444444444444ULL
/* The VMM cuts RAM into slots of this size. */
#define BORDERS (64ULL << 20)

static uint64_t page;

static void check_refused(uint64_t gpa, const char *when)
{
	uint64_t v = 0, kept = words(gpa)[0];
	uint32_t r = probe(PROBE_PEEK, gpa, &v);

	CHECK(probe_as_promised(r) && !v, "%s, peek of 0x%lx: result %u, 0x%lx", when, gpa, r, v);
	r = probe(PROBE_READ, gpa, &v);
	CHECK(r == PROBE_GATE && !v, "%s, read of 0x%lx: result %u, 0x%lx", when, gpa, r, v);
	v = FORGED;
	r = probe(PROBE_POKE, gpa, &v);
	CHECK(probe_as_promised(r), "%s, poke of 0x%lx: result %u", when, gpa, r);
	r = probe(PROBE_WRITE, gpa, &v);
	CHECK(r == PROBE_GATE, "%s, write of 0x%lx: result %u", when, gpa, r);
	CHECK(words(gpa)[0] == kept, "%s, 0x%lx was overwritten", when, gpa);
}

static void check_closed(const char *when)
{
	check_refused(page - PAGE, when);
	check_refused(page, when);
	check_refused(page + PAGE, when);
}

static void exchange(void)
{
	uint64_t v = FROM_HOST;
	uint32_t r;

	r = probe(PROBE_WRITE, page + 8, &v);
	CHECK(r == PROBE_OK && words(page)[1] == FROM_HOST, "write: result %u, guest has 0x%lx", r,
		words(page)[1]);
	words(page)[511] = TO_HOST;
	v = 0;
	r = probe(PROBE_READ, page + PAGE - 8, &v);
	CHECK(r == PROBE_OK && v == TO_HOST, "read: result %u, 0x%lx", r, v);
	r = probe(PROBE_PEEK, page + PAGE - 8, &v);
	CHECK(r == PROBE_OK && v == TO_HOST, "peek: result %u, 0x%lx", r, v);
	check_refused(page - PAGE, "shared");
	check_refused(page + PAGE, "shared");
}

static void check_start(const char *when, uint64_t seed)
{
	if (mode_is(BOOT_PKVM))
		CHECK(page_holds(page, seed), "%s: content is lost", when);
	else
		CHECK(page_is_zero(page), "%s: not zeroed, 0x%lx", when, words(page)[0]);
}

static void round_trip(uint64_t seed)
{
	page_fill(page, seed);
	check_closed("private");
	CHECK(share(page, 1) == 0, "share refused");
	check_start("shared", seed);
	exchange();
	page_fill(page, seed + 1);
	CHECK(unshare(page, 1) == 0, "unshare refused");
	check_start("taken back", seed + 1);
	check_closed("taken back");
}

static void check_at(uint64_t gpa)
{
	page = gpa;
	page_fill(page - PAGE, SECRET);
	page_fill(page + PAGE, SECRET + 1);
	round_trip(0x100);
	round_trip(0x200);
	CHECK(page_holds(page - PAGE, SECRET), "the page before has changed");
	CHECK(page_holds(page + PAGE, SECRET + 1), "the page behind has changed");
}

void guest_main(void)
{
	uint64_t at, end;
	uint32_t i;

	check_at(ram_page(10));
	for (i = 0; i < boot->ram_count; i++) {
		end = boot->ram[i].base + boot->ram[i].size;
		for (at = boot->ram[i].base + BORDERS; at < end; at += BORDERS)
			check_at(at - PAGE);
		check_at(end - 2 * PAGE);
	}
}
