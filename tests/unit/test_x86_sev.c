/* SPDX-License-Identifier: Apache-2.0 */

/* Mode soft-sev: what the guest sees of SEV, how it maps its memory, and the kernel in a bzImage. */
#include <check.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* As in test_x86_boot.c: names of its own for what arm64 has as well. */
#define arch_layout    x86_sev_test_layout
#define arch_boot_plan x86_sev_test_boot_plan
#include "arch/x86/layout.c"
#include "arch/x86/boot.c"

#include "arch/x86/cpuid.h"
#include "arch/x86/features.h"
#include "arch/x86/sev.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_x86.h"

#define TEXT	    MIB(16)
#define ELF_SIZE    8192u
#define SETUP_BYTES (5 * 512u)
#define BODY_BYTES  16384u
#define PAYLOAD	    0x300u /* from the end of the setup sectors */

/* ---- the address map ---- */

static const struct {
	uint64_t ram;
	unsigned int bit; /* 0: refused */
} rams[] = {
	{ MIB(64), 35 },
	{ GIB(31), 35 },
	{ GIB(31) + MIB(1), 36 },
	{ GIB(1024), 41 },
	{ BIT(46) - GIB(1), 46 },
	{ BIT(46), 0 },
};

START_TEST(c_bit_lies_above_all_ram)
{
	struct arch_config c = {
		.protection = PROTECTION_SOFT_SEV, .cpus = 1, .ram_bytes = rams[_i].ram
	};
	struct arch_layout l;
	struct err e = { "" };
	unsigned int last;

	ck_assert_int_eq(arch_layout(&c, &l, &e), rams[_i].bit ? 0 : -EINVAL);
	if (!rams[_i].bit) {
		ck_assert_ptr_nonnull(strstr(e.msg, "lower --mem"));
		return;
	}
	last = l.ram_count - 1;
	ck_assert_uint_eq(l.alias_bit, BIT(rams[_i].bit));
	ck_assert(l.alias_is_private);
	ck_assert_uint_le(l.ram[last].base.v + l.ram[last].size, l.alias_bit);
	ck_assert_uint_eq(l.alias_both, MIB(1));
	c.protection = PROTECTION_PRIVATE;
	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	ck_assert_uint_eq(l.alias_bit | l.alias_both, 0);
}
END_TEST

START_TEST(tables_reach_both_copies)
{
	static const uint64_t sizes[] = { MIB(64), GIB(5), GIB(600) };
	static const uint64_t devices[] = { X86_STAGING, X86_VIRTIO, X86_IOAPIC };
	struct arch_config c = {
		.protection = PROTECTION_SOFT_SEV, .cpus = 1, .ram_bytes = sizes[_i]
	};
	struct arch_layout l;
	struct err e = { "" };
	uint64_t at, size, i, va, end;
	uint8_t *buf;

	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	at = 0x12345000 | l.alias_bit;
	size = x86_boot_tables(&l, at, NULL);
	buf = malloc(size);
	ck_assert_uint_eq(x86_boot_tables(&l, at, buf), size);
	for (i = 0; i < l.ram_count; i++) {
		end = l.ram[i].base.v + l.ram[i].size;
		for (va = l.ram[i].base.v; va < end; va += MIB(501) + 4097) {
			ck_assert_uint_eq(x86_translate(buf, at, va), va | l.alias_bit);
			ck_assert_uint_eq(x86_translate(buf, at, va | l.alias_bit), va);
		}
		ck_assert_uint_eq(x86_translate(buf, at, end - 1), (end - 1) | l.alias_bit);
		ck_assert_uint_eq(x86_translate(buf, at, (end - 1) | l.alias_bit), end - 1);
	}
	for (i = 0; i < ARRAY_SIZE(devices); i++)
		ck_assert_uint_eq(x86_translate(buf, at, devices[i]), devices[i]);
	free(buf);
}
END_TEST

/* ---- CPUID and registers ---- */

