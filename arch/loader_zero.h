/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_LOADER_ZERO_H
#define NACRE_LOADER_ZERO_H

#include <stdbool.h>
#include <stdint.h>

/*
 * For the loaders, freestanding guest code. RAM is zero where nobody has written. A kernel holds
 * thousands of pages of zeros (.bss, .brk), and each that is left alone is one that the host need not
 * find memory for yet.
 */
#define LOADER_PAGE 4096ULL

/* By 64 bytes; what pads a piece in the staging area is zero. */
static inline bool loader_is_zero(uint64_t at, uint64_t len)
{
	const uint64_t *p = (const uint64_t *)at, *end = (const uint64_t *)(at + len);

	for (; p < end; p += 8)
		if (p[0] | p[1] | p[2] | p[3] | p[4] | p[5] | p[6] | p[7])
			return false;
	return true;
}

/* Up to the end of a page that begins at `at`, or of the piece. */
static inline uint64_t loader_page_len(uint64_t at, uint64_t len)
{
	return len - at < LOADER_PAGE ? len - at : LOADER_PAGE;
}

#endif
