/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: all the RAM that the guest was told of is there, to the last byte, and no two addresses of
 * it are one page: around the hole below 4 GiB and on both sides of each GiB.
 */
#include "guest.h"

#define GIB (1ULL << 30)

static void each_witness(void (*fn)(uint64_t gpa))
{
	uint64_t at, end;
	uint32_t i;

	for (i = 0; i < boot->ram_count; i++) {
		end = boot->ram[i].base + boot->ram[i].size;
		for (at = boot->ram[i].base; at < end; at = (at / GIB + 1) * GIB) {
			fn(at);
			fn(((at / GIB + 1) * GIB < end ? (at / GIB + 1) * GIB : end) - PAGE);
		}
	}
}

static void write_page(uint64_t gpa)
{
	CHECK(page_is_zero(gpa), "0x%lx is not zero", gpa);
	page_fill(gpa, gpa);
}

static void check_page(uint64_t gpa)
{
	CHECK(page_holds(gpa, gpa), "0x%lx lost its content", gpa);
}

void guest_main(void)
{
	each_witness(write_page);
	each_witness(check_page);
	print("%lu MiB in %u regions, up to 0x%lx\n", ram_total() >> 20, boot->ram_count,
		ram_end());
}
