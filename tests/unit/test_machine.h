/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_MACHINE_H
#define NACRE_TEST_MACHINE_H

#include <check.h>

/* The further cases of the machine suite: around the machine, and what it tells its guest. */
TCase *machine_main_case(void);
TCase *machine_fdt_case(void);

#endif
