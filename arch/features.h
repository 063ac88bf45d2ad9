/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FEATURES_H
#define NACRE_FEATURES_H

#include <stdint.h>

#include "vmm/util/err.h"

/*
 * CPU features by the names that people know them by, to keep them from a guest. Adds the feature
 * of that name, and all that cannot be without it, to *hidden, a set that only this architecture
 * can read. -EINVAL with the names there are, or -ENOTSUP where the architecture has none. Pure.
 */
int arch_feature_hide(const char *name, uint64_t *hidden, struct err *e);

#endif
