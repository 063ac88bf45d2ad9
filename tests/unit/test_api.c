/* SPDX-License-Identifier: Apache-2.0 */

/* What requests do, before and after the start. */
#include "tests/unit/test_api.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "vmm/api/api.h"
#include "vmm/api/api_impl.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/util/bits.h"

START_TEST(paths_are_known_or_refused)
{
	api_refused("GET", "/x", NULL, "Invalid request method and/or path: GET x.");
	api_refused("GET", "/versions", NULL, "Invalid request method");
	api_refused("GET", "/version/", NULL, "Invalid request method");
	api_refused("PUT", "/version", "{}", "Invalid request method");
	api_refused("DELETE", "/drives/a", "{}", "Invalid request method and/or path: DELETE");
	api_refused("GET", "/drives/a", NULL, "Invalid request method");
	api_refused("PUT", "/drives", "{}", "The ID cannot be empty.");
	api_refused("PUT", "/drives/", "{}", "The ID cannot be empty.");
	api_refused("PUT", "/drives/a/b", "{}", "Invalid request method");
	api_refused("PUT", "/drives/a-b", "{}", "alphanumeric");
	api_refused("GET", "/", "{}", "GET request cannot have a body.");
	api_refused("PUT", "/actions", NULL, "Empty PUT request.");
	api_refused("PATCH", "/vm", NULL, "Empty PATCH request.");
}
END_TEST

START_TEST(bodies_are_json_objects)
{
	api_refused("PUT", "/actions", "{", "deserializing");
	api_refused("PUT", "/actions", "[]", "expected an object");
	api_refused("PUT", "/actions", "null", "expected an object");
	api_refused("PUT", "/actions", "{} {}", "deserializing");
	api_refused(
		"PUT", "/actions", "{\"action_type\":\"a\",\"action_type\":\"b\"}", "duplicate");
	api_refused("PUT", "/actions", "{\"action_type\":\"\xff\"}", "deserializing");
	api_refused("PUT", "/actions", "{}", "missing field `action_type`");
	api_refused("PUT", "/actions", "{\"action_type\":1}", "expected a string");
	api_refused("PUT", "/actions", "{\"action_type\":\"Halt\"}", "unknown variant `Halt`");
	api_refused("PUT", "/actions", "{\"action_type\":\"InstanceStart\",\"x\":1}",
		"unknown field `x`");
	api_refused("PUT", "/boot-source", "{\"kernel_image_path\":\"k\",\"x\":1}", "x");
}
END_TEST

static const char *const not_yet[][2] = {
	{ "PUT", "/cpu-config" },
	{ "PATCH", "/balloon/hinting/start" },
	{ "GET", "/balloon/hinting/status" },
	{ "GET", "/hotplug/memory" },
	{ "PUT", "/hotplug/memory" },
	{ "GET", "/mmds" },
	{ "PUT", "/mmds" },
	{ "PATCH", "/mmds" },
	{ "PUT", "/mmds/config" },
	{ "PUT", "/pmem/p" },
	{ "PUT", "/snapshot/create" },
	{ "PUT", "/snapshot/load" },
};

START_TEST(what_is_missing_says_so)
{
	const char *method = not_yet[_i][0];

	api_refused(method, not_yet[_i][1], *method == 'G' ? NULL : "{}", "is not supported yet");
}
END_TEST

START_TEST(life_of_a_machine)
{
	ck_assert_int_eq(api_ask("GET", "/", NULL), 200);
	api_says("\"state\":\"Not started\"");
	api_says("\"id\":\"anonymous-instance\"");
	api_refused("PUT", "/actions", API_START, "PUT /boot-source first");
	api_begin();
	ck_assert_uint_eq(fake_api.started, 1);
	ck_assert_int_eq(api_ask("GET", "/", NULL), 200);
	api_says("\"state\":\"Running\"");
	api_refused("PUT", "/actions", API_START, "not supported after starting");
	api_refused("PUT", "/boot-source", "{\"kernel_image_path\":\"/k\"}",
		"not supported after starting the microVM.");
	api_done("PATCH", "/vm", "{\"state\":\"Paused\"}");
	api_done("PATCH", "/vm", "{\"state\":\"Paused\"}");
	ck_assert_uint_eq(fake_api.pauses, 1);
	ck_assert_int_eq(api_ask("GET", "/", NULL), 200);
	api_says("\"state\":\"Paused\"");
	api_done("PATCH", "/vm", "{\"state\":\"Resumed\"}");
	ck_assert_uint_eq(fake_api.resumes, 1);
	api_refused("PATCH", "/vm", "{\"state\":\"Gone\"}", "unknown variant `Gone`");
	api_done("PUT", "/actions", "{\"action_type\":\"SendCtrlAltDel\"}");
	ck_assert_uint_eq(fake_api.presses, 1);
	fake_api.no_button = true;
	api_refused("PUT", "/actions", "{\"action_type\":\"SendCtrlAltDel\"}", "architecture");
	ck_assert_int_eq(api_ask("GET", "/protection", NULL), 200);
	api_says("\"mode\":\"private\"");
	api_says("\"shared_bytes\":7");
	api_says("\"measurement_sha256\":\"ab00");
	fake_api.end = VM_POWEROFF;
	api_run(tested_api);
	ck_assert_uint_eq(fake_api.finished, 1);
	api_refused("PATCH", "/vm", "{\"state\":\"Paused\"}", "has ended");
}
END_TEST

