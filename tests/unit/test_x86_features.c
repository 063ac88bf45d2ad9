/* SPDX-License-Identifier: Apache-2.0 */

/* Features kept from an x86-64 guest: names, dependents, and what is left in the CPUID leaves. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "arch/x86/features.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

static uint64_t hide(const char *name)
{
	uint64_t hidden = 0;
	struct err e = { "" };

	ck_assert_msg(arch_feature_hide(name, &hidden, &e) == 0, "%s", e.msg);
	return hidden;
}

#define SET(f) (1ULL << (f))

static const struct {
	const char *name;
	uint64_t hidden;
} names[] = {
	{ "pv-eoi", SET(X86_PV_EOI) },
	{ "steal-time", SET(X86_STEAL_TIME) | SET(X86_PV_TLB_FLUSH) | SET(X86_PV_SCHED_YIELD) },
	{ "avx512", SET(X86_AVX512) },
	{ "avx", SET(X86_AVX) | SET(X86_AVX2) | SET(X86_AVX512) },
	{ "xsave", SET(X86_XSAVE) | SET(X86_AVX) | SET(X86_AVX2) | SET(X86_AVX512) | SET(X86_AMX) |
			   SET(X86_PKU) },
	{ "rdseed", SET(X86_RDSEED) },
};

START_TEST(dependents_go_too)
{
	ck_assert_uint_eq(hide(names[_i].name), names[_i].hidden);
}
END_TEST

START_TEST(hiding_adds_up)
{
	uint64_t hidden = hide("pv-eoi");
	struct err e;

	ck_assert_int_eq(arch_feature_hide("pmu", &hidden, &e), 0);
	ck_assert_uint_eq(hidden, SET(X86_PV_EOI) | SET(X86_PMU));
}
END_TEST

START_TEST(unknown_name_lists_the_known)
{
	uint64_t hidden = 0;
	struct err e = { "" };

	ck_assert_int_eq(arch_feature_hide("pv-eio", &hidden, &e), -EINVAL);
	ck_assert_uint_eq(hidden, 0);
	/* The first, the last, and the one that was meant. */
	ck_assert_ptr_nonnull(strstr(e.msg, "one of kvmclock,"));
	ck_assert_ptr_nonnull(strstr(e.msg, ", rdseed"));
	ck_assert_ptr_nonnull(strstr(e.msg, "did you mean \"pv-eoi\"?"));
	ck_assert_int_eq(arch_feature_hide("", &hidden, &e), -EINVAL);
}
END_TEST

#define ONES UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX

/* One bit, or the whole leaf, of each feature where all bits were set. */
static const struct {
	const char *name;
	uint32_t leaf, index, eax, ebx, ecx, edx;
} left[] = {
	{ "kvmclock", 0x40000001, 0, ~0x01000009u, ~0u, ~0u, ~0u },
	{ "async-pf", 0x40000001, 0, ~0x4410u, ~0u, ~0u, ~0u },
	{ "pv-eoi", 0x40000001, 0, ~0x40u, ~0u, ~0u, ~0u },
	{ "pv-eoi", 0x40000000, 0, ONES },
	{ "steal-time", 0x40000001, 0, ~0x2220u, ~0u, ~0u, ~0u },
	{ "pv-unhalt", 0x40000001, 0, ~0x80u, ~0u, ~0u, ~0u },
	{ "pv-send-ipi", 0x40000001, 0, ~0x800u, ~0u, ~0u, ~0u },
	{ "poll-control", 0x40000001, 0, ~0x1000u, ~0u, ~0u, ~0u },
	{ "msi-ext-dest-id", 0x40000001, 0, ~0x8000u, ~0u, ~0u, ~0u },
	{ "x2apic", 1, 0, ~0u, ~0u, ~(1u << 21), ~0u },
	{ "tsc-deadline", 1, 0, ~0u, ~0u, ~(1u << 24), ~0u },
	{ "pmu", 1, 0, ~0u, ~0u, ~0x8014u, ~0x200000u },
	{ "pmu", 0xa, 0, 0, 0, 0, 0 },
	{ "pmu", 0x23, 3, 0, 0, 0, 0 },
	{ "pmu", 0x80000022, 0, 0, 0, 0, 0 },
	{ "vmx", 1, 0, ~0u, ~0u, ~(1u << 5), ~0u },
	{ "svm", 0x80000001, 0, ~0u, ~0u, ~4u, ~0u },
	{ "svm", 0x8000000a, 0, 0, 0, 0, 0 },
	{ "avx2", 7, 0, ~0u, ~0xdc230020u, ~0x5842u, ~0x80010cu },
	{ "avx512", 7, 0, ~0u, ~0xdc230000u, ~0x5842u, ~0x80010cu },
	{ "avx512", 7, 1, ~0x20u, ~0u, ~0u, ~0x80000u },
	{ "avx512", 7, 2, ONES },
	{ "avx512", 0xd, 0, ~0xe0u, ~0u, ~0u, ~0u },
	{ "avx512", 0xd, 2, ONES },
	{ "avx512", 0xd, 6, 0, 0, 0, 0 },
	{ "avx", 0xd, 2, 0, 0, 0, 0 },
	{ "avx", 0xd, 1, ONES },
	{ "xsave", 0xd, 1, 0, 0, 0, 0 },
	{ "xsave", 1, 0, ~0u, ~0u, ~0x3c001000u, ~0u },
	{ "pku", 7, 0, ~0u, ~0u, ~0x18u, ~0u },
	{ "pku", 0xd, 40, ONES },
	{ "tsx", 7, 0, ~0u, ~0x810u, ~0u, ~0x12800u },
	{ "amx", 0xd, 0, ~0x60000u, ~0u, ~0u, ~0u },
	{ "amx", 0xd, 1, ~0x10u, ~0u, ~0u, ~0u },
	{ "amx", 0xd, 19, ONES },
	{ "xsave", 7, 1, ~0xa00037u, ~0u, ~0u, ~0x280530u },
	{ "xsave", 0xd, 19, 0, 0, 0, 0 },
	{ "xsave", 0x29, 0, 0, 0, 0, 0 },
};

