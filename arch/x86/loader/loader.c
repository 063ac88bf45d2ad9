/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The x86-64 loader: runs inside the guest, from the staging area, before any other software. The
 * host cannot write into private RAM, so this does: it copies the pieces to their places, then the
 * handoff code, which switches to the kernel's page tables, announces that the staging area may go
 * and enters the kernel. The announcement is port output, so KVM need not read the (then private)
 * instruction.
 */
#include <stddef.h>

#include "arch/boot_info.h"
#include "arch/loader_zero.h"

/* start.S has these numbers. */
_Static_assert(offsetof(struct boot_info, power_base) == 64, "LOADER_INFO_POWER");
_Static_assert(offsetof(struct boot_info, entry) == 80, "LOADER_INFO_ENTRY");
_Static_assert(offsetof(struct boot_info, entry_arg) == 88, "LOADER_INFO_ENTRY_ARG");
_Static_assert(offsetof(struct boot_info, entry_tables) == 96, "LOADER_INFO_TABLES");

uint8_t loader_stack[8192] __attribute__((aligned(16)));
extern uint8_t handoff_code[] __attribute__((visibility("hidden")));
extern uint8_t handoff_code_end[] __attribute__((visibility("hidden")));

uint64_t loader_main(const struct boot_info *info);

static void copy(uint64_t dst, uint64_t src, uint64_t len)
{
	uint64_t words = len / 8, bytes = len % 8;

	__asm__ volatile("rep movsq" : "+D"(dst), "+S"(src), "+c"(words)::"memory");
	__asm__ volatile("rep movsb" : "+D"(dst), "+S"(src), "+c"(bytes)::"memory");
}

static void load(uint64_t dst, uint64_t src, uint64_t len)
{
	uint64_t at, n;

	for (at = 0; at < len; at += n) {
		n = loader_page_len(at, len);
		if (!loader_is_zero(src + at, n))
			copy(dst + at, src + at, n);
	}
}

uint64_t loader_main(const struct boot_info *info)
{
	uint64_t i;

	for (i = 0; i < info->item_count; i++)
		load(info->items[i].dst, info->items[i].src, info->items[i].len);
	copy(info->handoff, (uint64_t)handoff_code, (uint64_t)(handoff_code_end - handoff_code));
	return info->handoff;
}
