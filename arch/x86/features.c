/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/features.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vmm/util/bits.h"
#include "vmm/util/text.h"

#define ALL	   UINT32_MAX
#define B(n)	   (1u << (n))
#define NEEDS(f)   (1ULL << (f))
#define LEAF_XSAVE 0xDu

/*
 * The names, and what a feature cannot be without. That is a processor's rule (AVX lives in XSAVE's
 * state) or a kernel's: Linux takes the vCPU's "preempted" flag, by which it flushes and yields,
 * from the record of stolen time. components: the state in leaf 0xD that is the feature's alone.
 */
static const struct {
	const char *name;
	uint64_t needs;
	uint32_t components;
} features[] = {
	[X86_KVMCLOCK] = { .name = "kvmclock" },
	[X86_NOP_IO_DELAY] = { .name = "nop-io-delay" },
	[X86_ASYNC_PF] = { .name = "async-pf" },
	[X86_STEAL_TIME] = { .name = "steal-time" },
	[X86_PV_EOI] = { .name = "pv-eoi" },
	[X86_PV_UNHALT] = { .name = "pv-unhalt" },
	[X86_PV_TLB_FLUSH] = { .name = "pv-tlb-flush", .needs = NEEDS(X86_STEAL_TIME) },
	[X86_PV_SEND_IPI] = { .name = "pv-send-ipi" },
	[X86_PV_SCHED_YIELD] = { .name = "pv-sched-yield", .needs = NEEDS(X86_STEAL_TIME) },
	[X86_POLL_CONTROL] = { .name = "poll-control" },
	[X86_MSI_EXT_DEST_ID] = { .name = "msi-ext-dest-id" },
	[X86_X2APIC] = { .name = "x2apic" },
	[X86_TSC_DEADLINE] = { .name = "tsc-deadline" },
	[X86_INVTSC] = { .name = "invtsc" },
	[X86_PMU] = { .name = "pmu" },
	[X86_VMX] = { .name = "vmx" },
	[X86_SVM] = { .name = "svm" },
	[X86_XSAVE] = { .name = "xsave" },
	[X86_AVX] = { .name = "avx", .needs = NEEDS(X86_XSAVE), .components = B(2) },
	[X86_AVX2] = { .name = "avx2", .needs = NEEDS(X86_AVX) },
	[X86_AVX512] = { .name = "avx512",
		.needs = NEEDS(X86_AVX2),
		.components = B(5) | B(6) | B(7) },
	[X86_AMX] = { .name = "amx", .needs = NEEDS(X86_XSAVE), .components = B(17) | B(18) },
	[X86_PKU] = { .name = "pku", .needs = NEEDS(X86_XSAVE), .components = B(9) },
	[X86_TSX] = { .name = "tsx" },
	[X86_LA57] = { .name = "la57" },
	[X86_RDRAND] = { .name = "rdrand" },
	[X86_RDSEED] = { .name = "rdseed" },
};

_Static_assert(ARRAY_SIZE(features) == X86_FEATURES && X86_FEATURES <= 64, "a set is 64 bits");

/*
 * Where the features show. Leaves below 0x40000000: Intel SDM volume 2, CPUID; from 0x80000000 on:
 * AMD APM volume 3, appendix E; between: the kernel's Documentation/virt/kvm/x86/cpuid.rst.
 */
