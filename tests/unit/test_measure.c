/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The measurement: that its text is what man/nacre-measure.7 says, that it changes with whatever the
 * guest is started with, and with nothing else. Both architectures' plans are measured on any host.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "arch/features.h"
#include "arch/x86/features.h"
#include "tests/unit/suites.h"
#include "vmm/measure.h"
#include "vmm/util/bits.h"

/* test_x86_boot.c and test_arm64_boot.c compile the architectures' files under these names. */
int x86_test_layout(const struct arch_config *c, struct arch_layout *out, struct err *e);
int x86_test_boot_plan(const struct arch_config *c, const struct arch_layout *l,
	const struct boot_files *f, struct boot_plan *out, struct err *e);
int arm64_test_layout(const struct arch_config *c, struct arch_layout *out, struct err *e);
int arm64_test_boot_plan(const struct arch_config *c, const struct arch_layout *l,
	const struct boot_files *f, struct boot_plan *out, struct err *e);

/* What arch/boot.c asks of the architecture: here two bytes that say where they lie. */
uint64_t arch_stage_extra(const struct arch_layout *l, gpa_t at, void *buf, uint64_t room)
{
	(void)l;
	if (buf && room >= 2)
		memcpy(buf, (uint16_t[]){ (uint16_t)(at.v >> 12) }, 2);
	return 2;
}

/* A guest to measure, which each test changes in its own way. */
static struct {
	bool arm64, staged, probe;
	struct arch_config config;
	struct boot_files files;
	char params[64];
	uint8_t kernel[8192], initrd[5000], firmware[3000];
} g;

static void put(uint32_t at, uint64_t v, unsigned int n)
{
	memcpy(g.kernel + at, &v, n);
}

/* The fields of a bzImage's or an Image's header that the plan wants. */
static void make_kernel(void)
{
	if (g.arm64) {
		put(16, sizeof(g.kernel), 8);
		memcpy(g.kernel + 56, "ARM\x64", 4);
		return;
	}
	put(0x1f1, 4, 1);
	put(0x1f4, (sizeof(g.kernel) - 5 * 512) / 16, 4);
	put(0x201, 0x6a, 1);
	memcpy(g.kernel + 0x202, "HdrS", 4);
	put(0x206, 0x20f, 2);
	put(0x22c, 0x7fffffff, 4);
	put(0x236, 1, 2);
	put(0x238, 2047, 4);
	put(0x258, MIB(16), 8);
	put(0x260, MIB(8), 4);
}

static void setup(bool arm64)
{
	size_t i;

	memset(&g, 0, sizeof(g));
	g.arm64 = arm64;
	g.config = (struct arch_config){ .cpus = 2, .ram_bytes = MIB(64), .virtio = 1 };
	for (i = 0; i < sizeof(g.kernel); i++)
		g.kernel[i] = (uint8_t)(i * 7);
	memset(g.kernel, 0, 0x300);
	make_kernel();
	for (i = 0; i < sizeof(g.initrd); i++)
		g.initrd[i] = (uint8_t)(i * 11);
	for (i = 0; i < sizeof(g.firmware); i++)
		g.firmware[i] = (uint8_t)(i * 13);
	strcpy(g.params, "console=ttyS0");
	g.files = (struct boot_files){ .kernel = { g.kernel, sizeof(g.kernel) },
		.initrd = { g.initrd, sizeof(g.initrd) },
		.kernel_path = "kernel",
		.firmware_path = "firmware",
		.params = g.params };
}

/* 0, or what the plan says of such a kernel. */
static int try_measure(struct measurement *m)
{
	struct arch_layout l;
	struct boot_plan plan;
	struct err e = { "" };
	struct boot_stage stage = { .plan = &plan,
		.program = g.firmware,
		.program_len = sizeof(g.firmware),
		.layout = &l,
		.protection = g.config.protection,
		.cpus = g.config.cpus,
		.probe = g.probe };
	const struct measure_input in = { g.arm64 ? "arm64" : "x86_64", &g.config, &l, &g.files,
		&plan, g.staged ? &stage : NULL, NULL };
	int r;

	r = g.arm64 ? arm64_test_layout(&g.config, &l, &e) : x86_test_layout(&g.config, &l, &e);
	ck_assert_msg(r == 0, "%s", e.msg);
	r = g.arm64 ? arm64_test_boot_plan(&g.config, &l, &g.files, &plan, &e)
		    : x86_test_boot_plan(&g.config, &l, &g.files, &plan, &e);
	if (r)
		return r;
	r = measure(&in, m, &e);
	ck_assert_msg(r == 0, "%s", e.msg);
	boot_plan_free(&plan);
	return 0;
}

