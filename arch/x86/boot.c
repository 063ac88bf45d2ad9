/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The x86-64 boot plan: kernel at its place, identity page tables and initrd above it, zero page
 * and command line low (Documentation/arch/x86/boot.rst, "64-bit boot protocol"). An ELF kernel with
 * a PVH note is entered by that: it names its entry, where a plain ELF entry may mean anything. It
 * then finds a start info block in the zero page's place, and no tables. From the staging area all
 * kernels are entered in 64-bit mode, in which the loader runs.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "arch/bounce.h"
#include "arch/x86/acpi.h"
#include "arch/x86/kernel.h"
#include "arch/x86/layout.h"
#include "arch/x86/pvh.h"
#include "arch/x86/tables.h"
#include "vmm/util/bits.h"

/* Offsets in the zero page (Documentation/arch/x86/zero-page.rst and the setup header). */
#define ZP_SIZE		     4096u
#define ZP_ACPI_ROOT	     0x70u
#define ZP_E820_COUNT	     0x1e8u
#define ZP_SETUP	     0x1f1u
#define ZP_BOOT_FLAG	     0x1feu
#define ZP_MAGIC	     0x202u
#define ZP_LOADER_TYPE	     0x210u
#define ZP_LOADFLAGS	     0x211u
#define ZP_RAMDISK_IMAGE     0x218u
#define ZP_RAMDISK_SIZE	     0x21cu
#define ZP_CMDLINE	     0x228u
#define ZP_E820		     0x2d0u
#define ZP_EXT_RAMDISK_IMAGE 0xc0u
#define ZP_EXT_RAMDISK_SIZE  0xc4u
#define ZP_ALIGNMENT	     0x230u
#define BOOT_FLAG	     0xaa55u
#define LOADER_UNKNOWN	     0xffu
#define LOADFLAG_KASLR	     2u /* from what unpacks a kernel, to the kernel */
#define E820_RAM	     1u
#define E820_RESERVED	     2u
/* Flat descriptors over 4 GiB: 64-bit code, and data (Intel SDM volume 3, 3.4.5). */
#define GDT_CODE 0x00af9b000000ffffULL
#define GDT_DATA 0x00cf93000000ffffULL

struct places {
	uint64_t tables, tables_len, initrd, end;
};

static void put32(uint8_t *zp, uint32_t at, uint64_t v)
{
	uint32_t low = (uint32_t)v;

	memcpy(zp + at, &low, sizeof(low));
}

static void add_e820(uint8_t *zp, const struct x86_map_row *row)
{
	uint8_t *p = zp + ZP_E820 + zp[ZP_E820_COUNT]++ * 20u;

	memcpy(p, &row->base, 8);
	memcpy(p + 8, &row->size, 8);
	memcpy(p + 16, &row->type, 4);
}

#define MAP_ROWS (2 + ARCH_RAM_MAX)

/* The last KiB below 640 KiB and the firmware's area up to 1 MiB stay out of RAM. */
static unsigned int fill_map(const struct arch_layout *l, struct x86_map_row rows[MAP_ROWS])
{
	unsigned int i, n = 0;

	rows[n++] = (struct x86_map_row){ 0, X86_EBDA, E820_RAM };
	rows[n++] = (struct x86_map_row){ X86_EBDA, X86_KERNEL - X86_EBDA, E820_RESERVED };
	rows[n++] = (struct x86_map_row){ X86_KERNEL, l->ram[0].size - X86_KERNEL, E820_RAM };
	for (i = 1; i < l->ram_count; i++)
		rows[n++] = (struct x86_map_row){ l->ram[i].base.v, l->ram[i].size, E820_RAM };
	return n;
}

/* What Linux looks for in a header that a bzImage would have brought. */
static void fill_setup(uint8_t *zp)
{
	const uint16_t flag = BOOT_FLAG;

	memcpy(zp + ZP_BOOT_FLAG, &flag, sizeof(flag));
	memcpy(zp + ZP_MAGIC, "HdrS", 4);
	put32(zp, ZP_ALIGNMENT, MIB(16));
}

