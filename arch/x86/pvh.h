/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_X86_PVH_H
#define NACRE_X86_PVH_H

#include <stdint.h>

/*
 * The block that a kernel entered by PVH finds at the address in ebx: Xen's
 * public/arch-x86/hvm/start_info.h, version 1. It fills one page; module list and memory map lie
 * behind the block, in the same page.
 */
#define X86_PVH_SIZE	 4096u
#define X86_PVH_MAP_ROWS 16

struct x86_map_row {
	uint64_t base, size;
	uint32_t type; /* as in the e820 map */
};

struct x86_pvh {
	uint64_t at; /* address of the page */
	uint64_t cmdline;
	uint64_t acpi_root;
	uint64_t initrd, initrd_len; /* len 0: none */
	const struct x86_map_row *map;
	unsigned int map_rows; /* X86_PVH_MAP_ROWS or less */
};

/* Writes the whole page. Pure. */
void x86_pvh_page(const struct x86_pvh *p, uint8_t page[X86_PVH_SIZE]);

#endif
