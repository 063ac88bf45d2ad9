/* SPDX-License-Identifier: Apache-2.0 */

/* The pure parts of arm64: boot plan, device tree, hypercall decoding. */
#include <check.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Both architectures' files are compiled into one test program: these two get names of their own. */
#define arch_layout    arm64_test_layout
#define arch_boot_plan arm64_test_boot_plan
#include "arch/arm64/layout.c"
#include "arch/arm64/boot.c"

#include "arch/arm64/smccc.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_arm64_image.h"
#include "tests/unit/test_ram.h"

static const struct arch_config config = {
	.protection = PROTECTION_NONE,
	.cpus = 3,
	.ram_bytes = MIB(64),
};

START_TEST(plan_has_no_overlaps)
{
	struct boot_files f = { .params = "x=1", .kernel_path = "k" };
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };
	unsigned int i, k;

	f.kernel = image(MIB(2));
	f.initrd = (struct blob){ calloc(1, 12345), 12345 };
	ck_assert_int_eq(arch_layout(&config, &l, &e), 0);
	ck_assert_msg(arch_boot_plan(&config, &l, &f, &p, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(p.count, 3);
	ck_assert_uint_eq(p.entry.pc.v % MIB(2), 0);
	ck_assert_uint_eq(p.entry.arg % 8, 0);
	for (i = 0; i < p.count; i++) {
		ck_assert_uint_ge(p.items[i].dst.v, ARM64_RAM);
		ck_assert_uint_le(p.items[i].dst.v + p.items[i].len, ARM64_RAM + MIB(64));
		ck_assert(p.handoff.v + PAGE_SIZE <= p.items[i].dst.v ||
			  p.handoff.v >= p.items[i].dst.v + p.items[i].len);
		for (k = 0; k < i; k++)
			ck_assert(p.items[k].dst.v + p.items[k].len <= p.items[i].dst.v ||
				  p.items[i].dst.v + p.items[i].len <= p.items[k].dst.v);
	}
	/* Zeroed memory behind the file belongs to the kernel. */
	ck_assert_uint_ge(p.entry.arg, p.entry.pc.v + IMAGE_SIZE);
	boot_plan_free(&p);
	blob_free(&f.kernel);
	blob_free(&f.initrd);
}
END_TEST

START_TEST(too_little_ram)
{
	struct arch_config small = config;
	struct boot_files f = { .params = "", .kernel_path = "k" };
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };

	small.ram_bytes = MIB(4);
	f.kernel = image(MIB(2));
	ck_assert_int_eq(arch_layout(&small, &l, &e), 0);
	ck_assert_int_eq(arch_boot_plan(&small, &l, &f, &p, &e), -E2BIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "--mem"));
	blob_free(&f.kernel);
}
END_TEST

/* The property as a string, or bytes compared to a string. */
static const char *prop(const void *fdt, const char *path, const char *name, int *len)
{
	int node = fdt_path_offset(fdt, path);

	ck_assert_msg(node >= 0, "no node %s", path);
	return fdt_getprop(fdt, node, name, len);
}

