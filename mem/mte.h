/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_MTE_H
#define NACRE_MTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mem/gpa.h"
#include "mem/mem.h"
#include "vmm/util/bits.h"
#include "vmm/util/err.h"

/*
 * The memory tags of an arm64 guest (FEAT_MTE2): four bits for each granule of 16 bytes. They are no
 * part of the bytes: copying memory loses them. The host's kernel reads and writes them for us, through
 * the function that is handed in, so that no guest memory is ever mapped with PROT_MTE: with such a mapping
 * each pointer of ours into it, and of the host kernel's on our behalf, would have to carry the
 * guest's own tag, which it may change at any moment.
 *
 * One byte holds one tag in what is read and written here, in its low four bits. All ranges are whole
 * pages of 4 KiB and lie in one region of memory that is ours to read (mode none); what does not is
 * refused with -EINVAL or -EFAULT and a sentence, before anything has happened. Nothing is allocated.
 *
 * Threads: any; the world stands still while tags are written or copied, and when what is read shall
 * be of one moment (vmm/util/park.h).
 */
#define MTE_GRANULE	16u
#define MTE_PAGE_TAGS	(PAGE_SIZE / MTE_GRANULE)
#define MTE_PAGE_PACKED (MTE_PAGE_TAGS / 2)

/* What this needs of KVM; tests inject their own. */
struct mte_ops {
	/*
	 * Tags of [a, a + len), whole pages, from the guest or to it. Returns the bytes of guest
	 * memory that are done, which may be fewer than len, or -errno and a sentence.
	 */
	int64_t (*copy)(
		void *ctx, gpa_t a, uint64_t len, uint8_t *tags, bool to_guest, struct err *e);
};

struct mte {
	const struct mem *mem;
	const struct mte_ops *ops;
	void *ctx;
};

/*
 * len / MTE_GRANULE tags of [a, a + len), in order of address. Of what is written only the low four
 * bits count. 0 or -errno; after an error of KVM's a part may have been read or written.
 */
int mte_read(const struct mte *m, gpa_t a, uint64_t len, uint8_t *tags, struct err *e);
int mte_write(const struct mte *m, gpa_t a, uint64_t len, const uint8_t *tags, struct err *e);
/* All tags of the range become 0. */
int mte_clear(const struct mte *m, gpa_t a, uint64_t len, struct err *e);
/* Bytes and tags of [from, from + len) to the range at `to`, which it must not overlap. */
int mte_copy(const struct mte *m, gpa_t to, gpa_t from, uint64_t len, struct err *e);

/*
 * Only the pages that have tags other than 0, in order of address: for what is stored or sent. A walk
 * is as large as its buffer, and each call asks KVM once at most, for MTE_WALK_PAGES: a loop that
 * other things wait for may stop after any of them.
 */
#define MTE_WALK_PAGES 64u

struct mte_walk {
	const struct mte *mte;
	gpa_t at;		 /* what has not been read yet */
	uint64_t left;		 /* bytes from there on */
	gpa_t base;		 /* of the pages in tags */
	unsigned int next, have; /* of those: the one to look at, and how many there are */
	uint8_t tags[MTE_WALK_PAGES * MTE_PAGE_TAGS];
};

int mte_walk_begin(struct mte_walk *w, const struct mte *m, gpa_t a, uint64_t len, struct err *e);
/* Nothing is left to look at. */
bool mte_walk_done(const struct mte_walk *w);
/*
 * 1: a page that has tags, *tags are its MTE_PAGE_TAGS, which stay until the next call. 0: none was
 * found up to here, go on until mte_walk_done. Or -errno.
 */
int mte_walk_next(struct mte_walk *w, gpa_t *page, const uint8_t **tags, struct err *e);

/* The tags of a page in MTE_PAGE_PACKED bytes: each has two, in its low bits that of the lower address. */
void mte_pack(const uint8_t *tags, uint8_t *packed);
void mte_unpack(const uint8_t *packed, uint8_t *tags);

#endif