START_TEST(cpuid_says_sev)
{
	/* A host of Intel's, whose last leaf is that of address sizes; and one that has the leaf. */
	struct x86_cpuid e[5 + CPUID_ADDED_MAX] = {
		{ .function = 0x40000001, .eax = 0xff | BIT(16) | BIT(17) },
		{ .function = 0x80000000, .eax = 0x80000008 },
		{ .function = 0x80000008, .eax = 0x303030 },
		{ .function = 0x7, .ecx = BIT(16) },
		{ .function = 0x8000001f, .eax = 0xffffffff, .ebx = 51, .ecx = 99 },
	};
	struct cpuid_policy p = { .cpus = 1, .c_bit = BIT(35), .hidden = BIT(X86_LA57) };
	uint32_t given = _i ? 5 : 4;

	ck_assert_uint_eq(x86_cpuid_apply(e, given, &p), 5);
	ck_assert_uint_eq(e[0].eax, 0xff);
	ck_assert_uint_eq(e[1].eax, 0x8000001f);
	/* The bit is the guest's last one: 36 bits, and no other number for them. */
	ck_assert_uint_eq(e[2].eax, 0x3024);
	ck_assert_uint_eq(e[3].ecx, 0);
	ck_assert_uint_eq(e[4].function, 0x8000001f);
	ck_assert_uint_eq(e[4].eax, BIT(1) | BIT(10));
	ck_assert_uint_eq(e[4].ebx, 35 | 1 << 6);
	ck_assert_uint_eq(e[4].ecx | e[4].edx, 0);
	p.convert_calls = p.migration = true;
	ck_assert_uint_eq(x86_cpuid_apply(e, 5, &p), 5);
	ck_assert_uint_eq(e[0].eax, 0xff | BIT(16) | BIT(17));
}
END_TEST

START_TEST(other_modes_say_nothing)
{
	struct x86_cpuid e[2 + CPUID_ADDED_MAX] = {
		{ .function = 0x80000000, .eax = 0x80000008 },
		{ .function = 0x80000008, .eax = 0x3030 },
	};
	struct cpuid_policy p = { .cpus = 1 };

	ck_assert_uint_eq(x86_cpuid_apply(e, 2, &p), 2);
	ck_assert_uint_eq(e[0].eax, 0x80000008);
	ck_assert_uint_eq(e[1].eax, 0x3030);
}
END_TEST

static const struct {
	uint32_t index;
	bool is_write, works;
	uint64_t data, then;
} msrs[] = {
	{ 0xc0010131, false, true, 99, 1 },
	{ 0xc0010131, true, false, 1, 0 },
	{ 0x4b564d08, false, true, 99, 0 },
	{ 0x4b564d08, true, true, 1, 0 },
	{ 0x4b564d08, true, true, 0, 0 },
	{ 0x4b564d08, true, false, 2, 0 },
	{ 0xc0010130, false, false, 0, 0 },
};

START_TEST(registers)
{
	uint64_t data = msrs[_i].data;

	ck_assert_int_eq(x86_sev_msr(msrs[_i].index, msrs[_i].is_write, &data), msrs[_i].works);
	if (msrs[_i].works && !msrs[_i].is_write)
		ck_assert_uint_eq(data, msrs[_i].then);
}
END_TEST

/* ---- the kernel inside ---- */

static void elf(uint8_t out[ELF_SIZE])
{
	Elf64_Ehdr h = { .e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_phoff = 64,
		.e_phnum = 1,
		.e_entry = TEXT + 0x10,
		.e_phentsize = sizeof(Elf64_Phdr) };
	Elf64_Phdr p = { .p_type = PT_LOAD,
		.p_offset = 4096,
		.p_paddr = TEXT,
		.p_filesz = 4096,
		.p_memsz = 65536 };

	memset(out, 0, ELF_SIZE);
	memcpy(h.e_ident, ELFMAG, SELFMAG);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	memcpy(out, &h, sizeof(h));
	memcpy(out + 64, &p, sizeof(p));
	memset(out + 4096, 0x90, 4096);
}

enum packing { AS_ZSTD, AS_GZIP, PACKINGS };

