/* SPDX-License-Identifier: Apache-2.0 */

/* Kernels as ELF files: the segments, and the two ways in. */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "arch/x86/kernel.h"
#include "arch/x86/layout.h"
#include "vmm/util/bits.h"

/* What a hostile file can make us look through: Linux has one note segment of half a KiB. */
#define NOTE_SEGMENTS_MAX 4u
#define NOTE_BYTES_MAX	  KIB(64)

/* The PVH entry: a note of Xen's, whose value is an address (Xen's public/elfnote.h). */
#define NOTE_OWNER	  "Xen"
#define NOTE_PHYS32_ENTRY 18u

struct elf {
	const struct blob *file;
	Elf64_Ehdr head;
	struct {
		uint64_t at, len; /* in memory */
	} segments[X86_KERNEL_PIECES];
	unsigned int count;
};

static void get_header(const struct elf *f, unsigned int i, Elf64_Phdr *p)
{
	memcpy(p, f->file->data + f->head.e_phoff + i * sizeof(*p), sizeof(*p));
}

static bool in_file(const struct elf *f, const Elf64_Phdr *p)
{
	return p->p_offset <= f->file->len && p->p_filesz <= f->file->len - p->p_offset;
}

/* Zeroed memory counts: what another segment puts there would not be zero. */
static bool overlaps(const struct elf *f, uint64_t at, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < f->count; i++)
		if (at < f->segments[i].at + f->segments[i].len && f->segments[i].at < at + len)
			return true;
	return false;
}

/* An entry counts only where something is loaded. */
static bool is_loaded(const struct x86_kernel *k, uint64_t at)
{
	unsigned int i;

	for (i = 0; i < k->count; i++)
		if (at >= k->pieces[i].dst && at - k->pieces[i].dst < k->pieces[i].len)
			return true;
	return false;
}

static int add_segment(struct elf *f, const Elf64_Phdr *p, struct x86_kernel *k)
{
	if (!in_file(f, p) || p->p_filesz > p->p_memsz || p->p_paddr + p->p_memsz < p->p_paddr ||
		overlaps(f, p->p_paddr, p->p_memsz))
		return -ENOEXEC;
	f->segments[f->count].at = p->p_paddr;
	f->segments[f->count++].len = p->p_memsz;
	k->start = min_u64(k->start, p->p_paddr);
	k->end = max_u64(k->end, p->p_paddr + p->p_memsz);
	if (p->p_filesz)
		k->pieces[k->count++] =
			(struct x86_piece){ f->file->data + p->p_offset, p->p_filesz, p->p_paddr };
	return 0;
}

static int load_segments(struct elf *f, const char *path, struct x86_kernel *k, struct err *e)
{
	unsigned int i;
	Elf64_Phdr p;

	for (i = 0; i < f->head.e_phnum; i++) {
		get_header(f, i, &p);
		if (p.p_type != PT_LOAD || !p.p_memsz)
			continue;
		if (f->count == X86_KERNEL_PIECES)
			return err_set(e, -ENOEXEC, "kernel %s has more than %d segments to load",
				path, X86_KERNEL_PIECES);
		if (add_segment(f, &p, k))
			return err_set(e, -ENOEXEC,
				"kernel %s is cut short or damaged: segment %u lies outside the "
				"file, wraps or overlaps another",
				path, i);
	}
	return k->count ? 0 : err_set(e, -ENOEXEC, "kernel %s has nothing to load", path);
}

/* The value of the PVH note among these, or 0. Names and values are padded to `to`. */
static uint64_t find_entry_note(const uint8_t *at, uint64_t len, uint64_t to)
{
	uint64_t value = 0;
	Elf64_Nhdr n;

	while (len >= sizeof(n)) {
		uint64_t name = sizeof(n), desc, next;

		memcpy(&n, at, sizeof(n));
		desc = align_up(name + n.n_namesz, to);
		next = align_up(desc + n.n_descsz, to);
		/* The last one may come without its padding. */
		if (desc + n.n_descsz > len)
			break;
		if (n.n_type == NOTE_PHYS32_ENTRY && n.n_namesz == sizeof(NOTE_OWNER) &&
			!memcmp(at + name, NOTE_OWNER, sizeof(NOTE_OWNER)) &&
			(n.n_descsz == 4 || n.n_descsz == 8)) {
			memcpy(&value, at + desc, n.n_descsz);
			break;
		}
		if (next >= len)
			break;
		at += next;
		len -= next;
	}
	return value;
}

static uint64_t find_pvh(const struct elf *f)
{
	unsigned int i, seen = 0;
	uint64_t value = 0;
	Elf64_Phdr p;

	for (i = 0; i < f->head.e_phnum && !value && seen < NOTE_SEGMENTS_MAX; i++) {
		get_header(f, i, &p);
		if (p.p_type != PT_NOTE || !in_file(f, &p))
			continue;
		seen++;
		value = find_entry_note(f->file->data + p.p_offset,
			min_u64(p.p_filesz, NOTE_BYTES_MAX), p.p_align == 8 ? 8 : 4);
	}
	return value;
}

static int check_header(const struct elf *f, const char *path, struct err *e)
{
	const Elf64_Ehdr *h = &f->head;

	if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
		h->e_machine != EM_X86_64)
		return err_set(e, -ENOEXEC,
			"kernel %s is an ELF file for another machine (number %u), expected x86-64",
			path, h->e_machine);
	if (h->e_type != ET_EXEC)
		return err_set(e, -ENOEXEC,
			"kernel %s is an ELF file of type %u, expected one that is linked to its "
			"addresses (type %u, such as vmlinux)",
			path, h->e_type, ET_EXEC);
	if (h->e_phentsize != sizeof(Elf64_Phdr) || h->e_phoff > f->file->len ||
		(uint64_t)h->e_phnum * sizeof(Elf64_Phdr) > f->file->len - h->e_phoff)
		return err_set(e, -ENOEXEC, "kernel %s is cut short: no program headers", path);
	return 0;
}

int x86_elf_parse(const struct blob *file, const char *path, struct x86_kernel *k, struct err *e)
{
	struct elf f = { .file = file };
	uint64_t pvh;
	int r;

	memcpy(&f.head, file->data, sizeof(f.head));
	k->start = UINT64_MAX;
	r = check_header(&f, path, e);
	if (!r)
		r = load_segments(&f, path, k, e);
	if (r)
		return r;
	pvh = find_pvh(&f);
	k->pvh = is_loaded(k, pvh) && pvh <= UINT32_MAX ? pvh : 0;
	k->entry = is_loaded(k, f.head.e_entry) ? f.head.e_entry : 0;
	if (!k->pvh && !k->entry)
		return err_set(e, -ENOEXEC,
			"kernel %s starts at 0x%llx, where it loads nothing, and has no PVH entry",
			path, (unsigned long long)f.head.e_entry);
	k->cmdline_max = (uint32_t)X86_CMDLINE_MAX;
	k->initrd_max = UINT32_MAX;
	return 0;
}
