/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_GPA_H
#define NACRE_GPA_H

#include <stdint.h>

/*
 * A guest physical address (on Arm also called IPA). A struct, so that the compiler refuses to mix
 * it with sizes, offsets and host pointers. Only mem_host() turns one into a pointer.
 */
typedef struct {
	uint64_t v;
} gpa_t;

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){ v };
}

static inline gpa_t gpa_add(gpa_t a, uint64_t n)
{
	return (gpa_t){ a.v + n };
}

#endif
