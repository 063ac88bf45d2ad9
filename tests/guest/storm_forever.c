/* SPDX-License-Identifier: Apache-2.0 */

/*
 * For tests/e2e/storm: the first vCPU converts as fast as it can and never stops, in mode none it
 * only turns in a circle; the others work, with memory and with a device, and one prints how far they
 * are. With a single vCPU there is no storm: that one works.
 */
#include "guest.h"

#define PAIRS 256u /* of pages: one to work with, one to convert */
#define TURNS 32u  /* of work, for a line */
#define TOUCH 4u   /* pages in one */

static uint32_t conversions, units;

static void storm(void)
{
	bool to_private = false;
	uint64_t pair;

	for (;;) {
		for (pair = 0; pair < PAIRS; pair++) {
			if (mode_is(BOOT_NONE))
				continue;
			CHECK(convert(ram_page(2 * pair + 1), 1, to_private) == 0, "page %lu",
				2 * pair + 1);
			add_to(&conversions, 1);
		}
		to_private = !to_private;
	}
}

static void unit(struct random *r)
{
	uint32_t i;

	for (i = 0; i < TOUCH; i++)
		words(ram_page(2 * random_below(r, PAIRS)))[random_below(r, PAGE / 8)]++;
	dev_read8(boot->serial_base + SERIAL_LSR);
	add_to(&units, 1);
}

static void work(uint32_t cpu)
{
	struct random r = { cpu + 1 };
	uint32_t i;

	if (cpu == 0 && boot->cpus > 1)
		storm();
	for (;;) {
		for (i = 0; i < TURNS; i++)
			unit(&r);
		if (cpu == boot->cpus - 1)
			print("at %u units, %u conversions\n", load(&units), load(&conversions));
	}
}

void guest_main(void)
{
	uint64_t page;

	for (page = 0; page < 2 * PAIRS; page++)
		words(ram_page(page))[0] = page;
	smp_run(work);
}
