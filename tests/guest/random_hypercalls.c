/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: no hypercall, whatever its arguments, ends the VM or touches memory outside RAM, and each
 * gets the answer it deserves, also when all vCPUs convert the same pages of all of RAM at once.
 * What is RAM stays usable all the while, and conversions still work afterwards.
 *
 * Nothing of the guest itself lies in RAM but the page where x86 starts its vCPUs: a vCPU that is
 * still on it when it is converted runs into zeroes for good. So all meet behind it first. And
 * interrupts stay off: an emulated SVM may deliver one twice.
 */
#include "guest.h"

#define CALLS	   1000u
#define RANGES_MAX 14u /* log2 of the pages */

static struct barrier all;

static uint64_t random_address(struct random *r)
{
	uint64_t region = random_below(r, boot->ram_count);

	/* Two regions are of very different sizes at times: none shall be left out. */
	return boot->ram[region].base + random_below(r, boot->ram[region].size / PAGE) * PAGE;
}

static uint64_t random_argument(struct random *r)
{
	switch (random_below(r, 10)) {
	case 0:
		return 0;
	case 1:
		return random_next(r);
	case 2:
		return UINT64_MAX - random_below(r, 3 * PAGE);
	case 3:
		return ram_end() - random_below(r, 4) * PAGE;
	case 4:
		return boot->staging_base + random_below(r, 32) * PAGE;
	case 5:
		return random_below(r, 64);
	case 6:
		return 1ULL << random_below(r, 64);
	default:
		return random_address(r) | (random_below(r, 8) ? 0 : 1);
	}
}

/* Whole pages of one region of RAM. */
static bool is_ram(uint64_t at, uint64_t pages)
{
	uint32_t i;

	for (i = 0; i < boot->ram_count; i++) {
		uint64_t base = boot->ram[i].base, size = boot->ram[i].size;

		if (at >= base && at < base + size)
			return at % PAGE == 0 && pages && pages <= (base + size - at) / PAGE;
	}
	return false;
}

/* Any call with any arguments: nothing is known of the answer. */
static void call_anything(struct random *r)
{
	uint32_t nr = call_numbers[random_below(r, ARRAY_SIZE(call_numbers))];
	uint64_t a = random_argument(r), b = random_argument(r), c = random_argument(r);

	hypercall(nr, a, random_below(r, 2) ? b : random_below(r, 32),
		random_below(r, 2) ? c : random_below(r, 2) * 16);
}

/* A conversion whose range is arbitrary: refused unless it happens to be RAM. */
static void convert_anything(struct random *r)
{
	uint64_t at = random_argument(r), pages = CONVERT_RANGES ? random_argument(r) : 1;
	bool ok = !mode_is(BOOT_NONE) && is_ram(at, pages);
	int64_t answer = convert(at, pages, random_below(r, 2));

	CHECK((answer == 0) == ok, "0x%lx + 0x%lx pages: %ld", at, pages, answer);
}

/* Of a size that is as likely to be small as large, and from anywhere in RAM. */
static void convert_ram(struct random *r)
{
	uint64_t at = random_address(r), pages = 1, words_in = PAGE / 8;
	uint64_t inside;

	if (CONVERT_RANGES)
		pages = 1 + random_below(r, 1ULL << random_below(r, RANGES_MAX + 1));
	while (!is_ram(at, pages))
		pages = (pages + 1) / 2;
	CHECK(convert(at, pages, random_below(r, 2)) == (mode_is(BOOT_NONE) ? CONVERT_ENOSYS : 0),
		"0x%lx + %lu pages: refused", at, pages);
	/* Whatever the others make of it meanwhile, it is memory. */
	inside = at + random_below(r, pages) * PAGE;
	words(inside)[random_below(r, words_in)]++;
	words(random_address(r))[random_below(r, words_in)]++;
}

static void work(uint32_t cpu)
{
	struct random r = { cpu + 100 };
	uint32_t i;

	/* Behind the page where they started. */
	barrier_wait(&all);
	for (i = 0; i < CALLS; i++) {
		uint64_t kind = random_below(&r, 8);

		if (kind == 0)
			call_anything(&r);
		else if (kind == 1)
			convert_anything(&r);
		else
			convert_ram(&r);
	}
}

/* Whatever state the calls left it in. */
static void check_conversions(uint64_t page)
{
	CHECK(unshare(page, 1) == 0, "no conversion any more");
	page_fill(page, 1);
	CHECK(share(page, 1) == 0, "no conversion to shared any more");
	CHECK(page_is_zero(page), "shared, not zeroed");
	page_fill(page, 2);
	CHECK(unshare(page, 1) == 0, "no conversion to private any more");
	CHECK(page_is_zero(page), "taken back, not zeroed");
}

void guest_main(void)
{
	smp_run(work);
	if (mode_is(BOOT_NONE))
		return;
	check_conversions(ram_page(0));
	check_conversions(ram_start());
	check_conversions(ram_end() - PAGE);
}