START_TEST(failed_start_may_be_tried_again)
{
	api_describe();
	*(_i ? &fake_api.cannot_start : &fake_api.cannot_build) = true;
	api_refused("PUT", "/actions", API_START, _i ? "no threads" : "no such kernel");
	ck_assert_uint_eq(fake_api.freed, fake_api.built);
	ck_assert_int_eq(api_ask("GET", "/", NULL), 200);
	api_says("Not started");
	fake_api.cannot_start = fake_api.cannot_build = false;
	api_describe();
	api_done("PUT", "/actions", API_START);
	ck_assert_uint_eq(fake_api.started, 1);
}
END_TEST

static void on_writable(void *arg, int fd, short events)
{
	unsigned int *turns = arg;

	(void)fd;
	(void)events;
	/* When the console is waited for it would be too late for who waits for an answer. */
	ck_assert_uint_eq(fake_api.finished, 0);
	++*turns;
}

/* Its start is answered by bytes that the loop has yet to write. */
START_TEST(guest_that_ends_at_once_leaves_its_answers_a_turn)
{
	struct loop_event *event;
	unsigned int turns = 0;
	struct err e = { "" };
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	api_begin();
	ck_assert_int_eq(
		loop_add_fd(tested_api->loop, p[1], LOOP_WRITE, on_writable, &turns, &event, &e),
		0);
	fake_api.end = VM_POWEROFF;
	api_run(tested_api);
	ck_assert_uint_eq(turns, 1);
	ck_assert_uint_eq(fake_api.finished, 1);
	loop_event_free(event);
	close(p[0]);
	close(p[1]);
}
END_TEST

static const char *const only_after[][3] = {
	{ "PATCH", "/vm", "{\"state\":\"Paused\"}" },
	{ "PATCH", "/drives/a", "{\"drive_id\":\"a\"}" },
	{ "PATCH", "/network-interfaces/a", "{\"iface_id\":\"a\"}" },
	{ "PATCH", "/balloon", "{\"amount_mib\":1}" },
	{ "PATCH", "/balloon/statistics", "{\"stats_polling_interval_s\":1}" },
	{ "GET", "/balloon/statistics", NULL },
	{ "GET", "/protection", NULL },
	{ "PUT", "/actions", "{\"action_type\":\"SendCtrlAltDel\"}" },
};

START_TEST(some_is_for_running_machines)
{
	api_refused(only_after[_i][0], only_after[_i][1], only_after[_i][2],
		"not supported before starting the microVM.");
}
END_TEST

START_TEST(doctor_looks_before_the_start)
{
	ck_assert_int_eq(api_ask("GET", "/doctor", NULL), 200);
	api_says("{\"modes\":[]}");
	api_begin();
	api_refused("GET", "/doctor", NULL, "not supported after starting the microVM.");
}
END_TEST

START_TEST(machine_knows_the_socket)
{
	api_begin();
	ck_assert_str_eq(fake_api.sock, "/tmp/x");
}
END_TEST

/* What the first start has opened is gone, and the walls are not. */
START_TEST(no_second_start_behind_the_walls)
{
	const struct sandbox_plan plan = { .is_protected = false };
	struct err e;

	fake_api.cannot_start = true;
	api_describe();
	api_refused("PUT", "/actions", API_START, "no threads");
	sandbox_begin();
	ck_assert_int_eq(sandbox_raise(&plan, &e), 0);
	fake_api.cannot_start = false;
	api_refused("PUT", "/actions", API_START, "and start nacre api anew).");
	ck_assert_uint_eq(fake_api.built, 1);
	/* A search for leaks would want files that are behind the walls. */
	_exit(0);
}
END_TEST

