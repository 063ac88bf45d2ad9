/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/cpuid.h"

#include <stddef.h>

#include "vmm/util/bits.h"

/* Leaves and bits: Intel SDM volume 2, CPUID; KVM's own: Documentation/virt/kvm/x86/cpuid.rst. */
#define LEAF_FEATURES		 0x1u
#define LEAF_CACHE		 0x4u
#define LEAF_TOPOLOGY		 0xBu
#define LEAF_XSAVE		 0xDu
#define LEAF_TOPOLOGY2		 0x1Fu
#define LEAF_KVM_FEATURES	 0x40000001u
#define LEAF_AMD_TOPOLOGY	 0x8000001Eu
#define FEATURES_ECX_X2APIC	 BIT(21)
#define FEATURES_ECX_TSC_DL	 BIT(24)
#define FEATURES_ECX_HYPER	 BIT(31)
#define FEATURES_ECX_XSAVE	 BIT(26)
#define KVM_HC_MAP_GPA_RANGE_BIT BIT(16)
#define XSAVE_LEGACY_AREA	 (512u + 64u)

static struct x86_cpuid *find(struct x86_cpuid *e, uint32_t count, uint32_t leaf, uint32_t index)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		if (e[i].function == leaf && e[i].index == index)
			return &e[i];
	return NULL;
}

static uint32_t bits_for(uint32_t cpus)
{
	return cpus > 1 ? 32u - (uint32_t)__builtin_clz(cpus - 1) : 0;
}

static void set_features(struct x86_cpuid *e, const struct cpuid_policy *p)
{
	uint32_t logical = p->cpus < 255 ? p->cpus : 255;

	e->ebx = (e->ebx & 0xffffu) | (p->index & 0xffu) << 24 | logical << 16;
	if (p->cpus > 1)
		e->edx |= BIT(28); /* the logical processor count above is valid */
	/* The in-kernel APIC has both, whatever the supported list says. */
	e->ecx |= (uint32_t)(FEATURES_ECX_X2APIC | FEATURES_ECX_HYPER | FEATURES_ECX_TSC_DL);
}

/* One thread a core, all cores in one package. */
static void set_topology(struct x86_cpuid *e, const struct cpuid_policy *p)
{
	e->edx = p->index;
	e->ecx = e->index & 0xffu;
	e->eax = e->ebx = 0;
	if (e->index == 0) {
		e->ecx |= 1u << 8;
		e->ebx = 1;
	} else if (e->index == 1) {
		e->ecx |= 2u << 8;
		e->eax = bits_for(p->cpus);
		e->ebx = p->cpus;
	}
}

/* Cores that share a cache and cores in the package, each minus one. */
static void set_cache_sharing(struct x86_cpuid *e, const struct cpuid_policy *p)
{
	uint32_t shared = (e->eax >> 5 & 7) >= 3 ? (1u << bits_for(p->cpus)) - 1 : 0;

	if (!(e->eax & 0x1f))
		return;
	e->eax &= 0x3fffu;
	e->eax |= (shared & 0xfffu) << 14 | (((1u << bits_for(p->cpus)) - 1) & 0x3fu) << 26;
}

/*
 * Leaf 0xD must agree with itself: a guest kernel adds up the areas of the state components that
 * are enabled and panics when the sum is not what leaf 0 claims. Components that have no area of
 * their own on this host are withdrawn.
 */
static void mend_xsave(struct x86_cpuid *e, uint32_t count)
{
	struct x86_cpuid *root = find(e, count, LEAF_XSAVE, 0);
	uint64_t have, mask = 3;
	uint32_t i, end = XSAVE_LEGACY_AREA;

	if (!root)
		return;
	have = root->eax | (uint64_t)root->edx << 32;
	for (i = 2; i < 63; i++) {
		struct x86_cpuid *c = find(e, count, LEAF_XSAVE, i);

		/* ECX bit 0: a supervisor component, not part of what XCR0 enables. */
		if (!(have & BIT(i)) || !c || !c->eax || (c->ecx & 1))
			continue;
		mask |= BIT(i);
		if (c->ebx + c->eax > end)
			end = c->ebx + c->eax;
	}
	root->eax &= (uint32_t)mask;
	root->edx &= (uint32_t)(mask >> 32);
	root->ecx = end;
}

void x86_cpuid_apply(struct x86_cpuid *entries, uint32_t count, const struct cpuid_policy *p)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		struct x86_cpuid *e = &entries[i];

		switch (e->function) {
		case LEAF_FEATURES:
			set_features(e, p);
			break;
		case LEAF_CACHE:
			set_cache_sharing(e, p);
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY2:
			set_topology(e, p);
			break;
		case LEAF_AMD_TOPOLOGY:
			e->eax = p->index;
			e->ebx = p->index & 0xffu;
			e->ecx = 0;
			break;
		case LEAF_KVM_FEATURES:
			if (p->convert_calls)
				e->eax |= (uint32_t)KVM_HC_MAP_GPA_RANGE_BIT;
			else
				e->eax &= ~(uint32_t)KVM_HC_MAP_GPA_RANGE_BIT;
			break;
		default:
			break;
		}
	}
	mend_xsave(entries, count);
}
