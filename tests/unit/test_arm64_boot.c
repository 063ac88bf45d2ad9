/* SPDX-License-Identifier: Apache-2.0 */

/* The pure parts of arm64: image recognition, boot plan, device tree, hypercall decoding. */
#include <check.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

/* Both architectures' files are compiled into one test program: these two get names of their own. */
#define arch_layout    arm64_test_layout
#define arch_boot_plan arm64_test_boot_plan
#include "arch/arm64/layout.c"
#include "arch/arm64/boot.c"

#include "arch/arm64/smccc.h"
#include "arch/unzstd.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_ram.h"

#define IMAGE_SIZE MIB(3)

/* A plausible Image: header, and a PE header that says how long the file is. */
static void make_image(uint8_t *p, uint64_t file_len)
{
	uint64_t image_size = IMAGE_SIZE;
	uint32_t pe = 64, raw = (uint32_t)file_len - 512, at = 512;
	uint16_t sections = 1;

	memset(p, 0, file_len);
	memcpy(p + 16, &image_size, 8);
	memcpy(p + 56, "ARM\x64", 4);
	memcpy(p + 60, &pe, 4);
	memcpy(p + pe, "PE\0\0", 4);
	memcpy(p + pe + 6, &sections, 2);
	memcpy(p + pe + 24 + 16, &raw, 4);
	memcpy(p + pe + 24 + 20, &at, 4);
}

static struct blob image(uint64_t len)
{
	struct blob b = { malloc(len), len };

	make_image(b.data, len);
	return b;
}

START_TEST(plain_image)
{
	struct blob b = image(MIB(2));
	struct arm64_image img;
	struct err e = { "" };

	ck_assert_msg(arm64_image_parse(&b, "k", GIB(1), &img, &e) == 0, "%s", e.msg);
	ck_assert_ptr_eq(img.data, b.data);
	ck_assert_uint_eq(img.image_size, IMAGE_SIZE);
	ck_assert_ptr_null(img.owned);
	ck_assert_ptr_null(img.packed.format);
	blob_free(&b);
}
END_TEST

static struct blob gzipped(const struct blob *in)
{
	struct blob out = { malloc(in->len + 4096), in->len + 4096 };
	z_stream z = { 0 };

	ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = in->data;
	z.avail_in = (uInt)in->len;
	z.next_out = out.data;
	z.avail_out = (uInt)out.len;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	out.len = z.total_out;
	deflateEnd(&z);
	return out;
}

static struct blob zstd(const struct blob *in)
{
	struct blob out = { malloc(ZSTD_compressBound(in->len)), ZSTD_compressBound(in->len) };

	out.len = ZSTD_compress(out.data, out.len, in->data, in->len, 1);
	ck_assert(!ZSTD_isError(out.len));
	return out;
}

/* An EFI zboot image around it. What follows the payload is the size that kernel builds append. */
static struct blob zboot(const struct blob *payload, const char *type)
{
	struct blob b = { calloc(1, 512 + payload->len + 4), 512 + payload->len + 4 };
	uint32_t at = 512, size = (uint32_t)payload->len, magic = 0x818223cd;

	memcpy(b.data, "MZ\0\0zimg", 8);
	memcpy(b.data + 8, &at, 4);
	memcpy(b.data + 12, &size, 4);
	strcpy((char *)b.data + 24, type);
	memcpy(b.data + 56, &magic, 4);
	memcpy(b.data + at, payload->data, size);
	return b;
}

static struct blob packed(const struct blob *plain, int how)
{
	struct blob inner = how & 1 ? zstd(plain) : gzipped(plain), b;

	if (how < 2)
		return inner;
	b = zboot(&inner, how & 1 ? "zstd22" : "gzip");
	blob_free(&inner);
	return b;
}

