/* SPDX-License-Identifier: Apache-2.0 */

/* The loader's flat binary inside the VMM. LOADER_BIN is the path, given by the Makefile. */
	.section .rodata
	.balign	16
	.global arch_loader, arch_loader_end
arch_loader:
	.incbin LOADER_BIN
arch_loader_end:
	.section .note.GNU-stack, "", %progbits
