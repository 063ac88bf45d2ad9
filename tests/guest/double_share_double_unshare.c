/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: converting to the state a page already has succeeds and changes nothing. */
#include "guest.h"

static void twice(uint64_t gpa, uint64_t pages, bool to_private)
{
	uint64_t i;

	CHECK(convert(gpa, pages, to_private) == 0, "first time, to_private %d", to_private);
	for (i = 0; i < pages; i++)
		page_fill(gpa + i * PAGE, i);
	CHECK(convert(gpa, pages, to_private) == 0, "second time, to_private %d", to_private);
	for (i = 0; i < pages; i++)
		CHECK(page_holds(gpa + i * PAGE, i), "page %lu lost its content, to_private %d", i,
			to_private);
}

/* A range of which a part is in the wanted state: that part keeps its content. */
static void partly(uint64_t gpa, bool to_private)
{
	CHECK(convert(gpa, 4, !to_private) == 0, "first part");
	CHECK(convert(gpa + PAGE, 2, to_private) == 0, "second part");
	page_fill(gpa + PAGE, 1);
	page_fill(gpa + 2 * PAGE, 2);
	CHECK(convert(gpa, 4, to_private) == 0, "whole");
	CHECK(page_is_zero(gpa) && page_is_zero(gpa + 3 * PAGE), "converted, but not zero");
	CHECK(page_holds(gpa + PAGE, 1) && page_holds(gpa + 2 * PAGE, 2),
		"was in that state before, and lost its content");
}

void guest_main(void)
{
	uint64_t gpa = ram_page(20);

	/* Private from the start. */
	page_fill(gpa, 77);
	CHECK(unshare(gpa, 1) == 0, "unshare of a private page");
	CHECK(page_holds(gpa, 77), "unshare of a private page lost its content");
	twice(gpa, 1, false);
	twice(gpa, 1, true);
	twice(gpa, 9, false);
	twice(gpa, 9, true);
	partly(gpa, false);
	partly(gpa, true);
}
