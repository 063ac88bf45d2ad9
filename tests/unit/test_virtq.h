/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_VIRTQ_H
#define NACRE_TEST_VIRTQ_H

#include <check.h>
#include <stdint.h>

#include "devices/virtq.h"
#include "tests/unit/fake_driver.h"

/* What the three files of the virtq suite share; defined in test_virtq.c. */
extern struct guest vq_guest;
extern struct ring vq_ring;
extern struct virtq vq;
extern struct virtq_chain vq_chain;

/* Eight entries; vq_begin starts over with another size. */
void vq_setup(void);
void vq_teardown(void);
void vq_begin(uint16_t size);
/* 1 or 0; an error fails the test. */
int vq_pop(void);

TCase *virtq_hostile_case(void);
TCase *virtq_shared_case(void);

#endif
