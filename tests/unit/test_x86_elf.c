/* SPDX-License-Identifier: Apache-2.0 */

/* ELF kernels for x86-64: segments, notes, which entry is taken, and what a PVH kernel finds. */
#include <check.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As in test_x86_boot.c: names of its own for what arm64 has as well. */
#define arch_layout    x86_elf_test_layout
#define arch_boot_plan x86_elf_test_boot_plan
#include "arch/x86/layout.c"
#include "arch/x86/boot.c"

#include "tests/unit/suites.h"

#define FILE_SIZE 16384u
#define OFF_PHDRS 64u
#define OFF_NOTES 1024u
#define OFF_TEXT  4096u
#define TEXT	  MIB(16)
#define TEXT_LEN  8192u
#define DATA	  MIB(18)
#define PVH	  (TEXT + 0x40)

/* Program headers of the file below. */
enum { SEG_TEXT, SEG_DATA, SEG_NOTE, SEGMENTS };
#define PHDR(n)	      (OFF_PHDRS + (n) * sizeof(Elf64_Phdr))
#define PHDR_AT(n, f) (PHDR(n) + offsetof(Elf64_Phdr, f))
#define HEAD_AT(f)    offsetof(Elf64_Ehdr, f)

static void put(struct blob *b, size_t at, uint64_t v, unsigned int n)
{
	memcpy(b->data + at, &v, n);
}

static size_t put_note(struct blob *b, size_t at, const char *owner, uint32_t type,
	const void *desc, uint32_t desc_len)
{
	Elf64_Nhdr n = { (uint32_t)strlen(owner) + 1, desc_len, type };

	memcpy(b->data + at, &n, sizeof(n));
	memcpy(b->data + at + sizeof(n), owner, n.n_namesz);
	at += align_up(sizeof(n) + n.n_namesz, 4);
	memcpy(b->data + at, desc, desc_len);
	return align_up(at + desc_len, 4);
}

/* Like a vmlinux: text, data with zeroed memory behind it, notes with the PVH entry among them. */
static struct blob vmlinux(void)
{
	struct blob b = { calloc(1, FILE_SIZE), FILE_SIZE };
	Elf64_Ehdr h = { .e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_phoff = OFF_PHDRS,
		.e_phnum = SEGMENTS,
		.e_entry = TEXT,
		.e_phentsize = sizeof(Elf64_Phdr) };
	Elf64_Phdr p[SEGMENTS] = {
		{ .p_type = PT_LOAD,
			.p_offset = OFF_TEXT,
			.p_paddr = TEXT,
			.p_filesz = TEXT_LEN,
			.p_memsz = TEXT_LEN },
		{ .p_type = PT_LOAD,
			.p_offset = OFF_TEXT + TEXT_LEN,
			.p_paddr = DATA,
			.p_filesz = 4096,
			.p_memsz = MIB(1) },
		{ .p_type = PT_NOTE, .p_offset = OFF_NOTES, .p_align = 4 },
	};
	const uint64_t pvh = PVH;
	size_t at = OFF_NOTES;

	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	at = put_note(&b, at, "Linux", 18, "123", 3);
	at = put_note(&b, at, "Xen", 5, "xen-3.0", 8);
	at = put_note(&b, at, "Xen", 18, &pvh, 8);
	p[SEG_NOTE].p_filesz = at - OFF_NOTES;
	memcpy(b.data, &h, sizeof(h));
	memcpy(b.data + OFF_PHDRS, p, sizeof(p));
	return b;
}

static void parse(struct blob *b, struct x86_kernel *k)
{
	struct err e = { "" };

	ck_assert_msg(x86_kernel_parse(b, "k", k, &e) == 0, "%s", e.msg);
}

START_TEST(segments_and_both_entries)
{
	struct blob b = vmlinux();
	struct x86_kernel k;

	parse(&b, &k);
	ck_assert_uint_eq(k.count, 2);
	ck_assert_ptr_eq(k.pieces[1].data, b.data + OFF_TEXT + TEXT_LEN);
	ck_assert_uint_eq(k.pieces[1].dst, DATA);
	ck_assert_uint_eq(k.start, TEXT);
	ck_assert_uint_eq(k.end, DATA + MIB(1));
	ck_assert_uint_eq(k.entry, TEXT);
	ck_assert_uint_eq(k.pvh, PVH);
	blob_free(&b);
}
END_TEST