/* gzip, zstd, and EFI zboot images of both. */
START_TEST(packed_image)
{
	/* Larger than the first buffer of the unpackers. */
	struct blob plain = image(MIB(24)), b, cut;
	struct arm64_image img;
	struct err e = { "" };
	uint64_t size = MIB(32), i;

	memcpy(plain.data + 16, &size, 8);
	for (i = MIB(1); i < MIB(2); i++)
		plain.data[i] = (uint8_t)(i * i >> 7);
	b = packed(&plain, _i);
	ck_assert_msg(arm64_image_parse(&b, "k", GIB(1), &img, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(img.file_size, plain.len);
	ck_assert_int_eq(memcmp(img.data, plain.data, plain.len), 0);
	ck_assert_str_eq(img.packed.format, _i & 1 ? "zstd" : "gzip");
	ck_assert_uint_eq(img.packed.at, _i < 2 ? 0 : 512);
	ck_assert_uint_eq(img.packed.len, b.len - (_i < 2 ? 0 : 512 + 4));
	free(img.owned);
	/* Cut anywhere, in a block of its very size. */
	for (i = 1; i < 8; i++) {
		cut = (struct blob){ malloc(b.len * i / 8), b.len * i / 8 };
		memcpy(cut.data, b.data, cut.len);
		ck_assert_int_lt(arm64_image_parse(&cut, "k", GIB(1), &img, &e), 0);
		ck_assert_msg(strstr(e.msg, "cut short") != NULL, "%s", e.msg);
		ck_assert_ptr_null(img.owned);
		blob_free(&cut);
	}
	blob_free(&b);
	blob_free(&plain);
}
END_TEST

START_TEST(damaged_image)
{
	struct blob plain = image(MIB(2)), b = packed(&plain, _i);
	struct arm64_image img;
	struct err e = { "" };
	uint64_t at = _i < 2 ? 0 : 512;

	memset(b.data + at + 12, 0xff, 16);
	ck_assert_int_eq(arm64_image_parse(&b, "k", GIB(1), &img, &e), -EBADMSG);
	ck_assert_msg(strstr(e.msg, "damaged") != NULL, "%s", e.msg);
	blob_free(&b);
	blob_free(&plain);
}
END_TEST

/* A few bytes that unpack to more than any kernel has. */
START_TEST(image_that_claims_to_be_huge)
{
	uint64_t one = MIB(6), n = 9, i;
	struct blob zeroes = { calloc(1, one), one }, frame = zstd(&zeroes);
	struct blob b = { malloc(frame.len * n), frame.len * n }, out;
	struct err e = { "" };

	for (i = 0; i < n; i++)
		memcpy(b.data + i * frame.len, frame.data, frame.len);
	ck_assert_int_eq(unzstd(&b, MIB(32), &out, &e), -EFBIG);
	ck_assert_ptr_null(out.data);
	ck_assert_ptr_nonnull(strstr(e.msg, "more than 32 MiB"));
	/* Frames follow each other; up to the limit they count as one file. */
	b.len = frame.len * 2;
	ck_assert_int_eq(unzstd(&b, MIB(12) - 1, &out, &e), -EFBIG);
	ck_assert_int_eq(unzstd(&b, MIB(12) + 1, &out, &e), 0);
	ck_assert_uint_eq(out.len, MIB(12));
	blob_free(&out);
	blob_free(&b);
	blob_free(&frame);
	blob_free(&zeroes);
}
END_TEST

/* What does not fit into the guest is not unpacked as a whole first. */
START_TEST(image_larger_than_the_guest)
{
	struct blob plain = image(MIB(24)), b;
	struct arm64_image img;
	struct err e = { "" };
	uint64_t size = MIB(32);

	memcpy(plain.data + 16, &size, 8);
	b = packed(&plain, _i);
	ck_assert_int_eq(arm64_image_parse(&b, "k", MIB(16), &img, &e), -EFBIG);
	ck_assert_ptr_null(img.owned);
	ck_assert_msg(
		strstr(e.msg, "unpacks to more than 16 MiB (raise --mem)") != NULL, "%s", e.msg);
	ck_assert_int_eq(arm64_image_parse(&b, "k", MIB(32), &img, &e), 0);
	free(img.owned);
	blob_free(&b);
	blob_free(&plain);
}
END_TEST

/* At byte `at` of a zboot image, four bytes; what the sentence then says. */
static const struct {
	uint64_t at;
	uint32_t value;
	const char *expect;
} zboots[] = {
	{ 8, 0xffffffff, "cut short" },
	{ 8, 0, "compressed by \"zstd22\"" },
	{ 12, 0, "cut short" },
	{ 12, 0xffffffff, "cut short" },
	{ 512, 0x587a37fd, "compressed by \"zstd22\", expected gzip or zstd" },
	{ 4, 0, "no arm64 kernel Image" },
};

START_TEST(broken_zboot)
{
	struct blob plain = image(MIB(2)), b = packed(&plain, 3);
	struct arm64_image img;
	struct err e = { "" };

	memcpy(b.data + zboots[_i].at, &zboots[_i].value, 4);
	ck_assert_int_eq(arm64_image_parse(&b, "k", GIB(1), &img, &e), -ENOEXEC);
	ck_assert_msg(strstr(e.msg, zboots[_i].expect) != NULL, "%s", e.msg);
	blob_free(&b);
	blob_free(&plain);
}
END_TEST

static const struct {
	const char *what;
	uint64_t at;
	uint8_t bytes[8];
	unsigned int n;
	const char *expect;
} broken[] = {
	{ "magic", 56, { 0 }, 4, "no arm64 kernel" },
	{ "elf", 0, { 0x7f, 'E', 'L', 'F' }, 4, "ELF" },
	{ "x86", 0x202, { 'H', 'd', 'r', 'S' }, 4, "x86 kernel" },
	{ "big endian", 24, { 1 }, 1, "big-endian" },
	{ "no size", 16, { 0 }, 8, "implausible" },
	{ "huge size", 16, { 0, 0, 0, 0, 0, 0, 0, 1 }, 8, "implausible" },
	{ "size below file", 16, { 0, 0x10, 0 }, 4, "larger" },
	{ "offset", 8, { 0, 0, 0x40 }, 3, "implausible" },
};

START_TEST(broken_image)
{
	struct blob b = image(MIB(2));
	struct arm64_image img;
	struct err e = { "" };

	memcpy(b.data + broken[_i].at, broken[_i].bytes, broken[_i].n);
	if (strcmp(broken[_i].what, "elf") == 0 || broken[_i].at == 0x202 || broken[_i].at == 0)
		memset(b.data + 56, 0, 4);
	ck_assert_int_eq(arm64_image_parse(&b, "k", GIB(1), &img, &e), -ENOEXEC);
	ck_assert_msg(strstr(e.msg, broken[_i].expect) != NULL, "%s: %s", broken[_i].what, e.msg);
	blob_free(&b);
}
END_TEST

static const uint64_t cuts[] = { 1, 56, 59, 63, 64, 100, 511, 512, MIB(1), MIB(2) - 1 };

START_TEST(truncated_image)
{
	struct blob b = image(MIB(2));
	struct arm64_image img;
	struct err e = { "" };
	/* In a block of its very size, so that a sanitizer sees any read past the end. */
	struct blob cut = { malloc(cuts[_i]), cuts[_i] };

	memcpy(cut.data, b.data, cut.len);
	if (cut.len > 120)
		ck_assert_int_eq(arm64_image_parse(&cut, "k", GIB(1), &img, &e), -ENOEXEC);
	else
		arm64_image_parse(&cut, "k", GIB(1), &img, &e);
	blob_free(&cut);
	blob_free(&b);
}
END_TEST

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
		.swiotlb = _i ? MIB(16) : 0 };
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

/* What the user says comes last, and so wins. */
START_TEST(realm_is_told_its_bounce_buffers)
{
	static const struct {
		uint64_t ram;
		const char *bootargs;
	} want[] = { { MIB(64), "swiotlb=8192 x=1" }, { MIB(256), "swiotlb=32640 x=1" },
		{ MIB(255), "swiotlb=16384 x=1" }, { GIB(4), "swiotlb=32640 x=1" } };
	struct arch_config c = {
		.protection = PROTECTION_SOFT_REALM,
		.cpus = 1,
		.ram_bytes = want[_i].ram,
		.swiotlb = MIB(64),
	};
	struct boot_files f = { .kernel = image(MIB(2)), .params = "x=1", .kernel_path = "k" };
	char longest[2048];
	struct err e = { "" };
	struct arch_layout l;
	struct boot_plan p;
	int len;

	ck_assert_int_eq(arch_layout(&c, &l, &e), 0);
	ck_assert_msg(arch_boot_plan(&c, &l, &f, &p, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(prop(p.items[1].data, "/chosen", "bootargs", &len), want[_i].bootargs);
	boot_plan_free(&p);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = 0;
	f.params = longest;
	ck_assert_int_eq(arch_boot_plan(&c, &l, &f, &p, &e), -E2BIG);
	ck_assert_ptr_nonnull(strstr(e.msg, "swiotlb="));
	c.protection = PROTECTION_PRIVATE;
	ck_assert_msg(arch_boot_plan(&c, &l, &f, &p, &e) == 0, "%s", e.msg);
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

	tcase_add_test(t, plain_image);
	tcase_add_loop_test(t, packed_image, 0, 4);
	tcase_add_loop_test(t, image_larger_than_the_guest, 0, 4);
	tcase_add_loop_test(t, damaged_image, 0, 4);
	tcase_add_test(t, image_that_claims_to_be_huge);
	tcase_add_loop_test(t, broken_zboot, 0, (int)ARRAY_SIZE(zboots));
	tcase_add_loop_test(t, broken_image, 0, (int)ARRAY_SIZE(broken));
	tcase_add_loop_test(t, truncated_image, 0, (int)ARRAY_SIZE(cuts));
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
	tcase_add_loop_test(t, realm_is_told_its_bounce_buffers, 0, 4);
	tcase_add_loop_test(t, hypercalls, 0, (int)ARRAY_SIZE(calls));
	tcase_add_test(t, conversion_results);
	suite_add_tcase(s, t);
	return s;
}