/* A word of the kernel's parameters. */
static bool has_word(const char *params, const char *word)
{
	size_t len = strlen(word);
	const char *p;

	for (p = params; (p = strstr(p, word)) != NULL; p += len)
		if ((p == params || p[-1] == ' ') && (!p[len] || p[len] == ' '))
			return true;
	return false;
}

static void fill_zero_page(uint8_t *zp, const struct arch_layout *l, const struct x86_kernel *k,
	const struct boot_files *f, const struct places *at)
{
	struct x86_map_row rows[MAP_ROWS];
	unsigned int i, n = fill_map(l, rows);

	if (k->has_setup)
		memcpy(zp + ZP_SETUP, k->setup, k->setup_len);
	else
		fill_setup(zp);
	zp[ZP_LOADER_TYPE] = LOADER_UNKNOWN;
	/* The kernel does not look at its parameters for whether it may place memory at random. */
	if (k->packed.format && !has_word(f->params, "nokaslr"))
		zp[ZP_LOADFLAGS] |= LOADFLAG_KASLR;
	put32(zp, ZP_CMDLINE, X86_CMDLINE);
	if (f->initrd.data) {
		put32(zp, ZP_RAMDISK_IMAGE, at->initrd);
		put32(zp, ZP_RAMDISK_SIZE, f->initrd.len);
		put32(zp, ZP_EXT_RAMDISK_IMAGE, at->initrd >> 32);
		put32(zp, ZP_EXT_RAMDISK_SIZE, f->initrd.len >> 32);
	}
	put32(zp, ZP_ACPI_ROOT, X86_ACPI_TABLES);
	for (i = 0; i < n; i++)
		add_e820(zp, &rows[i]);
}

static void fill_start_info(uint8_t *page, const struct arch_layout *l, const struct boot_files *f,
	const struct places *at)
{
	struct x86_map_row rows[MAP_ROWS];
	const struct x86_pvh p = {
		.at = X86_ZERO_PAGE,
		.cmdline = X86_CMDLINE,
		.acpi_root = X86_ACPI_TABLES,
		.initrd = at->initrd,
		.initrd_len = f->initrd.data ? f->initrd.len : 0,
		.map = rows,
		.map_rows = fill_map(l, rows),
	};

	x86_pvh_page(&p, page);
}

_Static_assert(ZP_SIZE == X86_PVH_SIZE && MAP_ROWS <= X86_PVH_MAP_ROWS, "one page, either way");

/* The page that tells the kernel about everything else. */
static int add_zero_page(const struct arch_layout *l, const struct x86_kernel *k,
	const struct boot_files *f, const struct places *at, struct boot_plan *out, struct err *e)
{
	uint8_t *zp = calloc(1, ZP_SIZE);

	if (!zp)
		return err_set(e, -ENOMEM, "boot parameters: out of memory");
	if (out->entry.is_pvh)
		fill_start_info(zp, l, f, at);
	else
		fill_zero_page(zp, l, k, f, at);
	return boot_plan_add(out, zp, zp, ZP_SIZE, gpa(X86_ZERO_PAGE), e);
}

static int add_params(const struct arch_config *c, const struct x86_kernel *k,
	const struct boot_files *f, struct boot_plan *out, struct err *e)
{
	uint64_t room = min_u64(k->cmdline_max + 1ULL, X86_CMDLINE_MAX);
	char *params;
	int r = bounce_params(c, f->params, room, &params, e);

	return r ? r : boot_plan_add(out, params, params, strlen(params) + 1, gpa(X86_CMDLINE), e);
}

/* The boot protocol wants the table that the segment registers were loaded from. */
static int add_gdt(struct boot_plan *out, struct err *e)
{
	uint64_t *gdt = calloc(1, X86_GDT_SIZE);

	if (!gdt)
		return err_set(e, -ENOMEM, "boot descriptor table: out of memory");
	gdt[X86_SEL_CODE / 8] = GDT_CODE;
	gdt[X86_SEL_DATA / 8] = GDT_DATA;
	return boot_plan_add(out, gdt, gdt, X86_GDT_SIZE, gpa(X86_GDT), e);
}

