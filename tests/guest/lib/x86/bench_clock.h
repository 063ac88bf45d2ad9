/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_GUEST_BENCH_CLOCK_H
#define NACRE_TEST_GUEST_BENCH_CLOCK_H

#include <stdint.h>

#include "cpu.h"

/*
 * The time stamp counter in nanoseconds, on the first vCPU. KVM's clock page says how to scale it
 * (Documentation/virt/kvm/x86/msr.rst, MSR_KVM_SYSTEM_TIME_NEW); only the scale is used.
 */
#define MSR_SYSTEM_TIME 0x4b564d01u

static volatile struct {
	uint32_t version, pad;
	uint64_t tsc, time;
	uint32_t mul;
	int8_t shift;
	uint8_t flags, pad2[2];
} clock_page __attribute__((aligned(64)));

static inline void clock_start(void)
{
	uint64_t at = (uint64_t)&clock_page | 1;

	__asm__ volatile(
		"wrmsr" ::"c"(MSR_SYSTEM_TIME), "a"((uint32_t)at), "d"((uint32_t)(at >> 32)));
	/* KVM fills the page before it next enters the guest. */
	while (!clock_page.mul)
		cpu_relax();
}

static inline uint64_t clock_ns(void)
{
	uint32_t low, high;
	uint64_t t;

	__asm__ volatile("lfence\n\trdtsc\n\tlfence" : "=a"(low), "=d"(high)::"memory");
	t = low | (uint64_t)high << 32;
	t = clock_page.shift < 0 ? t >> -clock_page.shift : t << clock_page.shift;
	return (uint64_t)((unsigned __int128)t * clock_page.mul >> 32);
}

#endif
