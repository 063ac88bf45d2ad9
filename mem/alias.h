/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ALIAS_H
#define NACRE_ALIAS_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/mem.h"

/*
 * Regions of kind MEM_ALIAS: each page has two addresses that differ in one bit, one for its private
 * copy and one for its shared copy, and no slot changes when the guest converts it.
 *
 * The private copy's slot covers the whole region, always. The shared addresses get a slot only
 * where the guest shares, in blocks of 2 MiB (more in a huge guest): the first page of a block that
 * becomes shared adds it, which disturbs nobody. A block stays, since the guest will come back to
 * it, until the limit for blocks would be passed; then those without a shared page go. So a guest
 * that touches both copies of everything gets its RAM plus the limit, never twice its RAM.
 *
 * A conversion gives back the copy that the page leaves. The copy that it comes to is zero, or what
 * the guest itself has written there.
 *
 * All addresses that the functions of mem.h and convert.h take are those without the bit. Where the
 * shared copy is the one with the bit (soft-realm), the gate takes the shared address as well, since
 * drivers hand it to devices.
 */

/*
 * Before the first such region is added: the bit (bases are without it), whether the address that
 * has it set is the private copy's, and the most memory that shared addresses may have slots for.
 */
void mem_alias_set(struct mem *m, uint64_t bit, bool is_private, uint64_t limit);
/*
 * Also before: a block that the guest has not shared is to have a slot without memory. An access to
 * it then ends the vCPU's stay in the guest, and the address is known. Where there is no slot at all
 * the hypervisor emulates the instruction instead, which it cannot do when it may not read the
 * guest's code, nor for a copy out of private memory.
 *
 * keep: the guest has no way to tell what it shares. A block that was added by an access then stays
 * for good, since nobody knows what it holds, and past the limit accesses fail.
 */
void mem_alias_trap(struct mem *m, bool keep);
/* Bytes of shared addresses that have memory now. */
uint64_t mem_alias_bytes(const struct mem *m);

/* True when a is the shared address of a page of RAM of that kind. Any running member. */
bool mem_alias_is_shared_address(const struct mem *m, gpa_t a);

/*
 * The guest accessed the shared addresses [a, a + len), and there was no slot. Adds what blocks it
 * takes; no page becomes shared by it, devices do not get them. The world must be stopped. 0; 1 when
 * all of them were there already; -EFAULT when a is no such address; -ENOSPC past the limit.
 */
int mem_alias_touch(struct mem *m, gpa_t a, uint64_t len, struct err *e);

/*
 * What the guest reads or writes there then, for the access that found no slot. In the same stop of
 * the world: later the blocks may be gone again, and what is written there then is in no account.
 * -EFAULT as above.
 */
int mem_alias_access(
	const struct mem *m, gpa_t a, void *data, size_t len, bool is_write, struct err *e);

#endif
