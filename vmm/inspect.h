/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_INSPECT_H
#define NACRE_INSPECT_H

#include <stdbool.h>
#include <stdio.h>

#include "vmm/options.h"
#include "vmm/util/err.h"

/* nacre inspect: reads a dump of a guest's memory (nacre-dump(5)), checks all of it, and shows some. */
struct inspect_options {
	bool json;
	char *gpa, *len; /* what to show; NULL: nothing, and INSPECT_LEN bytes */
};

#define INSPECT_LEN 256u

extern const struct option_table inspect_table;

/* Do options and operands fit? 0, or -EINVAL and a sentence. */
int inspect_check(const struct inspect_options *o, const char *const *operands, unsigned int count,
	struct err *e);

/*
 * Prints what the file holds. 0, or -errno and a sentence: it cannot be read, is none, or is damaged, and
 * then nothing has been printed. Whether all was written `out` says: ferror(3).
 */
int inspect_run(const struct inspect_options *o, const char *path, FILE *out, struct err *e);

#endif
