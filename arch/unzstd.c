/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/unzstd.h"

#include <errno.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "vmm/util/bits.h"

/* What a block takes at least, and what it gives at most (RFC 8878, 3.1.1.2). */
#define BLOCK_HEADER 3u
#define BLOCK_MAX    KIB(128)

static bool starts_frame(const uint8_t *p, size_t len)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };

	return len > sizeof(magic) && !memcmp(p, magic, sizeof(magic));
}

bool unzstd_is(const struct blob *in)
{
	return starts_frame(in->data, in->len);
}

static bool is_full(size_t code)
{
	return ZSTD_getErrorCode(code) == ZSTD_error_dstSize_tooSmall;
}

/*
 * Frame by frame, each in one go: what came out before serves as the window, where the library's
 * stream would keep one of its own and copy everything out of it. 0, or -errno.
 */
static int unpack_all(ZSTD_DCtx *z, const struct blob *in, size_t max, struct blob *out)
{
	size_t at = 0, len, n;

	do {
		len = ZSTD_findFrameCompressedSize(in->data + at, in->len - at);
		if (ZSTD_isError(len))
			return -EBADMSG;
		n = ZSTD_decompressDCtx(
			z, out->data + out->len, max - out->len, in->data + at, len);
		if (ZSTD_isError(n))
			return is_full(n) ? -EFBIG : -EBADMSG;
		out->len += n;
		at += len;
	} while (starts_frame(in->data + at, in->len - at));
	return 0;
}

int unzstd(const struct blob *in, size_t max, struct blob *out, struct err *e)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();
	size_t room;
	int r;

	*out = (struct blob){ 0 };
	if (!z)
		return err_set(e, -ENOMEM, "libzstd cannot start");
	/* So much of address space: memory it takes only where something is written. */
	room = min_u64(max, (in->len / BLOCK_HEADER + 1) * BLOCK_MAX);
	out->data = blob_alloc(room);
	r = out->data ? unpack_all(z, in, room, out) : -ENOMEM;
	ZSTD_freeDCtx(z);
	if (!r)
		return 0;
	blob_free(out);
	if (r == -EFBIG)
		return err_set(e, r, "unpacks to more than %zu MiB", max >> 20);
	return err_set(
		e, r, r == -ENOMEM ? "out of memory" : "the zstd data is damaged or cut short");
}
