/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CTL_H
#define NACRE_CTL_H

#include <stdbool.h>
#include <stdio.h>

#include "vmm/options.h"
#include "vmm/util/err.h"

/*
 * nacre ctl: commands a machine by the socket of its API, for people. Each verb is one or a few
 * requests and prints what a person wants to know of the answers.
 */
#define CTL_OPERANDS 4

struct ctl_options {
	char *sock; /* NULL: the API's default */
	bool json;  /* print answers as they come */
};

extern const struct option_table ctl_table;

/* Are these a verb and what it takes? 0, or -EINVAL and a sentence. */
int ctl_check(const char *const *operands, unsigned int count, struct err *e);

/*
 * Does it; the operands have been checked. 0; -EREMOTEIO and the machine's own sentence when it refuses;
 * another -errno and a sentence when nobody answers.
 */
int ctl_run(const struct ctl_options *o, const char *const *operands, unsigned int count, FILE *out,
	struct err *e);

/* The verbs, one a line, for --help; and their names only, for completion. */
void ctl_print_verbs(FILE *out);
const char *ctl_verb_name(unsigned int i); /* NULL behind the last */

#endif
