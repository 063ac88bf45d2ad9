/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: a guest's memory tags are its own: each granule keeps the tag that it got, an access by another
 * one faults, and when the host writes tags (tests/e2e/mte does, while we are paused), we find those.
 *
 * The second quarter of RAM is tagged, from a seed; its last page is the one that the host writes to.
 */
#include "guest.h"
#include "tags.h"

#define SEED	    0x6e616372652e6d74ULL
#define GRANULE	    16ULL
#define PAGE_TAGS   (PAGE / GRANULE)
#define MAIR_TAGGED 0xf0ULL /* normal write-back memory that has tags (Arm ARM, MAIR_ELx) */
#define TCR_TBI0    (1ULL << 37)
#define SCTLR_ATA   (1ULL << 43)
#define SCTLR_TCF   (1ULL << 40) /* a wrong tag is a synchronous exception */

/* A block of 1 GiB in level1 (start.S), of the attributes with index 3. */
#define TAGGED_BLOCK (1ULL | 3ULL << 2 | 3ULL << 8 | 1ULL << 10 | 3ULL << 53)

/* Data abort at this level: a synchronous tag check fault. */
#define IS_TAG_FAULT(esr) ((esr) >> 26 == 0x25 && ((esr)&0x3f) == 0x11)

extern volatile uint64_t level1[512] __attribute__((visibility("hidden")));
extern uint8_t tag_vectors[] __attribute__((visibility("hidden")));
volatile uint64_t fault_esr __attribute__((visibility("hidden")));
volatile uint64_t fault_far __attribute__((visibility("hidden")));

/* An exception at this level is noted, and the instruction that made it is left out. */
__asm__(".text\n"
	"	.balign	2048\n"
	"tag_vectors:\n"
	"	.space	512\n"
	"	stp	x0, x1, [sp, #-16]!\n"
	"	mrs	x0, esr_el1\n"
	"	adrp	x1, fault_esr\n"
	"	str	x0, [x1, :lo12:fault_esr]\n"
	"	mrs	x0, far_el1\n"
	"	adrp	x1, fault_far\n"
	"	str	x0, [x1, :lo12:fault_far]\n"
	"	mrs	x0, elr_el1\n"
	"	add	x0, x0, #4\n"
	"	msr	elr_el1, x0\n"
	"	ldp	x0, x1, [sp], #16\n"
	"	eret\n"
	"	.balign	2048\n");

static uint64_t with_tag(uint64_t at, uint64_t tag)
{
	return at | tag << 56;
}

static void set_tag(uint64_t tagged)
{
	__asm__ volatile(".arch armv8.5-a+memtag\n\tstg %0, [%0]" ::"r"(tagged) : "memory");
}

static uint64_t get_tag(uint64_t at)
{
	uint64_t v = at;

	__asm__ volatile(".arch armv8.5-a+memtag\n\tldg %0, [%1]" : "+r"(v) : "r"(at) : "memory");
	return v >> 56 & 15;
}

static void enable(void)
{
	uint64_t features, v;

	__asm__ volatile("mrs %0, id_aa64pfr1_el1" : "=r"(features));
	CHECK((features >> 8 & 15) >= 2, "no memory tags: id_aa64pfr1_el1 0x%lx", features);
	__asm__ volatile("mrs %0, mair_el1" : "=r"(v));
	__asm__ volatile("msr mair_el1, %0" ::"r"(v | MAIR_TAGGED << 24));
	__asm__ volatile("mrs %0, tcr_el1" : "=r"(v));
	__asm__ volatile("msr tcr_el1, %0\n\tisb" ::"r"(v | TCR_TBI0));
	level1[ram_start() >> 30] = 0;
	__asm__ volatile("dsb ishst\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::: "memory");
	level1[ram_start() >> 30] = (ram_start() & ~((1ULL << 30) - 1)) | TAGGED_BLOCK;
	__asm__ volatile("dsb ishst\n\tisb" ::: "memory");
	__asm__ volatile("msr vbar_el1, %0\n\tisb" ::"r"(tag_vectors));
	__asm__ volatile("mrs %0, sctlr_el1" : "=r"(v));
	__asm__ volatile("msr sctlr_el1, %0\n\tisb" ::"r"(v | SCTLR_ATA | SCTLR_TCF));
}

static uint64_t base, len;
static bool full; /* see tags.h */

static void look_at_host(void)
{
	set_tag(with_tag(base, 1));
	set_tag(with_tag(base + 2 * GRANULE, 2));
	full = get_tag(base) == 1;
	set_tag(base);
	set_tag(base + 2 * GRANULE);
}

static void tag_all(void)
{
	uint64_t i;

	for (i = 0; i < len / 8; i++)
		*(volatile uint64_t *)(base + i * 8) = tags_word(SEED, i);
	for (i = 0; i < len / GRANULE; i++)
		set_tag(with_tag(base + i * GRANULE, tag_of(SEED, i, full)));
}

static void check_tags(uint64_t from, uint64_t to)
{
	uint64_t i;

	for (i = from / GRANULE; i < to / GRANULE; i++)
		CHECK(get_tag(base + i * GRANULE) == tag_of(SEED, i, full), "granule %lu: tag %lu",
			i, get_tag(base + i * GRANULE));
}

/* Loads and stores there by that tag: do both fault, or neither; and a store that faults stores nothing. */
static bool faults(uint64_t at, uint64_t tag)
{
	volatile uint64_t *p = (volatile uint64_t *)with_tag(at, tag);
	uint64_t before = *(volatile uint64_t *)with_tag(at, get_tag(at));
	bool load, store;

	fault_esr = fault_far = 0;
	(void)*p;
	load = IS_TAG_FAULT(fault_esr) && (fault_far & ~(15ULL << 60)) == with_tag(at, tag);
	CHECK(load || !fault_esr, "load at 0x%lx: esr 0x%lx, address 0x%lx", at, fault_esr,
		fault_far);
	fault_esr = fault_far = 0;
	*p = ~before;
	store = IS_TAG_FAULT(fault_esr);
	CHECK(load == store, "load and store at 0x%lx differ, esr 0x%lx", at, fault_esr);
	CHECK((*(volatile uint64_t *)with_tag(at, get_tag(at)) == before) == store,
		"the store at 0x%lx was %s", at, store ? "done" : "lost");
	*(volatile uint64_t *)with_tag(at, get_tag(at)) = before;
	return store;
}

static void check_faults(uint64_t at)
{
	uint64_t right = get_tag(at), tag;

	for (tag = 0; tag < 16; tag++)
		CHECK(faults(at, tag) == (tag != right), "tag %lu at 0x%lx, which has %lu", tag, at,
			right);
}

static void print_page(uint64_t page)
{
	uint64_t i;

	print("the host wrote ");
	for (i = 0; i < PAGE_TAGS; i++)
		print("%lx", get_tag(page + i * GRANULE));
	print("\n");
}

void guest_main(void)
{
	uint64_t page;

	len = ram_total() / 4;
	base = ram_start() + len;
	page = base + len - PAGE;
	enable();
	look_at_host();
	tag_all();
	check_tags(0, len);
	check_faults(base);
	check_faults(page);
	print("tagged %lu bytes at %lu, seed %lu, %s\n", len, base, (uint64_t)SEED,
		full ? "full" : "pairs");
	while (get_tag(page) == tag_of(SEED, (len - PAGE) / GRANULE, full))
		cpu_relax();
	print_page(page);
	check_tags(0, len - PAGE);
	check_faults(page);
}
