/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_X86_TABLES_H
#define NACRE_X86_TABLES_H

#include <stdint.h>

#include "arch/arch.h"

/*
 * Identity page tables for 64-bit mode (Intel SDM volume 3, 4.5): 2 MiB pages over [0, top), top
 * rounded up to whole GiB and at least 4 GiB. Written for the guest physical address `at`.
 * Returns their size in bytes; writes nothing when buf is NULL, else buf must have that room.
 */
uint64_t x86_identity_tables(uint64_t top, uint64_t at, void *buf);

/*
 * The same for the RAM of a layout. Where it has an alias bit, RAM is mapped to its private copy,
 * and once more, at virtual addresses that have the bit set, to its shared one. `at` has the bit
 * where the tables themselves are private.
 */
uint64_t x86_boot_tables(const struct arch_layout *l, uint64_t at, void *buf);

#endif
