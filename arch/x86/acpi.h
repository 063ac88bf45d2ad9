/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ACPI_H
#define NACRE_ACPI_H

#include <stdint.h>

#include "arch/arch.h"

/*
 * What the tables say of the registers in the PLATFORM_ACPI row: their offsets, the value that asks
 * for a reset, and the sleep type of S5. The registers are devices/power.c; a unit test lets the
 * tables drive them.
 */
#define ACPI_REG_SLEEP	 0u
#define ACPI_REG_STATUS	 1u
#define ACPI_REG_RESET	 2u
#define ACPI_RESET_VALUE 1u
#define ACPI_SLEEP_TYPE	 5u

/*
 * The tables that describe the machine to an x86 guest (ACPI 6.4, hardware-reduced): root pointer,
 * XSDT, FADT, MADT with one entry per vCPU, and a DSDT with the rows of p. They are made for guest
 * address `at`. *out is malloc'ed and the caller's. Returns 0 or -ENOMEM with a sentence.
 */
int x86_acpi_tables(uint32_t cpus, const struct platform *p, uint64_t at, void **out, uint64_t *len,
	struct err *e);

#endif
