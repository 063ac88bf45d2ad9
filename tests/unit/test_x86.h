/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_X86_H
#define NACRE_TEST_X86_H

#include <check.h>
#include <elf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

/* The cases of the suite x86_boot. */
TCase *x86_kernel_case(void);
TCase *x86_cpuid_case(void);

/* ---- kernels of the plainest kind ---- */

#define X86_SETUP_BYTES (5 * 512u)
#define X86_BODY_BYTES	4096u

static inline void x86_put(uint8_t *p, uint32_t at, uint64_t v, unsigned int n)
{
	memcpy(p + at, &v, n);
}

/* What builds write into the header: one sector of set-up, and a kernel of that length. */
static inline void x86_header(uint8_t *setup, uint64_t body)
{
	x86_put(setup, 0x1f1, 4, 1);
	x86_put(setup, 0x1f4, body / 16, 4);
	x86_put(setup, 0x201, 0x6a, 1);
	memcpy(setup + 0x202, "HdrS", 4);
	x86_put(setup, 0x206, 0x20f, 2);
	x86_put(setup, 0x22c, 0x7fffffff, 4);
	x86_put(setup, 0x236, 1, 2);
	x86_put(setup, 0x238, 2047, 4);
	x86_put(setup, 0x258, MIB(16), 8);
}

/* Both to be freed by blob_free. */
static inline struct blob x86_bzimage(void)
{
	struct blob b = { calloc(1, X86_SETUP_BYTES + X86_BODY_BYTES),
		X86_SETUP_BYTES + X86_BODY_BYTES };

	x86_header(b.data, X86_BODY_BYTES);
	x86_put(b.data, 0x260, MIB(8), 4);
	return b;
}

static inline struct blob x86_elf(void)
{
	struct blob b = { calloc(1, 8192), 8192 };
	Elf64_Ehdr h = { .e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_phoff = 64,
		.e_phnum = 1,
		.e_entry = MIB(16),
		.e_phentsize = sizeof(Elf64_Phdr) };
	Elf64_Phdr p = { .p_type = PT_LOAD,
		.p_offset = 4096,
		.p_paddr = MIB(16),
		.p_filesz = 4096,
		.p_memsz = 65536 };

	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(b.data, &h, sizeof(h));
	memcpy(b.data + 64, &p, sizeof(p));
	return b;
}

/* ---- page tables ---- */

/* Walks the tables as the processor does, through private memory if that is where they are. */
static inline uint64_t x86_translate(const uint8_t *tables, uint64_t at, uint64_t va)
{
	const uint64_t *t = (const void *)tables;
	int shift;

	for (shift = 39; shift > 21; shift -= 9) {
		uint64_t entry = t[(va >> shift) & 511];

		ck_assert_uint_eq(entry & 3, 3);
		t = (const void *)(tables + (entry & ~0xfffULL) - at);
	}
	ck_assert_uint_eq(t[(va >> 21) & 511] & 0x81, 0x81);
	return (t[(va >> 21) & 511] & ~0x1fffffULL) | (va & 0x1fffff);
}

#endif
