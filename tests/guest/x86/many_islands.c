/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: where pages change sides by memory attributes, every other page of 160 MiB can be shared,
 * more islands than KVM has memory slots; and all of it taken back with one call.
 */
#include "guest.h"

#define FIRST 256u /* pages; below it vCPUs start */

void guest_main(void)
{
	uint64_t i, pages = ram_total() / PAGE, base = boot->ram[0].base;

	CHECK(pages == 40960, "%lu pages", pages);
	words(base + (FIRST + 1) * PAGE)[0] = 42;
	for (i = FIRST; i < pages; i += 2)
		CHECK(share(base + i * PAGE, 1) == 0, "share page %lu", i);
	for (i = FIRST; i < pages; i += 512)
		words(base + i * PAGE)[0] = i;
	CHECK(words(base + (FIRST + 1) * PAGE)[0] == 42, "a private page between them has changed");
	CHECK(unshare(base + FIRST * PAGE, pages - FIRST) == 0, "unshare");
	for (i = FIRST; i < pages; i += 512)
		CHECK(words(base + i * PAGE)[0] == 0, "page %lu is not zeroed", i);
	CHECK(words(base + (FIRST + 1) * PAGE)[0] == 42, "a page that stayed private has changed");
}
