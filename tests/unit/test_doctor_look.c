/* SPDX-License-Identifier: Apache-2.0 */

/* What nacre doctor finds on hosts of all kinds, none of which is this one. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "arch/arch.h"
#include "tests/unit/test_doctor.h"
#include "vmm/doctor.h"
#include "vmm/kvm.h"
#include "vmm/memlock.h"
#include "vmm/protect.h"
#include "vmm/util/bits.h"

static struct {
	bool no_kvm, no_vm, pvm, emulates, no_memlock;
	int landlock;
	bool no_seccomp;
	int gmem_flags; /* 0: no guest_memfd */
	int immediate_exit;
	bool cap_missing; /* a required row of the architecture's */
	int possible[PROTECTION_AUTO];
} fake;

static int null_fd(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int fake_kvm_open(struct err *e)
{
	return fake.no_kvm ? err_set(e, -ENOENT, "no /dev/kvm (get one)") : null_fd();
}

static int fake_kvm_create_vm(int kvm, uint64_t type, struct err *e)
{
	(void)type;
	ck_assert_int_ge(kvm, 0);
	return fake.no_vm ? err_set(e, -EBUSY, "KVM_CREATE_VM: busy") : null_fd();
}

static int fake_kvm_has(int fd, unsigned int cap)
{
	ck_assert_int_ge(fd, 0);
	switch (cap) {
	case ABI_CAP_GUEST_MEMFD:
		return fake.gmem_flags != 0;
	case ABI_CAP_GUEST_MEMFD_FLAGS:
		return fake.gmem_flags;
	case KVM_CAP_IMMEDIATE_EXIT:
		return fake.immediate_exit;
	default:
		return 7;
	}
}

static int fake_arch_layout(const struct arch_config *c, struct arch_layout *out, struct err *e)
{
	(void)e;
	ck_assert_int_eq(c->protection, PROTECTION_NONE);
	*out = (struct arch_layout){ .ram_count = 1 };
	return 0;
}

static int fake_arch_vm_type(int kvm, const struct arch_config *c, const struct arch_layout *l,
	uint64_t *type, struct err *e)
{
	(void)kvm;
	(void)c;
	(void)l;
	(void)e;
	*type = 0;
	return 0;
}

static bool fake_arch_kvm_emulates(void)
{
	return fake.emulates;
}

static void fake_arch_caps(int kvm, int vm, struct findings *f)
{
	ck_assert_int_eq(kvm < 0, fake.no_kvm);
	ck_assert_int_eq(vm < 0, fake.no_kvm || fake.no_vm);
	if (fake.cap_missing)
		finding_add(f, "interrupts", FINDING_MISSING, "none")->required = true;
}

static int fake_protect_possible(enum protection mode, bool open_memory, struct err *e)
{
	ck_assert(!open_memory);
	return fake.possible[mode]
		       ? err_set(e, fake.possible[mode], "mode %d lacks something", mode)
		       : 0;
}

static bool fake_kvm_is_pvm(void)
{
	return fake.pvm;
}

static int fake_landlock_abi(void)
{
	return fake.landlock;
}

static int fake_seccomp_check(struct err *e)
{
	return fake.no_seccomp ? err_set(e, -ENOTSUP, "no filters (CONFIG_SECCOMP_FILTER)") : 0;
}

static int fake_memlock_check(uint64_t guest_bytes, struct err *e)
{
	(void)guest_bytes;
	return fake.no_memlock ? err_set(e, -EPERM, "memlock") : 0;
}

/* The doctor itself, looking at the fake. */
#define kvm_open	     fake_kvm_open
#define kvm_create_vm	     fake_kvm_create_vm
#define kvm_has		     fake_kvm_has
#define arch_layout(c, l, e) fake_arch_layout(c, l, e)
#define arch_vm_type	     fake_arch_vm_type
#define arch_kvm_emulates    fake_arch_kvm_emulates
#define arch_caps	     fake_arch_caps
#define protect_possible     fake_protect_possible
#define kvm_is_pvm	     fake_kvm_is_pvm
#define memlock_check	     fake_memlock_check
#define landlock_abi	     fake_landlock_abi
#define seccomp_check	     fake_seccomp_check
#include "vmm/doctor.c"

static struct doctor_report report;

static void good_host(void)
{
	memset(&fake, 0, sizeof(fake));
	fake.gmem_flags = 3;
	fake.immediate_exit = 1;
}

static const struct finding *row_of(const struct findings *f, const char *name)
{
	unsigned int i;

	for (i = 0; i < f->count; i++)
		if (!strcmp(f->rows[i].name, name))
			return &f->rows[i];
	ck_abort_msg("no row %s", name);
}

/* Looks at the fake host, and checks what holds for any report. */
static void look(void)
{
	unsigned int i, j;

	doctor_collect(&report);
	ck_assert_uint_eq(report.modes.count, PROTECTION_AUTO);
	for (i = 0; i < report.modes.count; i++) {
		ck_assert_str_eq(report.modes.rows[i].name, protection_names[i]);
		ck_assert(report.modes.rows[i].text[0]);
	}
	for (i = 0; i < report.host.count; i++) {
		ck_assert(report.host.rows[i].text[0]);
		for (j = 0; j < i; j++)
			ck_assert_str_ne(report.host.rows[i].name, report.host.rows[j].name);
	}
}

static void expect_modes(
	enum finding_state none, enum finding_state private, enum finding_state pkvm)
{
	ck_assert_int_eq(row_of(&report.modes, "none")->state, none);
	ck_assert_int_eq(row_of(&report.modes, "private")->state, private);
	ck_assert_int_eq(row_of(&report.modes, "pkvm")->state, pkvm);
}

START_TEST(good_host_has_all_modes)
{
	look();
	expect_modes(FINDING_OK, FINDING_OK, FINDING_OK);
	ck_assert_str_eq(row_of(&report.host, "guest_memfd")->text, "flags 3 (mmap, init-shared)");
	ck_assert(doctor_can_run(&report));
}
END_TEST

START_TEST(no_kvm_is_told_once_with_its_hint)
{
	fake.no_kvm = true;
	fake.possible[PROTECTION_NONE] = fake.possible[PROTECTION_PRIVATE] = -ENOENT;
	fake.possible[PROTECTION_PKVM] = -EPERM;
	fake.no_memlock = true;
	look();
	expect_modes(FINDING_MISSING, FINDING_MISSING, FINDING_MISSING);
	ck_assert_str_eq(row_of(&report.host, "/dev/kvm")->text, "no /dev/kvm (get one)");
	ck_assert_str_eq(row_of(&report.modes, "none")->text, "see /dev/kvm");
	/* Not the limit's fault. */
	ck_assert_int_eq(row_of(&report.host, "memlock")->state, FINDING_OK);
	ck_assert(!doctor_can_run(&report));
}
END_TEST

START_TEST(busy_cpu_names_the_other_hypervisor)
{
	fake.no_vm = true;
	look();
	ck_assert_int_eq(row_of(&report.host, "VM")->state, FINDING_MISSING);
	ck_assert(row_of(&report.host, "VM")->hint[0]);
	ck_assert_str_eq(row_of(&report.modes, "private")->text, "see VM");
}
END_TEST

START_TEST(missing_necessity_blocks_all_modes)
{
	fake.immediate_exit = _i; /* then the other one is missing */
	fake.cap_missing = _i;
	look();
	expect_modes(FINDING_MISSING, FINDING_MISSING, FINDING_MISSING);
	ck_assert_str_eq(
		row_of(&report.modes, "pkvm")->text, _i ? "see interrupts" : "see immediate_exit");
}
END_TEST

START_TEST(old_kernel_lacks_private_only)
{
	fake.gmem_flags = 0;
	fake.possible[PROTECTION_PRIVATE] = fake.possible[PROTECTION_PKVM] = -ENOTSUP;
	look();
	expect_modes(FINDING_OK, FINDING_MISSING, FINDING_MISSING);
	ck_assert_int_eq(row_of(&report.host, "guest_memfd")->state, FINDING_MISSING);
	ck_assert_str_eq(row_of(&report.modes, "private")->text, "mode 1 lacks something");
	ck_assert(doctor_can_run(&report));
}
END_TEST

START_TEST(gmem_without_mmap_is_no_use)
{
	fake.gmem_flags = 2;
	look();
	ck_assert_int_eq(row_of(&report.host, "guest_memfd")->state, FINDING_MISSING);
}
END_TEST

START_TEST(pvm_and_emulation_are_catches)
{
	fake.emulates = true;
	look();
	expect_modes(FINDING_OK, FINDING_WARN, FINDING_OK);
	ck_assert(row_of(&report.modes, "private")->hint[0]);
	fake.pvm = true;
	look();
	expect_modes(FINDING_WARN, FINDING_WARN, FINDING_WARN);
	ck_assert(doctor_can_run(&report));
}
END_TEST

START_TEST(a_kernel_without_landlock_is_told_of)
{
	const struct finding *row;

	doctor_collect(&report);
	row = row_of(&report.host, "Landlock");
	ck_assert_int_eq(row->state, FINDING_WARN);
	ck_assert_ptr_nonnull(strstr(row->hint, "lsm="));
	fake.landlock = 7;
	doctor_collect(&report);
	row = row_of(&report.host, "Landlock");
	ck_assert_int_eq(row->state, FINDING_OK);
	ck_assert_str_eq(row->text, "ABI 7");
	ck_assert_str_eq(row->hint, "");
}
END_TEST

START_TEST(a_kernel_without_filters_of_system_calls_is_told_of)
{
	const struct finding *row;

	look();
	ck_assert_int_eq(row_of(&report.host, "seccomp")->state, FINDING_OK);
	fake.no_seccomp = true;
	look();
	row = row_of(&report.host, "seccomp");
	ck_assert_int_eq(row->state, FINDING_WARN);
	ck_assert_ptr_nonnull(strstr(row->text, "CONFIG_SECCOMP_FILTER"));
	/* It is no reason against a guest. */
	ck_assert(doctor_can_run(&report));
}
END_TEST

START_TEST(memlock_warns_when_pkvm_lacks_it_alone)
{
	fake.no_memlock = true;
	fake.possible[PROTECTION_PKVM] = -EPERM;
	look();
	ck_assert_int_eq(row_of(&report.host, "memlock")->state, FINDING_WARN);
	fake.possible[PROTECTION_PKVM] = -ENOTSUP;
	look();
	ck_assert_int_eq(row_of(&report.host, "memlock")->state, FINDING_OK);
}
END_TEST

TCase *doctor_look_case(void)
{
	TCase *t = tcase_create("looking");

	tcase_add_checked_fixture(t, good_host, NULL);
	tcase_add_test(t, good_host_has_all_modes);
	tcase_add_test(t, no_kvm_is_told_once_with_its_hint);
	tcase_add_test(t, busy_cpu_names_the_other_hypervisor);
	tcase_add_loop_test(t, missing_necessity_blocks_all_modes, 0, 2);
	tcase_add_test(t, old_kernel_lacks_private_only);
	tcase_add_test(t, gmem_without_mmap_is_no_use);
	tcase_add_test(t, pvm_and_emulation_are_catches);
	tcase_add_test(t, a_kernel_without_landlock_is_told_of);
	tcase_add_test(t, a_kernel_without_filters_of_system_calls_is_told_of);
	tcase_add_test(t, memlock_warns_when_pkvm_lacks_it_alone);
	return t;
}
