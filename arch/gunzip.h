/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_GUNZIP_H
#define NACRE_GUNZIP_H

#include <stdbool.h>

#include "vmm/util/err.h"
#include "vmm/util/fd.h"

/* True for data that starts like a gzip file (RFC 1952). */
bool gunzip_is(const struct blob *in);

/* Unpacks by zlib into *out (blob_free it). At most max bytes: a small file may claim to be huge. */
int gunzip(const struct blob *in, size_t max, struct blob *out, struct err *e);

#endif
