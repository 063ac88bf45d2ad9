/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ARM64_IMAGE_H
#define NACRE_ARM64_IMAGE_H

#include <stdint.h>

#include "arch/boot.h"
#include "vmm/util/err.h"
#include "vmm/util/fd.h"

/* An arm64 kernel image as the boot protocol describes it (Documentation/arch/arm64/booting.rst). */
struct arm64_image {
	const uint8_t *data;
	uint64_t file_size;
	uint64_t text_offset; /* from a 2 MiB boundary */
	uint64_t image_size;  /* memory it needs, including what is zeroed */
	void *owned;	      /* the unpacked image; free() it */
	struct boot_packed packed;
};

/*
 * Recognises an Image, plain, compressed by gzip or zstd, or as an EFI zboot image that holds such a
 * one; path is for messages. -ENOEXEC with a sentence for anything else: an ELF file, a kernel of
 * another architecture, a truncated or big-endian one. -EBADMSG for damaged data, -EFBIG when it
 * unpacks to more than the guest's RAM of so many bytes, or than any kernel has.
 */
int arm64_image_parse(const struct blob *file, const char *path, uint64_t ram_bytes,
	struct arm64_image *out, struct err *e);

#endif
