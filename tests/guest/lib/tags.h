/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_GUEST_TAGS_H
#define NACRE_TEST_GUEST_TAGS_H

#include <stdbool.h>
#include <stdint.h>

/* What test guests give their granules for tags, and their memory for words: known by a seed. */

static inline uint64_t tags_mix(uint64_t v)
{
	v = (v + 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;
	v = (v ^ (v >> 30)) * 0x94d049bb133111ebULL;
	return v ^ (v >> 31);
}

/*
 * QEMU 7.2 keeps two tags for each page and no more: all granules with an even number have one, all
 * others another (its look-up leaves out the address's part within the page; 10.0 does not). Patterns
 * are either full, or for such an emulator.
 */
static inline uint8_t tag_of(uint64_t seed, uint64_t granule, bool full)
{
	if (full)
		return (uint8_t)(tags_mix(seed ^ granule / 16) >> granule % 16 * 4) & 15;
	/* No page is without tags. */
	if (granule % 2)
		return (uint8_t)((tags_mix(seed ^ granule / 256) >> 4 & 15) | 1);
	return (uint8_t)tags_mix(seed ^ granule / 256) & 15;
}

/* The i-th eight bytes. */
static inline uint64_t tags_word(uint64_t seed, uint64_t i)
{
	return tags_mix(~seed ^ i);
}

#endif
