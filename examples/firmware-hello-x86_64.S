/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The smallest program that nacre run --firmware can start on x86-64 (nacre-firmware(7)): it says
 * hello on the serial port and powers off. Needs no stack and runs wherever it lies.
 */
#define INFO_SERIAL_BASE 56
#define INFO_POWER_BASE	 64
#define SERIAL_LSR	 5 /* line status: bit 5 is set when the port takes a byte */
#define POWER_OFF	 2

_start:
	mov	INFO_SERIAL_BASE(%rdi), %rbx
	mov	INFO_POWER_BASE(%rdi), %rbp
	lea	text(%rip), %rsi
next:
	lea	SERIAL_LSR(%rbx), %edx
	in	%dx, %al
	test	$0x20, %al
	jz	next
	lodsb
	test	%al, %al
	jz	done
	mov	%ebx, %edx
	out	%al, %dx
	jmp	next
done:
	mov	%ebp, %edx
	mov	$POWER_OFF, %eax
	out	%eax, %dx
stop:
	hlt
	jmp	stop

text:
	.asciz	"hello\n"
	.section .note.GNU-stack, "", @progbits
