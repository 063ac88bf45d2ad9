/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The arm64 loader: runs inside the guest, from the staging area, before any other software.
 * The host cannot write into private RAM, so this does: it copies kernel, initrd and device tree to
 * their places and leaves. With the MMU off every access would be uncached and slow, hence:
 *
 *   1. identity page tables, MMU and caches on
 *   2. copy the pieces, and the handoff code
 *   3. clean what was written to the point of coherency, as the boot protocol wants
 *   4. (start.S) MMU off, jump to the handoff code in private RAM, which announces that the staging
 *      area may go and enters the kernel
 */
#include <stddef.h>

#include "arch/boot_info.h"

/* start.S has these numbers. */
_Static_assert(offsetof(struct boot_info, power_base) == 64, "LOADER_INFO_POWER");
_Static_assert(offsetof(struct boot_info, entry) == 80, "LOADER_INFO_ENTRY");
_Static_assert(offsetof(struct boot_info, entry_arg) == 88, "LOADER_INFO_ENTRY_ARG");

#define BLOCK_1G (1ULL << 30)
#define BLOCK_2M (1ULL << 21)

/* Translation table descriptors, 4 KiB granule (Arm ARM, D8.3). */
#define DESC_TABLE  3ULL
#define DESC_BLOCK  1ULL
#define DESC_AF	    (1ULL << 10)
#define DESC_SH	    (3ULL << 8) /* inner shareable */
#define DESC_XN	    (3ULL << 53)
#define ATTR_DEVICE (0ULL << 2)
#define ATTR_NORMAL (1ULL << 2)

#define MAIR_VALUE 0xff00ULL /* 0: device-nGnRnE, 1: normal write-back */
/* 39-bit addresses from TTBR0, 4 KiB granule, write-back inner shareable walks, TTBR1 off. */
#define TCR_VALUE(ips) \
	(25ULL | (1ULL << 8) | (1ULL << 10) | (3ULL << 12) | (1ULL << 23) | ((ips) << 32))
#define SCTLR_ON 0x1005ULL /* M, C, I */

/* The first GiB: devices below the staging area, then memory. */
#define DEVICES_END 0x10000000ULL

static uint64_t level1[512] __attribute__((aligned(4096)));
static uint64_t level2[512] __attribute__((aligned(4096)));
uint8_t loader_stack[8192] __attribute__((aligned(4096)));
extern uint8_t handoff_code[] __attribute__((visibility("hidden")));
extern uint8_t handoff_code_end[] __attribute__((visibility("hidden")));

uint64_t loader_main(const struct boot_info *info);

static void make_tables(void)
{
	uint64_t i;

	for (i = 0; i < 512; i++) {
		uint64_t at = i * BLOCK_2M;

		level2[i] = at | DESC_BLOCK | DESC_AF |
			    (at < DEVICES_END ? ATTR_DEVICE | DESC_XN : ATTR_NORMAL | DESC_SH);
	}
	level1[0] = (uint64_t)level2 | DESC_TABLE;
	for (i = 1; i < 512; i++)
		level1[i] = i * BLOCK_1G | DESC_BLOCK | DESC_AF | ATTR_NORMAL | DESC_SH;
}

static void mmu_on(void)
{
	uint64_t sctlr, ips;

	__asm__ volatile("mrs %0, id_aa64mmfr0_el1" : "=r"(ips));
	ips &= 7;
	__asm__ volatile("msr mair_el1, %0\n\tmsr tcr_el1, %1\n\tmsr ttbr0_el1, %2\n\t"
			 "dsb sy\n\tisb\n\ttlbi vmalle1\n\tdsb sy\n\tisb" ::"r"(MAIR_VALUE),
			 "r"(TCR_VALUE(ips)), "r"(level1)
			 : "memory");
	__asm__ volatile("mrs %0, sctlr_el1" : "=r"(sctlr));
	__asm__ volatile("ic iallu\n\tdsb sy\n\tmsr sctlr_el1, %0\n\tisb" ::"r"(sctlr | SCTLR_ON)
			 : "memory");
}

/*
 * Pieces start on pages of their own at either side, and what pads the last one in the staging area
 * is zero: copying up to the next 64 bytes is harmless and lets the loop be simple.
 */
static uint64_t padded(uint64_t len)
{
	return (len + 63) & ~63ULL;
}

static void copy(uint64_t dst, uint64_t src, uint64_t len)
{
	uint64_t *d = (uint64_t *)dst;
	const uint64_t *s = (const uint64_t *)src;
	uint64_t n = len / 64;

	while (n--) {
		uint64_t a = s[0], b = s[1], c = s[2], e = s[3];
		uint64_t f = s[4], g = s[5], h = s[6], i = s[7];

		d[0] = a;
		d[1] = b;
		d[2] = c;
		d[3] = e;
		d[4] = f;
		d[5] = g;
		d[6] = h;
		d[7] = i;
		d += 8;
		s += 8;
	}
}

static uint64_t cache_line(void)
{
	uint64_t ctr;

	__asm__ volatile("mrs %0, ctr_el0" : "=r"(ctr));
	return 4ULL << ((ctr >> 16) & 15);
}

/* Whole pages only, or a neighbour's bytes would go too. */
static void invalidate(uint64_t at, uint64_t len)
{
	uint64_t line = cache_line(), end = at + len;

	__asm__ volatile("dsb sy" ::: "memory");
	for (; at < end; at += line)
		__asm__ volatile("dc ivac, %0" ::"r"(at) : "memory");
	__asm__ volatile("dsb sy" ::: "memory");
}

static void clean(uint64_t at, uint64_t len)
{
	uint64_t line = cache_line(), end = at + len;

	for (at &= ~(line - 1); at < end; at += line)
		__asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
	__asm__ volatile("dsb sy" ::: "memory");
}

uint64_t loader_main(const struct boot_info *info)
{
	uint64_t i, code_len = padded((uint64_t)(handoff_code_end - handoff_code));

	make_tables();
	/*
	 * What was written with the MMU off went past the caches, where an old clean line of the
	 * same memory may sit; the table walk and the stack would then read that.
	 */
	invalidate((uint64_t)level1, sizeof(level1));
	invalidate((uint64_t)level2, sizeof(level2));
	invalidate((uint64_t)loader_stack, sizeof(loader_stack));
	mmu_on();
	for (i = 0; i < info->item_count; i++) {
		uint64_t len = padded(info->items[i].len);

		copy(info->items[i].dst, info->items[i].src, len);
		clean(info->items[i].dst, len);
	}
	copy(info->handoff, (uint64_t)handoff_code, code_len);
	clean(info->handoff, code_len);
	return info->handoff;
}
