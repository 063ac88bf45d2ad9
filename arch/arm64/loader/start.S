/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Entry and hand-over of the arm64 loader (man/nacre-firmware.7: EL1, MMU off, x0 = information
 * block). The C part runs with the MMU on; handoff_code is copied to private RAM and runs there.
 */
/* Offsets in struct boot_info; loader.c asserts them. */
#define LOADER_INFO_POWER     64
#define LOADER_INFO_ENTRY     80
#define LOADER_INFO_ENTRY_ARG 88

	.section .text.start, "ax"
	.global _start
_start:
	adrp	x1, loader_stack_end
	add	x1, x1, :lo12:loader_stack_end
	mov	sp, x1
	mov	x19, x0
	bl	loader_main
	/* x0 = handoff page. From here on no memory of ours is touched. */
	ldr	x20, [x19, #LOADER_INFO_POWER]
	ldr	x21, [x19, #LOADER_INFO_ENTRY]
	ldr	x22, [x19, #LOADER_INFO_ENTRY_ARG]
	mrs	x2, sctlr_el1
	mov	x3, #0x1005		/* M, C, I */
	bic	x2, x2, x3
	dsb	sy
	msr	sctlr_el1, x2
	isb
	tlbi	vmalle1
	ic	iallu
	dsb	sy
	isb
	br	x0

/* Position-independent, touches no memory but the power device. */
	.global handoff_code, handoff_code_end
	.balign	16
handoff_code:
	mov	w1, #1			/* BOOT_DONE: the staging area goes */
	str	w1, [x20]
	mov	x0, x22
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	br	x21
handoff_code_end:
