/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CONVERT_H
#define NACRE_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/mem.h"

/*
 * A page range of the guest's RAM becomes private or shared because the guest asked: in regions of
 * kind MEM_SPLIT by swapping slots (slots.h), of MEM_ALIAS and MEM_ATTRIBUTES as alias.h and
 * attributes.h say. In order: validate everything; plan and allocate; delete and create slots, or set
 * attributes; discard the side the pages leave; only then update the share map. A failure at any step
 * puts the old slots and attributes back, so they agree with the state whatever happens.
 *
 * What holds afterwards: a page that became private reads as zero, a page that became shared shows
 * no old private byte, and the side that was left holds no memory. Pages that were in the wanted
 * state already are not touched at all.
 */

/*
 * May this range be converted? 0; -EINVAL when it is empty, misaligned or wraps; -EFAULT when any
 * part of it is not convertible memory (a hole, MMIO, the staging area). Any running member.
 */
int convert_check(const struct mem *m, gpa_t a, uint64_t len, struct err *e);

/* True when nothing would change. The range must have passed convert_check. Any running member. */
bool convert_is_noop(const struct mem *m, gpa_t a, uint64_t len, bool to_private);

/*
 * Carries it out. The world must be stopped. 0; -EBUSY when pages that shall become private are held
 * (hold.h), and nothing has happened; -errno when it failed and the old state holds (if
 * discarding failed, pages of the range may already have lost their content); -ENOTRECOVERABLE when
 * the old slots could not be restored: the VM must not run on.
 */
int convert_apply(struct mem *m, gpa_t a, uint64_t len, bool to_private, struct err *e);

#endif
