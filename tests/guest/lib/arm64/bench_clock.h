/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_GUEST_BENCH_CLOCK_H
#define NACRE_TEST_GUEST_BENCH_CLOCK_H

#include <stdint.h>

/* The virtual counter in nanoseconds. */
static inline void clock_start(void)
{
}

static inline uint64_t clock_ns(void)
{
	uint64_t ticks, hz;

	__asm__ volatile("isb\n\tmrs %0, cntvct_el0\n\tisb" : "=r"(ticks)::"memory");
	__asm__ volatile("mrs %0, cntfrq_el0" : "=r"(hz));
	return ticks / hz * 1000000000ULL + ticks % hz * 1000000000ULL / hz;
}

#endif
