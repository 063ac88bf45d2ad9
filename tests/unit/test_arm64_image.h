/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_ARM64_IMAGE_H
#define NACRE_TEST_ARM64_IMAGE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

#define IMAGE_SIZE MIB(3)

/* A plausible Image: header, and a PE header that says how long the file is. */
static inline void make_image(uint8_t *p, uint64_t file_len)
{
	uint64_t image_size = IMAGE_SIZE;
	uint32_t pe = 64, raw = (uint32_t)file_len - 512, at = 512;
	uint16_t sections = 1;

	memset(p, 0, file_len);
	memcpy(p + 16, &image_size, 8);
	memcpy(p + 56, "ARM\x64", 4);
	memcpy(p + 60, &pe, 4);
	memcpy(p + pe, "PE\0\0", 4);
	memcpy(p + pe + 6, &sections, 2);
	memcpy(p + pe + 24 + 16, &raw, 4);
	memcpy(p + pe + 24 + 20, &at, 4);
}

/* free it by blob_free */
static inline struct blob image(uint64_t len)
{
	struct blob b = { malloc(len), len };

	make_image(b.data, len);
	return b;
}

#endif