/* What is wrong with a note costs that note, not the kernel: there is another way in. */
static const struct {
	size_t at;
	uint64_t value;
	unsigned int bytes;
} notes[] = {
	{ PHDR_AT(SEG_NOTE, p_type), PT_NULL, 4 },
	{ PHDR_AT(SEG_NOTE, p_filesz), 0, 8 },
	{ PHDR_AT(SEG_NOTE, p_filesz), 60, 8 },
	{ PHDR_AT(SEG_NOTE, p_filesz), UINT64_MAX, 8 },
	{ PHDR_AT(SEG_NOTE, p_offset), FILE_SIZE - 4, 8 },
	{ OFF_NOTES, UINT32_MAX, 4 },
	{ OFF_NOTES + 4, UINT32_MAX, 4 },
	/* The note itself, behind 24 and 24 bytes: name, value's length, type, owner, value. */
	{ OFF_NOTES + 48, 3, 4 },
	{ OFF_NOTES + 52, 9, 4 },
	{ OFF_NOTES + 52, 2, 4 },
	{ OFF_NOTES + 52, 5, 4 },
	{ OFF_NOTES + 56, 17, 4 },
	{ OFF_NOTES + 60, 'Y', 1 },
	{ OFF_NOTES + 64, 0, 8 },
	{ OFF_NOTES + 64, TEXT + TEXT_LEN, 8 },
	{ OFF_NOTES + 64, DATA + 4096, 8 },
	{ OFF_NOTES + 68, 1, 4 },
};

START_TEST(broken_note_is_no_entry)
{
	struct blob b = vmlinux();
	struct x86_kernel k;

	put(&b, notes[_i].at, notes[_i].value, notes[_i].bytes);
	parse(&b, &k);
	ck_assert_uint_eq(k.pvh, 0);
	ck_assert_uint_eq(k.entry, TEXT);
	blob_free(&b);
}
END_TEST

/* 32-bit kernels write four bytes; some linkers align notes to eight. */
START_TEST(other_forms_of_the_note)
{
	const uint32_t narrow = PVH;
	struct blob b = vmlinux();
	struct x86_kernel k;
	size_t end = put_note(&b, OFF_NOTES, "Xen", 18, &narrow, 4);

	put(&b, PHDR_AT(SEG_NOTE, p_filesz), end - OFF_NOTES, 8);
	parse(&b, &k);
	ck_assert_uint_eq(k.pvh, PVH);
	memset(b.data + OFF_NOTES, 0, 128);
	put_note(&b, OFF_NOTES, "odd", 1, "1234", 4);
	put_note(&b, OFF_NOTES + 24, "Xen", 18, &narrow, 4);
	put(&b, PHDR_AT(SEG_NOTE, p_filesz), 44, 8);
	put(&b, PHDR_AT(SEG_NOTE, p_align), 8, 8);
	parse(&b, &k);
	ck_assert_uint_eq(k.pvh, PVH);
	blob_free(&b);
}
END_TEST

/*
 * 65535 headers that all point at the same 16 MiB of empty notes. Neither the entry behind 1 MiB of
 * them is looked for, nor the one that the last header has for itself.
 */
START_TEST(many_notes_end_soon)
{
	size_t len = OFF_PHDRS + 65535 * sizeof(Elf64_Phdr) + MIB(16);
	struct blob small = vmlinux(), b = { calloc(1, len), len };
	Elf64_Phdr p = { .p_type = PT_NOTE, .p_offset = len - MIB(16), .p_filesz = MIB(16) };
	struct x86_kernel k;
	const uint64_t pvh = PVH;
	uint32_t i;

	memcpy(b.data, small.data, OFF_PHDRS + SEGMENTS * sizeof(p));
	put(&b, HEAD_AT(e_phnum), 65535, 2);
	put(&b, PHDR_AT(SEG_TEXT, p_offset), len - MIB(16), 8);
	for (i = SEG_NOTE; i < 65535; i++)
		memcpy(b.data + PHDR(i), &p, sizeof(p));
	put_note(&b, p.p_offset + MIB(1) / 12 * 12, "Xen", 18, &pvh, 8);
	p.p_offset += MIB(1) / 12 * 12;
	p.p_filesz = 64;
	memcpy(b.data + PHDR(65534), &p, sizeof(p));
	parse(&b, &k);
	ck_assert_uint_eq(k.pvh, 0);
	/* The same as the first one. */
	memcpy(b.data + PHDR(SEG_NOTE), &p, sizeof(p));
	parse(&b, &k);
	ck_assert_uint_eq(k.pvh, PVH);
	blob_free(&small);
	blob_free(&b);
}
END_TEST

