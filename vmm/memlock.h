/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_MEMLOCK_H
#define NACRE_MEMLOCK_H

#include <stdint.h>

#include "vmm/util/err.h"

/*
 * pKVM pins a protected guest's memory and counts it against RLIMIT_MEMLOCK. Raises the soft limit
 * where the hard one allows; else says which limit is needed and how to get it.
 */
int memlock_allow(uint64_t guest_bytes, struct err *e);

/* 0 when that much would be allowed, else -EPERM with the same sentence; changes nothing. */
int memlock_check(uint64_t guest_bytes, struct err *e);

#endif
