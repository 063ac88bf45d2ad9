/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The arm64 loader: runs inside the guest, from the staging area, before any other software.
 * The host cannot write into private RAM, so this does: it copies kernel, initrd and device tree to
 * their places and leaves. With the MMU off every access would be uncached and slow, hence:
 *
 *   1. identity page tables, MMU and caches on
 *   2. copy the pieces, and the handoff code, without their pages of zeros
 *   3. clean what was written to the point of coherency, as the boot protocol wants
 *   4. (start.S) MMU off, jump to the handoff code in private RAM, which announces that the staging
 *      area may go and enters the kernel
 */
#include <stddef.h>

#include "arch/boot_info.h"
#include "arch/loader_zero.h"

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
#define SCTLR_ON   0x1005ULL /* M, C, I */
#define CPACR_FPEN (3ULL << 20)

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
 * is zero: copying up to the next 128 bytes is harmless and lets the loops be simple.
 */
static uint64_t padded(uint64_t len)
{
	return (len + 127) & ~127ULL;
}

/* len: a multiple of 128, and not 0. By the vector registers, which halve the work. */
static void copy(uint64_t dst, uint64_t src, uint64_t len)
{
	__asm__ volatile(".arch_extension fp\n"
			 "1:\n\t"
			 "ldp q0, q1, [%1], #32\n\t"
			 "ldp q2, q3, [%1], #32\n\t"
			 "ldp q4, q5, [%1], #32\n\t"
			 "ldp q6, q7, [%1], #32\n\t"
			 "stp q0, q1, [%0], #32\n\t"
			 "stp q2, q3, [%0], #32\n\t"
			 "stp q4, q5, [%0], #32\n\t"
			 "stp q6, q7, [%0], #32\n\t"
			 "subs %2, %2, #128\n\t"
			 "b.ne 1b"
			 : "+r"(dst), "+r"(src), "+r"(len)::"memory", "cc");
}

/* The vector registers trap until this; the kernel sets it anew. */
static void vectors_on(void)
{
	__asm__ volatile("msr cpacr_el1, %0\n\tisb" ::"r"(CPACR_FPEN));
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

static void clean(uint64_t at, uint64_t len, uint64_t line)
{
	uint64_t end = at + len;

	for (at &= ~(line - 1); at < end; at += line)
		__asm__ volatile("dc civac, %0" ::"r"(at) : "memory");
}

static void load(uint64_t dst, uint64_t src, uint64_t len, uint64_t line)
{
	uint64_t at, n;

	for (at = 0; at < len; at += n) {
		n = loader_page_len(at, len);
		if (loader_is_zero(src + at, n))
			continue;
		copy(dst + at, src + at, n);
		clean(dst + at, n, line);
	}
}

uint64_t loader_main(const struct boot_info *info)
{
	uint64_t i, code_len = padded((uint64_t)(handoff_code_end - handoff_code));
	uint64_t line = cache_line();

	make_tables();
	/*
	 * What was written with the MMU off went past the caches, where an old clean line of the
	 * same memory may sit; the table walk and the stack would then read that.
	 */
	invalidate((uint64_t)level1, sizeof(level1));
	invalidate((uint64_t)level2, sizeof(level2));
	invalidate((uint64_t)loader_stack, sizeof(loader_stack));
	mmu_on();
	vectors_on();
	for (i = 0; i < info->item_count; i++)
		load(info->items[i].dst, info->items[i].src, padded(info->items[i].len), line);
	load(info->handoff, (uint64_t)handoff_code, code_len, line);
	__asm__ volatile("dsb sy" ::: "memory");
	return info->handoff;
}
