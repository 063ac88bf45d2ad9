/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: 10,000 random conversions by all vCPUs at once, while all of them use the memory beside,
 * leave every page with the content and in the state it should have; and memory that was shared
 * and taken back is given back to the host.
 *
 * The arena is cut into stripes that belong to the vCPUs in turn, so one vCPU's conversions are
 * everywhere between the others' pages. A page's seed says what it holds; 0 is zeroes.
 */
#include "guest.h"

#define CONVERSIONS 10000u
#define STRIPE	    64u
#define STRIPES	    (CONVERT_RANGES ? 176u : 32u) /* one page a call is slow work */
#define ARENA	    (STRIPES * STRIPE)
#define MARKS	    4u
/* How much the VMM may grow: lists of slots and of shared ranges, thread stacks, and the kernel's
 * slack in counting. What the shared side of a page still held would come on top. */
#define RSS_GROWTH (2ULL << 20)

static struct page {
	uint32_t seed;
	bool shared;
} pages[ARENA];
static uint32_t done;
static uint64_t rss_before;
static struct barrier all;

static uint64_t gpa_of(uint32_t page)
{
	return ram_page(page);
}

/* Some words of a page stand for all of it: the ends, and two between. */
static volatile uint64_t *mark(uint32_t page, uint32_t i)
{
	static const uint16_t at[MARKS] = { 0, 130, 389, 511 };

	return &words(gpa_of(page))[at[i]];
}

static uint64_t mark_value(uint32_t page, uint32_t i)
{
	return pages[page].seed ? (uint64_t)pages[page].seed << 32 | page << 2 | i : 0;
}

static void write_page(uint32_t page, uint32_t seed)
{
	uint32_t i;

	pages[page].seed = seed;
	for (i = 0; i < MARKS; i++)
		*mark(page, i) = mark_value(page, i);
}

static void check_page(uint32_t page, const char *which)
{
	uint32_t i;

	for (i = 0; i < MARKS; i++)
		CHECK(*mark(page, i) == mark_value(page, i),
			"%s, page %u (%s): mark %u is 0x%lx, not 0x%lx", which, page,
			pages[page].shared ? "shared" : "private", i, *mark(page, i),
			mark_value(page, i));
	if (pages[page].seed == 0 && page % 16 == 0)
		CHECK(page_is_zero(gpa_of(page)), "%s, page %u: not zeroed", which, page);
}

static void note_converted(uint32_t first, uint32_t count, bool to_private)
{
	uint32_t i;

	for (i = first; i < first + count; i++) {
		/* Under pKVM the content stays. */
		if (pages[i].shared == to_private && !mode_is(BOOT_PKVM))
			pages[i].seed = 0;
		pages[i].shared = !to_private;
	}
}

/* Most ranges are small, as those of real guests. */
static void convert_some(struct random *r, uint32_t stripe)
{
	uint32_t in = (uint32_t)random_below(r, STRIPE), first = stripe * STRIPE + in, count = 1;
	bool to_private = random_below(r, 2);
	uint32_t other;

	if (CONVERT_RANGES)
		count = (uint32_t)(1 + random_below(r, 1ULL << random_below(r, 7)));
	if (count > STRIPE - in)
		count = STRIPE - in;
	/* pKVM does not take requests that change nothing. */
	if (mode_is(BOOT_PKVM))
		to_private = pages[first].shared;
	other = first + (uint32_t)random_below(r, count);
	CHECK(convert(gpa_of(first), count, to_private) == 0, "page %u + %u to %s: refused", first,
		count, to_private ? "private" : "shared");
	note_converted(first, count, to_private);
	check_page(first, "first");
	check_page(first + count - 1, "last");
	check_page(other, "inner");
	if (in)
		check_page(first - 1, "before");
	if (in + count < STRIPE)
		check_page(first + count, "behind");
	write_page(first, (uint32_t)random_next(r) | 1);
	write_page(other, (uint32_t)random_next(r) | 1);
}

static uint32_t own_stripe(struct random *r, uint32_t cpu)
{
	return (uint32_t)random_below(r, STRIPES / boot->cpus) * boot->cpus + cpu;
}

static uint32_t own_page(struct random *r, uint32_t cpu)
{
	return own_stripe(r, cpu) * STRIPE + (uint32_t)random_below(r, STRIPE);
}

static void work(uint32_t cpu)
{
	struct random r = { cpu + 1 };
	uint32_t i;

	while (add_to(&done, 1) <= CONVERSIONS) {
		convert_some(&r, own_stripe(&r, cpu));
		for (i = 0; i < 4; i++)
			check_page(own_page(&r, cpu), "any");
	}
	barrier_wait(&all);
}

static void check_states(void)
{
	uint32_t i, shared = 0;
	struct scan s;

	for (i = 0; i < ARENA; i++) {
		check_page(i, "at the end");
		shared += pages[i].shared;
	}
	/* Only now: under pKVM a page is the host's until the guest touches it. */
	s = probe_scan(gpa_of(0), ARENA * PAGE);
	print("%u pages shared, %u readable, %lu KiB resident\n", shared, s.readable,
		probe_rss() >> 10);
	CHECK(s.readable == shared && s.refused == ARENA - shared, "%u pages refused", s.refused);
}

static void take_back(void)
{
	uint32_t i, step = CONVERT_RANGES ? STRIPE : 1;
	uint64_t rss;

	for (i = 0; i < ARENA; i += step)
		if (step > 1 || pages[i].shared)
			CHECK(unshare(gpa_of(i), step) == 0, "take back page %u", i);
	rss = probe_rss();
	print("%lu KiB resident when all is private, %lu before\n", rss >> 10, rss_before >> 10);
	/* Under pKVM all that the guest has touched is pinned in the VMM. */
	CHECK(rss <= rss_before + RSS_GROWTH + (mode_is(BOOT_PKVM) ? ram_total() : 0),
		"resident memory has grown");
}

void guest_main(void)
{
	rss_before = probe_rss();
	smp_run(work);
	check_states();
	take_back();
}
