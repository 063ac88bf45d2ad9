/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ATTRIBUTES_H
#define NACRE_ATTRIBUTES_H

/*
 * Regions of kind MEM_ATTRIBUTES: one slot has both sides, and KVM keeps an attribute for each page
 * that says from which of the two the guest gets it. What mem.c and convert.c know together.
 *
 * KVM follows the attribute when the guest itself accesses a page, and nowhere else: what it reads
 * and writes on its own behalf (instructions that it emulates and their page tables, pvclock, steal
 * time) goes to the slot's host address whatever the attribute says. That address is our mapping of
 * the shared side. Were it plain memory, a guest's secret could end there, and a guest could fill
 * both sides of its RAM. So the mapping follows the attributes: only what is shared can be accessed,
 * by KVM as by us, all else gives SIGSEGV or EFAULT. The private side has no mapping at all.
 *
 * That is done by guards in the page tables (backing_protect), which unlike mprotect do not cut the
 * mapping into pieces, of which Linux allows a process some 65,000: any pattern of pages will do. In
 * anonymous memory a guard frees the page that was there, so this one call does for the shared side
 * what discarding does elsewhere. KVM for its part keeps an entry for each private page. So a start
 * costs time and some 17 bytes for every page of the guest's memory.
 */

#include "mem/share.h"
#include "mem/slots.h"

/* The slot of one region; both backings are borrowed, the private one needs no mapping. */
struct attribute_range;
/* All pages start private. -ENOTSUP when slot_ops cannot set attributes. */
int attribute_range_new(struct attribute_range **out, struct slot_table *t, gpa_t base,
	const struct backing *shared, const struct backing *private, struct err *e);
/* Deletes the slot. On error it stays. */
int attribute_range_clear(struct attribute_range *a, struct err *e);
void attribute_range_free(
	struct attribute_range *a); /* frees memory, calls nothing; accepts NULL */

/*
 * Moves pages, counted from the region's start, to one side; those that are there already keep their
 * content. The shared side of what becomes private is given back, the private side of what becomes
 * shared is for the caller to discard. The world must be stopped. On failure the old state, which
 * share still tells, is put back, with zeroes where something had been given back already;
 * -ENOTRECOVERABLE when that fails.
 */
int attribute_set(struct attribute_range *a, const struct share_map *share, uint64_t first,
	uint64_t pages, bool to_private, struct err *e);
/* Takes an applied attribute_set back. 0 or -ENOTRECOVERABLE. */
int attribute_undo(struct attribute_range *a, const struct share_map *share, uint64_t first,
	uint64_t pages, bool to_private, struct err *e);

#endif
