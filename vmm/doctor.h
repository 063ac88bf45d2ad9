/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_DOCTOR_H
#define NACRE_DOCTOR_H

#include <stdbool.h>
#include <stdio.h>

#include "vmm/util/finding.h"

/*
 * `nacre doctor`: looks at the host and prints one line per capability and per mode: available, or
 * what is missing and how to get it. json: one object for programs. Changes nothing, but that the
 * kernel of a pKVM host calls itself tainted once it was asked for a protected VM. Returns the exit
 * status: 0 when at least one mode can run, else 1, also when out cannot be written.
 *
 * Looking and printing are apart: doctor_collect fills plain rows and cannot fail, whatever host it
 * finds; the printers know nothing but the rows.
 */
int doctor_run(bool json, FILE *out);

struct doctor_report {
	struct findings host;
	struct findings modes; /* one row per mode, named as on the command line */
};

void doctor_collect(struct doctor_report *r);

/* At least one mode is not missing. */
bool doctor_can_run(const struct doctor_report *r);

/* Each returns 0, or -1 when out took not everything. */
int doctor_print_text(const struct doctor_report *r, FILE *out);
int doctor_print_json(const struct doctor_report *r, FILE *out);

#endif
