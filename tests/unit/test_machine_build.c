/* SPDX-License-Identifier: Apache-2.0 */

/* What building a machine asks the host for, and says of it. */
#include <check.h>
#include <errno.h>

#include "tests/unit/test_machine.h"
#include "vmm/util/bits.h"

/* Of a VM that there will not be, one sentence is enough. */
START_TEST(impossible_modes_are_not_warned_of)
{
	struct err e = { "" };

	machine_fake.impossible = true;
	ck_assert_int_eq(machine_build(&test_machine, &machine_config, NULL, &e), -ENOTSUP);
	ck_assert(!machine_fake.warned);
	machine_fake.impossible = false;
	machine_ready();
	ck_assert(machine_fake.warned);
	machine_free(test_machine);
}
END_TEST

START_TEST(staging_area_counts_as_pinned)
{
	struct err e = { "" };

	machine_config.protection = PROTECTION_PKVM;
	machine_fake.staging_bytes = MIB(300);
	machine_ready();
	ck_assert_uint_eq(machine_fake.allowed, MIB(364));
	machine_free(test_machine);
	machine_fake.staging_bytes = MIB(1000);
	ck_assert_int_eq(machine_build(&test_machine, &machine_config, NULL, &e), -EPERM);
	ck_assert_str_eq(e.msg, "memlock");
	/* Modes that pin nothing do not care. */
	machine_fake.allowed = 0;
	machine_config.protection = PROTECTION_PRIVATE;
	machine_ready();
	ck_assert_uint_eq(machine_fake.allowed, 0);
	machine_free(test_machine);
}
END_TEST

TCase *machine_build_case(void)
{
	TCase *t = tcase_create("build");

	tcase_add_checked_fixture(t, machine_setup, machine_teardown);
	tcase_add_test(t, impossible_modes_are_not_warned_of);
	tcase_add_test(t, staging_area_counts_as_pinned);
	return t;
}
