/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/cpuid.h"

#include <stddef.h>

#include "arch/x86/features.h"
#include "vmm/util/bits.h"

/* Leaves and bits: Intel SDM volume 2, CPUID; KVM's own: Documentation/virt/kvm/x86/cpuid.rst. */
#define LEAF_FEATURES		 0x1u
#define LEAF_CACHE		 0x4u
#define LEAF_TOPOLOGY		 0xBu
#define LEAF_XSAVE		 0xDu
#define LEAF_TOPOLOGY2		 0x1Fu
#define LEAF_KVM_FEATURES	 0x40000001u
#define LEAF_AMD_MAX		 0x80000000u
#define LEAF_AMD_SIZES		 0x80000008u
#define LEAF_AMD_CACHE		 0x8000001Du
#define LEAF_AMD_TOPOLOGY	 0x8000001Eu
#define LEAF_AMD_MEMORY		 0x8000001Fu /* AMD APM volume 3, E.4.17 */
#define INDEX_COUNTS		 1u	     /* flag: the entry is for its index only */
#define FEATURES_ECX_X2APIC	 BIT(21)
#define FEATURES_ECX_TSC_DL	 BIT(24)
#define FEATURES_ECX_HYPER	 BIT(31)
#define FEATURES_ECX_XSAVE	 BIT(26)
#define KVM_HC_MAP_GPA_RANGE_BIT BIT(16)
#define KVM_MIGRATION_BIT	 BIT(17)
#define SEV_EAX_SEV		 BIT(1)
#define SEV_EAX_COHERENT	 BIT(10) /* both copies need no flushing of caches */
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

/* One thread a core, or two with neighbouring ids; all cores in one package. */
static void set_topology(struct x86_cpuid *e, const struct cpuid_policy *p)
{
	e->edx = p->index;
	e->ecx = e->index & 0xffu;
	e->eax = e->ebx = 0;
	if (e->index == 0) {
		e->ecx |= 1u << 8;
		e->eax = p->smt;
		e->ebx = 1u << p->smt;
	} else if (e->index == 1) {
		e->ecx |= 2u << 8;
		e->eax = bits_for(p->cpus);
		e->ebx = p->cpus;
	}
}

/* Threads that share a cache and, on Intel, cores in the package, each minus one. */
static void set_cache_sharing(struct x86_cpuid *e, const struct cpuid_policy *p)
{
	uint32_t all = (1u << bits_for(p->cpus)) - 1;
	uint32_t shared = (e->eax >> 5 & 7) >= 3 ? all : p->smt;

	if (!(e->eax & 0x1f))
		return;
	e->eax &= 0x3fffu;
	e->eax |= min_u32(shared, 0xfff) << 14;
	if (e->function == LEAF_CACHE)
		e->eax |= min_u32(all >> p->smt, 0x3f) << 26;
}

/*
 * What an SEV guest looks at: in which bit of an address it says private, and by how many bits that
 * shortens addresses. The bit is the last one that the guest's processor has.
 */
static uint32_t add_sev(struct x86_cpuid *entries, uint32_t count, uint64_t c_bit)
{
	uint32_t at = (uint32_t)__builtin_ctzll(c_bit);
	struct x86_cpuid *max = find(entries, count, LEAF_AMD_MAX, 0);
	struct x86_cpuid *sizes = find(entries, count, LEAF_AMD_SIZES, 0);
	struct x86_cpuid *sev = find(entries, count, LEAF_AMD_MEMORY, 0);

	if (max && max->eax < LEAF_AMD_MEMORY)
		max->eax = LEAF_AMD_MEMORY;
	if (sizes)
		sizes->eax = (sizes->eax & 0xff00u) | (at + 1);
	if (!sev)
		sev = &entries[count++];
	*sev = (struct x86_cpuid){
		.function = LEAF_AMD_MEMORY,
		.eax = (uint32_t)(SEV_EAX_SEV | SEV_EAX_COHERENT),
		.ebx = at | 1u << 6,
	};
	return count;
}

/* Threads in the package minus one, and how many bits of the APIC id count them. */
static void set_amd_sizes(struct x86_cpuid *e, const struct cpuid_policy *p)
{
	e->ecx = (e->ecx & ~0xf0ffu) | min_u32(p->cpus - 1, 0xff) | bits_for(p->cpus) << 12;
}

/* KVM lists the topology's first level only; the second one holds the cores. */
static uint32_t add_core_level(struct x86_cpuid *e, uint32_t count, uint32_t leaf)
{
	struct x86_cpuid *first = find(e, count, leaf, 0);

	if (!first || find(e, count, leaf, 1))
		return count;
	first->flags |= INDEX_COUNTS;
	e[count] = *first;
	e[count].index = 1;
	return count + 1;
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

	if (!root || !root->eax)
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

uint32_t x86_cpuid_apply(struct x86_cpuid *entries, uint32_t count, const struct cpuid_policy *p)
{
	uint32_t i;

	count = add_core_level(entries, count, LEAF_TOPOLOGY);
	count = add_core_level(entries, count, LEAF_TOPOLOGY2);
	if (p->c_bit)
		count = add_sev(entries, count, p->c_bit);
	for (i = 0; i < count; i++) {
		struct x86_cpuid *e = &entries[i];

		switch (e->function) {
		case LEAF_FEATURES:
			set_features(e, p);
			break;
		case LEAF_CACHE:
		case LEAF_AMD_CACHE:
			set_cache_sharing(e, p);
			break;
		case LEAF_TOPOLOGY:
		case LEAF_TOPOLOGY2:
			set_topology(e, p);
			break;
		case LEAF_AMD_SIZES:
			set_amd_sizes(e, p);
			break;
		case LEAF_AMD_TOPOLOGY:
			e->eax = p->index;
			e->ebx = (p->index >> p->smt & 0xffu) | (uint32_t)p->smt << 8;
			e->ecx = 0;
			break;
		case LEAF_KVM_FEATURES:
			e->eax &= ~(uint32_t)(KVM_HC_MAP_GPA_RANGE_BIT | KVM_MIGRATION_BIT);
			if (p->convert_calls)
				e->eax |= (uint32_t)KVM_HC_MAP_GPA_RANGE_BIT;
			if (p->migration)
				e->eax |= (uint32_t)KVM_MIGRATION_BIT;
			break;
		default:
			break;
		}
	}
	x86_features_withdraw(entries, count, p->hidden);
	mend_xsave(entries, count);
	return count;
}
