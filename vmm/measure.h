/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_MEASURE_H
#define NACRE_MEASURE_H

#include "arch/arch.h"
#include "vmm/util/sha256.h"

/*
 * What a guest is started with, as a text of lines, and the SHA-256 of that text as the measurement.
 * man/nacre-measure.7 is the specification; whoever changes a line changes MEASURE_VERSION too. It
 * covers what the architecture's plan, its own memory and the staging area say, so that new pieces of a plan are
 * measured without a word here. Nothing of it depends on the host or needs KVM.
 */
#define MEASURE_VERSION 2u

struct measure_input {
	const char *arch;		  /* arch_name() */
	const struct arch_config *config; /* its mode must not be auto any more */
	const struct arch_layout *layout;
	const struct boot_files *files;
	const struct boot_plan *plan;	/* may be empty: a firmware alone */
	const struct boot_stage *stage; /* NULL: the plan goes to its places directly */
	/* arch_own_pieces; NULL: nothing of that kind */
	int (*own)(const struct arch_config *c, const struct arch_layout *l, boot_piece_fn *fn,
		void *ctx, struct err *e);
};

struct measurement {
	uint8_t digest[SHA256_SIZE];
	char *text; /* the lines, with a NUL behind them */
	size_t len;
};

/*
 * Measures; hashes each file once, and of the pieces those that are no part of a file. 0; or -errno
 * with a sentence, and then *out holds nothing. Any thread.
 */
int measure(const struct measure_input *in, struct measurement *out, struct err *e);
void measurement_free(struct measurement *m); /* accepts one that was only zeroed */

#endif