static const struct {
	size_t at;
	uint64_t value;
	unsigned int bytes;
	const char *expect;
} broken[] = {
	{ EI_DATA, ELFDATA2MSB, 1, "another machine" },
	{ HEAD_AT(e_type), ET_DYN, 2, "type 3" },
	{ HEAD_AT(e_type), ET_REL, 2, "type 1" },
	{ HEAD_AT(e_phentsize), 32, 2, "program headers" },
	{ HEAD_AT(e_phoff), FILE_SIZE - 8, 8, "program headers" },
	/* Over the data's zeroed memory, from either side. */
	{ PHDR_AT(SEG_TEXT, p_paddr), DATA + MIB(1) - 1, 8, "overlaps" },
	{ PHDR_AT(SEG_TEXT, p_memsz), DATA - TEXT + 1, 8, "overlaps" },
	{ PHDR_AT(SEG_DATA, p_memsz), UINT64_MAX - DATA + 1, 8, "wraps" },
	{ PHDR_AT(SEG_DATA, p_filesz), MIB(1) + 1, 8, "outside the file" },
	{ PHDR_AT(SEG_DATA, p_memsz), 4095, 8, "outside the file" },
};

START_TEST(broken_elf)
{
	struct blob b = vmlinux();
	struct x86_kernel k;
	struct err e = { "" };

	put(&b, broken[_i].at, broken[_i].value, broken[_i].bytes);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	ck_assert_msg(strstr(e.msg, broken[_i].expect) != NULL, "%s", e.msg);
	blob_free(&b);
}
END_TEST

START_TEST(no_way_in)
{
	struct blob b = vmlinux();
	struct x86_kernel k;
	struct err e = { "" };

	put(&b, HEAD_AT(e_entry), DATA + 4096, 8);
	parse(&b, &k);
	ck_assert_uint_eq(k.entry, 0);
	put(&b, PHDR_AT(SEG_NOTE, p_type), PT_NULL, 4);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(e.msg, "no PVH entry"));
	blob_free(&b);
}
END_TEST

/* ---- plans ---- */

static int plan(
	struct boot_files *f, enum protection protection, struct boot_plan *p, struct err *e)
{
	struct arch_config c = { .cpus = 2, .ram_bytes = MIB(64), .protection = protection };
	struct arch_layout l;

	ck_assert_int_eq(arch_layout(&c, &l, e), 0);
	return arch_boot_plan(&c, &l, f, p, e);
}

static const uint8_t *item_at(const struct boot_plan *p, uint64_t at, uint64_t len)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (at >= p->items[i].dst.v && at + len <= p->items[i].dst.v + p->items[i].len)
			return (const uint8_t *)p->items[i].data + (at - p->items[i].dst.v);
	return NULL;
}

static uint64_t get(const uint8_t *p, size_t at, unsigned int n)
{
	uint64_t v = 0;

	memcpy(&v, p + at, n);
	return v;
}

/* Followed from ebx as the kernel does. */
START_TEST(pvh_kernel_finds_its_way)
{
	struct boot_files f = { .params = "console", .kernel_path = "k", .kernel = vmlinux() };
	const uint8_t *info, *module, *map;
	struct boot_plan p;
	struct err e = { "" };

	f.initrd = (struct blob){ calloc(1, 5000), 5000 };
	f.initrd.data[0] = 7;
	ck_assert_msg(plan(&f, PROTECTION_NONE, &p, &e) == 0, "%s", e.msg);
	ck_assert(p.entry.is_pvh);
	ck_assert_uint_eq(p.entry.pc.v, PVH);
	info = item_at(&p, p.entry.arg, 56);
	ck_assert_ptr_nonnull(info);
	ck_assert_uint_eq(get(info, 0, 4), 0x336ec578);
	ck_assert_uint_eq(get(info, 4, 4), 1);
	ck_assert_uint_eq(get(info, 12, 4), 1);
	module = item_at(&p, get(info, 16, 8), 32);
	ck_assert_uint_eq(get(module, 8, 8), 5000);
	ck_assert_uint_eq(*item_at(&p, get(module, 0, 8), 5000), 7);
	ck_assert_str_eq((const char *)item_at(&p, get(info, 24, 8), 8), "console");
	ck_assert_int_eq(memcmp(item_at(&p, get(info, 32, 8), 36), "RSD PTR ", 8), 0);
	map = item_at(&p, get(info, 40, 8), 3 * 24);
	ck_assert_uint_eq(get(info, 48, 4), 3);
	ck_assert_uint_eq(get(map, 0, 8), 0);
	ck_assert_uint_eq(get(map, 24 + 16, 4), E820_RESERVED);
	ck_assert_uint_eq(get(map, 48, 8) + get(map, 56, 8), MIB(64));
	ck_assert_uint_eq(get(map, 48 + 16, 4), E820_RAM);
	boot_plan_free(&p);
	blob_free(&f.kernel);
	blob_free(&f.initrd);
}
END_TEST

