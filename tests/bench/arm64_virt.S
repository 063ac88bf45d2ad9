/* SPDX-License-Identifier: Apache-2.0 */

/*
 * And for QEMU's arm64 virt machine, which starts a flat kernel at its first byte: PSCI SYSTEM_OFF,
 * or with SPIN an endless loop.
 */
	.text
	.globl	_start
_start:
#ifndef SPIN
	movz	x0, #0x8400, lsl #16
	movk	x0, #8
	hvc	#0
#endif
1:	yield
	b	1b
	.section .note.GNU-stack, "", %progbits
