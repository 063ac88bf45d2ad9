/* SPDX-License-Identifier: Apache-2.0 */

/* The pure parts of x86-64: kernel files, boot plan, page tables, CPUID policy, hypercalls. */
#include <check.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Both architectures' files are compiled into one test program: these two get names of their own. */
#define arch_layout    x86_test_layout
#define arch_boot_plan x86_test_boot_plan
#include "arch/x86/layout.c"
#include "arch/x86/boot.c"

#include "arch/x86/cpuid.h"
#include "arch/x86/hypercall.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_ram.h"

#define SETUP_BYTES (5 * 512u)
#define BODY_BYTES  4096u

static void put(uint8_t *p, uint32_t at, uint64_t v, unsigned int n)
{
	memcpy(p + at, &v, n);
}

static struct blob bzimage(void)
{
	struct blob b = { calloc(1, SETUP_BYTES + BODY_BYTES), SETUP_BYTES + BODY_BYTES };

	put(b.data, 0x1f1, 4, 1);
	put(b.data, 0x1f4, BODY_BYTES / 16, 4);
	put(b.data, 0x201, 0x6a, 1);
	memcpy(b.data + 0x202, "HdrS", 4);
	put(b.data, 0x206, 0x20f, 2);
	put(b.data, 0x22c, 0x7fffffff, 4);
	put(b.data, 0x236, 1, 2);
	put(b.data, 0x238, 2047, 4);
	put(b.data, 0x258, MIB(16), 8);
	put(b.data, 0x260, MIB(8), 4);
	return b;
}

static struct blob elf(void)
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

START_TEST(bzimage_is_read)
{
	struct blob b = bzimage();
	struct x86_kernel k;
	struct err e = { "" };

	ck_assert_msg(x86_kernel_parse(&b, "k", &k, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(k.count, 1);
	ck_assert_ptr_eq(k.pieces[0].data, b.data + SETUP_BYTES);
	ck_assert_uint_eq(k.pieces[0].len, BODY_BYTES);
	ck_assert_uint_eq(k.entry, X86_KERNEL + 0x200);
	ck_assert_uint_eq(k.end, MIB(24));
	blob_free(&b);
}
END_TEST

START_TEST(header_that_claims_no_room)
{
	struct blob b = bzimage();
	struct x86_kernel k;
	struct err e = { "" };

	/* Nothing of ours may be put over the file's own bytes. */
	put(b.data, 0x258, 0, 8);
	put(b.data, 0x260, 0, 4);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), 0);
	ck_assert_uint_ge(k.end, X86_KERNEL + BODY_BYTES);
	blob_free(&b);
}
END_TEST

/* The entry must be a byte of the file's. */
START_TEST(kernel_ends_before_its_entry)
{
	struct blob b = bzimage();
	struct x86_kernel k;
	struct err e = { "" };

	put(b.data, 0x1f4, 0, 4);
	b.len = SETUP_BYTES + 0x201;
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), 0);
	b.len--;
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	blob_free(&b);
}
END_TEST

START_TEST(overlapping_segments)
{
	struct blob b = elf();
	struct x86_kernel k;
	struct err e = { "" };

	put(b.data, 56, 2, 2);
	memcpy(b.data + 64 + 56, b.data + 64, 56);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(e.msg, "overlaps"));
	blob_free(&b);
}
END_TEST

