/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What requests do, before and after the start: the real handlers, on a machine that is none. Answers
 * are kept where the server would send them.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define machine_build		    fake_machine_build
#define machine_start		    fake_machine_start
#define machine_set_api		    fake_machine_set_api
#define machine_finish		    fake_machine_finish
#define machine_free		    fake_machine_free
#define machine_end		    fake_machine_end
#define machine_pause		    fake_machine_pause
#define machine_resume		    fake_machine_resume
#define machine_press_button	    fake_press_button
#define machine_virtio		    fake_virtio
#define machine_get_protection	    fake_get_protection
#define machine_stats		    fake_stats
#define virtio_set_disk		    fake_disk
#define virtio_set_net		    fake_net
#define virtio_set_balloon	    fake_balloon
#define virtio_blk_set_path	    fake_blk_set_path
#define virtio_blk_set_limit	    fake_blk_set_limit
#define virtio_net_set_limits	    fake_net_set_limits
#define virtio_balloon_set_target   fake_balloon_set_target
#define virtio_balloon_set_interval fake_balloon_set_interval
#define virtio_balloon_get	    fake_balloon_get
#define doctor_collect		    fake_doctor_collect
#define doctor_print_json	    fake_doctor_print_json
#define api_check_files		    fake_check_files
#define server_new		    fake_server_new
#define server_free		    fake_server_free
#define server_reply		    fake_reply
#define server_fault		    fake_fault
#include "vmm/api/api.c"
#include "vmm/api/changes.c"
#include "vmm/api/route.c"
#include "vmm/api/handlers.c"
#include "vmm/api/watch.c"

#include "tests/unit/suites.h"
#include "tests/unit/test_api.h"

struct api_fake fake_api;

static char something; /* stands for a machine, a device */
static struct api_options options;
struct api *tested_api;

int fake_machine_build(
	struct machine **out, const struct config *c, struct loop *control, struct err *e)
{
	ck_assert_ptr_nonnull(control);
	ck_assert_ptr_nonnull(c->kernel);
	if (fake_api.cannot_build)
		return err_set(e, -ENOENT, "no such kernel");
	fake_api.built++;
	*out = (struct machine *)&something;
	return 0;
}

void fake_machine_set_api(struct machine *m, const char *sock)
{
	ck_assert_ptr_nonnull(m);
	snprintf(fake_api.sock, sizeof(fake_api.sock), "%s", sock ? sock : "");
}

int fake_machine_start(struct machine *m, struct err *e)
{
	(void)m;
	if (fake_api.cannot_start)
		return err_set(e, -EAGAIN, "no threads");
	fake_api.started++;
	return 0;
}

void fake_machine_finish(struct machine *m)
{
	(void)m;
	fake_api.finished++;
}

void fake_machine_free(struct machine *m)
{
	fake_api.freed += m != NULL;
}

enum vm_end fake_machine_end(const struct machine *m, const char **text, int *signo)
{
	(void)m;
	if (text)
		*text = "the end";
	if (signo)
		*signo = 0;
	return fake_api.end;
}

void fake_machine_pause(struct machine *m)
{
	(void)m;
	fake_api.pauses++;
}

void fake_machine_resume(struct machine *m)
{
	(void)m;
	fake_api.resumes++;
}

bool fake_press_button(struct machine *m)
{
	(void)m;
	fake_api.presses++;
	return !fake_api.no_button;
}

const struct virtio_set *fake_virtio(const struct machine *m)
{
	(void)m;
	return NULL;
}

void fake_get_protection(const struct machine *m, struct machine_protection *out)
{
	static const uint8_t digest[SHA256_SIZE] = { 0xab };

	(void)m;
	*out = (struct machine_protection){ PROTECTION_PRIVATE, false, digest };
}

void fake_stats(struct machine *m, struct stats_report *out)
{
	(void)m;
	*out = (struct stats_report){ .ram_bytes = 1000, .shared_now = 7, .shared_peak = 9 };
	out->convert[1].done = 3;
}

struct virtio_blk *fake_disk(const struct virtio_set *s, uint32_t i)
{
	(void)s;
	return i == 1 ? (struct virtio_blk *)&something : NULL;
}

struct virtio_net *fake_net(const struct virtio_set *s, uint32_t i)
{
	(void)s;
	return i == 0 ? (struct virtio_net *)&something : NULL;
}

struct virtio_balloon *fake_balloon(const struct virtio_set *s)
{
	(void)s;
	return tested_api->config.balloon.count ? (struct virtio_balloon *)&something : NULL;
}

int fake_blk_set_path(struct virtio_blk *b, const char *path, struct err *e)
{
	(void)b;
	if (strcmp(path, "/missing") == 0)
		return err_set(e, -ENOENT, "missing");
	snprintf(fake_api.path, sizeof(fake_api.path), "%s", path);
	return 0;
}

int fake_blk_set_limit(struct virtio_blk *b, const struct ratelimit_config *limit, struct err *e)
{
	(void)b;
	(void)e;
	fake_api.limit = *limit;
	return 0;
}

int fake_net_set_limits(struct virtio_net *n, const struct ratelimit_config *rx,
	const struct ratelimit_config *tx, struct err *e)
{
	(void)n;
	(void)e;
	fake_api.rx = *rx;
	fake_api.tx = *tx;
	return 0;
}

/* As if every file were there but one. */
int fake_check_files(const char *name, const char *id, const json_t *body, struct err *e)
{
	const char *kernel = json_string_value(json_object_get(body, "kernel_image_path"));

	(void)name;
	(void)id;
	return kernel && !strcmp(kernel, "/missing") ? err_set(e, -ENOENT, "missing") : 0;
}

