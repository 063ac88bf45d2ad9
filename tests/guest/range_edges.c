/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: a conversion of anything but whole pages of RAM is refused with the interface's error code
 * and changes nothing; the first and the last page of RAM convert like any other.
 */
#include "guest.h"

#define HUGE (1ULL << 52) /* pages: in bytes that is zero again */

struct witness {
	uint64_t gpa;
	bool shared;
};

static struct witness witnesses[8];
static unsigned int witness_count;

static void add_witness(uint64_t gpa, bool shared)
{
	witnesses[witness_count++] = (struct witness){ gpa, shared };
	CHECK(!shared || share(gpa, 1) == 0, "witness 0x%lx", gpa);
	page_fill(gpa, gpa);
}

/* Both ends of each region, one shared and one private page each. */
static void add_witnesses(void)
{
	uint32_t i;

	for (i = 0; i < boot->ram_count; i++) {
		uint64_t end = boot->ram[i].base + boot->ram[i].size;

		uint64_t start = i ? boot->ram[i].base : ram_start();

		add_witness(start, true);
		add_witness(start + PAGE, false);
		add_witness(end - 2 * PAGE, true);
		add_witness(end - PAGE, false);
	}
}

static void check_witnesses(uint64_t gpa, uint64_t pages)
{
	unsigned int i;

	for (i = 0; i < witness_count; i++) {
		const struct witness *w = &witnesses[i];
		uint64_t v;
		uint32_t r = probe(PROBE_READ, w->gpa, &v);

		CHECK(r == (w->shared ? PROBE_OK : PROBE_GATE),
			"0x%lx + %lu pages changed the state of 0x%lx", gpa, pages, w->gpa);
		CHECK(page_holds(w->gpa, w->gpa), "0x%lx + %lu pages changed the content of 0x%lx",
			gpa, pages, w->gpa);
	}
}

static void refuse(uint64_t gpa, uint64_t pages)
{
	int64_t r;
	int to;

	for (to = 0; to < 2; to++) {
		r = convert(gpa, pages, to);
		CHECK(r == CONVERT_EINVAL, "0x%lx + %lu pages to %s: %ld", gpa, pages,
			to ? "private" : "shared", r);
	}
	check_witnesses(gpa, pages);
}

static void no_whole_page(void)
{
	refuse(ram_page(0) + 1, 1);
	refuse(ram_page(0) + PAGE - 1, 1);
	refuse(ram_page(0) + PAGE / 2, 1);
	refuse(ram_end() - 1, 1);
}

static void no_ram(void)
{
	static const uint64_t mmio[] = MMIO_PAGES;
	unsigned int i;

	refuse(boot->ram[0].base - PAGE, 1);
	refuse(boot->ram[0].base + boot->ram[0].size, 1);
	refuse(ram_end(), 1);
	refuse(ram_end() + (1ULL << 30), 1);
	refuse(boot->ram[boot->ram_count - 1].base - PAGE, 1);
	refuse(boot->staging_base, 1);
	refuse(boot->staging_base + BOOT_IMAGE_OFFSET, 1);
	refuse(boot->staging_base + boot->staging_size, 1);
	refuse(-PAGE, 1);
	for (i = 0; i < ARRAY_SIZE(mmio); i++)
		refuse(mmio[i], 1);
}

static void no_range(void)
{
	uint64_t all = ram_total() / PAGE;
	uint32_t i;

	refuse(ram_page(0), 0);
	for (i = 0; i < boot->ram_count; i++) {
		uint64_t base = boot->ram[i].base, end = base + boot->ram[i].size;

		refuse(end - PAGE, 2);
		refuse(end - 2 * PAGE, 1ULL << 20);
		refuse(base - PAGE, 2);
		refuse(base, boot->ram[i].size / PAGE + 1);
		refuse(base - PAGE, boot->ram[i].size / PAGE + 2);
	}
	/* From the first region to the end of the last one, with the hole between them. */
	refuse(boot->ram[0].base, (ram_end() - boot->ram[0].base) / PAGE + (boot->ram_count == 1));
	refuse(boot->staging_base, 1 << 18);
	refuse(ram_page(0), HUGE - 1);
	refuse(ram_page(0), HUGE);
	refuse(ram_page(0), HUGE + 1);
	refuse(ram_page(0), HUGE + all);
	refuse(ram_page(0), UINT64_MAX);
	refuse(ram_page(0), -(ram_page(0) / PAGE));
	refuse(ram_page(0), 1 - ram_page(0) / PAGE);
	refuse(-PAGE, 2);
	refuse(-PAGE, all);
}

/* Each edge of each region, from the state that the witnesses left it in. */
static void edges_convert(void)
{
	uint32_t i;

	for (i = 0; i < boot->ram_count; i++) {
		uint64_t first = boot->ram[i].base, last = first + boot->ram[i].size - PAGE;

		CHECK(unshare(first, 1) == 0 && share(first, 1) == 0, "first page 0x%lx", first);
		CHECK(share(last, 1) == 0 && unshare(last, 1) == 0, "last page 0x%lx", last);
	}
}

/* All of RAM, region by region, there and back. Nothing of the witnesses may be left. */
static void whole_regions(void)
{
	unsigned int i;

	for (i = 0; i < boot->ram_count; i++)
		CHECK(share(boot->ram[i].base, boot->ram[i].size / PAGE) == 0, "share region %u",
			i);
	for (i = 0; i < boot->ram_count; i++)
		CHECK(unshare(boot->ram[i].base, boot->ram[i].size / PAGE) == 0,
			"unshare region %u", i);
	for (i = 0; i < witness_count; i++)
		CHECK(page_is_zero(witnesses[i].gpa), "0x%lx is not zero", witnesses[i].gpa);
}

void guest_main(void)
{
	add_witnesses();
	no_whole_page();
	/* A pKVM guest that names what is not RAM is stopped by its hypervisor's host. */
	if (!mode_is(BOOT_PKVM))
		no_ram();
	if (CONVERT_RANGES)
		no_range();
	edges_convert();
	if (CONVERT_RANGES)
		whole_regions();
}
