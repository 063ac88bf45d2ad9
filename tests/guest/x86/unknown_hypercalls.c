/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: hypercalls that are unknown, not on offer in this mode, or malformed get the answer that
 * KVM's interface gives them (Documentation/virt/kvm/x86/hypercalls.rst), and nothing happens.
 */
#include "guest.h"

#define ENOSYS (-1000)
#define EINVAL (-22)

static void expect(int64_t answer, uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	int64_t r = (int64_t)hypercall(nr, a0, a1, a2);

	CHECK(r == answer, "call %lu(0x%lx, 0x%lx, 0x%lx): %ld, not %ld", nr, a0, a1, a2, r,
		answer);
}

static void check_unknown(uint64_t page)
{
	static const uint64_t numbers[] = { 0, 2, 8, 13, 14, 99, 0x7fffffff, 0x100000001 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(numbers); i++)
		expect(ENOSYS, numbers[i], page, 1, 0);
}

static void check_malformed(uint64_t page)
{
	unsigned int bit;

	/* Bits 0 to 3 are a page size, a hint; 4 says private; the rest means nothing. */
	for (bit = 5; bit < 64; bit++) {
		expect(EINVAL, HC_MAP_GPA_RANGE, page, 1, 1ULL << bit);
		expect(EINVAL, HC_MAP_GPA_RANGE, page, 1, 1ULL << bit | MAP_GPA_PRIVATE);
	}
	expect(EINVAL, HC_MAP_GPA_RANGE, page, 0, 0);
	expect(EINVAL, HC_MAP_GPA_RANGE, page, UINT64_MAX, 0);
	expect(EINVAL, HC_MAP_GPA_RANGE, page, 1ULL << 52, 0);
	expect(EINVAL, HC_MAP_GPA_RANGE, page, (1ULL << 52) + 1, 0);
	expect(EINVAL, HC_MAP_GPA_RANGE, page, 1ULL << 40, 0);
	expect(EINVAL, HC_MAP_GPA_RANGE, page + 1, 1, 0);
	expect(EINVAL, HC_MAP_GPA_RANGE, page + 1, 1, MAP_GPA_PRIVATE);
}

void guest_main(void)
{
	uint64_t page = ram_page(0), v = 0;

	page_fill(page, 42);
	check_unknown(page);
	if (vmm_converts()) {
		check_malformed(page);
		/* Private as it is: a page size makes no difference. */
		expect(0, HC_MAP_GPA_RANGE, page, 1, MAP_GPA_PRIVATE | 1);
	} else {
		expect(ENOSYS, HC_MAP_GPA_RANGE, page, 1, 0);
		expect(ENOSYS, HC_MAP_GPA_RANGE, page, 1, MAP_GPA_PRIVATE);
	}
	CHECK(page_holds(page, 42), "the page has changed");
	CHECK(probe_as_promised(probe(PROBE_PEEK, page, &v)), "the page was converted");
}