START_TEST(elf_is_read)
{
	struct blob b = elf();
	struct x86_kernel k;
	struct err e = { "" };

	ck_assert_msg(x86_kernel_parse(&b, "k", &k, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(k.entry, MIB(16));
	ck_assert_uint_eq(k.end, MIB(16) + 65536);
	blob_free(&b);
}
END_TEST

static const struct {
	bool elf;
	uint32_t at;
	uint64_t value;
	unsigned int bytes;
	const char *expect;
} broken[] = {
	{ false, 0x202, 0, 4, "neither" },
	{ false, 0x206, 0x20a, 2, "64-bit entry" },
	{ false, 0x236, 0, 2, "64-bit entry" },
	{ false, 0x1f4, 0xfffffff, 4, "cut short" },
	{ false, 0x1f1, 255, 1, "cut short" },
	{ true, 4, 1, 1, "another machine" },
	{ true, 18, EM_AARCH64, 2, "another machine" },
	{ true, 32, UINT64_MAX, 8, "program headers" },
	{ true, 56, 0xffff, 2, "program headers" },
	{ true, 56, 0, 2, "nothing to load" },
	{ true, 64 + 8, UINT64_MAX, 8, "outside the file" },
	{ true, 64 + 32, 8192, 8, "outside the file" },
	{ true, 64 + 40, 1, 8, "outside the file" },
	{ true, 64 + 24, UINT64_MAX, 8, "outside the file" },
};

START_TEST(broken_kernel)
{
	struct blob b = broken[_i].elf ? elf() : bzimage();
	struct x86_kernel k;
	struct err e = { "" };

	put(b.data, broken[_i].at, broken[_i].value, broken[_i].bytes);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	ck_assert_msg(strstr(e.msg, broken[_i].expect) != NULL, "%d: %s", _i, e.msg);
	blob_free(&b);
}
END_TEST

START_TEST(truncated_kernel)
{
	struct blob whole = _i ? elf() : bzimage();
	struct x86_kernel k;
	struct err e = { "" };
	size_t len;

	for (len = 1; len + 16 < whole.len; len += len < 2048 ? 1 : 61) {
		struct blob cut = { malloc(len), len };

		memcpy(cut.data, whole.data, len);
		ck_assert_int_eq(x86_kernel_parse(&cut, "k", &k, &e), -ENOEXEC);
		blob_free(&cut);
	}
	blob_free(&whole);
}
END_TEST

START_TEST(arm64_kernel_is_named)
{
	struct blob b = { calloc(1, 4096), 4096 };
	struct x86_kernel k;
	struct err e = { "" };

	memcpy(b.data + 56, "ARM\x64", 4);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(e.msg, "arm64"));
	blob_free(&b);
}
END_TEST

static struct arch_config config = { .cpus = 1, .ram_bytes = MIB(64) };

START_TEST(plan_and_zero_page)
{
	struct boot_files f = { .params = "console=ttyS0", .kernel_path = "k" };
	const uint8_t *zp = NULL;
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };
	unsigned int i, k;

	f.kernel = bzimage();
	f.initrd = (struct blob){ calloc(1, 5000), 5000 };
	ck_assert_int_eq(arch_layout(&config, &l, &e), 0);
	ck_assert_msg(arch_boot_plan(&config, &l, &f, &p, &e) == 0, "%s", e.msg);
	for (i = 0; i < p.count; i++) {
		if (p.items[i].dst.v == p.entry.arg)
			zp = p.items[i].data;
		for (k = 0; k < i; k++)
			ck_assert(p.items[k].dst.v + p.items[k].len <= p.items[i].dst.v ||
				  p.items[i].dst.v + p.items[i].len <= p.items[k].dst.v);
	}
	ck_assert_ptr_nonnull(zp);
	ck_assert_int_eq(memcmp(zp + 0x202, "HdrS", 4), 0);
	ck_assert_uint_eq(zp[0x1e8], 3);
	ck_assert_uint_ne(p.entry.tables.v, 0);
	boot_plan_free(&p);
	blob_free(&f.kernel);
	blob_free(&f.initrd);
}
END_TEST

/* The selectors that the first vCPU starts with are those of the table in memory. */
START_TEST(plan_has_descriptors)
{
	struct boot_files f = { .params = "", .kernel_path = "k" };
	uint64_t gdt[4] = { 0 };
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };
	unsigned int i;

	f.kernel = bzimage();
	ck_assert_int_eq(arch_layout(&config, &l, &e), 0);
	ck_assert_int_eq(arch_boot_plan(&config, &l, &f, &p, &e), 0);
	for (i = 0; i < p.count; i++)
		if (p.items[i].dst.v == X86_GDT && p.items[i].len == sizeof(gdt))
			memcpy(gdt, p.items[i].data, sizeof(gdt));
	ck_assert_uint_eq(gdt[0], 0);
	/* Present, code, executable; long mode. Present, data, writable. */
	ck_assert_uint_eq(gdt[X86_SEL_CODE / 8] >> 40 & 0x9a, 0x9a);
	ck_assert(gdt[X86_SEL_CODE / 8] & BIT(53));
	ck_assert_uint_eq(gdt[X86_SEL_DATA / 8] >> 40 & 0x9a, 0x92);
	boot_plan_free(&p);
	blob_free(&f.kernel);
}
END_TEST

/* What a kernel runs that resets as with a BIOS: it writes the value to the port of the tables. */
START_TEST(bios_entry_resets)
{
	static const uint8_t code[] = { 0xba, 0x12, 0x06, 0xb0, 0x01, 0xee, 0xf4, 0xeb, 0xfd };
	struct boot_files f = { .params = "", .kernel_path = "k" };
	unsigned int i, found = 0;
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	f.kernel = bzimage();
	ck_assert_int_eq(arch_layout(&config, &l, &e), 0);
	ck_assert_int_eq(arch_boot_plan(&config, &l, &f, &p, &e), 0);
	for (i = 0; i < p.count; i++)
		found += p.items[i].dst.v == 0xffff0 && p.items[i].len == sizeof(code) &&
			 !memcmp(p.items[i].data, code, sizeof(code));
	ck_assert_uint_eq(found, 1);
	boot_plan_free(&p);
	blob_free(&f.kernel);
}
END_TEST

