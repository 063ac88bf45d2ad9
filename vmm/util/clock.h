/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CLOCK_H
#define NACRE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* seccomp all: clock_gettime~ gettimeofday~ -- where the host's clock is not for user space to read: few */
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
