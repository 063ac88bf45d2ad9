/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The same for QEMU's microvm machine, which enters a 32-bit kernel by the address in its PVH note.
 * Without SPIN it ends QEMU through isa-debug-exit, with status 2 * 16 + 1; with SPIN it stays.
 */
	.text
	.code32
	.globl	_start
_start:
#ifndef SPIN
	mov	$0x501, %edx
	mov	$16, %eax
	out	%al, %dx
#endif
1:	pause
	jmp	1b

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	_start
	.section .note.GNU-stack, "", @progbits
