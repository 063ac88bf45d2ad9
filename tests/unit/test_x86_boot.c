/* SPDX-License-Identifier: Apache-2.0 */

/* The start of x86-64 guests: the boot plan, where RAM lies, page tables. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Both architectures' files are compiled into one test program: these two get names of their own. */
#define arch_layout    x86_test_layout
#define arch_boot_plan x86_test_boot_plan
#include "arch/x86/layout.c"
#include "arch/x86/boot.c"

#include "tests/unit/suites.h"
#include "tests/unit/test_ram.h"
#include "tests/unit/test_x86.h"

static struct arch_config config = { .cpus = 1, .ram_bytes = MIB(64) };

START_TEST(plan_and_zero_page)
{
	struct boot_files f = { .params = "console=ttyS0", .kernel_path = "k" };
	const uint8_t *zp = NULL;
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };
	unsigned int i, k;

	f.kernel = x86_bzimage();
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

	f.kernel = x86_bzimage();
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

	f.kernel = x86_bzimage();
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

	f.kernel = x86_bzimage();
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

	f.kernel = x86_elf();
	x86_put(f.kernel.data, 24, high[_i].end - 65536, 8);
	x86_put(f.kernel.data, 64 + 24, high[_i].end - 65536, 8);
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

	f.kernel = x86_bzimage();
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

START_TEST(identity_tables)
{
	static const uint64_t tops[] = { MIB(64), GIB(4), GIB(5) + 1, GIB(512), GIB(513) };
	uint64_t top = tops[_i], at = 0x12345000, va;
	uint64_t size = x86_identity_tables(top, at, NULL);
	uint8_t *buf = malloc(size);

	ck_assert_uint_eq(x86_identity_tables(top, at, buf), size);
	for (va = 0; va < max_u64(top, GIB(4)); va += MIB(501) + 4097)
		ck_assert_uint_eq(x86_translate(buf, at, va), va);
	ck_assert_uint_eq(x86_translate(buf, at, top - 1), top - 1);
	free(buf);
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
	suite_add_tcase(s, t);
	suite_add_tcase(s, x86_kernel_case());
	suite_add_tcase(s, x86_cpuid_case());
	return s;
}