START_TEST(plan_that_does_not_fit)
{
	struct boot_files f = { .params = "", .kernel_path = "k" };
	struct arch_config small = { .cpus = 1, .ram_bytes = MIB(16) };
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	f.kernel = bzimage();
	ck_assert_int_eq(arch_layout(&small, &l, &e), 0);
	ck_assert_int_eq(arch_boot_plan(&small, &l, &f, &p, &e), -E2BIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "--mem"));
	blob_free(&f.kernel);
}
END_TEST

/* ELF files whose one segment ends there; what the sentence tells about it. */
static const struct {
	uint64_t end;
	const char *expect;
} high[] = {
	{ GIB(3) + 1, "kernel k loads up to 0xc0000001, and RAM ends at 3 GiB there" },
	{ GIB(5), "loads up to 0x140000000" },
	{ 0xffffffff81000000, "loads up to 0xffffffff81000000" },
	{ 0xfffffffffffffff0, "loads up to 0xfffffffffffffff0" },
	{ GIB(3), "(link the kernel lower)" },
	{ GIB(2), "(raise --mem)" },
};

START_TEST(kernel_where_no_ram_is)
{
	struct boot_files f = { .params = "", .kernel_path = "k" };
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	f.kernel = elf();
	put(f.kernel.data, 24, high[_i].end - 65536, 8);
	put(f.kernel.data, 64 + 24, high[_i].end - 65536, 8);
	ck_assert_int_eq(arch_layout(&config, &l, &e), 0);
	ck_assert_int_eq(arch_boot_plan(&config, &l, &f, &p, &e), -E2BIG);
	ck_assert_msg(strstr(e.msg, high[_i].expect) != NULL, "%s", e.msg);
	blob_free(&f.kernel);
}
END_TEST

static const uint64_t rams[] = { MIB(1), GIB(3) - PAGE_SIZE, GIB(3), GIB(3) + PAGE_SIZE, GIB(64) };

START_TEST(ram_goes_around_the_hole)
{
	struct arch_config c = { .ram_bytes = rams[_i] };
	struct arch_layout l;
	struct err e = { "" };

	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	ck_assert_uint_eq(l.ram[0].size + (l.ram_count > 1 ? l.ram[1].size : 0), rams[_i]);
	ck_assert_uint_le(l.ram[0].size, X86_HOLE);
	ck_assert_int_eq(l.ram_count == 2, rams[_i] > GIB(3));
}
END_TEST

static const uint8_t *zero_page(const struct boot_plan *p)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (p->items[i].dst.v == p->entry.arg)
			return p->items[i].data;
	ck_abort_msg("no zero page");
	return NULL;
}

/* The zero page's memory map says that all of [base, base + size) is RAM. */
static bool e820_has(const uint8_t *zp, uint64_t base, uint64_t size)
{
	uint64_t entry[2];
	uint32_t type;
	unsigned int i;

	for (i = 0; i < zp[0x1e8]; i++) {
		memcpy(entry, zp + 0x2d0 + i * 20, 16);
		memcpy(&type, zp + 0x2d0 + i * 20 + 16, 4);
		if (entry[0] == base && entry[1] == size && type == 1)
			return true;
	}
	return false;
}

/* What the kernel is told of, what KVM has slots for, and what we can reach: the same RAM. */
START_TEST(ram_above_4_gib)
{
	struct arch_config c = { .cpus = 1, .ram_bytes = GIB(5) };
	struct boot_files f = { .params = "", .kernel_path = "k" };
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };
	const uint8_t *zp;
	struct test_ram ram;

	f.kernel = bzimage();
	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	ck_assert_msg(arch_boot_plan(&c, &l, &f, &p, &e) == 0, "%s", e.msg);
	zp = zero_page(&p);
	ck_assert_uint_eq(zp[0x1e8], 4);
	ck_assert(e820_has(zp, MIB(1), GIB(3) - MIB(1)));
	ck_assert(e820_has(zp, GIB(4), GIB(2)));
	test_ram_open(&ram, &l);
	test_ram_is(&ram, 0, GIB(3));
	test_ram_is(&ram, GIB(4), GIB(2));
	ck_assert_uint_eq(fake_live(&ram.kvm), 2);
	ck_assert_ptr_null(mem_host(ram.mem, gpa(GIB(3)), 1));
	ck_assert_ptr_null(mem_host(ram.mem, gpa(GIB(6)), 1));
	ck_assert_ptr_null(mem_host(ram.mem, gpa(GIB(3) - 1), 2));
	test_ram_close(&ram);
	boot_plan_free(&p);
	blob_free(&f.kernel);
}
END_TEST

