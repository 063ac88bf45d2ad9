/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The smallest program that nacre run --firmware can start on arm64 (nacre-firmware(7)): it says
 * hello on the serial port and powers off. Needs no stack and runs wherever it lies.
 */
#define INFO_SERIAL_BASE 56
#define INFO_POWER_BASE	 64
#define SERIAL_LSR	 5 /* line status: bit 5 is set when the port takes a byte */
#define POWER_OFF	 2

_start:
	ldr	x1, [x0, #INFO_SERIAL_BASE]
	ldr	x2, [x0, #INFO_POWER_BASE]
	adr	x3, text
next:
	ldrb	w4, [x3], #1
	cbz	w4, done
wait:
	ldrb	w5, [x1, #SERIAL_LSR]
	tbz	w5, #5, wait
	strb	w4, [x1]
	b	next
done:
	mov	w4, #POWER_OFF
	str	w4, [x2]
stop:
	wfi
	b	stop

text:
	.asciz	"hello\n"
