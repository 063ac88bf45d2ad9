/* SPDX-License-Identifier: Apache-2.0 */

/* What nacre doctor makes of a host, and what it prints. The host is a fake. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "tests/unit/suites.h"
#include "vmm/doctor.h"
#include "vmm/kvm.h"
#include "vmm/memlock.h"
#include "vmm/protect.h"
#include "vmm/util/bits.h"

static struct {
	bool no_kvm, no_vm, pvm, emulates, no_memlock;
	bool no_seccomp;
	int landlock;
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
	return fake.no_seccomp ? err_set(e, -ENOTSUP, "no filters") : 0;
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
#define seccomp_check(e)     fake_seccomp_check(e)
#include "vmm/doctor.c"

static struct doctor_report report;

/* A report with one row of each state. */
static void setup(void)
{
	struct finding *row;

	memset(&report, 0, sizeof(report));
	finding_add(&report.host, "guest_memfd", FINDING_OK, "flags %d (mmap)", 1);
	finding_add(&report.host, "MTE", FINDING_ABSENT, "no tags");
	row = finding_add(&report.host, "kernel", FINDING_WARN, "Linux 5.10");
	finding_hint(row, "mode private needs %d", 6);
	finding_add(&report.modes, "none", FINDING_OK, "runs");
	row = finding_add(&report.modes, "pkvm", FINDING_MISSING, "not here");
	finding_hint(row, "go there");
}

typedef int (*printer)(const struct doctor_report *r, FILE *out);

/* What a printer writes; free it. */
static char *printed(printer print)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(print(&report, out), 0);
	fclose(out);
	return text;
}

START_TEST(text_is_aligned_and_one_line_a_row)
{
	char *text = printed(doctor_print_text);

	ck_assert_str_eq(text, "ok       guest_memfd  flags 1 (mmap)\n"
			       "absent   MTE          no tags\n"
			       "warn     kernel       Linux 5.10 (mode private needs 6)\n"
			       "ok       mode none    runs\n"
			       "missing  mode pkvm    not here (go there)\n");
	free(text);
}
END_TEST

START_TEST(names_of_modes_widen_the_column)
{
	char *text;

	memset(&report, 0, sizeof(report));
	finding_add(&report.host, "MTE", FINDING_OK, "tags");
	finding_add(&report.modes, "private", FINDING_OK, "runs");
	text = printed(doctor_print_text);
	ck_assert_str_eq(text, "ok       MTE           tags\n"
			       "ok       mode private  runs\n");
	free(text);
}
END_TEST

START_TEST(empty_report_prints_nothing)
{
	char *text;

	memset(&report, 0, sizeof(report));
	text = printed(doctor_print_text);
	ck_assert_str_eq(text, "");
	free(text);
	ck_assert(!doctor_can_run(&report));
}
END_TEST

static const char *member(json_t *rows, size_t i, const char *key)
{
	return json_string_value(json_object_get(json_array_get(rows, i), key));
}

START_TEST(json_holds_every_row)
{
	char *text = printed(doctor_print_json);
	json_t *o = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	json_t *host = json_object_get(o, "host"), *modes = json_object_get(o, "modes");

	ck_assert_ptr_nonnull(o);
	ck_assert(json_is_true(json_object_get(o, "can_run")));
	ck_assert_str_eq(json_string_value(json_object_get(o, "nacre")), NACRE_VERSION);
	ck_assert_uint_eq(json_array_size(host), 3);
	ck_assert_str_eq(member(host, 0, "name"), "guest_memfd");
	ck_assert_str_eq(member(host, 0, "state"), "ok");
	ck_assert_str_eq(member(host, 0, "text"), "flags 1 (mmap)");
	ck_assert_ptr_null(member(host, 0, "hint"));
	ck_assert_str_eq(member(host, 1, "state"), "absent");
	ck_assert_str_eq(member(host, 2, "state"), "warn");
	ck_assert_str_eq(member(host, 2, "hint"), "mode private needs 6");
	ck_assert_uint_eq(json_array_size(modes), 2);
	ck_assert_str_eq(member(modes, 1, "name"), "pkvm");
	ck_assert_str_eq(member(modes, 1, "state"), "missing");
	json_decref(o);
	free(text);
}
END_TEST

/* A kernel's version string can hold anything; quotes are escaped, what is no UTF-8 is left out. */
START_TEST(json_stays_valid_with_odd_text)
{
	json_t *o, *host;
	char *text;

	memset(&report, 0, sizeof(report));
	finding_add(&report.host, "a", FINDING_OK, "%s", "\"\\\n\x01");
	finding_add(&report.host, "b", FINDING_OK, "%s", "\xff\xfe");
	text = printed(doctor_print_json);
	o = json_loads(text, 0, NULL);
	host = json_object_get(o, "host");
	ck_assert_ptr_nonnull(o);
	ck_assert_str_eq(member(host, 0, "text"), "\"\\\n\x01");
	ck_assert_str_eq(member(host, 1, "name"), "b");
	ck_assert_ptr_null(member(host, 1, "text"));
	ck_assert(json_is_false(json_object_get(o, "can_run")));
	json_decref(o);
	free(text);
}
END_TEST

