/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_MEMLOCK_H
#define NACRE_MEMLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/util/err.h"

/*
 * pKVM pins a protected guest's memory and counts it against RLIMIT_MEMLOCK. Raises the soft limit
 * where the hard one allows, or we may raise that; who is exempt needs neither. Else says which limit
 * is needed and how to get it.
 */
int memlock_allow(uint64_t guest_bytes, struct err *e);

/* 0 when that much would be allowed, else -EPERM with the same sentence; changes nothing. */
int memlock_check(uint64_t guest_bytes, struct err *e);

/* After memlock_allow: true when it is by CAP_IPC_LOCK alone that so much may be pinned. */
bool memlock_falls_short(uint64_t guest_bytes);

#endif
