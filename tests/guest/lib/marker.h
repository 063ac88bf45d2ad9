/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_GUEST_MARKER_H
#define NACRE_TEST_GUEST_MARKER_H

#include <stdint.h>

/*
 * What a guest fills its private memory with, and what the attacks look for: four words, over and
 * over. They are computed one at a time wherever one is needed, so that no program file holds them
 * side by side, nor a stack, nor the registers of whoever looks.
 */
#define MARKER_WORDS 4u
#define MARKER_BYTES 32u

static inline uint64_t marker_word(uint64_t i)
{
	uint64_t v = i % MARKER_WORDS + 0x6e61637265ULL;

	/* The compiler shall not know, nor remember. */
	__asm__ volatile("" : "+r"(v));
	v = (v ^ (v >> 29)) * 0xbf58476d1ce4e5b9ULL;
	v = (v ^ (v >> 32)) * 0x94d049bb133111ebULL;
	return v ^ (v >> 31);
}

#endif