START_TEST(full_device_is_noticed)
{
	FILE *full = fopen("/dev/full", "w");

	if (!full)
		return;
	ck_assert_int_eq(doctor_print_text(&report, full), -1);
	clearerr(full);
	ck_assert_int_eq(doctor_print_json(&report, full), -1);
	fclose(full);
}
END_TEST

START_TEST(can_run_needs_one_mode)
{
	static const struct {
		enum finding_state a, b;
		bool can;
	} cases[] = {
		{ FINDING_OK, FINDING_MISSING, true },
		{ FINDING_MISSING, FINDING_WARN, true },
		{ FINDING_MISSING, FINDING_MISSING, false },
	};

	memset(&report, 0, sizeof(report));
	finding_add(&report.modes, "none", cases[_i].a, "a");
	finding_add(&report.modes, "private", cases[_i].b, "b");
	ck_assert_int_eq(doctor_can_run(&report), cases[_i].can);
}
END_TEST

START_TEST(blocker_is_required_and_missing)
{
	struct finding *row;

	ck_assert_ptr_null(findings_blocker(&report.host));
	finding_add(&report.host, "optional", FINDING_MISSING, "gone");
	finding_add(&report.host, "there", FINDING_OK, "here")->required = true;
	ck_assert_ptr_null(findings_blocker(&report.host));
	row = finding_add(&report.host, "needed", FINDING_MISSING, "gone");
	row->required = true;
	ck_assert_ptr_eq(findings_blocker(&report.host), row);
}
END_TEST

START_TEST(row_too_many_takes_the_last_place)
{
	struct findings *f = &report.host;
	unsigned int i;

	for (i = 0; i < FINDINGS_MAX + 5; i++)
		ck_assert_ptr_nonnull(finding_add(f, "n", FINDING_OK, "%u", i));
	ck_assert_uint_eq(f->count, FINDINGS_MAX);
	ck_assert_str_eq(f->rows[FINDINGS_MAX - 2].text, "27");
	ck_assert_str_eq(f->rows[FINDINGS_MAX - 1].text, "36");
}
END_TEST

START_TEST(long_text_is_cut_not_overrun)
{
	char big[2000];
	struct finding *row;

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	row = finding_add(&report.host, "n", FINDING_OK, "%s", big);
	finding_hint(row, "%s", big);
	ck_assert_uint_eq(strlen(row->text), sizeof(row->text) - 1);
	ck_assert_uint_eq(strlen(row->hint), sizeof(row->hint) - 1);
}
END_TEST

/* ---- looking ---- */

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

START_TEST(a_kernel_without_seccomp_is_told_of)
{
	const struct finding *row;

	doctor_collect(&report);
	row = row_of(&report.host, "seccomp");
	ck_assert_int_eq(row->state, FINDING_OK);
	ck_assert_str_eq(row->hint, "");
	fake.no_seccomp = true;
	doctor_collect(&report);
	row = row_of(&report.host, "seccomp");
	ck_assert_int_eq(row->state, FINDING_WARN);
	ck_assert_ptr_nonnull(strstr(row->hint, "CONFIG_SECCOMP_FILTER"));
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

Suite *doctor_suite(void)
{
	Suite *s = suite_create("doctor");
	TCase *print = tcase_create("printing"), *rows = tcase_create("rows");
	TCase *looking = tcase_create("looking");

	tcase_add_checked_fixture(print, setup, NULL);
	tcase_add_test(print, text_is_aligned_and_one_line_a_row);
	tcase_add_test(print, names_of_modes_widen_the_column);
	tcase_add_test(print, empty_report_prints_nothing);
	tcase_add_test(print, json_holds_every_row);
	tcase_add_test(print, json_stays_valid_with_odd_text);
	tcase_add_test(print, full_device_is_noticed);
	suite_add_tcase(s, print);
	tcase_add_checked_fixture(rows, setup, NULL);
	tcase_add_loop_test(rows, can_run_needs_one_mode, 0, 3);
	tcase_add_test(rows, blocker_is_required_and_missing);
	tcase_add_test(rows, row_too_many_takes_the_last_place);
	tcase_add_test(rows, long_text_is_cut_not_overrun);
	suite_add_tcase(s, rows);
	tcase_add_checked_fixture(looking, good_host, NULL);
	tcase_add_test(looking, good_host_has_all_modes);
	tcase_add_test(looking, no_kvm_is_told_once_with_its_hint);
	tcase_add_test(looking, busy_cpu_names_the_other_hypervisor);
	tcase_add_loop_test(looking, missing_necessity_blocks_all_modes, 0, 2);
	tcase_add_test(looking, old_kernel_lacks_private_only);
	tcase_add_test(looking, gmem_without_mmap_is_no_use);
	tcase_add_test(looking, pvm_and_emulation_are_catches);
	tcase_add_test(looking, a_kernel_without_landlock_is_told_of);
	tcase_add_test(looking, a_kernel_without_seccomp_is_told_of);
	tcase_add_test(looking, memlock_warns_when_pkvm_lacks_it_alone);
	suite_add_tcase(s, looking);
	return s;
}
