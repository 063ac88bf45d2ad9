/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FAKE_SLOTS_H
#define NACRE_FAKE_SLOTS_H

#include "mem/slots.h"

/*
 * A KVM that only keeps books: it refuses what the real one refuses (overlaps, unknown ids, two
 * slots over one file range) and fails on demand. guest_memfd is stood in for by a memfd, so that
 * discards are real and contents can be looked at.
 */
#define FAKE_SLOTS_MAX 4096u
#define FAKE_PAGES_MAX 8192u /* whose attributes are kept */

struct fake_kvm {
	struct slot_desc slots[FAKE_SLOTS_MAX];
	bool live[FAKE_SLOTS_MAX];
	uint64_t file
		[FAKE_SLOTS_MAX]; /* the guest_memfd's, whose descriptor may be closed meanwhile */
	uint32_t max;
	uint32_t high;			 /* ids at or above were never used */
	unsigned int calls;		 /* of all operations but new_gmem, so far */
	unsigned int fail_at;		 /* this call fails (1 is the first); 0: none */
	unsigned int fail_from;		 /* this call and all later ones fail; 0: none */
	unsigned int discard_us;	 /* how long a discard takes */
	uint64_t attribute_base;	 /* the first address with an attribute */
	bool is_private[FAKE_PAGES_MAX]; /* from there on */
	bool is_open[FAKE_PAGES_MAX];	 /* their host addresses can be accessed */
	unsigned int mistakes; /* what the real KVM would have answered with EINVAL or EEXIST */
};

extern const struct slot_ops fake_slot_ops;
/* The same of a KVM that knows memory attributes. */
extern const struct slot_ops fake_attribute_ops;

/* The live slot over that address, or NULL. */
const struct slot_desc *fake_find(const struct fake_kvm *k, uint64_t gpa);
unsigned int fake_live(const struct fake_kvm *k);

#endif