START_TEST(bits_are_withdrawn)
{
	struct x86_cpuid e = { left[_i].leaf, left[_i].index, 0, ONES, { 0 } };

	x86_features_withdraw(&e, 1, hide(left[_i].name));
	ck_assert_uint_eq(e.eax, left[_i].eax);
	ck_assert_uint_eq(e.ebx, left[_i].ebx);
	ck_assert_uint_eq(e.ecx, left[_i].ecx);
	ck_assert_uint_eq(e.edx, left[_i].edx);
	e = (struct x86_cpuid){ left[_i].leaf, left[_i].index, 0, ONES, { 0 } };
	x86_features_withdraw(&e, 1, 0);
	ck_assert_uint_eq(e.eax & e.ebx & e.ecx & e.edx, UINT32_MAX);
}
END_TEST

/* The policy sets bits of its own, and mends leaf 0xD: what is hidden stays hidden through both. */
START_TEST(policy_hides_last)
{
	struct x86_cpuid e[5 + CPUID_ADDED_MAX] = {
		{ .function = 1, .ecx = 1u << 28 },
		{ .function = 0xd, .index = 0, .eax = 0xe7, .ecx = 2688 },
		{ .function = 0xd, .index = 2, .eax = 256, .ebx = 576 },
		{ .function = 0xd, .index = 5, .eax = 64, .ebx = 1088 },
		{ .function = 0x40000001, .eax = 0x40 },
	};
	struct cpuid_policy p = { .cpus = 1, .hidden = hide("x2apic") | hide("avx512") };

	x86_cpuid_apply(e, 5, &p);
	ck_assert_uint_eq(e[0].ecx & 1u << 21, 0);
	ck_assert_uint_ne(e[0].ecx & 1u << 28, 0);
	ck_assert_uint_eq(e[1].eax, 7);
	ck_assert_uint_eq(e[1].ecx, 832);
	ck_assert_uint_eq(e[3].eax, 0);
	ck_assert_uint_eq(e[4].eax, 0x40);
	p.hidden = hide("xsave");
	x86_cpuid_apply(e, 5, &p);
	ck_assert_uint_eq(e[0].ecx & 1u << 28, 0);
	ck_assert_uint_eq(e[1].eax | e[1].ebx | e[1].ecx | e[1].edx, 0);
}
END_TEST

Suite *x86_features_suite(void)
{
	Suite *s = suite_create("x86_features");
	TCase *t = tcase_create("x86_features");

	tcase_add_loop_test(t, dependents_go_too, 0, (int)ARRAY_SIZE(names));
	tcase_add_test(t, hiding_adds_up);
	tcase_add_test(t, unknown_name_lists_the_known);
	tcase_add_loop_test(t, bits_are_withdrawn, 0, (int)ARRAY_SIZE(left));
	tcase_add_test(t, policy_hides_last);
	suite_add_tcase(s, t);
	return s;
}