static size_t pack(enum packing how, uint8_t *out, size_t room, const void *in, size_t len)
{
	z_stream z = { .next_in = (Bytef *)(uintptr_t)in,
		.avail_in = (uInt)len,
		.next_out = out,
		.avail_out = (uInt)room };

	if (how == AS_ZSTD)
		return ZSTD_compress(out, room, in, len, 1);
	ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

static uint32_t get(const uint8_t *file, uint32_t at)
{
	uint32_t v;

	memcpy(&v, file + at, sizeof(v));
	return v;
}

/* A bzImage around len bytes; what lies outside of its payload no plan of this mode may use. */
static struct blob bzimage(enum packing how, const void *in, size_t len)
{
	struct blob b = { malloc(SETUP_BYTES + BODY_BYTES), SETUP_BYTES + BODY_BYTES };
	size_t packed;

	memset(b.data, 0xee, b.len);
	memset(b.data, 0, SETUP_BYTES);
	packed = pack(how, b.data + SETUP_BYTES + PAYLOAD, BODY_BYTES - PAYLOAD, in, len);
	x86_header(b.data, BODY_BYTES);
	x86_put(b.data, 0x248, PAYLOAD, 4);
	/* The builds put the unpacked size behind it. */
	x86_put(b.data, 0x24c, packed + 4, 4);
	x86_put(b.data, 0x260, MIB(8), 4);
	return b;
}

static int plan(struct boot_files *f, struct arch_layout *l, struct boot_plan *p, struct err *e)
{
	struct arch_config c = {
		.protection = PROTECTION_SOFT_SEV,
		.cpus = 1,
		.ram_bytes = MIB(64),
		.swiotlb = MIB(64),
	};

	ck_assert_int_eq(arch_layout(&c, l, e), 0);
	return arch_boot_plan(&c, l, f, p, e);
}

static const struct boot_item *item_at(const struct boot_plan *p, uint64_t at)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (at >= p->items[i].dst.v && at - p->items[i].dst.v < p->items[i].len)
			return &p->items[i];
	return NULL;
}

START_TEST(kernel_inside_is_started)
{
	struct boot_files f = { .params = "console", .kernel_path = "k" };
	const struct boot_item *text, *tables, *zp;
	uint8_t inside[ELF_SIZE];
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	elf(inside);
	f.kernel = bzimage((enum packing)_i, inside, ELF_SIZE);
	ck_assert_msg(plan(&f, &l, &p, &e) == 0, "%s", e.msg);
	ck_assert(!p.entry.is_pvh);
	ck_assert_uint_eq(p.entry.pc.v, TEXT + 0x10);
	text = item_at(&p, TEXT);
	ck_assert_uint_eq(text->len, 4096);
	ck_assert_int_eq(memcmp(text->data, inside + 4096, 4096), 0);
	/* Where all that comes from, for the measurement. */
	ck_assert_uint_eq(p.unpacked.len, ELF_SIZE);
	ck_assert_ptr_eq((const uint8_t *)text->data, p.unpacked.data + 4096);
	ck_assert_str_eq(p.packed.format, _i == AS_ZSTD ? "zstd" : "gzip");
	ck_assert_uint_eq(p.packed.at, SETUP_BYTES + PAYLOAD);
	ck_assert_uint_eq(p.packed.len, get(f.kernel.data, 0x24c));
	/* The processor finds tables and kernel by private addresses. */
	ck_assert_uint_eq(p.entry.tables.v & l.alias_bit, l.alias_bit);
	tables = item_at(&p, p.entry.tables.v & ~l.alias_bit);
	ck_assert_uint_eq(x86_translate(tables->data, p.entry.tables.v, p.entry.pc.v),
		p.entry.pc.v | l.alias_bit);
	ck_assert_str_eq(item_at(&p, X86_CMDLINE)->data, "swiotlb=512 console");
	/* The header is the outer file's. */
	zp = item_at(&p, X86_ZERO_PAGE);
	ck_assert_int_eq(memcmp((const char *)zp->data + 0x202, "HdrS", 4), 0);
	ck_assert_int_eq(((const uint8_t *)zp->data)[0x206], 0x0f);
	ck_assert_int_eq(((const uint8_t *)zp->data)[0x211], 2);
	boot_plan_free(&p);
	/* Said by whoever unpacks the kernel, which is us. */
	f.params = "nokaslrs xnokaslr";
	ck_assert_int_eq(plan(&f, &l, &p, &e), 0);
	ck_assert_int_eq(((const uint8_t *)item_at(&p, X86_ZERO_PAGE)->data)[0x211], 2);
	boot_plan_free(&p);
	f.params = "console nokaslr";
	ck_assert_int_eq(plan(&f, &l, &p, &e), 0);
	ck_assert_int_eq(((const uint8_t *)item_at(&p, X86_ZERO_PAGE)->data)[0x211], 0);
	boot_plan_free(&p);
	blob_free(&f.kernel);
}
END_TEST

