/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: no hypercall, whatever its arguments, ends the VM or touches memory outside RAM; after
 * thousands of them by all vCPUs at once, conversions still work.
 */
#include "guest.h"

#define CALLS 1500u

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
		return ram_page(random_below(r, 8192)) | (random_below(r, 8) ? 0 : 1);
	}
}

static void work(uint32_t cpu)
{
	struct random r = { cpu + 100 };
	uint32_t i;

	for (i = 0; i < CALLS; i++) {
		uint32_t nr = call_numbers[random_below(&r, ARRAY_SIZE(call_numbers))];
		uint64_t a = random_argument(&r), b = random_argument(&r), c = random_argument(&r);

		hypercall(nr, a, random_below(&r, 2) ? b : random_below(&r, 32),
			random_below(&r, 2) ? c : random_below(&r, 2) * 16);
	}
}

void guest_main(void)
{
	uint64_t page = ram_page(0);

	smp_run(work);
	if (mode_is(BOOT_NONE))
		return;
	/* Whatever state the calls left it in. */
	CHECK(unshare(page, 1) == 0, "no conversion any more");
	page_fill(page, 1);
	CHECK(share(page, 1) == 0, "no conversion to shared any more");
	CHECK(page_is_zero(page), "shared, not zeroed");
	page_fill(page, 2);
	CHECK(unshare(page, 1) == 0, "no conversion to private any more");
	CHECK(page_is_zero(page), "taken back, not zeroed");
}