START_TEST(device_tree)
{
	struct arch_layout l;
	struct fdt_params p = { .config = &config,
		.layout = &l,
		.bootargs = "console=ttyS0",
		.initrd_base = 0x48000000,
		.initrd_size = 0x1000,
		.seed = { 1, 2 } };
	struct err e = { "" };
	const fdt32_t *cells;
	const fdt64_t *wide;
	size_t size;
	void *fdt;
	int len;

	ck_assert_int_eq(arch_layout(&config, &l, &e), 0);
	ck_assert_msg(arm64_fdt_build(&p, &fdt, &size, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(fdt_check_full(fdt, size), 0);
	ck_assert_str_eq(prop(fdt, "/chosen", "bootargs", &len), "console=ttyS0");
	ck_assert_str_eq(prop(fdt, "/chosen", "stdout-path", &len), "/serial@1000000");
	wide = (const void *)prop(fdt, "/chosen", "linux,initrd-end", &len);
	ck_assert_uint_eq(fdt64_to_cpu(*wide), 0x48001000);
	wide = (const void *)prop(fdt, "/memory@40000000", "reg", &len);
	ck_assert_int_eq(len, 16);
	ck_assert_uint_eq(fdt64_to_cpu(wide[0]), ARM64_RAM);
	ck_assert_uint_eq(fdt64_to_cpu(wide[1]), MIB(64));
	ck_assert_str_eq(prop(fdt, "/psci", "method", &len), "hvc");
	cells = (const void *)prop(fdt, "/serial@1000000", "interrupts", &len);
	ck_assert_int_eq(len, 12);
	ck_assert_uint_eq(fdt32_to_cpu(cells[1]), ARM64_SERIAL_SPI);
	ck_assert_uint_eq(fdt32_to_cpu(cells[2]), 1);
	ck_assert_str_eq(prop(fdt, "/cpus/cpu@2", "enable-method", &len), "psci");
	ck_assert_int_lt(fdt_path_offset(fdt, "/cpus/cpu@3"), 0);
	free(fdt);
}
END_TEST

/* kaslr-seed and rng-seed, one after the other, of a plan made now. */
static void plan_seeds(uint8_t seeds[64])
{
	struct boot_files f = { .params = "", .kernel_path = "k", .kernel = image(MIB(2)) };
	const void *fdt = NULL, *seed;
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };
	unsigned int i;
	int len;

	ck_assert_int_eq(arch_layout(&config, &l, &e), 0);
	ck_assert_msg(arch_boot_plan(&config, &l, &f, &p, &e) == 0, "%s", e.msg);
	for (i = 0; i < p.count; i++)
		if (p.items[i].dst.v == p.entry.arg)
			fdt = p.items[i].data;
	ck_assert_ptr_nonnull(fdt);
	seed = prop(fdt, "/chosen", "kaslr-seed", &len);
	ck_assert_int_eq(len, 8);
	memcpy(seeds, seed, 8);
	seed = prop(fdt, "/chosen", "rng-seed", &len);
	ck_assert_int_eq(len, 56);
	memcpy(seeds + 8, seed, 56);
	boot_plan_free(&p);
	blob_free(&f.kernel);
}

/* Every start has its own, and rng-seed does not tell what the kernel's addresses come from. */
START_TEST(seeds_are_random)
{
	uint8_t a[64], b[64];
	uint64_t kaslr, swapped, rng;
	unsigned int i;

	plan_seeds(a);
	plan_seeds(b);
	memcpy(&kaslr, a, 8);
	swapped = fdt64_to_cpu(kaslr);
	for (i = 0; i < 64; i += 8) {
		ck_assert_int_ne(memcmp(a + i, b + i, 8), 0);
		memcpy(&rng, a + i, 8);
		ck_assert(i == 0 || (rng != kaslr && rng != swapped));
	}
}
END_TEST

/* Where the host is not trusted, its numbers are not to count as entropy. */
START_TEST(rng_seed_but_not_under_pkvm)
{
	struct arch_config c = config;
	struct fdt_params p = { .config = &c, .bootargs = "" };
	struct arch_layout l;
	struct err e = { "" };
	size_t size;
	void *fdt;
	int len;

	if (_i == PROTECTION_SOFT_SEV) /* x86-64's */
		return;
	c.protection = (enum protection)_i;
	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	p.layout = &l;
	ck_assert_msg(arm64_fdt_build(&p, &fdt, &size, &e) == 0, "%s", e.msg);
	ck_assert_ptr_nonnull(prop(fdt, "/chosen", "kaslr-seed", &len));
	ck_assert_int_eq(prop(fdt, "/chosen", "rng-seed", &len) != NULL, _i != PROTECTION_PKVM);
	free(fdt);
}
END_TEST

/* What is asked for, and the pool that comes of it. */
static const struct {
	enum protection protection;
	uint64_t ram, wanted, base, size;
} pools[] = {
	{ PROTECTION_NONE, MIB(256), MIB(64), 0, 0 },
	{ PROTECTION_SOFT_REALM, MIB(256), MIB(64), 0, 0 },
	{ PROTECTION_PRIVATE, MIB(256), 0, 0, 0 },
	{ PROTECTION_PRIVATE, MIB(256), MIB(64), ARM64_RAM + MIB(192), MIB(64) },
	{ PROTECTION_PKVM, MIB(256), MIB(64), ARM64_RAM + MIB(192), MIB(64) },
	{ PROTECTION_PKVM, MIB(255), MIB(64), ARM64_RAM + MIB(192), MIB(62) },
	{ PROTECTION_PKVM, MIB(4096), MIB(7), ARM64_RAM + MIB(4090), MIB(6) },
	{ PROTECTION_PRIVATE, MIB(64), MIB(64), ARM64_RAM + MIB(48), MIB(16) },
	{ PROTECTION_PRIVATE, MIB(7), MIB(64), 0, 0 },
	{ PROTECTION_PRIVATE, MIB(64), UINT64_MAX, ARM64_RAM + MIB(48), MIB(16) },
};

START_TEST(pool_for_devices)
{
	struct arch_config c = { .cpus = 1,
		.protection = pools[_i].protection,
		.ram_bytes = pools[_i].ram,
		.swiotlb = pools[_i].wanted,
		.virtio = 2 };
	const char *device = "/virtio_mmio@1011000";
	struct arch_layout l;
	struct fdt_params p = { .config = &c, .layout = &l, .bootargs = "" };
	struct err e = { "" };
	char path[64];
	size_t size;
	void *fdt;
	int len;

	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	ck_assert_uint_eq(l.pool.base.v, pools[_i].base);
	ck_assert_uint_eq(l.pool.size, pools[_i].size);
	ck_assert_msg(arm64_fdt_build(&p, &fdt, &size, &e) == 0, "%s", e.msg);
	if (!pools[_i].size) {
		ck_assert_int_lt(fdt_path_offset(fdt, "/reserved-memory"), 0);
		ck_assert_ptr_null(prop(fdt, device, "memory-region", &len));
	} else {
		const fdt64_t *reg;

		snprintf(path, sizeof(path), "/reserved-memory/restricted-dma-pool@%llx",
			(unsigned long long)pools[_i].base);
		ck_assert_str_eq(prop(fdt, path, "compatible", &len), "restricted-dma-pool");
		reg = (const void *)prop(fdt, path, "reg", &len);
		ck_assert_uint_eq(fdt64_ld(&reg[0]), pools[_i].base);
		ck_assert_uint_eq(fdt64_ld(&reg[1]), pools[_i].size);
		ck_assert_ptr_nonnull(prop(fdt, "/reserved-memory", "ranges", &len));
		ck_assert_int_eq(memcmp(prop(fdt, device, "memory-region", &len),
					 prop(fdt, path, "phandle", &len), 4),
			0);
		ck_assert_ptr_null(prop(fdt, "/serial@1000000", "memory-region", &len));
	}
	free(fdt);
}
END_TEST

/* What is loaded must not reach into the pool. */
START_TEST(boot_files_stay_out_of_the_pool)
{
	struct boot_files f = { .params = "", .kernel_path = "k", .kernel = image(MIB(2)) };
	struct arch_config c = { .cpus = 1,
		.protection = PROTECTION_PRIVATE,
		.ram_bytes = MIB(64),
		.swiotlb = _i ? MIB(16) : 0,
		.virtio = 1 };
	struct arch_layout l;
	struct boot_plan p;
	struct err e = { "" };
	int r;

	f.initrd = (struct blob){ .data = f.kernel.data, .len = MIB(50) };
	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	r = arch_boot_plan(&c, &l, &f, &p, &e);
	ck_assert_int_eq(r, _i ? -E2BIG : 0);
	if (r)
		ck_assert_ptr_nonnull(strstr(e.msg, "the guest has 48 beside its swiotlb pool"));
	boot_plan_free(&p);
	blob_free(&f.kernel);
}
END_TEST

START_TEST(device_tree_of_many_cpus)
{
	struct arch_config many = { .cpus = ARM64_CPUS_MAX, .ram_bytes = GIB(1) };
	struct arch_layout l;
	struct fdt_params p = { .config = &many, .layout = &l, .bootargs = "" };
	struct err e = { "" };
	size_t size;
	void *fdt;

	ck_assert_int_eq(arch_layout(&many, &l, &e), 0);
	ck_assert_msg(arm64_fdt_build(&p, &fdt, &size, &e) == 0, "%s", e.msg);
	/* The 17th vCPU is number 0 of the second cluster. */
	ck_assert_int_ge(fdt_path_offset(fdt, "/cpus/cpu@100"), 0);
	ck_assert_int_lt(fdt_path_offset(fdt, "/cpus/cpu@10"), 0);
	free(fdt);
	many.cpus = ARM64_CPUS_MAX + 1;
	ck_assert_int_eq(arch_layout(&many, &l, &e), -EINVAL);
}
END_TEST

START_TEST(soft_sev_is_of_the_other_architecture)
{
	struct arch_config c = {
		.cpus = 1, .ram_bytes = MIB(64), .protection = PROTECTION_SOFT_SEV
	};
	struct arch_layout l;
	struct err e = { "" };

	ck_assert_int_eq(arch_layout(&c, &l, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "--protection soft-realm"));
}
END_TEST

START_TEST(ram_above_4_gib)
{
	struct arch_config c = { .cpus = 1, .ram_bytes = GIB(5) };
	struct arch_layout l;
	struct fdt_params p = { .config = &c, .layout = &l, .bootargs = "" };
	struct err e = { "" };
	struct test_ram ram;
	fdt64_t wide[2];
	size_t size;
	void *fdt;
	int len;

	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	ck_assert_msg(arm64_fdt_build(&p, &fdt, &size, &e) == 0, "%s", e.msg);
	memcpy(wide, prop(fdt, "/memory@40000000", "reg", &len), sizeof(wide));
	ck_assert_int_eq(len, 16);
	ck_assert_uint_eq(fdt64_to_cpu(wide[0]), GIB(1));
	ck_assert_uint_eq(fdt64_to_cpu(wide[1]), GIB(5));
	test_ram_open(&ram, &l);
	test_ram_is(&ram, GIB(1), GIB(5));
	ck_assert_uint_eq(fake_live(&ram.kvm), 1);
	ck_assert_ptr_null(mem_host(ram.mem, gpa(GIB(6)), 1));
	ck_assert_ptr_null(mem_host(ram.mem, gpa(GIB(1) - 1), 2));
	test_ram_close(&ram);
	free(fdt);
}
END_TEST

/* The map of a realm lies in the lower half of its addresses, and its kernel calls by SMC. */
START_TEST(realm_has_one_bit_more)
{
	static const struct {
		uint64_t ram, bit;
	} want[] = { { MIB(4), GIB(4) }, { GIB(3), GIB(4) }, { GIB(3) + MIB(1), GIB(8) },
		{ GIB(64), GIB(128) } };
	struct arch_config c = {
		.cpus = 1, .protection = PROTECTION_SOFT_REALM, .ram_bytes = want[_i].ram
	};
	struct arch_layout l;
	struct fdt_params p = { .config = &c, .layout = &l, .bootargs = "" };
	struct err e = { "" };
	fdt64_t wide[2];
	size_t size;
	void *fdt;
	int len;

	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	ck_assert_uint_eq(l.alias_bit, want[_i].bit);
	ck_assert(!l.alias_is_private);
	ck_assert_uint_eq(1ULL << arm64_ipa_bits(&l), 2 * l.alias_bit);
	ck_assert_uint_le(l.ram[0].base.v + l.ram[0].size, l.alias_bit);
	ck_assert_msg(arm64_fdt_build(&p, &fdt, &size, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(prop(fdt, "/psci", "method", &len), "smc");
	memcpy(wide, prop(fdt, "/interrupt-controller@8000000", "reg", &len), sizeof(wide));
	ck_assert_uint_eq(fdt64_to_cpu(wide[0]), ARM64_GICD);
	free(fdt);
	c.protection = PROTECTION_PRIVATE;
	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	ck_assert_uint_eq(l.alias_bit, 0);
}
END_TEST

/* Where devices are; without one no pool is set aside, either. */
START_TEST(realm_is_told_its_bounce_buffers)
{
	struct arch_config c = { .protection = _i ? PROTECTION_PRIVATE : PROTECTION_SOFT_REALM,
		.cpus = 1,
		.ram_bytes = MIB(256),
		.swiotlb = MIB(16) };
	struct boot_files f = { .kernel = image(MIB(2)), .params = "x=1", .kernel_path = "k" };
	char longest[2048];
	struct err e = { "" };
	struct arch_layout l;
	struct boot_plan p;
	int len;

	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	ck_assert_uint_eq(l.pool.size, 0);
	ck_assert_msg(arch_boot_plan(&c, &l, &f, &p, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(
		prop(p.items[1].data, "/chosen", "bootargs", &len), _i ? "x=1" : "swiotlb=512 x=1");
	boot_plan_free(&p);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	f.params = longest;
	ck_assert_int_eq(arch_boot_plan(&c, &l, &f, &p, &e), _i ? 0 : -E2BIG);
	if (_i)
		boot_plan_free(&p);
	blob_free(&f.kernel);
}
END_TEST

static const struct {
	uint64_t id, x1, x2, x3;
	uint64_t answer; /* when it is no conversion */
	bool converts, to_private;
} calls[] = {
	{ SMCCC_HYP_MEMINFO, 0, 0, 0, PAGE_SIZE, false, false },
	{ SMCCC_HYP_MEMINFO, 1, 0, 0, SMCCC_INVALID_PARAMETER, false, false },
	{ SMCCC_HYP_MEMINFO, 0, 0, 1, SMCCC_INVALID_PARAMETER, false, false },
	{ SMCCC_MEM_SHARE, ARM64_RAM, 0, 0, 0, true, false },
	{ SMCCC_MEM_UNSHARE, ARM64_RAM, 0, 0, 0, true, true },
	{ SMCCC_MEM_SHARE, ARM64_RAM, 1, 0, SMCCC_INVALID_PARAMETER, false, false },
	{ SMCCC_MEM_UNSHARE, ARM64_RAM, 0, 1, SMCCC_INVALID_PARAMETER, false, false },
	/* Range and alignment are judged by the conversion. */
	{ SMCCC_MEM_SHARE, 1, 0, 0, 0, true, false },
	{ SMCCC_MMIO_GUARD, ARM64_SERIAL, 0, 0, SMCCC_OK, false, false },
	{ SMCCC_MMIO_GUARD, ARM64_SERIAL + 1, 0, 0, SMCCC_INVALID_PARAMETER, false, false },
	{ SMCCC_MMIO_GUARD, ARM64_RAM, 0, 0, SMCCC_INVALID_PARAMETER, false, false },
	{ SMCCC_VENDOR_FEATURES, 0, 0, 0, 0x9f, false, false },
	{ 0xC6000005u, 0, 0, 0, SMCCC_NOT_SUPPORTED, false, false },
	{ UINT64_MAX, 0, 0, 0, SMCCC_NOT_SUPPORTED, false, false },
};

START_TEST(hypercalls)
{
	struct smccc_regs r = { { calls[_i].id, calls[_i].x1, calls[_i].x2, calls[_i].x3 } };
	struct arch_layout l;
	struct smccc_context ctx = { 3, &l };
	struct arch_convert c;
	struct err e = { "" };

	ck_assert_int_eq(arch_layout(&config, &l, &e), 0);
	ck_assert_int_eq(smccc_decode(&ctx, calls[_i].id, &r, &c), calls[_i].converts);
	if (calls[_i].converts) {
		ck_assert_uint_eq(c.gpa.v, calls[_i].x1);
		ck_assert_uint_eq(c.len, PAGE_SIZE);
		ck_assert_int_eq(c.to_private, calls[_i].to_private);
	} else {
		ck_assert_uint_eq(r.x[0], calls[_i].answer);
	}
}
END_TEST

START_TEST(conversion_results)
{
	ck_assert_uint_eq(smccc_result(0), SMCCC_OK);
	ck_assert_uint_eq(smccc_result(-EINVAL), SMCCC_INVALID_PARAMETER);
	ck_assert_uint_eq(smccc_result(-ENOSPC), SMCCC_INVALID_PARAMETER);
}
END_TEST

Suite *arm64_boot_suite(void)
{
	Suite *s = suite_create("arm64_boot");
	TCase *t = tcase_create("arm64_boot");

	tcase_add_test(t, plan_has_no_overlaps);
	tcase_add_test(t, too_little_ram);
	tcase_add_test(t, device_tree);
	tcase_add_test(t, device_tree_of_many_cpus);
	tcase_add_test(t, seeds_are_random);
	tcase_add_loop_test(t, pool_for_devices, 0, (int)ARRAY_SIZE(pools));
	tcase_add_loop_test(t, boot_files_stay_out_of_the_pool, 0, 2);
	tcase_add_loop_test(t, rng_seed_but_not_under_pkvm, PROTECTION_NONE, PROTECTION_PKVM + 1);
	tcase_add_test(t, ram_above_4_gib);
	tcase_add_test(t, soft_sev_is_of_the_other_architecture);
	tcase_add_loop_test(t, realm_has_one_bit_more, 0, 4);
	tcase_add_loop_test(t, realm_is_told_its_bounce_buffers, 0, 2);
	tcase_add_loop_test(t, hypercalls, 0, (int)ARRAY_SIZE(calls));
	tcase_add_test(t, conversion_results);
	suite_add_tcase(s, t);
	return s;
}
