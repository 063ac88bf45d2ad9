/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ALIAS_RANGE_H
#define NACRE_ALIAS_RANGE_H

/* What alias.c, mem.c and convert.c know together. Nobody else includes it. */

#include "mem/mem.h"

/* The slots of one region of kind MEM_ALIAS; both backings are borrowed. */
struct alias_range;
int alias_range_new(struct alias_range **out, struct slot_table *t, const struct mem_alias *alias,
	gpa_t base, const struct backing *shared, const struct backing *private, struct err *e);
/* Deletes the slots. On error some are left and the range stays valid. */
int alias_range_clear(struct alias_range *a, struct err *e);
void alias_range_free(struct alias_range *a); /* frees memory, calls nothing; accepts NULL */

/*
 * Sees to it that the shared addresses of these pages have slots; pages are counted from the
 * region's start. The world must be stopped. -ENOSPC when the limit or KVM's slots do not allow it;
 * on any error what was there before is there still, but for blocks without a shared page.
 */
int alias_cover(struct mem *m, struct mem_region *r, uint64_t first, uint64_t pages, struct err *e);

#endif
