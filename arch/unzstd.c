/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/unzstd.h"

#include <errno.h>
#include <string.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "vmm/util/bits.h"

/* What a kernel never reaches: it becomes four or five times as large. */
#define FIRST_RATIO 16u
#define FIRST_ROOM  MIB(8)

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
static int unpack_all(ZSTD_DCtx *z, const struct blob *in, size_t room, struct blob *out)
{
	size_t at = 0, len, n;

	do {
		len = ZSTD_findFrameCompressedSize(in->data + at, in->len - at);
		if (ZSTD_isError(len))
			return -EBADMSG;
		n = ZSTD_decompressDCtx(
			z, out->data + out->len, room - out->len, in->data + at, len);
		if (ZSTD_isError(n))
			return is_full(n) ? -EFBIG : -EBADMSG;
		out->len += n;
		at += len;
	} while (starts_frame(in->data + at, in->len - at));
	out->data[out->len] = '\0';
	return 0;
}

/*
 * Frames of kernels do not say how large they become. With more room than a host has memory there
 * would be none at all, so it begins with what is enough, and what is larger is unpacked anew.
 */
static int unpack(ZSTD_DCtx *z, const struct blob *in, size_t max, struct blob *out)
{
	size_t room = max_u64(in->len * FIRST_RATIO, FIRST_ROOM);
	int r;

	for (;; room *= 2) {
		room = min_u64(room, max);
		*out = (struct blob){ blob_alloc(room), 0 };
		r = out->data ? unpack_all(z, in, room, out) : -ENOMEM;
		if (!r)
			return 0;
		blob_free(out);
		if (r != -EFBIG || room == max)
			return r;
	}
}

int unzstd(const struct blob *in, size_t max, struct blob *out, struct err *e)
{
	ZSTD_DCtx *z = ZSTD_createDCtx();
	int r;

	*out = (struct blob){ 0 };
	if (!z)
		return err_set(e, -ENOMEM, "libzstd cannot start");
	r = unpack(z, in, max, out);
	ZSTD_freeDCtx(z);
	if (!r)
		return 0;
	if (r == -EFBIG)
		return err_set(e, r, "unpacks to more than %zu MiB", max >> 20);
	return err_set(
		e, r, r == -ENOMEM ? "out of memory" : "the zstd data is damaged or cut short");
}
