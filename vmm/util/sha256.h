/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SHA256_H
#define NACRE_SHA256_H

#include <stddef.h>
#include <stdint.h>

/*
 * SHA-256 (FIPS 180-4). The library's own interface is used for the rest; this stands here because
 * its last call changes with its version, and most callers have all their bytes in one place.
 */
#define SHA256_SIZE 32u
#define SHA256_HEX  (2 * SHA256_SIZE + 1)

/* The digest of len bytes. data may be NULL when len is 0. Any thread. */
void sha256_of(const void *data, size_t len, uint8_t out[SHA256_SIZE]);

/* The digest as text: lower-case hexadecimal digits and a NUL. Returns out. */
const char *sha256_hex(const uint8_t digest[SHA256_SIZE], char out[SHA256_HEX]);

#endif
