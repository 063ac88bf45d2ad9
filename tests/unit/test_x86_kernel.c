/* SPDX-License-Identifier: Apache-2.0 */

/* Kernel files for x86-64: what is read, and what is refused. */
#include <errno.h>

#include "arch/x86/kernel.h"
#include "arch/x86/layout.h"
#include "tests/unit/test_x86.h"

START_TEST(bzimage_is_read)
{
	struct blob b = x86_bzimage();
	struct x86_kernel k;
	struct err e = { "" };

	ck_assert_msg(x86_kernel_parse(&b, "k", &k, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(k.count, 1);
	ck_assert_ptr_eq(k.pieces[0].data, b.data + X86_SETUP_BYTES);
	ck_assert_uint_eq(k.pieces[0].len, X86_BODY_BYTES);
	ck_assert_uint_eq(k.entry, X86_KERNEL + 0x200);
	ck_assert_uint_eq(k.end, MIB(24));
	blob_free(&b);
}
END_TEST

START_TEST(header_that_claims_no_room)
{
	struct blob b = x86_bzimage();
	struct x86_kernel k;
	struct err e = { "" };

	/* Nothing of ours may be put over the file's own bytes. */
	x86_put(b.data, 0x258, 0, 8);
	x86_put(b.data, 0x260, 0, 4);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), 0);
	ck_assert_uint_ge(k.end, X86_KERNEL + X86_BODY_BYTES);
	blob_free(&b);
}
END_TEST

/* The entry must be a byte of the file's. */
START_TEST(kernel_ends_before_its_entry)
{
	struct blob b = x86_bzimage();
	struct x86_kernel k;
	struct err e = { "" };

	x86_put(b.data, 0x1f4, 0, 4);
	b.len = X86_SETUP_BYTES + 0x201;
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), 0);
	b.len--;
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	blob_free(&b);
}
END_TEST

START_TEST(overlapping_segments)
{
	struct blob b = x86_elf();
	struct x86_kernel k;
	struct err e = { "" };

	x86_put(b.data, 56, 2, 2);
	memcpy(b.data + 64 + 56, b.data + 64, 56);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(e.msg, "overlaps"));
	blob_free(&b);
}
END_TEST

START_TEST(elf_is_read)
{
	struct blob b = x86_elf();
	struct x86_kernel k;
	struct err e = { "" };

	ck_assert_msg(x86_kernel_parse(&b, "k", &k, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(k.entry, MIB(16));
	ck_assert_uint_eq(k.end, MIB(16) + 65536);
	blob_free(&b);
}
END_TEST

static const struct {
	bool elf;
	uint32_t at;
	uint64_t value;
	unsigned int bytes;
	const char *expect;
} broken[] = {
	{ false, 0x202, 0, 4, "neither" },
	{ false, 0x206, 0x20a, 2, "64-bit entry" },
	{ false, 0x236, 0, 2, "64-bit entry" },
	{ false, 0x1f4, 0xfffffff, 4, "cut short" },
	{ false, 0x1f1, 255, 1, "cut short" },
	{ true, 4, 1, 1, "another machine" },
	{ true, 18, EM_AARCH64, 2, "another machine" },
	{ true, 32, UINT64_MAX, 8, "program headers" },
	{ true, 56, 0xffff, 2, "program headers" },
	{ true, 56, 0, 2, "nothing to load" },
	{ true, 64 + 8, UINT64_MAX, 8, "outside the file" },
	{ true, 64 + 32, 8192, 8, "outside the file" },
	{ true, 64 + 40, 1, 8, "outside the file" },
	{ true, 64 + 24, UINT64_MAX, 8, "outside the file" },
};

START_TEST(broken_kernel)
{
	struct blob b = broken[_i].elf ? x86_elf() : x86_bzimage();
	struct x86_kernel k;
	struct err e = { "" };

	x86_put(b.data, broken[_i].at, broken[_i].value, broken[_i].bytes);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	ck_assert_msg(strstr(e.msg, broken[_i].expect) != NULL, "%d: %s", _i, e.msg);
	blob_free(&b);
}
END_TEST

START_TEST(truncated_kernel)
{
	struct blob whole = _i ? x86_elf() : x86_bzimage();
	struct x86_kernel k;
	struct err e = { "" };
	size_t len;

	for (len = 1; len + 16 < whole.len; len += len < 2048 ? 1 : 61) {
		struct blob cut = { malloc(len), len };

		memcpy(cut.data, whole.data, len);
		ck_assert_int_eq(x86_kernel_parse(&cut, "k", &k, &e), -ENOEXEC);
		blob_free(&cut);
	}
	blob_free(&whole);
}
END_TEST

START_TEST(arm64_kernel_is_named)
{
	struct blob b = { calloc(1, 4096), 4096 };
	struct x86_kernel k;
	struct err e = { "" };

	memcpy(b.data + 56, "ARM\x64", 4);
	ck_assert_int_eq(x86_kernel_parse(&b, "k", &k, &e), -ENOEXEC);
	ck_assert_ptr_nonnull(strstr(e.msg, "arm64"));
	blob_free(&b);
}
END_TEST

TCase *x86_kernel_case(void)
{
	TCase *t = tcase_create("kernel files");

	tcase_add_test(t, bzimage_is_read);
	tcase_add_test(t, elf_is_read);
	tcase_add_test(t, header_that_claims_no_room);
	tcase_add_test(t, overlapping_segments);
	tcase_add_test(t, kernel_ends_before_its_entry);
	tcase_add_loop_test(t, broken_kernel, 0, (int)ARRAY_SIZE(broken));
	tcase_add_loop_test(t, truncated_kernel, 0, 2);
	tcase_add_test(t, arm64_kernel_is_named);
	return t;
}
