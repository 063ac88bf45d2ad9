/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ACPI_H
#define NACRE_ACPI_H

#include <stdint.h>

#include "arch/arch.h"

/* Where the sleep and reset registers lie behind the PLATFORM_ACPI row; what is written there. */
#define ACPI_REG_SLEEP	 0u
#define ACPI_REG_STATUS	 1u
#define ACPI_REG_RESET	 2u
#define ACPI_RESET_VALUE 1u
#define ACPI_SLEEP_TYPE	 5u

/*
 * The tables that describe the machine to an x86 guest (ACPI 6.4, hardware-reduced): root pointer,
 * XSDT, FADT, MADT with one entry per vCPU, and a DSDT with the platform's rows. Reads only c and p;
 * the result is for address `at`, *out is malloc'ed. Returns 0 or -ENOMEM with a sentence.
 */
int x86_acpi_tables(uint32_t cpus, const struct platform *p, uint64_t at, void **out, uint64_t *len,
	struct err *e);

#endif
