/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/unzstd.h"

#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "vmm/util/bits.h"

#define FIRST_ROOM MIB(8)

static bool starts_frame(const uint8_t *p, size_t len)
{
	static const uint8_t magic[] = { 0x28, 0xb5, 0x2f, 0xfd };

	return len > sizeof(magic) && !memcmp(p, magic, sizeof(magic));
}

bool unzstd_is(const struct blob *in)
{
	return starts_frame(in->data, in->len);
}

/*
 * One step: until the input or the room is used up, or a frame ends. 0 to go on, 1 when that was the
 * last frame, else -errno. The library limits the memory that a frame may ask for to 128 MiB.
 */
static int step(ZSTD_DStream *z, ZSTD_inBuffer *in, struct blob *out, size_t room)
{
	ZSTD_outBuffer to = { out->data, room, out->len };
	size_t r = ZSTD_decompressStream(z, &to, in);

	out->len = to.pos;
	if (ZSTD_isError(r))
		return -EBADMSG;
	if (!r)
		return !starts_frame((const uint8_t *)in->src + in->pos, in->size - in->pos);
	/* Room left over means that the input ended early. */
	return out->len < room && in->pos == in->size ? -EBADMSG : 0;
}

static int unpack_all(ZSTD_DStream *z, const struct blob *data, size_t max, struct blob *out)
{
	ZSTD_inBuffer in = { data->data, data->len, 0 };
	size_t room = 0;
	int r = blob_extend(out, &room, FIRST_ROOM, max);

	while (!r) {
		r = step(z, &in, out, room);
		if (!r && out->len == room)
			r = blob_extend(out, &room, FIRST_ROOM, max);
	}
	return r < 0 ? r : 0;
}

int unzstd(const struct blob *in, size_t max, struct blob *out, struct err *e)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	int r;

	*out = (struct blob){ 0 };
	if (!z)
		return err_set(e, -ENOMEM, "libzstd cannot start");
	r = unpack_all(z, in, max, out);
	ZSTD_freeDStream(z);
	if (!r)
		return 0;
	blob_free(out);
	if (r == -EFBIG)
		return err_set(e, r, "unpacks to more than %zu MiB", max >> 20);
	return err_set(
		e, r, r == -ENOMEM ? "out of memory" : "the zstd data is damaged or cut short");
}