static struct measurement measured(void)
{
	struct measurement m;

	ck_assert_int_eq(try_measure(&m), 0);
	return m;
}

static uint8_t first[SHA256_SIZE];

static void remember(void)
{
	struct measurement m = measured();

	memcpy(first, m.digest, sizeof(first));
	measurement_free(&m);
}

static bool differs(void)
{
	struct measurement m = measured();
	bool other = memcmp(first, m.digest, sizeof(first)) != 0;

	measurement_free(&m);
	return other;
}

/* ---- the text ---- */

/* Stands in for the architecture's. */
static int own_pieces(const struct arch_config *c, const struct arch_layout *l, boot_piece_fn *fn,
	void *ctx, struct err *e)
{
	const struct boot_item piece = { .data = "abc", .len = 3, .dst = { 0xff00000 } };

	ck_assert_int_eq(c->protection, PROTECTION_SOFT_REALM);
	ck_assert_uint_eq(l->ram_count, 1);
	return fn(ctx, &piece, e);
}

/* As the manual has it; digests by sha256sum(1). */
START_TEST(text_is_as_documented)
{
	static const char expected[] =
		"nacre-measurement 2\n"
		"arch arm64\n"
		"mode soft-realm\n"
		"private-memory strict\n"
		"cpus 3\n"
		"hidden-features pv-eoi,avx512\n"
		"ram 0x40000000 0x4000000\n"
		"alias 0x8000000000 shared 0x100000\n"
		"input kernel 0x3 "
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
		"input params 0x0 "
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n"
		"unpacked 0x5 zstd 0x1 0x2\n"
		"piece 0x40200000 0x3 kernel 0x0\n"
		"piece 0x40300000 0x2 kernel 0x1\n"
		"piece 0x40380000 0x4 unpacked 0x1\n"
		"piece 0x40400000 0x6 "
		"246ba0ea1fba39cd21c2ff11190e0beb7f26a704570a96443c933053f166df4c "
		"random 0x1 0x2 random 0x4 0x1\n"
		"piece 0xff00000 0x3 "
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\n"
		"start kernel 0x40200000 0x40400000 0x0\n";
	struct arch_config c = { .protection = PROTECTION_SOFT_REALM,
		.cpus = 3,
		.hidden = 1ULL << X86_PV_EOI | 1ULL << X86_AVX512 };
	struct arch_layout l = { .ram = { { { 0x40000000 }, MIB(64) } },
		.ram_count = 1,
		.alias_bit = 1ULL << 39,
		.alias_both = MIB(1) };
	uint8_t abc[] = "abc", tree[] = "uvwxyz", inside[] = "12345";
	struct boot_files f = { .kernel = { abc, 3 }, .params = "" };
	struct boot_plan p = { .entry = { .pc = { 0x40200000 }, .arg = 0x40400000 } };
	const struct measure_input in = { "arm64", &c, &l, &f, &p, NULL, own_pieces };
	struct measurement m;
	struct err e = { "" };
	char hex[SHA256_HEX];

	ck_assert_int_eq(boot_plan_add(&p, abc, NULL, 3, (gpa_t){ 0x40200000 }, &e), 0);
	ck_assert_int_eq(boot_plan_add(&p, abc + 1, NULL, 2, (gpa_t){ 0x40300000 }, &e), 0);
	p.unpacked = (struct blob){ inside, 5 };
	p.packed = (struct boot_packed){ "zstd", 1, 2 };
	ck_assert_int_eq(boot_plan_add(&p, inside + 1, NULL, 4, (gpa_t){ 0x40380000 }, &e), 0);
	ck_assert_int_eq(boot_plan_add(&p, tree, NULL, 6, (gpa_t){ 0x40400000 }, &e), 0);
	ck_assert_int_eq(boot_plan_random(&p, 1, 2, &e), 0);
	ck_assert_int_eq(boot_plan_random(&p, 4, 1, &e), 0);
	ck_assert_msg(measure(&in, &m, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(m.text, expected);
	ck_assert_uint_eq(m.len, sizeof(expected) - 1);
	ck_assert_str_eq(sha256_hex(m.digest, hex),
		"ddbeed214a5a465c3a4f55bc4eaf04d17f7a08c3bae389ec7f87bccbdf81c403");
	measurement_free(&m);
	measurement_free(&m);
}
END_TEST

START_TEST(staged_text_has_the_staging_area)
{
	struct measurement m;

	setup(false);
	g.staged = true;
	g.config.protection = PROTECTION_PRIVATE;
	m = measured();
	ck_assert_ptr_nonnull(strstr(m.text, "\nmode private\n"));
	ck_assert_ptr_nonnull(strstr(m.text, "\npiece 0xc0000000 0x238 "));
	ck_assert_ptr_nonnull(strstr(m.text, "\npiece 0xc0010000 0xbb8 "));
	ck_assert_ptr_nonnull(strstr(m.text, "\npiece 0xc0111000 0x2 "));
	/* The first piece of the plan: the kernel without its setup sectors. */
	ck_assert_ptr_nonnull(strstr(m.text, "\npiece 0xc0112000 0x1600 kernel 0xa00\n"));
	ck_assert_ptr_nonnull(strstr(m.text, "\nstart program 0xc0010000 0xc0000000 0xc0111000\n"));
	measurement_free(&m);
}
END_TEST

/* The bytes that it unpacks to are not hashed again: the text says what they were made of. */
START_TEST(packed_kernel_is_measured_as_the_file)
{
	uint8_t plain[sizeof(g.kernel)];
	struct measurement m;
	z_stream z = { 0 };

	setup(true);
	memcpy(plain, g.kernel, sizeof(plain));
	ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = plain;
	z.avail_in = sizeof(plain);
	z.next_out = g.kernel;
	z.avail_out = sizeof(g.kernel);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	g.files.kernel.len = z.total_out;
	deflateEnd(&z);
	m = measured();
	ck_assert_ptr_nonnull(strstr(m.text, "\nunpacked 0x2000 gzip 0x0 0x"));
	ck_assert_ptr_nonnull(strstr(m.text, "\npiece 0x40000000 0x2000 unpacked 0x0\n"));
	measurement_free(&m);
	/* The time in gzip's header is of no consequence, and in the digest like all of the file. */
	remember();
	g.kernel[4] ^= 1;
	ck_assert(differs());
}
END_TEST

/* ---- what changes it ---- */

/* Flips bits all over the bytes, and of each of the first 64; those the plan refuses do not count. */
static void flip_bits(uint8_t *bytes, size_t len, unsigned int at_least)
{
	unsigned int accepted = 0, same = 0;
	size_t i;

	remember();
	for (i = 0; i < len; i += i < 64 ? 1 : 37) {
		struct measurement m;
		uint8_t bit = (uint8_t)(1u << (i * 5 % 8));

		bytes[i] ^= bit;
		if (!try_measure(&m)) {
			accepted++;
			same += !memcmp(first, m.digest, sizeof(first));
			measurement_free(&m);
		}
		bytes[i] ^= bit;
	}
	ck_assert_uint_eq(same, 0);
	ck_assert_uint_ge(accepted, at_least);
	ck_assert(!differs());
}

/* Even: x86-64, odd: arm64; from 2 on through the staging area. */
START_TEST(any_bit_of_any_file)
{
	setup(_i % 2);
	g.staged = _i >= 2;
	g.config.protection = g.staged ? PROTECTION_PRIVATE : PROTECTION_NONE;
	flip_bits(g.kernel, sizeof(g.kernel), 200);
	flip_bits(g.initrd, sizeof(g.initrd), 190);
	flip_bits((uint8_t *)g.params, strlen(g.params), (unsigned int)strlen(g.params));
	if (g.staged)
		flip_bits(g.firmware, sizeof(g.firmware), 140);
}
END_TEST

static void longer_initrd(void)
{
	g.files.initrd.len--;
}

static void no_initrd(void)
{
	g.files.initrd = (struct blob){ NULL, 0 };
}

static void empty_params(void)
{
	g.params[0] = '\0';
}

/* The layout refuses the modes of the other architecture. */
static void realm(void)
{
	g.config.protection = g.arm64 ? PROTECTION_SOFT_REALM : PROTECTION_PRIVATE;
}

static void pkvm(void)
{
	g.config.protection = g.arm64 ? PROTECTION_PKVM : PROTECTION_PRIVATE;
}

static void open_memory(void)
{
	g.config.open_memory = true;
}

static void more_cpus(void)
{
	g.config.cpus++;
}

static void more_memory(void)
{
	g.config.ram_bytes += MIB(1);
}

static void more_devices(void)
{
	g.config.virtio++;
}

static void hidden_feature(void)
{
	g.config.hidden = 1ULL << X86_RDRAND;
}

static void staged(void)
{
	g.staged = true;
}

static void with_firmware(void)
{
	g.files.firmware = (struct blob){ g.firmware, sizeof(g.firmware) };
}

static void (*const changes[])(void) = { longer_initrd, no_initrd, empty_params, realm, pkvm,
	open_memory, more_cpus, more_memory, more_devices, hidden_feature, staged, with_firmware };

START_TEST(any_setting)
{
	setup(_i % 2);
	remember();
	changes[_i / 2]();
	ck_assert(differs());
}
END_TEST

START_TEST(probe_device_shows_in_the_staging_area)
{
	setup(true);
	g.staged = true;
	remember();
	g.probe = true;
	ck_assert(differs());
}
END_TEST

static void change_entry_pc(struct boot_plan *p, struct arch_layout *l)
{
	(void)l;
	p->entry.pc.v++;
}

static void change_entry_arg(struct boot_plan *p, struct arch_layout *l)
{
	(void)l;
	p->entry.arg++;
}

static void change_entry_tables(struct boot_plan *p, struct arch_layout *l)
{
	(void)l;
	p->entry.tables.v++;
}

static void change_entry_kind(struct boot_plan *p, struct arch_layout *l)
{
	(void)l;
	p->entry.is_pvh = true;
}

static void change_place(struct boot_plan *p, struct arch_layout *l)
{
	(void)l;
	p->items[0].dst.v += 4096;
}

static void change_length(struct boot_plan *p, struct arch_layout *l)
{
	(void)l;
	p->items[0].len--;
}

static void change_order(struct boot_plan *p, struct arch_layout *l)
{
	struct boot_item item = p->items[0];

	(void)l;
	p->items[0] = p->items[1];
	p->items[1] = item;
}

static void change_random(struct boot_plan *p, struct arch_layout *l)
{
	(void)l;
	p->items[0].random[0].len = 1;
}

static void change_unpacked(struct boot_plan *p, struct arch_layout *l)
{
	static uint8_t inside[] = "inside";

	(void)l;
	p->unpacked = (struct blob){ inside, 6 };
	p->packed = (struct boot_packed){ "gzip", 1, 4 };
}

static void change_alias_bit(struct boot_plan *p, struct arch_layout *l)
{
	(void)p;
	l->alias_bit = 1ULL << 40;
}

static void change_alias_side(struct boot_plan *p, struct arch_layout *l)
{
	(void)p;
	l->alias_is_private = true;
}

static void change_alias_both(struct boot_plan *p, struct arch_layout *l)
{
	(void)p;
	l->alias_both = MIB(1);
}

static void change_ram_base(struct boot_plan *p, struct arch_layout *l)
{
	(void)p;
	l->ram[0].base.v += 4096;
}

static void (*const plan_changes[])(struct boot_plan *p, struct arch_layout *l) = { change_entry_pc,
	change_entry_arg, change_entry_tables, change_entry_kind, change_place, change_length,
	change_order, change_random, change_unpacked, change_alias_bit, change_alias_side,
	change_alias_both, change_ram_base };

/* Straight at the plan, for what no file or setting changes alone. */
START_TEST(any_field_of_plan_and_layout)
{
	struct arch_config c = { .cpus = 1 };
	struct arch_layout l = {
		.ram = { { { MIB(1) }, MIB(4) } }, .ram_count = 1, .alias_bit = 1ULL << 39
	};
	uint8_t file[] = "first"; /* known already, when whole */
	struct boot_files f = { .kernel = { file, 5 }, .params = "" };
	struct boot_plan p = { .entry = { .pc = { MIB(1) } } };
	const struct measure_input in = { "arm64", &c, &l, &f, &p, NULL, NULL };
	struct measurement before, after;
	struct err e = { "" };

	ck_assert_int_eq(boot_plan_add(&p, file, NULL, 5, (gpa_t){ MIB(1) }, &e), 0);
	ck_assert_int_eq(boot_plan_add(&p, "second", NULL, 6, (gpa_t){ MIB(2) }, &e), 0);
	ck_assert_int_eq(measure(&in, &before, &e), 0);
	plan_changes[_i](&p, &l);
	ck_assert_int_eq(measure(&in, &after, &e), 0);
	ck_assert_int_ne(memcmp(before.digest, after.digest, SHA256_SIZE), 0);
	measurement_free(&before);
	measurement_free(&after);
}
END_TEST

/* ---- what does not ---- */

/* The arm64 plan draws new seeds each time. */
START_TEST(seeds_are_left_out)
{
	struct measurement m;

	setup(true);
	g.staged = _i;
	m = measured();
	ck_assert_ptr_nonnull(strstr(m.text, " random 0x"));
	measurement_free(&m);
	remember();
	ck_assert(!differs());
	/* No seed for the generator there, so one range only; the address seed stays. */
	g.config.protection = PROTECTION_PKVM;
	m = measured();
	ck_assert_ptr_null(strstr(strstr(m.text, " random ") + 1, " random "));
	measurement_free(&m);
}
END_TEST

START_TEST(memory_options_are_left_out)
{
	setup(false);
	remember();
	g.config.memory = (struct backing_options){ .prefault = true, .mergeable = true };
	ck_assert(!differs());
}
END_TEST

START_TEST(random_range_must_fit)
{
	struct boot_plan p = { .count = 0 };
	struct err e = { "" };

	ck_assert_int_eq(boot_plan_random(&p, 0, 1, &e), -E2BIG);
	ck_assert_int_eq(boot_plan_add(&p, "piece", NULL, 5, (gpa_t){ 0 }, &e), 0);
	ck_assert_int_eq(boot_plan_random(&p, 5, 1, &e), -E2BIG);
	ck_assert_int_eq(boot_plan_random(&p, 6, 0, &e), -E2BIG);
	ck_assert_int_eq(boot_plan_random(&p, 1, UINT64_MAX, &e), -E2BIG);
	ck_assert_int_eq(boot_plan_random(&p, 0, 5, &e), 0);
	ck_assert_int_eq(boot_plan_random(&p, 4, 1, &e), 0);
	ck_assert_int_eq(boot_plan_random(&p, 0, 1, &e), -E2BIG);
	boot_plan_free(&p);
}
END_TEST

START_TEST(names_of_hidden_features)
{
	char buf[400], few[8];
	struct err e;
	uint64_t all = 0;
	unsigned int i;

	ck_assert_str_eq(arch_feature_names(0, buf, sizeof(buf)), "none");
	for (i = 0; i < X86_FEATURES; i++)
		all |= 1ULL << i;
	arch_feature_names(all, buf, sizeof(buf));
	ck_assert_ptr_nonnull(strstr(buf, "kvmclock,nop-io-delay,"));
	ck_assert_ptr_nonnull(strstr(buf, ",rdseed"));
	arch_feature_names(all, few, sizeof(few));
	ck_assert_str_eq(few, "kvmcloc");
	/* Named twice, or in another order, it is the same set. */
	all = 0;
	ck_assert_int_eq(arch_feature_hide("avx", &all, &e), 0);
	ck_assert_int_eq(arch_feature_hide("pmu", &all, &e), 0);
	ck_assert_str_eq(arch_feature_names(all, buf, sizeof(buf)), "pmu,avx,avx2,avx512");
}
END_TEST

Suite *measure_suite(void)
{
	Suite *s = suite_create("measure");
	TCase *t = tcase_create("measure");

	tcase_add_test(t, text_is_as_documented);
	tcase_add_test(t, staged_text_has_the_staging_area);
	tcase_add_test(t, packed_kernel_is_measured_as_the_file);
	tcase_add_loop_test(t, any_bit_of_any_file, 0, 4);
	tcase_add_loop_test(t, any_setting, 0, 2 * (int)ARRAY_SIZE(changes));
	tcase_add_test(t, probe_device_shows_in_the_staging_area);
	tcase_add_loop_test(t, any_field_of_plan_and_layout, 0, (int)ARRAY_SIZE(plan_changes));
	tcase_add_loop_test(t, seeds_are_left_out, 0, 2);
	tcase_add_test(t, memory_options_are_left_out);
	tcase_add_test(t, random_range_must_fit);
	tcase_add_test(t, names_of_hidden_features);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	return s;
}