static int add_acpi(const struct arch_config *c, const struct arch_layout *l, struct boot_plan *out,
	struct err *e)
{
	uint64_t len;
	void *tables;
	int r = x86_acpi_tables(c->cpus, &l->platform, X86_ACPI_TABLES, &tables, &len, e);

	if (r)
		return r;
	if (len <= X86_BIOS_ENTRY - X86_ACPI_TABLES)
		return boot_plan_add(out, tables, tables, len, gpa(X86_ACPI_TABLES), e);
	free(tables);
	return err_set(e, -E2BIG, "ACPI tables for %u vCPUs do not fit below 1 MiB", c->cpus);
}

/*
 * Where a BIOS would start. On hardware-reduced ACPI Linux resets through EFI, and without EFI by
 * this jump, which would run through zeros for ever; so what lies here asks for the reset.
 */
static int add_bios_entry(const struct arch_layout *l, struct boot_plan *out, struct err *e)
{
	const struct platform_dev *acpi = platform_find(&l->platform, PLATFORM_ACPI);
	uint16_t port = (uint16_t)(acpi->base + ACPI_REG_RESET);
	uint8_t code[] = {
		0xba, (uint8_t)port, (uint8_t)(port >> 8), /* mov $port, %dx */
		0xb0, ACPI_RESET_VALUE,			   /* mov $value, %al */
		0xee,					   /* out %al, %dx */
		0xf4,					   /* hlt */
		0xeb, 0xfd				   /* jmp to the hlt */
	};
	void *copy = malloc(sizeof(code));

	if (!copy)
		return err_set(e, -ENOMEM, "boot code: out of memory");
	memcpy(copy, code, sizeof(code));
	return boot_plan_add(out, copy, copy, sizeof(code), gpa(X86_BIOS_ENTRY), e);
}

/* They are private memory where there is any, and so is all that they name of RAM. */
static int add_tables(
	const struct arch_layout *l, const struct places *at, struct boot_plan *out, struct err *e)
{
	void *buf = malloc(at->tables_len);

	if (!buf)
		return err_set(e, -ENOMEM, "boot page tables: out of memory");
	x86_boot_tables(l, at->tables | l->alias_bit, buf);
	return boot_plan_add(out, buf, buf, at->tables_len, gpa(at->tables), e);
}

/* Tables right above the kernel, the initrd above them. */
static int find_places(const struct arch_layout *l, const struct x86_kernel *k,
	const struct boot_files *f, struct places *at, struct err *e)
{
	const char *other = f->initrd.len ? "use a smaller initrd" : "link the kernel lower";
	uint64_t ram = l->ram[0].size;

	/* No --mem helps there; and from an end near 2^64 on nothing could be added up. */
	if (k->end > X86_HOLE)
		return err_set(e, -E2BIG,
			"kernel %s loads up to 0x%llx, and RAM ends at 3 GiB there (link it lower)",
			f->kernel_path, (unsigned long long)k->end);
	at->tables = align_up(k->end, MIB(2));
	at->tables_len = x86_boot_tables(l, 0, NULL);
	at->initrd = at->tables + at->tables_len;
	at->end = at->initrd + align_up(f->initrd.len, PAGE_SIZE);
	if (at->end > ram)
		return err_set(e, -E2BIG,
			"kernel and initrd need %llu MiB of RAM below 3 GiB, the guest has %llu "
			"(%s)",
			(unsigned long long)((at->end + MIB(1) - 1) >> 20),
			(unsigned long long)(ram >> 20),
			at->end > X86_HOLE ? other : "raise --mem");
	if (f->initrd.data && at->end - 1 > k->initrd_max)
		return err_set(e, -E2BIG, "initrd: this kernel wants it to end below 0x%llx",
			(unsigned long long)k->initrd_max);
	if (k->start < X86_KERNEL)
		return err_set(e, -ENOEXEC,
			"kernel %s loads at 0x%llx, below 1 MiB, where boot data lies",
			f->kernel_path, (unsigned long long)k->start);
	return 0;
}

