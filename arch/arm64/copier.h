/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ARM64_COPIER_H
#define NACRE_ARM64_COPIER_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/boot.h"
#include "mem/mem.h"

/*
 * How bytes get into a realm's private memory. Two calls of the interface answer in a structure at a
 * private address, and we cannot write there. Exchanging that page for a shared one would have to
 * last, and the guest may come to keep a secret in it. So the vCPU that called copies them itself:
 *
 * 1. At ARM64_COPIER, outside RAM, lie two shared pages: a short routine, and what there is to copy,
 *    the same for each call and written before the guest starts.
 * 2. copier_start keeps the registers that the routine uses, turns the vCPU's MMU off (the guest's
 *    tables know nothing of those pages), masks interrupts and sends it into the routine.
 * 3. The routine writes around the caches, as it must with the MMU off, and cleans them of the lines
 *    before and after. It ends in the call RSI_COPIER_DONE.
 * 4. copier_finish puts the registers back. The guest sees nothing but its memory changed.
 *
 * Our process never sees the page, no slot changes, and the other vCPUs run on. The guest can write
 * to the two pages, and run the routine; it harms nobody but itself, since we read nothing there, and
 * what comes back is registers of its own. A host that can write to them could do as much with the
 * vCPU's registers (README, what the modes defend against).
 */
struct copier {
	bool active; /* between start and finish */
	uint64_t x[6];
	uint64_t pc, pstate, sctlr;
};

/* Adds the two pages. config: the 4096 bytes that COPIER_CONFIG gives. */
int copier_add(struct mem *m, const void *config, struct err *e);
/* What it puts there, piece by piece in the order of addresses. An error of fn ends it. */
int copier_each(const void *config, boot_piece_fn *fn, void *ctx, struct err *e);

enum copier_what {
	COPIER_CONFIG,	      /* 4096 bytes */
	COPIER_NOT_SUPPORTED, /* 8 bytes, all ones */
};

/*
 * On the vCPU's thread, when it is out of the guest: its next run copies to the address, which is
 * aligned to 8 bytes, of RAM, and does not reach into another page.
 */
void copier_start(struct copier *c, int vcpu, enum copier_what what, gpa_t to);

/* The guest made RSI_COPIER_DONE. False, and nothing changed, when the routine was not called for. */
bool copier_finish(struct copier *c, int vcpu);

#endif
