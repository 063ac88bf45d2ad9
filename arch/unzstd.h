/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_UNZSTD_H
#define NACRE_UNZSTD_H

#include <stdbool.h>

#include "vmm/util/err.h"
#include "vmm/util/fd.h"

/* True for data that starts like a zstd frame (RFC 8878). */
bool unzstd_is(const struct blob *in);

/*
 * Unpacks by libzstd into *out (blob_free it); what follows the last frame is ignored, since kernel
 * builds put the size there. At most max bytes: a small file may claim to be huge.
 */
int unzstd(const struct blob *in, size_t max, struct blob *out, struct err *e);

#endif
