/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FEATURES_H
#define NACRE_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/util/err.h"

/*
 * CPU features by the names that people know them by, to keep them from a guest. Adds the feature
 * of that name, and all that cannot be without it, to *hidden, a set that only this architecture
 * can read. -EINVAL with the names there are, or -ENOTSUP where the architecture has none. Pure.
 */
int arch_feature_hide(const char *name, uint64_t *hidden, struct err *e);

/*
 * The names in such a set, with commas between them and in an order that stays, or "none". Returns
 * buf; 400 bytes are room for all. Pure.
 */
const char *arch_feature_names(uint64_t hidden, char *buf, size_t size);

/* Whether the guest can be told that its CPUs are pairs of threads of cores. Pure. */
bool arch_has_threads(void);

/* Whether there are CPUs of this architecture with memory tags. Pure. */
bool arch_has_mte(void);

#endif
