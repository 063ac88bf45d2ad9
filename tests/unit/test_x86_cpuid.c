/* SPDX-License-Identifier: Apache-2.0 */

/* What x86-64 guests see of their CPUs, and the calls that they make. */
#include "arch/x86/cpuid.h"
#include "arch/x86/hypercall.h"
#include "tests/unit/test_x86.h"

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

TCase *x86_cpuid_case(void)
{
	TCase *t = tcase_create("cpuid");

	tcase_add_test(t, cpuid_policy);
	tcase_add_test(t, cpuid_of_threads);
	tcase_add_loop_test(t, hypercalls, 0, (int)ARRAY_SIZE(calls));
	return t;
}
