/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/tables.h"

#include <string.h>

#include "vmm/util/bits.h"

#define ENTRIES	     512u
#define ENTRY_TABLE  3ULL    /* present, writable */
#define ENTRY_LARGE  0x83ULL /* present, writable, page size */
#define GIB_PER_PDPT 512u

uint64_t x86_identity_tables(uint64_t top, uint64_t at, void *buf)
{
	uint64_t gibs = max_u64((top + GIB(1) - 1) >> 30, 4);
	uint64_t pdpts = (gibs + GIB_PER_PDPT - 1) / GIB_PER_PDPT;
	uint64_t size = (1 + pdpts + gibs) * PAGE_SIZE;
	uint64_t *table = buf, *pdpt, *pd, i;

	if (!buf)
		return size;
	memset(buf, 0, size);
	/* One top table, then the second level, then one table per GiB. */
	pdpt = table + ENTRIES;
	pd = pdpt + pdpts * ENTRIES;
	for (i = 0; i < pdpts; i++)
		table[i] = (at + (1 + i) * PAGE_SIZE) | ENTRY_TABLE;
	for (i = 0; i < gibs; i++)
		pdpt[i] = (at + (1 + pdpts + i) * PAGE_SIZE) | ENTRY_TABLE;
	for (i = 0; i < gibs * ENTRIES; i++)
		pd[i] = i * MIB(2) | ENTRY_LARGE;
	return size;
}
