/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Entry, trampoline and vectors of the x86-64 test guests. The first vCPU comes in 64-bit mode with
 * rdi = boot information; the others in real mode, to a copy of the trampoline below 1 MiB. All
 * use the page tables that the first one was given.
 */
#define STACK_SHIFT 14
#define CODE	    0x10
#define DATA	    0x18

	.section .text.start, "ax"
	.global _start
_start:
	lea	stacks + (1 << STACK_SHIFT)(%rip), %rsp
	mov	%rdi, %rsi
	xor	%edi, %edi
	call	guest_start

/* In 64-bit mode, with no stack yet. CPUID leaf 1 has our number. */
secondary_start:
	mov	$DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$1, %eax
	cpuid
	shr	$24, %ebx
	mov	%ebx, %edi
	lea	1(%rdi), %rax
	shl	$STACK_SHIFT, %rax
	lea	stacks(%rip), %rsp
	add	%rax, %rsp
	xor	%esi, %esi
	call	guest_start

/* Position-independent: runs at any page below 1 MiB, with that page in CS. */
	.global trampoline, trampoline_cr3, trampoline_end
	.balign	16
trampoline:
	.code16
	cli
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	trampoline_gdtr - trampoline
	mov	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	trampoline_cr3 - trampoline, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER: LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	$0x80010033, %eax	/* PG WP NE ET MP PE: straight into long mode */
	mov	%eax, %cr0
	ljmpl	$CODE, $secondary_start
	.code64
	.balign	4
trampoline_gdtr:
	.word	gdt_end - gdt - 1
	.long	gdt
trampoline_cr3:
	.long	0
trampoline_end:

/* One entry per vector, 16 bytes apart; the CPU pushes an error code for some. */
	.global	vector_entries
	.balign	16
vector_entries:
	.set	vector, 0
	.rept	48
	.balign	16
	.if	!(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21)
	push	$0
	.endif
	push	$vector
	jmp	trapped
	.set	vector, vector + 1
	.endr

trapped:
	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	cld
	lea	72(%rsp), %rdi		/* vector, error code, rip */
	call	cpu_trap
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	add	$16, %rsp
	iretq

	.section .data.tables, "aw"
	.global gdtr
	.balign	16
gdt:
	.quad	0
	.quad	0
	.quad	0x00af9b000000ffff	/* code, 64 bits */
	.quad	0x00cf93000000ffff	/* data */
gdt_end:
gdtr:
	.word	gdt_end - gdt - 1
	.quad	gdt
	.section .note.GNU-stack, "", @progbits
