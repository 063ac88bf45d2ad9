/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "arch/bounce.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

/* What the user says comes last, and so wins. */
static const struct {
	enum protection protection;
	uint64_t ram, wanted;
	uint32_t virtio;
	const char *params;
} told[] = {
	{ PROTECTION_SOFT_REALM, MIB(64), MIB(64), 1, "swiotlb=8192 x=1" },
	{ PROTECTION_SOFT_REALM, MIB(256), MIB(64), 1, "swiotlb=32640 x=1" },
	{ PROTECTION_SOFT_REALM, MIB(255), MIB(64), 1, "swiotlb=16384 x=1" },
	{ PROTECTION_SOFT_REALM, GIB(4), MIB(64), 2, "swiotlb=32640 x=1" },
	{ PROTECTION_SOFT_SEV, GIB(4), MIB(64), 1, "swiotlb=32640 x=1" },
	{ PROTECTION_SOFT_SEV, GIB(4), MIB(100), 1, "swiotlb=32640 x=1" },
	{ PROTECTION_SOFT_SEV, GIB(4), MIB(128), 1, "swiotlb=65536 x=1" },
	/* No device: next to nothing; and what was refused is not asked for. */
	{ PROTECTION_SOFT_SEV, GIB(4), MIB(64), 0, "swiotlb=512 x=1" },
	{ PROTECTION_SOFT_REALM, MIB(64), MIB(64), 0, "swiotlb=512 x=1" },
	{ PROTECTION_SOFT_SEV, GIB(4), 0, 0, "x=1" },
	{ PROTECTION_SOFT_SEV, GIB(4), 0, 1, "x=1" },
	{ PROTECTION_SOFT_SEV, MIB(1) / 2, MIB(64), 1, "x=1" },
	{ PROTECTION_NONE, GIB(4), MIB(64), 1, "x=1" },
	{ PROTECTION_PRIVATE, GIB(4), MIB(64), 1, "x=1" },
	{ PROTECTION_PKVM, GIB(4), MIB(64), 1, "x=1" },
};

START_TEST(kernel_is_told_its_bounce_buffers)
{
	struct arch_config c = { .protection = told[_i].protection,
		.ram_bytes = told[_i].ram,
		.swiotlb = told[_i].wanted,
		.virtio = told[_i].virtio };
	struct err e = { "" };
	char *params = NULL;

	ck_assert_msg(bounce_params(&c, "x=1", 2048, &params, &e) == 0, "%s", e.msg);
	ck_assert_str_eq(params, told[_i].params);
	free(params);
}
END_TEST

START_TEST(parameters_that_just_fit)
{
	struct arch_config c = {
		.protection = PROTECTION_SOFT_SEV, .ram_bytes = GIB(1), .swiotlb = MIB(64)
	};
	struct err e = { "" };
	char *params = NULL;

	ck_assert_int_eq(bounce_params(&c, "abc", 16, &params, &e), 0);
	ck_assert_str_eq(params, "swiotlb=512 abc");
	free(params);
	ck_assert_int_eq(bounce_params(&c, "abc", 15, &params, &e), -E2BIG);
	ck_assert_str_eq(e.msg, "params: 15 characters with swiotlb=, which goes in front in this "
				"mode, this kernel "
				"takes 14 (shorten params, or add --swiotlb 0)");
	c.swiotlb = 0;
	ck_assert_int_eq(bounce_params(&c, "abc", 4, &params, &e), 0);
	free(params);
	e = (struct err){ "" };
	ck_assert_int_eq(bounce_params(&c, "abc", 3, &params, &e), -E2BIG);
	ck_assert_str_eq(e.msg, "params: 3 characters, this kernel takes 2");
}
END_TEST

Suite *bounce_suite(void)
{
	Suite *s = suite_create("bounce");
	TCase *t = tcase_create("params");

	tcase_add_loop_test(t, kernel_is_told_its_bounce_buffers, 0, (int)ARRAY_SIZE(told));
	tcase_add_test(t, parameters_that_just_fit);
	suite_add_tcase(s, t);
	return s;
}
