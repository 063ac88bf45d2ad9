/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: memory that was never converted reads zero at first and then what was written. */
#include "guest.h"

#define SALT 0x5eed000000000000ULL

static uint64_t each_page(bool (*fn)(uint64_t gpa))
{
	uint64_t gpa, end, pages = 0;
	uint32_t i;

	for (i = 0; i < boot->ram_count; i++) {
		end = boot->ram[i].base + boot->ram[i].size;
		for (gpa = boot->ram[i].base; gpa < end; gpa += PAGE) {
			CHECK(fn(gpa), "gpa 0x%lx holds 0x%lx 0x%lx", gpa, words(gpa)[1],
				words(gpa)[511]);
			pages++;
		}
	}
	return pages;
}

static bool write_page(uint64_t gpa)
{
	if (words(gpa)[1] || words(gpa)[511])
		return false;
	words(gpa)[1] = gpa ^ SALT;
	words(gpa)[511] = ~gpa;
	return true;
}

static bool check_page(uint64_t gpa)
{
	return words(gpa)[1] == (gpa ^ SALT) && words(gpa)[511] == ~gpa;
}

void guest_main(void)
{
	uint64_t pages = each_page(write_page);

	CHECK(each_page(check_page) == pages, "unreachable");
	CHECK(pages == ram_total() / PAGE, "%lu pages", pages);
	print("%lu pages\n", pages);
}
