/* SPDX-License-Identifier: Apache-2.0 */

/* Which files are arm64 kernels, plain and compressed, whole and damaged. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "arch/arm64/image.h"
#include "arch/unzstd.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_arm64_image.h"

START_TEST(plain_image)
{
	struct blob b = image(MIB(2));
	struct arm64_image img;
	struct err e = { "" };

	ck_assert_msg(arm64_image_parse(&b, "k", GIB(1), &img, &e) == 0, "%s", e.msg);
	ck_assert_ptr_eq(img.data, b.data);
	ck_assert_uint_eq(img.image_size, IMAGE_SIZE);
	ck_assert_ptr_null(img.owned);
	ck_assert_ptr_null(img.packed.format);
	blob_free(&b);
}
END_TEST

static struct blob gzipped(const struct blob *in)
{
	struct blob out = { malloc(in->len + 4096), in->len + 4096 };
	z_stream z = { 0 };

	ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = in->data;
	z.avail_in = (uInt)in->len;
	z.next_out = out.data;
	z.avail_out = (uInt)out.len;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	out.len = z.total_out;
	deflateEnd(&z);
	return out;
}

static struct blob zstd(const struct blob *in)
{
	struct blob out = { malloc(ZSTD_compressBound(in->len)), ZSTD_compressBound(in->len) };

	out.len = ZSTD_compress(out.data, out.len, in->data, in->len, 1);
	ck_assert(!ZSTD_isError(out.len));
	return out;
}

/* An EFI zboot image around it. What follows the payload is the size that kernel builds append. */
static struct blob zboot(const struct blob *payload, const char *type)
{
	struct blob b = { calloc(1, 512 + payload->len + 4), 512 + payload->len + 4 };
	uint32_t at = 512, size = (uint32_t)payload->len, magic = 0x818223cd;

	memcpy(b.data, "MZ\0\0zimg", 8);
	memcpy(b.data + 8, &at, 4);
	memcpy(b.data + 12, &size, 4);
	strcpy((char *)b.data + 24, type);
	memcpy(b.data + 56, &magic, 4);
	memcpy(b.data + at, payload->data, size);
	return b;
}

static struct blob packed(const struct blob *plain, int how)
{
	struct blob inner = how & 1 ? zstd(plain) : gzipped(plain), b;

	if (how < 2)
		return inner;
	b = zboot(&inner, how & 1 ? "zstd22" : "gzip");
	blob_free(&inner);
	return b;
}