static const struct {
	enum x86_feature feature;
	uint32_t leaf, index;
	bool every_index; /* the leaf is the feature's, with all of its sub-leaves */
	uint32_t eax, ebx, ecx, edx;
} places[] = {
	{ X86_KVMCLOCK, 0x40000001, .eax = B(0) | B(3) | B(24) },
	{ X86_NOP_IO_DELAY, 0x40000001, .eax = B(1) },
	/* Page faults, their delivery as an exit, and by interrupt. */
	{ X86_ASYNC_PF, 0x40000001, .eax = B(4) | B(10) | B(14) },
	{ X86_STEAL_TIME, 0x40000001, .eax = B(5) },
	{ X86_PV_EOI, 0x40000001, .eax = B(6) },
	{ X86_PV_UNHALT, 0x40000001, .eax = B(7) },
	{ X86_PV_TLB_FLUSH, 0x40000001, .eax = B(9) },
	{ X86_PV_SEND_IPI, 0x40000001, .eax = B(11) },
	{ X86_POLL_CONTROL, 0x40000001, .eax = B(12) },
	{ X86_PV_SCHED_YIELD, 0x40000001, .eax = B(13) },
	{ X86_MSI_EXT_DEST_ID, 0x40000001, .eax = B(15) },
	{ X86_X2APIC, 0x1, .ecx = B(21) },
	{ X86_TSC_DEADLINE, 0x1, .ecx = B(24) },
	{ X86_INVTSC, 0x80000007, .edx = B(8) },
	/*
	 * The capabilities' MSR, the debug store in which samples land, its 64-bit form and its filter
	 * by privilege; Intel's counters and branch records; AMD's extended counters.
	 */
	{ X86_PMU, 0x1, .ecx = B(15) | B(2) | B(4), .edx = B(21) },
	{ X86_PMU, 0x7, .edx = B(19) },
	{ X86_PMU, 0xa, .every_index = true },
	{ X86_PMU, 0x1c, .every_index = true },
	{ X86_PMU, 0x23, .every_index = true },
	{ X86_PMU, 0x80000001, .ecx = B(23) | B(24) | B(28) },
	{ X86_PMU, 0x80000022, .every_index = true },
	{ X86_VMX, 0x1, .ecx = B(5) },
	{ X86_SVM, 0x80000001, .ecx = B(2) },
	{ X86_SVM, 0x8000000a, .every_index = true },
	{ X86_XSAVE, 0x1, .ecx = B(26) | B(27) },
	{ X86_XSAVE, LEAF_XSAVE, .every_index = true },
	/* APX, whose registers are a component. */
	{ X86_XSAVE, 0x7, 1, .edx = B(21) },
	{ X86_XSAVE, 0x29, .every_index = true },
	/* AVX, FMA, F16C; VAES, VPCLMULQDQ; SHA512, SM3, SM4; XOP, FMA4. */
	{ X86_AVX, 0x1, .ecx = B(28) | B(12) | B(29) },
	{ X86_AVX, 0x7, .ecx = B(9) | B(10) },
	{ X86_AVX, 0x7, 1, .eax = B(0) | B(1) | B(2) },
	{ X86_AVX, 0x80000001, .ecx = B(11) | B(16) },
	/* AVX2; VNNI, IFMA, and the forms for other integers. */
	{ X86_AVX2, 0x7, .ebx = B(5) },
	{ X86_AVX2, 0x7, 1, .eax = B(4) | B(23), .edx = B(4) | B(5) | B(10) },
	/* F, DQ, IFMA, PF, ER, CD, BW, VL; VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ; AVX10. */
	{ X86_AVX512, 0x7, .ebx = B(16) | B(17) | B(21) | B(26) | B(27) | B(28) | B(30) | B(31),
		.ecx = B(1) | B(6) | B(11) | B(12) | B(14), .edx = B(2) | B(3) | B(8) | B(23) },
	{ X86_AVX512, 0x7, 1, .eax = B(5), .edx = B(19) },
	{ X86_AVX512, 0x24, .every_index = true },
	{ X86_AMX, 0x7, .edx = B(22) | B(24) | B(25) },
	{ X86_AMX, 0x7, 1, .eax = B(21), .edx = B(8) },
	/* XFD, by which a kernel learns who uses the tiles; nothing else is switched off by it. */
	{ X86_AMX, LEAF_XSAVE, 1, .eax = B(4) },
	{ X86_AMX, 0x1d, .every_index = true },
	{ X86_AMX, 0x1e, .every_index = true },
	{ X86_PKU, 0x7, .ecx = B(3) | B(4) },
	/* HLE, RTM, the bits that say how RTM is restrained, and TSXLDTRK. */
	{ X86_TSX, 0x7, .ebx = B(4) | B(11), .edx = B(11) | B(13) | B(16) },
	{ X86_LA57, 0x7, .ecx = B(16) },
	{ X86_RDRAND, 0x1, .ecx = B(30) },
	{ X86_RDSEED, 0x7, .ebx = B(18) },
};

