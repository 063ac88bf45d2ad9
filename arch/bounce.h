/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BOUNCE_H
#define NACRE_BOUNCE_H

#include <stdint.h>

#include "arch/arch.h"

/*
 * The kernel's parameters, with what it must be told of its bounce buffers in front of the user's own,
 * which win: in the alias modes ("swiotlb=", see bounce.c); in all others they are what was given.
 * *out is the caller's to free; room is what the kernel takes, in bytes, its end included.
 * -E2BIG with a sentence when that is too little.
 */
int bounce_params(
	const struct arch_config *c, const char *given, uint64_t room, char **out, struct err *e);

#endif