/* Walks the tables as the processor does. */
static uint64_t translate(const uint8_t *tables, uint64_t at, uint64_t va)
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

START_TEST(identity_tables)
{
	static const uint64_t tops[] = { MIB(64), GIB(4), GIB(5) + 1, GIB(512), GIB(513) };
	uint64_t top = tops[_i], at = 0x12345000, va;
	uint64_t size = x86_identity_tables(top, at, NULL);
	uint8_t *buf = malloc(size);

	ck_assert_uint_eq(x86_identity_tables(top, at, buf), size);
	for (va = 0; va < max_u64(top, GIB(4)); va += MIB(501) + 4097)
		ck_assert_uint_eq(translate(buf, at, va), va);
	ck_assert_uint_eq(translate(buf, at, top - 1), top - 1);
	free(buf);
}
END_TEST

/* As KVM lists them: the topology's first level only, 64 components' leaf in part. */
START_TEST(cpuid_policy)
{
	struct x86_cpuid e[8 + CPUID_ADDED_MAX] = {
		{ .function = 1 },
		{ .function = 0xb },
		{ .function = 0xd, .index = 0, .eax = 0x207, .ecx = 9999 },
		{ .function = 0xd, .index = 2, .eax = 256, .ebx = 576 },
		{ .function = 0xd, .index = 9 },
		{ .function = 0x40000001 },
		{ .function = 0x80000008, .ecx = 0x1207f },
		{ .function = 0x8000001d, .index = 3, .eax = 0xfc163 },
	};
	struct cpuid_policy p = { .index = 2, .cpus = 4, .convert_calls = true };

	ck_assert_uint_eq(x86_cpuid_apply(e, 8, &p), 9);
	ck_assert_uint_eq(e[0].ebx >> 24, 2);
	ck_assert_uint_eq(e[0].ebx >> 16 & 0xff, 4);
	ck_assert(e[0].ecx & BIT(21));
	ck_assert_uint_eq(e[1].edx, 2);
	ck_assert_uint_eq(e[1].eax, 0);
	ck_assert_uint_eq(e[1].ebx, 1);
	ck_assert_uint_eq(e[1].ecx, 0x100);
	ck_assert_uint_eq(e[8].function, 0xb);
	ck_assert_uint_eq(e[8].index, 1);
	ck_assert_uint_eq(e[8].flags, 1);
	ck_assert_uint_eq(e[8].eax, 2);
	ck_assert_uint_eq(e[8].ebx, 4);
	ck_assert_uint_eq(e[8].ecx, 0x201);
	ck_assert_uint_eq(e[8].edx, 2);
	/* Component 9 has no area of its own: withdrawn, and the size is what is left. */
	ck_assert_uint_eq(e[2].eax, 7);
	ck_assert_uint_eq(e[2].ecx, 832);
	ck_assert(e[5].eax & BIT(16));
	ck_assert_uint_eq(e[6].ecx, 0x12003);
	ck_assert_uint_eq(e[7].eax, 0xc163);
	p.convert_calls = false;
	ck_assert_uint_eq(x86_cpuid_apply(e, 9, &p), 9);
	ck_assert(!(e[5].eax & BIT(16)));
}
END_TEST

/* Four CPUs as two cores of two threads: all leaves agree. */
START_TEST(cpuid_of_threads)
{
	struct x86_cpuid e[6 + CPUID_ADDED_MAX] = {
		{ .function = 1 },
		{ .function = 4, .index = 0, .eax = 0x121 },
		{ .function = 4, .index = 3, .eax = 0x163 },
		{ .function = 0xb },
		{ .function = 0x80000008, .ecx = 0 },
		{ .function = 0x8000001e },
	};
	struct cpuid_policy p = { .index = 3, .cpus = 4, .smt = true };

	ck_assert_uint_eq(x86_cpuid_apply(e, 6, &p), 7);
	ck_assert_uint_eq(e[0].ebx >> 16 & 0xff, 4);
	/* Two threads share the first level and four the last; there are two cores. */
	ck_assert_uint_eq(e[1].eax >> 14 & 0xfff, 1);
	ck_assert_uint_eq(e[2].eax >> 14 & 0xfff, 3);
	ck_assert_uint_eq(e[1].eax >> 26, 1);
	ck_assert_uint_eq(e[3].eax, 1);
	ck_assert_uint_eq(e[3].ebx, 2);
	ck_assert_uint_eq(e[6].eax, 2);
	ck_assert_uint_eq(e[6].ebx, 4);
	ck_assert_uint_eq(e[4].ecx, 0x2003);
	ck_assert_uint_eq(e[5].ebx, 0x101);
}
END_TEST

