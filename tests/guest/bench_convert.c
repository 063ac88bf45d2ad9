/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Measures conversions for tests/bench/run, no claim of its own: ranges of several sizes at random
 * places of the first 256 MiB, in guests of all sizes alike, before and after 5,000 random conversions of single pages (on arm64 as many as are made
 * in twelve seconds). Lines of its output:
 *
 *   convert pages P history H cpus C ram MIB calls N ns SHARE UNSHARE
 *
 * N: how many calls a conversion of that size takes on this architecture; SHARE and UNSHARE: the
 * median time of one call in nanoseconds. P = 0 is a call that changes nothing: what a hypercall
 * and its way through the VMM cost. The guest has written to the range before, so that there is
 * memory to give back. With several vCPUs the others run in private memory meanwhile.
 */
#include "bench_clock.h"
#include "guest.h"

#define HISTORY 5000u
/* Where a call takes one page and a slow host milliseconds for it. */
#define HISTORY_NS  12000000000ULL
#define SIZE_NS	    2000000000ULL
#define SAMPLES_MIN 4u
#define SAMPLES_MAX 64u
#define TOUCHES	    16u
#define WINDOW	    (256ul << 20)

static const struct {
	uint64_t pages;
	uint32_t samples;
} sizes[] = { { 1, 64 }, { 16, 32 }, { 512, 24 }, { 16384, 12 } };

static uint64_t samples[2][SAMPLES_MAX];
static struct random chance = { 1 };
static uint32_t done;

/* A place for that many pages, never the first: the start of other vCPUs lies there. */
static uint64_t random_place(uint64_t pages)
{
	uint64_t n = WINDOW / (pages * PAGE);
	uint64_t off = (1 + random_below(&chance, n - 1)) * pages * PAGE;

	if (pages * PAGE < 1 << 20)
		off = off < 1 << 20 ? 1 << 20 : off;
	return boot->ram[0].base + off;
}

static void touch(uint64_t gpa, uint64_t pages)
{
	uint64_t i, step = pages > TOUCHES ? pages / TOUCHES : 1;

	for (i = 0; i < pages; i += step)
		words(gpa)[i * PAGE / 8] = i;
}

static uint64_t median(uint64_t *v, uint32_t n)
{
	uint32_t i, k;

	for (i = 1; i < n; i++) {
		uint64_t x = v[i];

		for (k = i; k > 0 && v[k - 1] > x; k--)
			v[k] = v[k - 1];
		v[k] = x;
	}
	return v[n / 2];
}

static uint64_t time_one(uint64_t gpa, uint64_t pages, bool to_private)
{
	uint64_t start = clock_ns();

	CHECK(convert(gpa, pages, to_private) == 0, "convert 0x%lx, %lu pages", gpa, pages);
	return clock_ns() - start;
}

static void report(uint64_t pages, uint32_t history, uint32_t n)
{
	uint64_t calls = !pages || CONVERT_RANGES ? 1 : pages;

	print("convert pages %lu history %u cpus %u ram %lu calls %lu ns %lu %lu\n", pages, history,
		boot->cpus, ram_total() >> 20, calls, median(samples[0], n) / calls,
		median(samples[1], n) / calls);
}

/* Elsewhere nothing is cut short: the floor then sees the very same sequence of ranges. */
static bool in_time(uint32_t i, uint32_t min, uint64_t start, uint64_t limit)
{
	return CONVERT_RANGES || i < min || clock_ns() - start < limit;
}

static void measure(uint64_t pages, uint32_t history, uint32_t n)
{
	uint64_t start = clock_ns();
	uint32_t i;

	for (i = 0; i < n && in_time(i, SAMPLES_MIN, start, SIZE_NS); i++) {
		uint64_t gpa = random_place(pages);

		touch(gpa, pages);
		samples[0][i] = time_one(gpa, pages, false);
		touch(gpa, pages);
		samples[1][i] = time_one(gpa, pages, true);
	}
	report(pages, history, i);
}

/* To the state that the page has already. */
static void measure_nothing(uint32_t history)
{
	uint64_t gpa = random_place(1);
	uint32_t i;

	time_one(gpa, 1, true);
	for (i = 0; i < SAMPLES_MAX; i++)
		samples[0][i] = samples[1][i] = time_one(gpa, 1, true);
	report(0, history, SAMPLES_MAX);
}

static void measure_all(uint32_t history)
{
	uint32_t i;

	measure_nothing(history);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		/* One page a call: the larger ones would take minutes and tell nothing new. */
		if (CONVERT_RANGES || sizes[i].pages <= 16)
			measure(sizes[i].pages, history, sizes[i].samples);
	}
}

static uint32_t make_history(void)
{
	uint64_t start = clock_ns();
	uint32_t i;

	for (i = 0; i < HISTORY && in_time(i, 0, start, HISTORY_NS); i++) {
		uint64_t gpa = random_place(1);

		CHECK(convert(gpa, 1, random_next(&chance) & 1) == 0, "convert 0x%lx", gpa);
	}
	return i;
}

static void run(uint32_t cpu)
{
	/* Private pages of their own, out of random_place's reach. */
	while (cpu != 0 && !load(&done))
		words(boot->ram[0].base + (16 + cpu) * PAGE)[0]++;
	if (cpu != 0)
		return;
	measure_all(0);
	/* With several vCPUs the question is another. */
	if (boot->cpus == 1)
		measure_all(make_history());
	store(&done, 1);
}

void guest_main(void)
{
	clock_start();
	smp_run(run);
}
