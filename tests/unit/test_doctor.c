/* SPDX-License-Identifier: Apache-2.0 */

/* The report of nacre doctor: how it is printed, and what its rows decide. */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_doctor.h"
#include "vmm/doctor.h"
#include "vmm/util/bits.h"

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

Suite *doctor_suite(void)
{
	Suite *s = suite_create("doctor");
	TCase *print = tcase_create("printing"), *rows = tcase_create("rows");

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
	suite_add_tcase(s, doctor_look_case());
	return s;
}
