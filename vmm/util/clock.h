/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CLOCK_H
#define NACRE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* seccomp control console io vcpu: clock_gettime gettimeofday -- a host whose clock only the kernel reads */
/* Time that never goes back and that nobody sets, from any start: for deadlines. Any thread. */
static inline uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline uint64_t clock_ms(void)
{
	return clock_ns() / 1000000u;
}

#endif
