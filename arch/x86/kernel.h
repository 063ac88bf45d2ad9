/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_X86_KERNEL_H
#define NACRE_X86_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/boot.h"
#include "vmm/util/err.h"
#include "vmm/util/fd.h"

/*
 * What an x86-64 kernel file says about itself. A bzImage (Documentation/arch/x86/boot.rst, 2.12 or
 * later) has one piece, entered 0x200 bytes in; an ELF file has its loadable segments, and one or
 * both of two ways in: the ELF entry, taken as Linux's 64-bit one, and that of a PVH note.
 */
#define X86_KERNEL_PIECES 8

struct x86_piece {
	const uint8_t *data;
	uint64_t len;
	uint64_t dst;
};

struct x86_kernel {
	struct x86_piece pieces[X86_KERNEL_PIECES];
	unsigned int count;
	uint64_t entry; /* in 64-bit mode, by Linux's boot protocol; 0: none */
	uint64_t pvh;	/* in 32-bit mode, by PVH; 0: none */
	uint64_t start; /* lowest address it needs */
	uint64_t end;	/* first byte past everything it needs, zeroed memory included */
	bool has_setup;
	struct boot_packed packed; /* in a bzImage: what unpacks it otherwise will not run */
	const uint8_t *setup; /* the header, from offset 0x1f1 of the file, for the zero page */
	uint64_t setup_len;
	uint32_t cmdline_max;
	uint64_t initrd_max; /* highest address of the initrd's last byte */
};

/* -ENOEXEC with a sentence naming path for anything else, or a damaged one. */
int x86_kernel_parse(
	const struct blob *file, const char *path, struct x86_kernel *out, struct err *e);

/*
 * The same for a guest that has to be started behind what unpacks a bzImage: takes the ELF file out
 * of one, with the bzImage's header, and leaves it in *owned, which the pieces point into (blob_free
 * it; empty when the file was ELF already). It may unpack to max bytes.
 */
int x86_kernel_unpack(const struct blob *file, const char *path, uint64_t max,
	struct x86_kernel *out, struct blob *owned, struct err *e);

/* For kernel.c: a file with Linux's boot header; and the ELF file inside. */
bool x86_is_bzimage(const struct blob *file);
int x86_payload(const struct blob *file, const char *path, uint64_t max, struct blob *out,
	struct boot_packed *packed, struct err *e);

/* The part of it for a file that begins as ELF and is as long as its header. For kernel.c. */
int x86_elf_parse(const struct blob *file, const char *path, struct x86_kernel *k, struct err *e);

#endif
