/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SLOTS_H
#define NACRE_SLOTS_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/backing.h"
#include "mem/gpa.h"
#include "vmm/util/err.h"

/*
 * KVM memory slots. A live guest_memfd slot cannot change, so a conversion deletes the slots that
 * cover the range and creates others in their place.
 *
 * Deleting a slot throws away its stage-2 mappings: the guest refaults all of it. So slots are
 * carved: a region is cut into chunks that no slot crosses, and what remains of a slot around a
 * converted range is cut buddy-wise, fine near the range and coarse away from it. A conversion
 * then disturbs at most one chunk at each end, usually 2 MiB or less, whatever the guest's size.
 * Slots are a limited good (32,764 on current kernels); when they run short, the chunks that a
 * conversion touches are put together again.
 *
 * A change has four steps, so that it can fail only where it can be undone:
 *   slot_swap_prepare  plans and allocates, calls nothing
 *   slot_swap_apply    deletes and creates through slot_ops, undoes on failure
 *   slot_swap_undo     takes an applied change back (when a later step of the conversion failed)
 *   slot_swap_commit   makes it the table's truth, cannot fail
 *
 * All of it runs with the world stopped (vmm/util/park.h), except on regions no vCPU has seen yet.
 */
struct slot_desc {
	uint32_t id;
	gpa_t gpa;
	uint64_t size;
	void *hva;   /* inside the guest_memfd's own mapping for a private slot: it faults */
	int gmem_fd; /* -1: ordinary memory at hva */
	uint64_t gmem_offset;
};

/* What mem/ needs of KVM and of the kernel; machine-independent tests inject their own. */
struct slot_ops {
	int (*set)(void *ctx, const struct slot_desc *slot, struct err *e);
	int (*del)(void *ctx, const struct slot_desc *slot, struct err *e);
	/* A new guest_memfd of that size: the descriptor or -errno. */
	int (*new_gmem)(void *ctx, uint64_t size, struct err *e);
	/* Usually backing_discard. */
	int (*discard)(void *ctx, const struct backing *b, uint64_t off, uint64_t len);
	/*
	 * For regions of kind MEM_ATTRIBUTES only, else NULL. set_private: whether the guest gets
	 * this range from the guest_memfd of its slot or from the slot's host address; on failure
	 * nothing has changed. protect: usually backing_protect; what nobody can access is discarded.
	 */
	int (*set_private)(void *ctx, gpa_t a, uint64_t len, bool private, struct err *e);
	int (*protect)(void *ctx, const struct backing *b, uint64_t off, uint64_t len, bool access);
};

struct slot_table;
/* max: how many slots KVM allows. NULL when out of memory. */
struct slot_table *slot_table_new(const struct slot_ops *ops, void *ctx, uint32_t max);
void slot_table_free(struct slot_table *t);
/*
 * Tells the table that KVM is gone and took the slots along: none is deleted through slot_ops from
 * now on. Each deletion waits for all vCPUs, and a guest may have thousands of slots.
 */
void slot_table_forget(struct slot_table *t);
uint32_t slot_table_live(const struct slot_table *t);
const struct slot_ops *slot_table_ops(const struct slot_table *t, void **ctx);

/* Slots of one region. private may be NULL; else all pages start private. */
struct slot_range;
int slot_range_new(struct slot_range **out, struct slot_table *t, gpa_t base,
	const struct backing *shared, const struct backing *private, struct err *e);
/* Deletes the slots. On error some are left and the range stays valid. */
int slot_range_clear(struct slot_range *r, struct err *e);
void slot_range_free(struct slot_range *r); /* frees memory, calls nothing; accepts NULL */

struct slot_swap;
/* Pages are counted from the region's start. -ENOSPC: more slots needed than KVM has. */
int slot_swap_prepare(struct slot_range *r, uint64_t first, uint64_t pages, bool private,
	struct slot_swap **out, struct err *e);
/* -ENOTRECOVERABLE from apply or undo: the old slots could not be restored, the VM must stop. */
int slot_swap_apply(struct slot_swap *s, struct err *e);
int slot_swap_undo(struct slot_swap *s, struct err *e);
void slot_swap_commit(struct slot_swap *s);
void slot_swap_free(struct slot_swap *s); /* accepts NULL */

/* Visits the slots in order of address, until fn returns false: for tests and reports. */
void slot_range_visit(
	const struct slot_range *r, bool (*fn)(void *arg, const struct slot_desc *d), void *arg);

#endif