START_TEST(plain_elf_is_started_as_it_is)
{
	struct boot_files f = { .params = "", .kernel_path = "k" };
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	f.kernel = (struct blob){ malloc(ELF_SIZE), ELF_SIZE };
	elf(f.kernel.data);
	ck_assert_msg(plan(&f, &l, &p, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(p.entry.pc.v, TEXT + 0x10);
	ck_assert_ptr_null(p.unpacked.data);
	ck_assert_ptr_eq(item_at(&p, TEXT)->data, f.kernel.data + 4096);
	boot_plan_free(&p);
	blob_free(&f.kernel);
}
END_TEST

static const struct {
	uint32_t at;
	uint64_t value;
	unsigned int bytes;
	const char *says;
} broken[] = {
	{ 0x24c, 0, 4, "cut short" },
	{ 0x24c, BODY_BYTES - PAYLOAD + 1, 4, "cut short" },
	{ 0x24c, UINT32_MAX, 4, "cut short" },
	{ 0x248, UINT32_MAX, 4, "cut short" },
	{ 0x24c, 20, 4, "damaged" },
	{ SETUP_BYTES + PAYLOAD, 0x587a37fd, 4, "compressed as" },
	{ SETUP_BYTES + PAYLOAD, 0x00005a587a37fd, 6, "compressed as xz" },
	{ SETUP_BYTES + PAYLOAD, 0x184c2102, 4, "compressed as lz4" },
};

START_TEST(broken_payload)
{
	struct boot_files f = { .params = "", .kernel_path = "k" };
	uint8_t inside[ELF_SIZE];
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	elf(inside);
	f.kernel = bzimage(AS_ZSTD, inside, ELF_SIZE);
	x86_put(f.kernel.data, broken[_i].at, broken[_i].value, broken[_i].bytes);
	ck_assert_int_lt(plan(&f, &l, &p, &e), 0);
	ck_assert_msg(strstr(e.msg, broken[_i].says) && strstr(e.msg, "kernel k"), "%s", e.msg);
	blob_free(&f.kernel);
}
END_TEST

/* What is no kernel, and what the guest could not hold. */
START_TEST(payload_that_does_not_suit)
{
	struct boot_files f = { .params = "", .kernel_path = "k" };
	size_t len = _i ? MIB(65) : 5000;
	uint8_t *inside = calloc(1, len);
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	f.kernel = bzimage(AS_ZSTD, inside, len);
	ck_assert_int_lt(plan(&f, &l, &p, &e), 0);
	ck_assert_msg(strstr(e.msg, _i ? "more than 64 MiB" : "no ELF file inside"), "%s", e.msg);
	free(inside);
	blob_free(&f.kernel);
}
END_TEST

Suite *x86_sev_suite(void)
{
	Suite *s = suite_create("x86_sev");
	TCase *t = tcase_create("x86_sev");

	tcase_add_loop_test(t, c_bit_lies_above_all_ram, 0, (int)ARRAY_SIZE(rams));
	tcase_add_loop_test(t, tables_reach_both_copies, 0, 3);
	tcase_add_loop_test(t, cpuid_says_sev, 0, 2);
	tcase_add_test(t, other_modes_say_nothing);
	tcase_add_loop_test(t, registers, 0, (int)ARRAY_SIZE(msrs));
	tcase_add_loop_test(t, kernel_inside_is_started, 0, PACKINGS);
	tcase_add_test(t, plain_elf_is_started_as_it_is);
	tcase_add_loop_test(t, broken_payload, 0, (int)ARRAY_SIZE(broken));
	tcase_add_loop_test(t, payload_that_does_not_suit, 0, 2);
	suite_add_tcase(s, t);
	return s;
}
