/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_X86_CPUID_H
#define NACRE_X86_CPUID_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Which CPU the guest sees: what KVM offers on this host, with topology and identity of the vCPU,
 * and leaves made consistent. Pure: works on the entries in place.
 */

/* KVM's entry, spelled out here so that this part builds and is tested on every host. */
struct x86_cpuid {
	uint32_t function;
	uint32_t index;
	uint32_t flags;
	uint32_t eax, ebx, ecx, edx;
	uint32_t padding[3];
};

struct cpuid_policy {
	uint32_t index; /* of the vCPU; also its APIC id */
	uint32_t cpus;
	bool smt;	    /* two threads a core */
	bool convert_calls; /* offer KVM_HC_MAP_GPA_RANGE */
	bool migration;	    /* offer KVM_FEATURE_MIGRATION_CONTROL: only with it Linux makes them */
	uint64_t hidden;    /* a set of enum x86_feature */
	uint64_t c_bit;	    /* the guest is to think of itself as an SEV guest: the bit; else 0 */
};

/* How many entries x86_cpuid_apply may add. */
#define CPUID_ADDED_MAX 3u

/* entries has room for count + CPUID_ADDED_MAX. Returns how many there are then. */
uint32_t x86_cpuid_apply(struct x86_cpuid *entries, uint32_t count, const struct cpuid_policy *p);

#endif