START_TEST(answers_that_are_always_there)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(api_ask("GET", "/version", NULL), 200);
		api_says("\"firecracker_version\":\"");
		ck_assert_int_eq(api_ask("GET", "/vm/config", NULL), 200);
		api_says("\"machine-config\"");
		ck_assert_int_eq(api_ask("GET", "/machine-config", NULL), 200);
		api_says("\"mem_size_mib\":128");
		api_refused("GET", "/balloon", NULL, "There is no balloon");
		if (!i)
			api_begin();
	}
}
END_TEST

START_TEST(fields_that_are_to_go_are_counted)
{
	api_done("PUT", "/vsock", "{\"vsock_id\":\"1\",\"guest_cid\":3,\"uds_path\":\"/v\"}");
	api_done("PUT", "/vsock", "{\"vsock_id\":null,\"guest_cid\":3,\"uds_path\":\"/v\"}");
	api_done("PATCH", "/machine-config", "{\"cpu_template\":\"None\"}");
	ck_assert_int_eq(api_ask("GET", "/metrics", NULL), 200);
	ck_assert_ptr_nonnull(
		strstr(fake_api.text, "nacre_deprecated_api_deprecated_http_api_calls_total 2\n"));
}
END_TEST

/* Known before anything is set. */
START_TEST(a_file_that_is_not_there_changes_nothing)
{
	api_refused("PUT", "/boot-source", "{\"kernel_image_path\":\"/missing\"}", "missing");
	api_refused("PUT", "/actions", API_START, "PUT /boot-source first");
	api_describe();
	api_refused("PUT", "/boot-source", "{\"kernel_image_path\":\"/missing\"}", "missing");
	api_done("PUT", "/actions", API_START);
}
END_TEST

/* What has no effect is not told, and does not spoil the next request. */
START_TEST(files_that_cannot_be_opened_leave_no_trace)
{
	api_refused("PUT", "/logger", "{\"log_path\":\"/nacre-no/such\"}", "/nacre-no/such");
	api_refused("PUT", "/metrics", "{\"metrics_path\":\"/nacre-no/such\"}", "/nacre-no/such");
	ck_assert_int_eq(api_ask("GET", "/vm/config", NULL), 200);
	ck_assert_ptr_null(strstr(fake_api.text, "/nacre-no/such"));
	api_done("PUT", "/logger", "{\"level\":\"Error\"}");
	api_done("PUT", "/metrics", "{\"metrics_path\":\"/dev/null\"}");
}
END_TEST

static void *signal_soon(void *arg)
{
	usleep(20000);
	kill(getpid(), *(const int *)arg);
	return NULL;
}

/* Nothing was started: the loop still ends, and the signal is told; USR1 and USR2 end nothing. */
START_TEST(signal_ends_the_wait)
{
	int signo = loop_end_signals[_i], told = 0;
	const char *text;
	pthread_t thread;

	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_soon, &signo), 0);
	api_run(tested_api);
	pthread_join(thread, NULL);
	ck_assert_int_eq(api_end(tested_api, &text, &told), VM_STOPPED);
	ck_assert_int_eq(told, signo);
}
END_TEST

TCase *api_route_case(void)
{
	TCase *t = tcase_create("requests");

	tcase_add_checked_fixture(t, api_setup, api_teardown);
	tcase_add_test(t, paths_are_known_or_refused);
	tcase_add_test(t, bodies_are_json_objects);
	tcase_add_loop_test(t, what_is_missing_says_so, 0, (int)ARRAY_SIZE(not_yet));
	tcase_add_test(t, life_of_a_machine);
	tcase_add_test(t, guest_that_ends_at_once_leaves_its_answers_a_turn);
	tcase_add_loop_test(t, failed_start_may_be_tried_again, 0, 2);
	tcase_add_loop_test(t, some_is_for_running_machines, 0, (int)ARRAY_SIZE(only_after));
	tcase_add_test(t, doctor_looks_before_the_start);
	tcase_add_test(t, machine_knows_the_socket);
	tcase_add_exit_test(t, no_second_start_behind_the_walls, 0);
	tcase_add_test(t, answers_that_are_always_there);
	tcase_add_test(t, fields_that_are_to_go_are_counted);
	tcase_add_test(t, a_file_that_is_not_there_changes_nothing);
	tcase_add_test(t, files_that_cannot_be_opened_leave_no_trace);
	tcase_add_loop_test(t, signal_ends_the_wait, 0, LOOP_END_SIGNALS);
	return t;
}

Suite *api_suite(void)
{
	Suite *s = suite_create("api");

	suite_add_tcase(s, api_server_case());
	suite_add_tcase(s, api_sock_case());
	suite_add_tcase(s, api_route_case());
	suite_add_tcase(s, api_changes_case());
	suite_add_tcase(s, api_memory_case());
	suite_add_tcase(s, api_files_case());
	suite_add_tcase(s, api_options_case());
	return s;
}
