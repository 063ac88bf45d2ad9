/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Entry and hand-over of the x86-64 loader (man/nacre-firmware.7: 64-bit mode, identity tables,
 * rdi = information block). handoff_code is copied to private RAM and runs there.
 */
#define LOADER_INFO_POWER     64
#define LOADER_INFO_ENTRY     80
#define LOADER_INFO_ENTRY_ARG 88
#define LOADER_INFO_TABLES    96

	.section .text.start, "ax"
	.global _start
_start:
	lea	loader_stack_end(%rip), %rsp
	mov	%rdi, %rbx
	call	loader_main
	/* rax = handoff page. From here on no memory of ours is touched. */
	mov	LOADER_INFO_POWER(%rbx), %rdx
	mov	LOADER_INFO_ENTRY(%rbx), %rdi
	mov	LOADER_INFO_ENTRY_ARG(%rbx), %rsi
	mov	LOADER_INFO_TABLES(%rbx), %rcx
	jmp	*%rax

	/* Position-independent; touches no memory. */
	.global handoff_code, handoff_code_end
handoff_code:
	mov	%rcx, %cr3
	mov	$1, %eax		/* BOOT_DONE: the staging area goes */
	out	%eax, %dx
	jmp	*%rdi
handoff_code_end:
	.section .note.GNU-stack, "", @progbits
