/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Entry, page tables and vectors of the arm64 test guests. The first vCPU comes with x0 = boot
 * information, the others (PSCI CPU_ON) with x0 = their number; all with the MMU off.
 */
#define STACK_SHIFT 14

/* Translation table descriptors, 4 KiB granule (Arm ARM, D8.3). */
#define DESC_TABLE  3
#define DESC_BLOCK  1
#define DESC_AF	    (1 << 10)
#define DESC_SH	    (3 << 8)
#define DESC_XN	    (3 << 53)
#define ATTR_DEVICE (0 << 2)
#define ATTR_NORMAL (1 << 2)
#define ATTR_NOCACHE (2 << 2)

	.section .text.start, "ax"
	.global _start, secondary_start
_start:
	mov	x19, x0
	mov	x20, xzr
	b	1f
secondary_start:
	mov	x19, xzr
	mov	x20, x0
1:	mov	x1, #0xff00		/* 0: device-nGnRnE, 1: normal write-back */
	movk	x1, #0x44, lsl #16	/* 2: normal, not cached */
	msr	mair_el1, x1
	/* 39-bit addresses from TTBR0, cached inner shareable walks, TTBR1 off. */
	ldr	x1, =(25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23)
	mrs	x2, id_aa64mmfr0_el1
	and	x2, x2, #7
	orr	x1, x1, x2, lsl #32
	msr	tcr_el1, x1
	adrp	x1, level1
	msr	ttbr0_el1, x1
	adrp	x1, vectors
	add	x1, x1, :lo12:vectors
	msr	vbar_el1, x1
	dsb	sy
	isb
	tlbi	vmalle1
	ic	iallu
	dsb	sy
	isb
	mrs	x1, sctlr_el1
	mov	x2, #0x1005		/* M, C, I */
	orr	x1, x1, x2
	msr	sctlr_el1, x1
	isb
	adrp	x1, stacks
	add	x1, x1, :lo12:stacks
	add	x2, x20, #1
	lsl	x2, x2, #STACK_SHIFT
	add	sp, x1, x2
	mov	x0, x20
	mov	x1, x19
	b	guest_start
	.ltorg

/* void hvc(struct call *), void smc(struct call *) */
	.macro	make_call insn
	.global	\insn
\insn:
	stp	x0, x30, [sp, #-16]!
	mov	x8, x0
	ldp	x0, x1, [x8]
	ldp	x2, x3, [x8, #16]
	\insn	#0
	ldp	x8, x30, [sp], #16
	stp	x0, x1, [x8]
	stp	x2, x3, [x8, #16]
	ret
	.endm
	make_call hvc
	make_call smc

/* void cpu_leave_asm(fn, o, stack): MMU off, since the tables stay behind. */
	.global	cpu_leave_asm
cpu_leave_asm:
	mrs	x3, sctlr_el1
	mov	x4, #0x1005		/* M, C, I */
	bic	x3, x3, x4
	dsb	sy
	msr	sctlr_el1, x3
	isb
	tlbi	vmalle1
	ic	iallu
	dsb	sy
	isb
	mov	sp, x2
	mov	x3, x0
	mov	x0, x1
	br	x3

/* Sixteen vectors. The one of interrupts at this level returns; all others report and end. */
	.macro	bad_vector number
	.balign	128
	mov	x0, #\number
	b	bad_exception
	.endm

	.balign	2048
vectors:
	bad_vector 0
	bad_vector 1
	bad_vector 2
	bad_vector 3
	bad_vector 4
	.balign	128
	b	interrupt
	bad_vector 6
	bad_vector 7
	bad_vector 8
	bad_vector 9
	bad_vector 10
	bad_vector 11
	bad_vector 12
	bad_vector 13
	bad_vector 14
	bad_vector 15

interrupt:
	sub	sp, sp, #176
	stp	x0, x1, [sp]
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	stp	x10, x11, [sp, #80]
	stp	x12, x13, [sp, #96]
	stp	x14, x15, [sp, #112]
	stp	x16, x17, [sp, #128]
	stp	x18, x29, [sp, #144]
	str	x30, [sp, #160]
	bl	cpu_interrupt
	ldp	x0, x1, [sp]
	ldp	x2, x3, [sp, #16]
	ldp	x4, x5, [sp, #32]
	ldp	x6, x7, [sp, #48]
	ldp	x8, x9, [sp, #64]
	ldp	x10, x11, [sp, #80]
	ldp	x12, x13, [sp, #96]
	ldp	x14, x15, [sp, #112]
	ldp	x16, x17, [sp, #128]
	ldp	x18, x29, [sp, #144]
	ldr	x30, [sp, #160]
	add	sp, sp, #176
	eret

bad_exception:
	mrs	x1, esr_el1
	mrs	x2, elr_el1
	mrs	x3, far_el1
	b	cpu_exception

/*
 * Addresses mapped one to one: devices in the first 256 MiB, memory above. The last GiB shows the
 * first one without its device attributes.
 */
	.section .data.tables, "aw"
	.balign	4096
	.global	level1
level1:
	.quad	level2 + DESC_TABLE
	.set	at, 1 << 30
	.rept	510
	.quad	at | DESC_BLOCK | DESC_AF | ATTR_NORMAL | DESC_SH
	.set	at, at + (1 << 30)
	.endr
	.quad	DESC_BLOCK | DESC_AF | ATTR_NOCACHE | DESC_SH | DESC_XN
level2:
	.set	at, 0
	.rept	128
	.quad	at | DESC_BLOCK | DESC_AF | ATTR_DEVICE | DESC_XN
	.set	at, at + (1 << 21)
	.endr
	.rept	384
	.quad	at | DESC_BLOCK | DESC_AF | ATTR_NORMAL | DESC_SH
	.set	at, at + (1 << 21)
	.endr
