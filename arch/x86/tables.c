/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/tables.h"

#include <string.h>

#include "vmm/util/bits.h"

#define ENTRIES	     512u
#define ENTRY_TABLE  3ULL    /* present, writable */
#define ENTRY_LARGE  0x83ULL /* present, writable, page size */
#define GIB_PER_PDPT 512u

static bool is_ram(const struct arch_layout *l, uint64_t a)
{
	unsigned int i;

	for (i = 0; i < l->ram_count; i++)
		if (a >= l->ram[i].base.v && a - l->ram[i].base.v < l->ram[i].size)
			return true;
	return false;
}

/* l: whose RAM gets the alias bit, and is mapped again where that bit is set; NULL: nobody's. */
static uint64_t build(const struct arch_layout *l, uint64_t top, uint64_t at, void *buf)
{
	uint64_t gibs = max_u64((top + GIB(1) - 1) >> 30, 4);
	uint64_t bit = l ? l->alias_bit : 0, again = bit >> 30;
	uint64_t pdpts = ((bit ? again : 0) + gibs + GIB_PER_PDPT - 1) / GIB_PER_PDPT;
	uint64_t size = (1 + pdpts + (bit ? 2 : 1) * gibs) * PAGE_SIZE;
	uint64_t *table = buf, *pdpt, *pd, i;

	if (!buf)
		return size;
	memset(buf, 0, size);
	/* One top table, then the second level, then one table per GiB, and those with the bit. */
	pdpt = table + ENTRIES;
	pd = pdpt + pdpts * ENTRIES;
	for (i = 0; i < pdpts; i++)
		table[i] = (at + (1 + i) * PAGE_SIZE) | ENTRY_TABLE;
	for (i = 0; i < gibs; i++) {
		pdpt[i] = (at + (1 + pdpts + i) * PAGE_SIZE) | ENTRY_TABLE;
		if (bit)
			pdpt[again + i] = (at + (1 + pdpts + gibs + i) * PAGE_SIZE) | ENTRY_TABLE;
	}
	for (i = 0; i < gibs * ENTRIES; i++) {
		pd[i] = i * MIB(2) | ENTRY_LARGE;
		if (bit) {
			pd[gibs * ENTRIES + i] = pd[i];
			pd[i] |= is_ram(l, i * MIB(2)) ? bit : 0;
		}
	}
	return size;
}

uint64_t x86_identity_tables(uint64_t top, uint64_t at, void *buf)
{
	return build(NULL, top, at, buf);
}

uint64_t x86_boot_tables(const struct arch_layout *l, uint64_t at, void *buf)
{
	unsigned int last = l->ram_count - 1;

	return build(l, l->ram[last].base.v + l->ram[last].size, at, buf);
}