/* gzip, zstd, and EFI zboot images of both. */
START_TEST(packed_image)
{
	/* Larger than the first buffer of the unpackers. */
	struct blob plain = image(MIB(24)), b, cut;
	struct arm64_image img;
	struct err e = { "" };
	uint64_t size = MIB(32), i;

	memcpy(plain.data + 16, &size, 8);
	for (i = MIB(1); i < MIB(2); i++)
		plain.data[i] = (uint8_t)(i * i >> 7);
	b = packed(&plain, _i);
	ck_assert_msg(arm64_image_parse(&b, "k", GIB(1), &img, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(img.file_size, plain.len);
	ck_assert_int_eq(memcmp(img.data, plain.data, plain.len), 0);
	ck_assert_str_eq(img.packed.format, _i & 1 ? "zstd" : "gzip");
	ck_assert_uint_eq(img.packed.at, _i < 2 ? 0 : 512);
	ck_assert_uint_eq(img.packed.len, b.len - (_i < 2 ? 0 : 512 + 4));
	free(img.owned);
	/* Cut anywhere, in a block of its very size. */
	for (i = 1; i < 8; i++) {
		cut = (struct blob){ malloc(b.len * i / 8), b.len * i / 8 };
		memcpy(cut.data, b.data, cut.len);
		ck_assert_int_lt(arm64_image_parse(&cut, "k", GIB(1), &img, &e), 0);
		ck_assert_msg(strstr(e.msg, "cut short") != NULL, "%s", e.msg);
		ck_assert_ptr_null(img.owned);
		blob_free(&cut);
	}
	blob_free(&b);
	blob_free(&plain);
}
END_TEST

START_TEST(damaged_image)
{
	struct blob plain = image(MIB(2)), b = packed(&plain, _i);
	struct arm64_image img;
	struct err e = { "" };
	uint64_t at = _i < 2 ? 0 : 512;

	memset(b.data + at + 12, 0xff, 16);
	ck_assert_int_eq(arm64_image_parse(&b, "k", GIB(1), &img, &e), -EBADMSG);
	ck_assert_msg(strstr(e.msg, "damaged") != NULL, "%s", e.msg);
	blob_free(&b);
	blob_free(&plain);
}
END_TEST

/* A few bytes that unpack to more than any kernel has. */
START_TEST(image_that_claims_to_be_huge)
{
	uint64_t one = MIB(6), n = 9, i;
	struct blob zeroes = { calloc(1, one), one }, frame = zstd(&zeroes);
	struct blob b = { malloc(frame.len * n), frame.len * n }, out;
	struct err e = { "" };

	for (i = 0; i < n; i++)
		memcpy(b.data + i * frame.len, frame.data, frame.len);
	ck_assert_int_eq(unzstd(&b, MIB(32), &out, &e), -EFBIG);
	ck_assert_ptr_null(out.data);
	ck_assert_ptr_nonnull(strstr(e.msg, "more than 32 MiB"));
	/* Frames follow each other; up to the limit they count as one file. */
	b.len = frame.len * 2;
	ck_assert_int_eq(unzstd(&b, MIB(12) - 1, &out, &e), -EFBIG);
	ck_assert_int_eq(unzstd(&b, MIB(12) + 1, &out, &e), 0);
	ck_assert_uint_eq(out.len, MIB(12));
	blob_free(&out);
	blob_free(&b);
	blob_free(&frame);
	blob_free(&zeroes);
}
END_TEST

/* What does not fit into the guest is not unpacked as a whole first. */
START_TEST(image_larger_than_the_guest)
{
	struct blob plain = image(MIB(24)), b;
	struct arm64_image img;
	struct err e = { "" };
	uint64_t size = MIB(32);

	memcpy(plain.data + 16, &size, 8);
	b = packed(&plain, _i);
	ck_assert_int_eq(arm64_image_parse(&b, "k", MIB(16), &img, &e), -EFBIG);
	ck_assert_ptr_null(img.owned);
	ck_assert_msg(
		strstr(e.msg, "unpacks to more than 16 MiB (raise --mem)") != NULL, "%s", e.msg);
	ck_assert_int_eq(arm64_image_parse(&b, "k", MIB(32), &img, &e), 0);
	free(img.owned);
	blob_free(&b);
	blob_free(&plain);
}
END_TEST

/* At byte `at` of a zboot image, four bytes; what the sentence then says. */
static const struct {
	uint64_t at;
	uint32_t value;
	const char *expect;
} zboots[] = {
	{ 8, 0xffffffff, "cut short" },
	{ 8, 0, "compressed by \"zstd22\"" },
	{ 12, 0, "cut short" },
	{ 12, 0xffffffff, "cut short" },
	{ 512, 0x587a37fd, "compressed by \"zstd22\", expected gzip or zstd" },
	{ 4, 0, "no arm64 kernel Image" },
};

START_TEST(broken_zboot)
{
	struct blob plain = image(MIB(2)), b = packed(&plain, 3);
	struct arm64_image img;
	struct err e = { "" };

	memcpy(b.data + zboots[_i].at, &zboots[_i].value, 4);
	ck_assert_int_eq(arm64_image_parse(&b, "k", GIB(1), &img, &e), -ENOEXEC);
	ck_assert_msg(strstr(e.msg, zboots[_i].expect) != NULL, "%s", e.msg);
	blob_free(&b);
	blob_free(&plain);
}
END_TEST

static const struct {
	const char *what;
	uint64_t at;
	uint8_t bytes[8];
	unsigned int n;
	const char *expect;
} broken[] = {
	{ "magic", 56, { 0 }, 4, "no arm64 kernel" },
	{ "elf", 0, { 0x7f, 'E', 'L', 'F' }, 4, "ELF" },
	{ "x86", 0x202, { 'H', 'd', 'r', 'S' }, 4, "x86 kernel" },
	{ "big endian", 24, { 1 }, 1, "big-endian" },
	{ "no size", 16, { 0 }, 8, "implausible" },
	{ "huge size", 16, { 0, 0, 0, 0, 0, 0, 0, 1 }, 8, "implausible" },
	{ "size below file", 16, { 0, 0x10, 0 }, 4, "larger" },
	{ "offset", 8, { 0, 0, 0x40 }, 3, "implausible" },
};

START_TEST(broken_image)
{
	struct blob b = image(MIB(2));
	struct arm64_image img;
	struct err e = { "" };

	memcpy(b.data + broken[_i].at, broken[_i].bytes, broken[_i].n);
	if (strcmp(broken[_i].what, "elf") == 0 || broken[_i].at == 0x202 || broken[_i].at == 0)
		memset(b.data + 56, 0, 4);
	ck_assert_int_eq(arm64_image_parse(&b, "k", GIB(1), &img, &e), -ENOEXEC);
	ck_assert_msg(strstr(e.msg, broken[_i].expect) != NULL, "%s: %s", broken[_i].what, e.msg);
	blob_free(&b);
}
END_TEST

static const uint64_t cuts[] = { 1, 56, 59, 63, 64, 100, 511, 512, MIB(1), MIB(2) - 1 };

START_TEST(truncated_image)
{
	struct blob b = image(MIB(2));
	struct arm64_image img;
	struct err e = { "" };
	/* In a block of its very size, so that a sanitizer sees any read past the end. */
	struct blob cut = { malloc(cuts[_i]), cuts[_i] };

	memcpy(cut.data, b.data, cut.len);
	if (cut.len > 120)
		ck_assert_int_eq(arm64_image_parse(&cut, "k", GIB(1), &img, &e), -ENOEXEC);
	else
		arm64_image_parse(&cut, "k", GIB(1), &img, &e);
	blob_free(&cut);
	blob_free(&b);
}
END_TEST

Suite *arm64_image_suite(void)
{
	Suite *s = suite_create("arm64_image");
	TCase *t = tcase_create("arm64_image");

	tcase_add_test(t, plain_image);
	tcase_add_loop_test(t, packed_image, 0, 4);
	tcase_add_loop_test(t, image_larger_than_the_guest, 0, 4);
	tcase_add_loop_test(t, damaged_image, 0, 4);
	tcase_add_test(t, image_that_claims_to_be_huge);
	tcase_add_loop_test(t, broken_zboot, 0, (int)ARRAY_SIZE(zboots));
	tcase_add_loop_test(t, broken_image, 0, (int)ARRAY_SIZE(broken));
	tcase_add_loop_test(t, truncated_image, 0, (int)ARRAY_SIZE(cuts));
	suite_add_tcase(s, t);
	return s;
}
