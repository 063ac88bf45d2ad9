/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/gunzip.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "vmm/util/bits.h"

#define GZIP_WINDOW (15 + 16) /* zlib: the largest window, gzip framing */
#define FIRST_ROOM  MIB(8)

bool gunzip_is(const struct blob *in)
{
	return in->len > 18 && in->data[0] == 0x1f && in->data[1] == 0x8b;
}

static int inflate_all(z_stream *z, size_t max, struct blob *out)
{
	size_t room = 0;
	int r = blob_extend(out, &room, FIRST_ROOM, max);

	if (r)
		return r;
	for (;;) {
		size_t left = room - out->len;

		z->next_out = out->data + out->len;
		z->avail_out = left < UINT_MAX ? (uInt)left : UINT_MAX;
		r = inflate(z, Z_NO_FLUSH);
		out->len = (size_t)(z->next_out - out->data);
		if (r == Z_STREAM_END)
			return 0;
		if (r != Z_OK && r != Z_BUF_ERROR)
			return -EBADMSG;
		/* Output left over means that the input ended early. */
		if (z->avail_out)
			return -EBADMSG;
		r = out->len == room ? blob_extend(out, &room, FIRST_ROOM, max) : 0;
		if (r)
			return r;
	}
}

int gunzip(const struct blob *in, size_t max, struct blob *out, struct err *e)
{
	z_stream z = { 0 };
	int r;

	*out = (struct blob){ 0 };
	if (in->len > UINT_MAX || inflateInit2(&z, GZIP_WINDOW) != Z_OK)
		return err_set(e, -ENOMEM, "zlib cannot start");
	z.next_in = in->data;
	z.avail_in = (uInt)in->len;
	r = inflate_all(&z, max, out);
	inflateEnd(&z);
	if (!r)
		return 0;
	blob_free(out);
	if (r == -EFBIG)
		return err_set(e, r, "unpacks to more than %zu MiB", max >> 20);
	return err_set(
		e, r, r == -ENOMEM ? "out of memory" : "the gzip data is damaged or cut short");
}
