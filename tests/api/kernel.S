/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The smallest kernel for the getting-started test on x86-64 hosts: entered by PVH, it prints the
 * parameters that it was given on the serial port, and sleeps.
 */
#define START_INFO_CMDLINE 24 /* in struct hvm_start_info, which %ebx points to */
#define SERIAL		   0x3f8
#define SERIAL_LSR	   0x3fd /* line status: bit 5 is set when the port takes a byte */

	.text
	.code32
	.globl	_start
_start:
	mov	START_INFO_CMDLINE(%ebx), %esi
next:
	mov	$SERIAL_LSR, %edx
	in	%dx, %al
	test	$0x20, %al
	jz	next
	lodsb
	test	%al, %al
	jz	done
	mov	$SERIAL, %edx
	out	%al, %dx
	jmp	next
done:
	mov	$'\n', %al
	mov	$SERIAL, %edx
	out	%al, %dx
stop:
	cli
	hlt
	jmp	stop

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, 18	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	_start
	.section .note.GNU-stack, "", @progbits
