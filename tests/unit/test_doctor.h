/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_DOCTOR_H
#define NACRE_TEST_DOCTOR_H

#include <check.h>

/* A case of the suite doctor; the other ones are in test_doctor.c. */
TCase *doctor_look_case(void);

#endif
