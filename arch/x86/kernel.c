/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/kernel.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "arch/x86/layout.h"
#include "vmm/util/bits.h"

#define SECTOR		512u
#define SETUP_START	0x1f1u
#define SETUP_END_MAX	0x290u
#define OFF_SETUP_SECTS 0x1f1u
#define OFF_SYSSIZE	0x1f4u
#define OFF_JUMP	0x201u /* its operand: length of the header behind it */
#define OFF_MAGIC	0x202u
#define OFF_VERSION	0x206u
#define OFF_INITRD_MAX	0x22cu
#define OFF_XLOADFLAGS	0x236u
#define OFF_CMDLINE_MAX 0x238u
#define OFF_PREF_ADDR	0x258u
#define OFF_INIT_SIZE	0x260u
#define VERSION_MIN	0x20cu
#define XLF_KERNEL_64	1u
#define ENTRY_64	0x200u

/* Files are little endian, and so is every host that builds this part for real use. */
static uint32_t get(const struct blob *f, uint32_t at, unsigned int bytes)
{
	uint32_t v = 0;

	memcpy(&v, f->data + at, bytes);
	return v;
}

static int parse_bzimage(
	const struct blob *f, const char *path, struct x86_kernel *k, struct err *e)
{
	uint32_t sects = f->data[OFF_SETUP_SECTS] ? f->data[OFF_SETUP_SECTS] : 4;
	uint64_t start = (sects + 1) * (uint64_t)SECTOR;
	uint64_t want = start + (uint64_t)get(f, OFF_SYSSIZE, 4) * 16;
	uint32_t version = get(f, OFF_VERSION, 2);

	if (version < VERSION_MIN || !(get(f, OFF_XLOADFLAGS, 2) & XLF_KERNEL_64))
		return err_set(e, -ENOEXEC,
			"kernel %s has no 64-bit entry (boot protocol %u.%02u): a 64-bit Linux 3.8 "
			"or later does",
			path, version >> 8, version & 0xff);
	/* The last paragraph may be short. */
	if (start >= f->len || f->len + 16 < want)
		return err_set(e, -ENOEXEC, "kernel %s is cut short: it has %zu bytes of %llu",
			path, f->len, (unsigned long long)want);
	k->pieces[0] = (struct x86_piece){ f->data + start, f->len - start, X86_KERNEL };
	k->count = 1;
	k->entry = X86_KERNEL + ENTRY_64;
	/* It unpacks itself where it prefers to be, or where it was put if that is higher. */
	k->end = max_u64(X86_KERNEL, get(f, OFF_PREF_ADDR, 4)) + get(f, OFF_INIT_SIZE, 4);
	k->end = max_u64(k->end, X86_KERNEL + k->pieces[0].len);
	k->has_setup = true;
	k->setup = f->data + SETUP_START;
	k->setup_len = min_u64(OFF_MAGIC + f->data[OFF_JUMP], SETUP_END_MAX) - SETUP_START;
	k->cmdline_max = get(f, OFF_CMDLINE_MAX, 4);
	k->initrd_max = get(f, OFF_INITRD_MAX, 4);
	return 0;
}

static bool overlaps(const struct x86_kernel *k, uint64_t at, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < k->count; i++)
		if (at < k->pieces[i].dst + k->pieces[i].len && k->pieces[i].dst < at + len)
			return true;
	return false;
}

static int add_segment(const struct blob *f, const Elf64_Phdr *p, struct x86_kernel *k)
{
	if (p->p_offset > f->len || p->p_filesz > f->len - p->p_offset ||
		p->p_filesz > p->p_memsz || p->p_paddr + p->p_memsz < p->p_paddr ||
		overlaps(k, p->p_paddr, p->p_filesz))
		return -ENOEXEC;
	k->end = max_u64(k->end, p->p_paddr + p->p_memsz);
	if (p->p_filesz)
		k->pieces[k->count++] =
			(struct x86_piece){ f->data + p->p_offset, p->p_filesz, p->p_paddr };
	return 0;
}

static int parse_elf(const struct blob *f, const char *path, struct x86_kernel *k, struct err *e)
{
	Elf64_Ehdr h;
	Elf64_Phdr p;
	unsigned int i;

	memcpy(&h, f->data, sizeof(h));
	if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != EM_X86_64)
		return err_set(e, -ENOEXEC,
			"kernel %s is an ELF file for another machine (number %u), expected x86-64",
			path, h.e_machine);
	if (h.e_phentsize != sizeof(p) || h.e_phoff > f->len ||
		(uint64_t)h.e_phnum * sizeof(p) > f->len - h.e_phoff)
		return err_set(e, -ENOEXEC, "kernel %s is cut short: no program headers", path);
	for (i = 0; i < h.e_phnum; i++) {
		memcpy(&p, f->data + h.e_phoff + i * sizeof(p), sizeof(p));
		if (p.p_type != PT_LOAD)
			continue;
		if (k->count == X86_KERNEL_PIECES)
			return err_set(e, -ENOEXEC, "kernel %s has more than %d segments to load",
				path, X86_KERNEL_PIECES);
		if (add_segment(f, &p, k))
			return err_set(e, -ENOEXEC,
				"kernel %s is cut short or damaged: segment %u lies outside the "
				"file, wraps or overlaps another",
				path, i);
	}
	if (!k->count)
		return err_set(e, -ENOEXEC, "kernel %s has nothing to load", path);
	k->entry = h.e_entry;
	k->cmdline_max = (uint32_t)X86_CMDLINE_MAX;
	k->initrd_max = UINT32_MAX;
	return 0;
}

int x86_kernel_parse(const struct blob *f, const char *path, struct x86_kernel *out, struct err *e)
{
	*out = (struct x86_kernel){ .count = 0 };
	if (f->len >= sizeof(Elf64_Ehdr) && !memcmp(f->data, ELFMAG, SELFMAG))
		return parse_elf(f, path, out, e);
	if (f->len > 1024 && !memcmp(f->data + OFF_MAGIC, "HdrS", 4))
		return parse_bzimage(f, path, out, e);
	if (f->len >= 60 && !memcmp(f->data + 56, "ARMd", 4))
		return err_set(e, -ENOEXEC, "kernel %s is an arm64 kernel, expected x86-64", path);
	return err_set(e, -ENOEXEC, "kernel %s is neither a bzImage nor a 64-bit ELF file", path);
}