static int choose_entry(const struct arch_config *c, const struct x86_kernel *k,
	const struct boot_files *f, struct boot_entry *entry, struct err *e)
{
	bool staged = protection_has_gmem(c->protection) || f->firmware.data;

	*entry = (struct boot_entry){ .pc = { k->entry }, .arg = X86_ZERO_PAGE };
	if (k->pvh && !staged) {
		entry->pc.v = k->pvh;
		entry->is_pvh = true;
	} else if (!k->entry) {
		return err_set(e, -ENOEXEC,
			"kernel %s has a PVH entry only, which %s%s cannot use (a kernel with a "
			"64-bit entry can be started so)",
			f->kernel_path, f->firmware.data ? "a firmware" : "mode ",
			f->firmware.data ? "" : protection_name(c->protection));
	}
	return 0;
}

/* The descriptors and page tables of 64-bit mode; in 32-bit mode the kernel makes its own. */
static int add_long_mode(
	const struct arch_layout *l, const struct places *at, struct boot_plan *out, struct err *e)
{
	int r = add_gdt(out, e);

	out->entry.tables.v = at->tables | l->alias_bit;
	return r ? r : add_tables(l, at, out, e);
}

/*
 * What unpacks a bzImage loads page tables without the C-bit, as it may where real hardware takes it
 * for granted; the kernel inside does not.
 */
static int parse_kernel(const struct arch_config *c, const struct boot_files *f,
	struct x86_kernel *k, struct blob *unpacked, struct err *e)
{
	if (c->protection != PROTECTION_SOFT_SEV)
		return x86_kernel_parse(&f->kernel, f->kernel_path, k, e);
	return x86_kernel_unpack(&f->kernel, f->kernel_path, c->ram_bytes, k, unpacked, e);
}

/* The first of the pieces takes over what they all borrow from. */
static int add_pieces(
	const struct x86_kernel *k, struct blob *unpacked, struct boot_plan *out, struct err *e)
{
	unsigned int i;
	int r = 0;

	out->unpacked = *unpacked;
	out->packed = k->packed;
	for (i = 0; !r && i < k->count; i++) {
		r = boot_plan_add(out, k->pieces[i].data, unpacked->data, k->pieces[i].len,
			gpa(k->pieces[i].dst), e);
		*unpacked = (struct blob){ 0 };
	}
	return r;
}

int arch_boot_plan(const struct arch_config *c, const struct arch_layout *l,
	const struct boot_files *f, struct boot_plan *out, struct err *e)
{
	struct blob unpacked = { 0 };
	struct x86_kernel k;
	struct places at = { 0 };
	int r;

	*out = (struct boot_plan){ .count = 0 };
	r = parse_kernel(c, f, &k, &unpacked, e);
	if (!r)
		r = choose_entry(c, &k, f, &out->entry, e);
	if (!r)
		r = find_places(l, &k, f, &at, e);
	if (!r)
		r = add_pieces(&k, &unpacked, out, e);
	if (!r && f->initrd.data)
		r = boot_plan_add(out, f->initrd.data, NULL, f->initrd.len, gpa(at.initrd), e);
	if (!r)
		r = add_acpi(c, l, out, e);
	if (!r)
		r = add_bios_entry(l, out, e);
	if (!r && !out->entry.is_pvh)
		r = add_long_mode(l, &at, out, e);
	if (!r)
		r = add_zero_page(l, &k, f, &at, out, e);
	if (!r)
		r = add_params(c, &k, f, out, e);
	if (r) {
		blob_free(&unpacked);
		boot_plan_free(out);
		return r;
	}
	out->handoff = gpa(X86_HANDOFF);
	return 0;
}