static const struct {
	uint64_t nr, args[3];
	bool converts;
	uint64_t answer;
} calls[] = {
	{ 12, { 0x1000, 1, 0x10 }, true, 0 },
	{ 12, { 0x1000, 512, 0x11 }, true, 0 },
	{ 12, { 0x1000, 1, 0 }, true, 0 },
	{ 12, { 0x1000, 1, 0x20 }, false, X86_HC_EINVAL },
	{ 12, { 0x1000, 1, 1ULL << 63 }, false, X86_HC_EINVAL },
	{ 12, { 0, 1ULL << 52, 0 }, false, X86_HC_EINVAL },
	{ 12, { 0, UINT64_MAX, 0x10 }, false, X86_HC_EINVAL },
	{ 11, { 0, 0, 0 }, false, X86_HC_ENOSYS },
	{ UINT64_MAX, { 0, 0, 0 }, false, X86_HC_ENOSYS },
};

START_TEST(hypercalls)
{
	struct arch_convert c;
	uint64_t answer = 0;

	ck_assert_int_eq(x86_hypercall_decode(calls[_i].nr, calls[_i].args, &c, &answer),
		calls[_i].converts);
	if (!calls[_i].converts) {
		ck_assert_uint_eq(answer, calls[_i].answer);
		return;
	}
	ck_assert_uint_eq(c.gpa.v, calls[_i].args[0]);
	ck_assert_uint_eq(c.len, calls[_i].args[1] * PAGE_SIZE);
	ck_assert_int_eq(c.to_private, (calls[_i].args[2] & 0x10) != 0);
}
END_TEST

START_TEST(vcpus_that_interrupts_reach)
{
	struct arch_config c = { .cpus = 255, .ram_bytes = MIB(64) };
	struct arch_layout l;
	struct err e = { "" };

	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	c.cpus = 256;
	ck_assert_int_eq(arch_layout(&c, &l, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "256 vCPUs: x86-64 guests have 255"));
}
END_TEST

/* Without a KVM too: nacre measure must have no digest for what cannot run. */
START_TEST(modes_of_the_other_architecture)
{
	struct arch_config c = { .cpus = 1, .ram_bytes = MIB(64), .protection = PROTECTION_PKVM };
	struct arch_layout l;
	struct err e = { "" };

	ck_assert_int_eq(arch_layout(&c, &l, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "--protection private"));
	c.protection = PROTECTION_SOFT_REALM;
	ck_assert_int_eq(arch_layout(&c, &l, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "--protection soft-sev"));
}
END_TEST

Suite *x86_boot_suite(void)
{
	Suite *s = suite_create("x86_boot");
	TCase *t = tcase_create("x86_boot");

	tcase_add_test(t, bzimage_is_read);
	tcase_add_test(t, elf_is_read);
	tcase_add_test(t, header_that_claims_no_room);
	tcase_add_test(t, overlapping_segments);
	tcase_add_test(t, kernel_ends_before_its_entry);
	tcase_add_loop_test(t, broken_kernel, 0, (int)ARRAY_SIZE(broken));
	tcase_add_loop_test(t, truncated_kernel, 0, 2);
	tcase_add_test(t, arm64_kernel_is_named);
	tcase_add_test(t, plan_and_zero_page);
	tcase_add_test(t, plan_has_descriptors);
	tcase_add_test(t, bios_entry_resets);
	tcase_add_test(t, plan_that_does_not_fit);
	tcase_add_loop_test(t, kernel_where_no_ram_is, 0, (int)ARRAY_SIZE(high));
	tcase_add_test(t, vcpus_that_interrupts_reach);
	tcase_add_test(t, modes_of_the_other_architecture);
	tcase_add_loop_test(t, ram_goes_around_the_hole, 0, (int)ARRAY_SIZE(rams));
	tcase_add_test(t, ram_above_4_gib);
	tcase_add_loop_test(t, identity_tables, 0, 5);
	tcase_add_test(t, cpuid_policy);
	tcase_add_test(t, cpuid_of_threads);
	tcase_add_loop_test(t, hypercalls, 0, (int)ARRAY_SIZE(calls));
	suite_add_tcase(s, t);
	return s;
}
