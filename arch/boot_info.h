/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BOOT_INFO_H
#define NACRE_BOOT_INFO_H

#include <stdint.h>

/*
 * The information block that a program in the staging area finds (man/nacre-firmware.7 is its
 * specification). Shared with freestanding guest code: only fixed-size little-endian integers, no
 * pointers. A guest must refuse a magic it does not know and may rely on fields below `size`.
 */
#define BOOT_INFO_MAGIC	  0x4f464e4952434e00ULL
#define BOOT_INFO_VERSION 1u
#define BOOT_INFO_RAM	  4
#define BOOT_INFO_ITEMS	  16

/* Distance from the start of the staging area to the program's first instruction. */
#define BOOT_IMAGE_OFFSET 0x10000u
/* Zeroed room behind the program for its data, stack and tables. */
#define BOOT_IMAGE_ROOM 0x100000u

enum boot_protection {
	BOOT_NONE = 0,
	BOOT_PRIVATE = 1,
	BOOT_PKVM = 2,
	BOOT_SOFT_REALM = 3,
	BOOT_SOFT_SEV = 4
};

#define BOOT_PORT_IO 1u /* serial, power and probe are x86 ports, not MMIO addresses */

/* One piece of the guest's software, to be copied from the staging area to its place in RAM. */
struct boot_info_item {
	uint64_t src;
	uint64_t dst;
	uint64_t len;
};

struct boot_info {
	uint64_t magic;
	uint32_t version;
	uint32_t size;	     /* of this block, in bytes */
	uint32_t protection; /* enum boot_protection */
	uint32_t flags;
	uint32_t cpus;
	uint32_t ram_count;
	uint32_t item_count;
	uint32_t reserved;
	uint64_t staging_base;
	uint64_t staging_size;
	uint64_t serial_base; /* 16550, registers one byte apart */
	uint64_t power_base;
	uint64_t probe_base; /* 0 when the VM has no probe device */
	/* Where the copied software starts. entry 0: there is none. */
	uint64_t entry;
	uint64_t entry_arg;    /* arm64: x0; x86-64: rsi */
	uint64_t entry_tables; /* x86-64: the value for CR3 */
	uint64_t handoff;      /* a free page of RAM for the last instructions before entry */
	struct {
		uint64_t base;
		uint64_t size;
	} ram[BOOT_INFO_RAM];
	struct boot_info_item items[BOOT_INFO_ITEMS];
	uint64_t alias_bit; /* private and shared copy of a page differ in it; 0: one address */
};

#endif
