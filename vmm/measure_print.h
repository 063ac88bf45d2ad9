/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_MEASURE_PRINT_H
#define NACRE_MEASURE_PRINT_H

#include <stdio.h>

#include "vmm/cli.h"

/*
 * nacre measure: reads the boot files that cli->config names and prints the digest, or as cli->text
 * and cli->json ask. Opens nothing else and needs no KVM. 0, or -errno with a sentence; whether the
 * text could be written is for the caller to ask of out.
 */
int measure_print(const struct cli *cli, FILE *out, struct err *e);

#endif