/* The loader and a program of the user's run in 64-bit mode, and so starts what they start. */
START_TEST(staged_kernel_starts_in_64_bit_mode)
{
	struct boot_files f = { .params = "", .kernel_path = "k", .kernel = vmlinux() };
	uint8_t program[16] = { 0 };
	const uint8_t *zp;
	struct boot_plan p;
	struct err e = { "" };

	if (_i)
		f.firmware = (struct blob){ program, sizeof(program) };
	ck_assert_msg(
		plan(&f, _i ? PROTECTION_NONE : PROTECTION_PRIVATE, &p, &e) == 0, "%s", e.msg);
	ck_assert(!p.entry.is_pvh);
	ck_assert_uint_eq(p.entry.pc.v, TEXT);
	ck_assert_ptr_nonnull(item_at(&p, p.entry.tables.v, 4096));
	ck_assert_ptr_nonnull(item_at(&p, X86_GDT, X86_GDT_SIZE));
	zp = item_at(&p, p.entry.arg, 4096);
	ck_assert_ptr_nonnull(zp);
	ck_assert_uint_eq(get(zp, 0x1fe, 2), 0xaa55);
	ck_assert_int_eq(memcmp(zp + 0x202, "HdrS", 4), 0);
	boot_plan_free(&p);
	put(&f.kernel, HEAD_AT(e_entry), 0, 8);
	ck_assert_int_eq(plan(&f, _i ? PROTECTION_NONE : PROTECTION_PRIVATE, &p, &e), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(e.msg, _i ? "a firmware" : "mode private"));
	blob_free(&f.kernel);
}
END_TEST

/* Zeroed memory below 1 MiB would be where boot data lies, although nothing is copied there. */
START_TEST(low_segment_is_refused)
{
	struct boot_files f = { .params = "", .kernel_path = "k", .kernel = vmlinux() };
	struct boot_plan p;
	struct err e = { "" };

	put(&f.kernel, PHDR_AT(SEG_DATA, p_filesz), 0, 8);
	put(&f.kernel, PHDR_AT(SEG_DATA, p_memsz), 4096, 8);
	put(&f.kernel, PHDR_AT(SEG_DATA, p_paddr), 0x7000, 8);
	ck_assert_int_eq(plan(&f, PROTECTION_NONE, &p, &e), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(e.msg, "below 1 MiB"));
	/* And zeroed memory past the end of RAM is missing. */
	put(&f.kernel, PHDR_AT(SEG_DATA, p_paddr), MIB(64) - 4095, 8);
	ck_assert_int_eq(plan(&f, PROTECTION_NONE, &p, &e), -E2BIG);
	blob_free(&f.kernel);
}
END_TEST

Suite *x86_elf_suite(void)
{
	Suite *s = suite_create("x86_elf");
	TCase *t = tcase_create("x86_elf");

	tcase_add_test(t, segments_and_both_entries);
	tcase_add_loop_test(t, broken_note_is_no_entry, 0, (int)ARRAY_SIZE(notes));
	tcase_add_test(t, other_forms_of_the_note);
	tcase_add_test(t, many_notes_end_soon);
	tcase_add_loop_test(t, broken_elf, 0, (int)ARRAY_SIZE(broken));
	tcase_add_test(t, no_way_in);
	tcase_add_test(t, pvh_kernel_finds_its_way);
	tcase_add_loop_test(t, staged_kernel_starts_in_64_bit_mode, 0, 2);
	tcase_add_test(t, low_segment_is_refused);
	suite_add_tcase(s, t);
	return s;
}