int fake_balloon_set_target(struct virtio_balloon *b, uint64_t bytes, struct err *e)
{
	(void)b;
	fake_api.target = bytes;
	return bytes > MIB(100) ? err_set(e, -EINVAL, "too much") : 0;
}

int fake_balloon_set_interval(struct virtio_balloon *b, uint32_t seconds, struct err *e)
{
	(void)b;
	(void)e;
	fake_api.interval = seconds;
	return 0;
}

void fake_balloon_get(struct virtio_balloon *b, struct virtio_balloon_state *out)
{
	(void)b;
	*out = (struct virtio_balloon_state){
		.target = MIB(8), .actual = MIB(4), .known = BIT(BALLOON_FREE)
	};
	out->stats[BALLOON_FREE] = 12345;
}

void fake_doctor_collect(struct doctor_report *r)
{
	memset(r, 0, sizeof(*r));
}

int fake_doctor_print_json(const struct doctor_report *r, FILE *out)
{
	(void)r;
	fputs("{\"modes\":[]}", out);
	return 0;
}

int fake_server_new(struct server **out, const struct server_config *cfg, struct err *e)
{
	*out = (struct server *)&something;
	return strcmp(cfg->path, "taken") == 0 ? err_set(e, -EADDRINUSE, "taken") : 0;
}

void fake_server_free(struct server *s)
{
	(void)s;
}

void fake_reply(
	struct server_request *rq, int status, const char *type, const char *body, size_t len)
{
	(void)rq;
	ck_assert_int_eq(fake_api.status, 0); /* once */
	ck_assert_int_eq(type != NULL, len != 0);
	fake_api.status = status;
	snprintf(fake_api.text, sizeof(fake_api.text), "%.*s", (int)len, body ? body : "");
}

void fake_fault(struct server_request *rq, int status, const char *text)
{
	fake_reply(rq, status, "application/json", text, strlen(text));
}

void api_setup(void)
{
	struct config c;
	struct err e = { "" };

	memset(&fake_api, 0, sizeof(fake_api));
	api_options_init(&options);
	options.no_api = true;
	options.config_file = strdup("x");
	ck_assert_int_eq(api_options_check(&options, &e), 0);
	options.no_api = false;
	options.sock = strdup("/tmp/x");
	resource_init(&c);
	ck_assert_int_eq(api_new(&tested_api, &options, &c, &e), 0);
	log_set_level(LOG_ERROR);
}

void api_teardown(void)
{
	api_free(tested_api);
	api_options_free(&options);
}

int api_ask(const char *method, const char *path, const char *body)
{
	struct server_request rq = { .method_name = method, .path = path, .body = body };
	char bare[64];

	rq.method = !strcmp(method, "GET")     ? HTTP_GET
		    : !strcmp(method, "PUT")   ? HTTP_PUT
		    : !strcmp(method, "PATCH") ? HTTP_PATCH
					       : HTTP_OTHER;
	rq.body_len = body ? strlen(body) : 0;
	if (strchr(path, '?')) {
		snprintf(bare, sizeof(bare), "%.*s", (int)strcspn(path, "?"), path);
		rq.path = bare;
		rq.query = strchr(path, '?') + 1;
	}
	fake_api.status = 0;
	route_request(tested_api, &rq);
	ck_assert_int_ne(fake_api.status, 0);
	return fake_api.status;
}

void api_says(const char *words)
{
	ck_assert_msg(
		strstr(fake_api.text, words), "expected \"%s\" in: %.2000s", words, fake_api.text);
}

void api_done(const char *method, const char *path, const char *body)
{
	ck_assert_msg(api_ask(method, path, body) == 204, "%s %s: %s", method, path, fake_api.text);
}

void api_refused(const char *method, const char *path, const char *body, const char *words)
{
	ck_assert_int_eq(api_ask(method, path, body), 400);
	api_says(words);
}

#define START "{\"action_type\":\"InstanceStart\"}"

void api_describe(void)
{
	api_done("PUT", "/boot-source", "{\"kernel_image_path\":\"/k\"}");
}

void api_begin(void)
{
	api_describe();
	api_done("PUT", "/actions", START);
}

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
	api_refused("PUT", "/actions", START, "PUT /boot-source first");
	api_begin();
	ck_assert_uint_eq(fake_api.started, 1);
	ck_assert_int_eq(api_ask("GET", "/", NULL), 200);
	api_says("\"state\":\"Running\"");
	api_refused("PUT", "/actions", START, "not supported after starting");
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
	api_refused("PUT", "/actions", START, _i ? "no threads" : "no such kernel");
	ck_assert_uint_eq(fake_api.freed, fake_api.built);
	ck_assert_int_eq(api_ask("GET", "/", NULL), 200);
	api_says("Not started");
	fake_api.cannot_start = fake_api.cannot_build = false;
	api_describe();
	api_done("PUT", "/actions", START);
	ck_assert_uint_eq(fake_api.started, 1);
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
	api_refused("PUT", "/actions", START, "no threads");
	sandbox_begin();
	ck_assert_int_eq(sandbox_raise(&plan, &e), 0);
	fake_api.cannot_start = false;
	api_refused("PUT", "/actions", START, "and start nacre api anew).");
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
	api_refused("PUT", "/actions", START, "PUT /boot-source first");
	api_describe();
	api_refused("PUT", "/boot-source", "{\"kernel_image_path\":\"/missing\"}", "missing");
	api_done("PUT", "/actions", START);
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
