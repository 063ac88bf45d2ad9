/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/sha256.h"

#include <nettle/sha2.h>
#include <nettle/version.h>
#include <stdio.h>

_Static_assert(SHA256_SIZE == SHA256_DIGEST_SIZE, "one size");

void sha256_of(const void *data, size_t len, uint8_t out[SHA256_SIZE])
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	if (len)
		sha256_update(&ctx, len, data);
#if NETTLE_VERSION_MAJOR >= 4
	sha256_digest(&ctx, out);
#else
	sha256_digest(&ctx, SHA256_SIZE, out);
#endif
}

const char *sha256_hex(const uint8_t digest[SHA256_SIZE], char out[SHA256_HEX])
{
	unsigned int i;

	for (i = 0; i < SHA256_SIZE; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	return out;
}