static void known_names(char *buf, size_t size)
{
	size_t i, used = 0;

	for (i = 0; i < X86_FEATURES && used < size; i++)
		used += (size_t)snprintf(
			buf + used, size - used, "%s%s", i ? ", " : "", features[i].name);
}

static int unknown(const char *name, struct err *e)
{
	struct text_nearest nearest = { .given = name };
	char shown[TEXT_SHOWN], known[400];
	size_t i;
	int r;

	for (i = 0; i < X86_FEATURES; i++)
		text_nearest_try(&nearest, features[i].name);
	known_names(known, sizeof(known));
	r = err_set(e, -EINVAL, "\"%s\" is not known, expected one of %s",
		text_show(shown, sizeof(shown), name), known);
	return nearest.best ? err_hint(e, r, "did you mean \"%s\"?", nearest.best) : r;
}

/* Whatever needs a hidden feature is hidden, and what needs that. */
static uint64_t with_dependents(uint64_t hidden)
{
	unsigned int i;

	for (i = 0; i < X86_FEATURES; i++)
		if (features[i].needs & hidden)
			hidden |= 1ULL << i;
	return hidden;
}

int arch_feature_hide(const char *name, uint64_t *hidden, struct err *e)
{
	unsigned int i;

	for (i = 0; i < X86_FEATURES; i++) {
		if (strcmp(features[i].name, name) == 0) {
			*hidden = with_dependents(*hidden | 1ULL << i);
			return 0;
		}
	}
	return unknown(name, e);
}

const char *arch_feature_names(uint64_t hidden, char *buf, size_t size)
{
	size_t i, used = 0;

	snprintf(buf, size, "none");
	for (i = 0; i < X86_FEATURES && used < size; i++)
		if (x86_feature_hidden(hidden, (enum x86_feature)i))
			used += (size_t)snprintf(
				buf + used, size - used, "%s%s", used ? "," : "", features[i].name);
	return buf;
}

static void clear(struct x86_cpuid *e, uint32_t eax, uint32_t ebx, uint32_t ecx, uint32_t edx)
{
	e->eax &= ~eax;
	e->ebx &= ~ebx;
	e->ecx &= ~ecx;
	e->edx &= ~edx;
}

/* Leaf 0xD lists the components in its first sub-leaf and has one for each from the third on. */
static void withdraw_components(struct x86_cpuid *e, uint32_t components)
{
	if (e->index == 0)
		e->eax &= ~components;
	else if (e->index >= 2 && e->index < 32 && components & B(e->index))
		clear(e, ALL, ALL, ALL, ALL);
}

void x86_features_withdraw(struct x86_cpuid *entries, uint32_t count, uint64_t hidden)
{
	uint32_t components = 0, i;
	size_t k;

	for (k = 0; k < X86_FEATURES; k++)
		if (x86_feature_hidden(hidden, (enum x86_feature)k))
			components |= features[k].components;
	for (i = 0; i < count; i++) {
		struct x86_cpuid *e = &entries[i];

		if (e->function == LEAF_XSAVE)
			withdraw_components(e, components);
		for (k = 0; k < ARRAY_SIZE(places); k++) {
			if (!x86_feature_hidden(hidden, places[k].feature) ||
				e->function != places[k].leaf)
				continue;
			if (places[k].every_index)
				clear(e, ALL, ALL, ALL, ALL);
			else if (e->index == places[k].index)
				clear(e, places[k].eax, places[k].ebx, places[k].ecx,
					places[k].edx);
		}
	}
}

bool arch_has_threads(void)
{
	return true;
}

bool arch_has_mte(void)
{
	return false;
}
