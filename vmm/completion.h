/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_COMPLETION_H
#define NACRE_COMPLETION_H

#include <stdbool.h>
#include <stdio.h>

/* What shells need to complete our command line, from the tables that make it. */

bool completion_knows(const char *shell);
/* A script for that shell, which must be known. */
void completion_print(const char *shell, FILE *out);

#endif
