/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BITS_H
#define NACRE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define KIB(n)	      ((uint64_t)(n) << 10)
#define MIB(n)	      ((uint64_t)(n) << 20)
#define GIB(n)	      ((uint64_t)(n) << 30)
#define BIT(n)	      (1ULL << (n))

/* The granule of every conversion and of the share map, on both architectures. */
#define PAGE_SHIFT 12
#define PAGE_SIZE  KIB(4)

/* `to` must be a power of two. */
static inline uint64_t align_down(uint64_t v, uint64_t to)
{
	return v & ~(to - 1);
}

static inline uint64_t align_up(uint64_t v, uint64_t to)
{
	return align_down(v + to - 1, to);
}

static inline bool is_aligned(uint64_t v, uint64_t to)
{
	return (v & (to - 1)) == 0;
}

static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
