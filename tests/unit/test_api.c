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
#define machine_finish		    fake_machine_finish
#define machine_free		    fake_machine_free
#define machine_end		    fake_machine_end
#define machine_pause		    fake_machine_pause
#define machine_resume		    fake_machine_resume
#define machine_press_button	    fake_press_button
#define machine_virtio		    fake_virtio
#define machine_get_protection	    fake_get_protection
#define machine_stats		    fake_stats
#define machine_memory		    fake_memory
#define machine_tags		    fake_tags
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
#define server_new		    fake_server_new
#define server_free		    fake_server_free
#define server_reply		    fake_reply
#define server_fault		    fake_fault
#define server_send_stream	    fake_send_stream
#define arch_name		    fake_arch_name
#include "vmm/api/api.c"
#include "vmm/api/changes.c"
#define check_id route_check_id
#include "vmm/api/route.c"
#undef check_id
#include "vmm/api/handlers.c"
#include "vmm/api/memory.c"
#include "vmm/api/watch.c"

#include "mem/guard.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "tests/unit/test_api.h"

static struct {
	/* What the host is like. */
	bool cannot_build, cannot_start, no_button;
	/* What was done. */
	unsigned int built, started, freed, finished, pauses, resumes, presses;
	enum vm_end end;
	char path[64];
	struct ratelimit_config limit, rx, tx;
	uint64_t target;
	uint32_t interval;
	struct mem *mem;
	bool has_tags;
	struct server_stream stream; /* done: NULL when there is none */
	bool no_stream;
	/* The answer. */
	int status;
	char text[4096];
} fake;

static char something; /* stands for a machine, a device */
static struct api_options options;
static struct api *api;

int fake_machine_build(
	struct machine **out, const struct config *c, struct loop *control, struct err *e)
{
	ck_assert_ptr_nonnull(control);
	ck_assert_ptr_nonnull(c->kernel);
	if (fake.cannot_build)
		return err_set(e, -ENOENT, "no such kernel");
	fake.built++;
	*out = (struct machine *)&something;
	return 0;
}

int fake_machine_start(struct machine *m, struct err *e)
{
	(void)m;
	if (fake.cannot_start)
		return err_set(e, -EAGAIN, "no threads");
	fake.started++;
	return 0;
}

void fake_machine_finish(struct machine *m)
{
	(void)m;
	fake.finished++;
}

void fake_machine_free(struct machine *m)
{
	fake.freed += m != NULL;
}

enum vm_end fake_machine_end(const struct machine *m, const char **text, int *signo)
{
	(void)m;
	if (text)
		*text = "the end";
	if (signo)
		*signo = 0;
	return fake.end;
}

void fake_machine_pause(struct machine *m)
{
	(void)m;
	fake.pauses++;
}

void fake_machine_resume(struct machine *m)
{
	(void)m;
	fake.resumes++;
}

bool fake_press_button(struct machine *m)
{
	(void)m;
	fake.presses++;
	return !fake.no_button;
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

static uint8_t tags_of_guest[MIB(4) / MTE_GRANULE];

static int64_t fake_copy_tags(
	void *ctx, gpa_t a, uint64_t len, uint8_t *tags, bool to_guest, struct err *e)
{
	uint8_t *own = tags_of_guest + (a.v - GIB(1)) / MTE_GRANULE;

	(void)ctx;
	(void)e;
	memcpy(to_guest ? own : tags, to_guest ? tags : own, len / MTE_GRANULE);
	return (int64_t)len;
}

const struct mem *fake_memory(const struct machine *m)
{
	(void)m;
	return fake.mem;
}

const struct mte *fake_tags(const struct machine *m)
{
	static const struct mte_ops ops = { .copy = fake_copy_tags };
	static struct mte mte;

	(void)m;
	mte = (struct mte){ .mem = fake.mem, .ops = &ops };
	return fake.has_tags ? &mte : NULL;
}

int fake_send_stream(struct server_request *rq, const struct server_stream *s, struct err *e)
{
	if (fake.no_stream)
		return err_set(e, -ENOMEM, "no stream");
	fake_reply(rq, 200, s->type, "stream", 6);
	fake.stream = *s;
	return 0;
}

const char *fake_arch_name(void)
{
	return "arm64";
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
	return api->config.balloon.count ? (struct virtio_balloon *)&something : NULL;
}

int fake_blk_set_path(struct virtio_blk *b, const char *path, struct err *e)
{
	(void)b;
	if (strcmp(path, "/missing") == 0)
		return err_set(e, -ENOENT, "missing");
	snprintf(fake.path, sizeof(fake.path), "%s", path);
	return 0;
}

int fake_blk_set_limit(struct virtio_blk *b, const struct ratelimit_config *limit, struct err *e)
{
	(void)b;
	(void)e;
	fake.limit = *limit;
	return 0;
}

int fake_net_set_limits(struct virtio_net *n, const struct ratelimit_config *rx,
	const struct ratelimit_config *tx, struct err *e)
{
	(void)n;
	(void)e;
	fake.rx = *rx;
	fake.tx = *tx;
	return 0;
}

int fake_balloon_set_target(struct virtio_balloon *b, uint64_t bytes, struct err *e)
{
	(void)b;
	fake.target = bytes;
	return bytes > MIB(100) ? err_set(e, -EINVAL, "too much") : 0;
}

int fake_balloon_set_interval(struct virtio_balloon *b, uint32_t seconds, struct err *e)
{
	(void)b;
	(void)e;
	fake.interval = seconds;
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
	ck_assert_int_eq(fake.status, 0); /* once */
	ck_assert_int_eq(type != NULL, len != 0);
	fake.status = status;
	snprintf(fake.text, sizeof(fake.text), "%.*s", (int)len, body ? body : "");
}

void fake_fault(struct server_request *rq, int status, const char *text)
{
	fake_reply(rq, status, "application/json", text, strlen(text));
}

static void setup(void)
{
	struct config c;
	struct err e = { "" };

	memset(&fake, 0, sizeof(fake));
	api_options_init(&options);
	options.no_api = true;
	options.config_file = strdup("x");
	ck_assert_int_eq(api_options_check(&options, &e), 0);
	options.no_api = false;
	options.sock = strdup("/tmp/x");
	resource_init(&c);
	ck_assert_int_eq(api_new(&api, &options, &c, &e), 0);
	log_set_level(LOG_ERROR);
}

static void teardown(void)
{
	api_free(api);
	api_options_free(&options);
}

/* A request: its status; the body of the answer is in fake.text. */
static int ask(const char *method, const char *path, const char *body)
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
	fake.status = 0;
	route_request(api, &rq);
	ck_assert_int_ne(fake.status, 0);
	return fake.status;
}

static void says(const char *words)
{
	ck_assert_msg(strstr(fake.text, words), "expected \"%s\" in: %s", words, fake.text);
}

static void done(const char *method, const char *path, const char *body)
{
	ck_assert_msg(ask(method, path, body) == 204, "%s %s: %s", method, path, fake.text);
}

static void refused(const char *method, const char *path, const char *body, const char *words)
{
	ck_assert_int_eq(ask(method, path, body), 400);
	says(words);
}

#define START "{\"action_type\":\"InstanceStart\"}"

static void describe(void)
{
	done("PUT", "/boot-source", "{\"kernel_image_path\":\"/k\"}");
}

static void begin(void)
{
	describe();
	done("PUT", "/actions", START);
}

START_TEST(paths_are_known_or_refused)
{
	refused("GET", "/x", NULL, "Invalid request method and/or path: GET x.");
	refused("GET", "/versions", NULL, "Invalid request method");
	refused("GET", "/version/", NULL, "Invalid request method");
	refused("PUT", "/version", "{}", "Invalid request method");
	refused("DELETE", "/drives/a", "{}", "Invalid request method and/or path: DELETE");
	refused("GET", "/drives/a", NULL, "Invalid request method");
	refused("PUT", "/drives", "{}", "The ID cannot be empty.");
	refused("PUT", "/drives/", "{}", "The ID cannot be empty.");
	refused("PUT", "/drives/a/b", "{}", "Invalid request method");
	refused("PUT", "/drives/a-b", "{}", "alphanumeric");
	refused("GET", "/", "{}", "GET request cannot have a body.");
	refused("PUT", "/actions", NULL, "Empty PUT request.");
	refused("PATCH", "/vm", NULL, "Empty PATCH request.");
}
END_TEST

START_TEST(bodies_are_json_objects)
{
	refused("PUT", "/actions", "{", "deserializing");
	refused("PUT", "/actions", "[]", "expected an object");
	refused("PUT", "/actions", "null", "expected an object");
	refused("PUT", "/actions", "{} {}", "deserializing");
	refused("PUT", "/actions", "{\"action_type\":\"a\",\"action_type\":\"b\"}", "duplicate");
	refused("PUT", "/actions", "{\"action_type\":\"\xff\"}", "deserializing");
	refused("PUT", "/actions", "{}", "missing field `action_type`");
	refused("PUT", "/actions", "{\"action_type\":1}", "expected a string");
	refused("PUT", "/actions", "{\"action_type\":\"Halt\"}", "unknown variant `Halt`");
	refused("PUT", "/actions", "{\"action_type\":\"InstanceStart\",\"x\":1}",
		"unknown field `x`");
	refused("PUT", "/boot-source", "{\"kernel_image_path\":\"k\",\"x\":1}", "x");
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

	refused(method, not_yet[_i][1], *method == 'G' ? NULL : "{}", "is not supported yet");
}
END_TEST

START_TEST(life_of_a_machine)
{
	ck_assert_int_eq(ask("GET", "/", NULL), 200);
	says("\"state\":\"Not started\"");
	says("\"id\":\"anonymous-instance\"");
	refused("PUT", "/actions", START, "PUT /boot-source first");
	begin();
	ck_assert_uint_eq(fake.started, 1);
	ck_assert_int_eq(ask("GET", "/", NULL), 200);
	says("\"state\":\"Running\"");
	refused("PUT", "/actions", START, "not supported after starting");
	refused("PUT", "/boot-source", "{\"kernel_image_path\":\"/k\"}",
		"not supported after starting the microVM.");
	done("PATCH", "/vm", "{\"state\":\"Paused\"}");
	done("PATCH", "/vm", "{\"state\":\"Paused\"}");
	ck_assert_uint_eq(fake.pauses, 1);
	ck_assert_int_eq(ask("GET", "/", NULL), 200);
	says("\"state\":\"Paused\"");
	done("PATCH", "/vm", "{\"state\":\"Resumed\"}");
	ck_assert_uint_eq(fake.resumes, 1);
	refused("PATCH", "/vm", "{\"state\":\"Gone\"}", "unknown variant `Gone`");
	done("PUT", "/actions", "{\"action_type\":\"SendCtrlAltDel\"}");
	ck_assert_uint_eq(fake.presses, 1);
	fake.no_button = true;
	refused("PUT", "/actions", "{\"action_type\":\"SendCtrlAltDel\"}", "architecture");
	ck_assert_int_eq(ask("GET", "/protection", NULL), 200);
	says("\"mode\":\"private\"");
	says("\"shared_bytes\":7");
	says("\"measurement_sha256\":\"ab00");
	fake.end = VM_POWEROFF;
	api_run(api);
	ck_assert_uint_eq(fake.finished, 1);
	refused("PATCH", "/vm", "{\"state\":\"Paused\"}", "has ended");
}
END_TEST

START_TEST(failed_start_may_be_tried_again)
{
	describe();
	*(_i ? &fake.cannot_start : &fake.cannot_build) = true;
	refused("PUT", "/actions", START, _i ? "no threads" : "no such kernel");
	ck_assert_uint_eq(fake.freed, fake.built);
	ck_assert_int_eq(ask("GET", "/", NULL), 200);
	says("Not started");
	fake.cannot_start = fake.cannot_build = false;
	describe();
	done("PUT", "/actions", START);
	ck_assert_uint_eq(fake.started, 1);
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
	refused(only_after[_i][0], only_after[_i][1], only_after[_i][2],
		"not supported before starting the microVM.");
}
END_TEST

START_TEST(answers_that_are_always_there)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		ck_assert_int_eq(ask("GET", "/version", NULL), 200);
		says("\"firecracker_version\":\"");
		ck_assert_int_eq(ask("GET", "/vm/config", NULL), 200);
		says("\"machine-config\"");
		ck_assert_int_eq(ask("GET", "/machine-config", NULL), 200);
		says("\"mem_size_mib\":128");
		ck_assert_int_eq(ask("GET", "/doctor", NULL), 200);
		says("{\"modes\":[]}");
		refused("GET", "/balloon", NULL, "There is no balloon");
		if (!i)
			begin();
	}
}
END_TEST

#define DRIVE(id)                                                                      \
	"{\"drive_id\":\"" id "\",\"path_on_host\":\"/old\",\"is_root_device\":false," \
	"\"is_read_only\":false}"

START_TEST(drives_change)
{
	const struct disk_config *d;

	done("PUT", "/drives/a", DRIVE("a"));
	done("PUT", "/drives/b", DRIVE("b"));
	begin();
	d = (const struct disk_config *)api->config.disks.items + 1;
	refused("PATCH", "/drives/c", "{\"drive_id\":\"c\"}", "There is no drive \"c\".");
	refused("PATCH", "/drives/b", "{\"drive_id\":\"a\"}", "the id of the path");
	refused("PATCH", "/drives/b", "{\"path_on_host\":\"/x\"}", "missing field `drive_id`");
	refused("PATCH", "/drives/b", "{\"drive_id\":\"b\",\"is_read_only\":true}",
		"unknown field `is_read_only`");
	refused("PATCH", "/drives/b", "{\"drive_id\":\"b\",\"path_on_host\":1}", "path_on_host");
	refused("PATCH", "/drives/b", "{\"drive_id\":\"b\",\"path_on_host\":\"/missing\"}",
		"missing");
	ck_assert_str_eq(d->path, "/old");
	/* Nothing is done when the other half is wrong. */
	refused("PATCH", "/drives/b",
		"{\"drive_id\":\"b\",\"path_on_host\":\"/new\",\"rate_limiter\":{\"ops\":1}}",
		"ops");
	ck_assert_str_eq(fake.path, "");
	done("PATCH", "/drives/b",
		"{\"drive_id\":\"b\",\"path_on_host\":\"/new\",\"rate_limiter\":{\"ops\":{\"size\":"
		"5,\"refill_time\":100}}}");
	ck_assert_str_eq(fake.path, "/new");
	ck_assert_str_eq(d->path, "/new");
	ck_assert_uint_eq(fake.limit.ops.size, 5);
	ck_assert_uint_eq(d->limit.ops.refill_ms, 100);
	/* What is not named stays. */
	done("PATCH", "/drives/b",
		"{\"drive_id\":\"b\",\"rate_limiter\":{\"bandwidth\":{\"size\":7,\"refill_time\":1}"
		"}}");
	ck_assert_uint_eq(fake.limit.ops.size, 5);
	ck_assert_uint_eq(fake.limit.bandwidth.size, 7);
	ck_assert_int_eq(ask("GET", "/vm/config", NULL), 200);
	says("\"/new\"");
}
END_TEST

/* What has no effect is not told, and does not spoil the next request. */
START_TEST(files_that_cannot_be_opened_leave_no_trace)
{
	refused("PUT", "/logger", "{\"log_path\":\"/nacre-no/such\"}", "/nacre-no/such");
	refused("PUT", "/metrics", "{\"metrics_path\":\"/nacre-no/such\"}", "/nacre-no/such");
	ck_assert_int_eq(ask("GET", "/vm/config", NULL), 200);
	ck_assert_ptr_null(strstr(fake.text, "/nacre-no/such"));
	done("PUT", "/logger", "{\"level\":\"Error\"}");
	done("PUT", "/metrics", "{\"metrics_path\":\"/dev/null\"}");
}
END_TEST

START_TEST(network_interfaces_change)
{
	done("PUT", "/network-interfaces/a",
		"{\"iface_id\":\"a\",\"host_dev_name\":\"tap0\",\"rx_rate_limiter\":{\"ops\":{"
		"\"size\":3,\"refill_time\":10}}}");
	begin();
	/* By us, lest a limit come too late. */
	ck_assert_int_eq(((const struct net_config *)api->config.nets.items)->vhost, NET_VHOST_OFF);
	refused("PATCH", "/network-interfaces/b", "{\"iface_id\":\"b\"}",
		"There is no network interface \"b\".");
	refused("PATCH", "/network-interfaces/a",
		"{\"iface_id\":\"a\",\"tx_rate_limiter\":{\"ops\":1}}", "tx_rate_limiter");
	done("PATCH", "/network-interfaces/a",
		"{\"iface_id\":\"a\",\"tx_rate_limiter\":{\"bandwidth\":{\"size\":9,\"refill_"
		"time\":"
		"10}}}");
	ck_assert_uint_eq(fake.rx.ops.size, 3);
	ck_assert_uint_eq(fake.tx.bandwidth.size, 9);
	ck_assert_int_eq(ask("GET", "/vm/config", NULL), 200);
	says("\"size\":9");
}
END_TEST

START_TEST(balloon_changes)
{
	done("PUT", "/balloon",
		"{\"amount_mib\":1,\"deflate_on_oom\":true,\"stats_polling_interval_s\":2}");
	begin();
	refused("PATCH", "/balloon", "{\"amount_mib\":-1}", "amount_mib");
	refused("PATCH", "/balloon", "{\"amount_mib\":\"1\"}", "amount_mib");
	refused("PATCH", "/balloon", "{\"amount\":1}", "unknown field `amount`");
	refused("PATCH", "/balloon", "{\"amount_mib\":101}", "too much");
	done("PATCH", "/balloon", "{\"amount_mib\":64}");
	ck_assert_uint_eq(fake.target, MIB(64));
	ck_assert_int_eq(ask("GET", "/balloon", NULL), 200);
	says("\"amount_mib\":64");
	done("PATCH", "/balloon/statistics", "{\"stats_polling_interval_s\":5}");
	ck_assert_uint_eq(fake.interval, 5);
	ck_assert_int_eq(ask("GET", "/balloon/statistics", NULL), 200);
	says("\"target_pages\":2048");
	says("\"actual_mib\":4");
	says("\"free_memory\":12345");
	ck_assert_ptr_null(strstr(fake.text, "total_memory"));
}
END_TEST

START_TEST(statistics_are_as_the_balloon_was_made)
{
	done("PUT", "/balloon", "{\"amount_mib\":1,\"deflate_on_oom\":true}");
	begin();
	refused("GET", "/balloon/statistics", NULL, "without statistics");
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
	int signo = end_signals[_i], told = 0;
	const char *text;
	pthread_t thread;

	kill(getpid(), SIGUSR1);
	kill(getpid(), SIGUSR2);
	ck_assert_int_eq(pthread_create(&thread, NULL, signal_soon, &signo), 0);
	api_run(api);
	pthread_join(thread, NULL);
	ck_assert_int_eq(api_end(api, &text, &told), VM_STOPPED);
	ck_assert_int_eq(told, signo);
}
END_TEST

static struct {
	bool no_api;
	const char *sock, *file, *id, *filter;
	const char *says; /* NULL: it will do */
} lines[] = {
	{ false, "/s", NULL, "a-1", NULL, NULL },
	{ true, NULL, "/f", NULL, NULL, NULL },
	{ true, NULL, NULL, NULL, NULL, "--config-file" },
	{ false, "/s", NULL, "a_1", NULL, "--id" },
	{ false, "/s", NULL, NULL, "/f", "--seccomp-filter is not supported" },
};

START_TEST(command_line_is_checked)
{
	struct err e = { "" };
	struct api_options o;
	int r;

	api_options_init(&o);
	o.no_api = lines[_i].no_api;
	o.sock = lines[_i].sock ? strdup(lines[_i].sock) : NULL;
	o.config_file = lines[_i].file ? strdup(lines[_i].file) : NULL;
	o.id = lines[_i].id ? strdup(lines[_i].id) : NULL;
	o.seccomp_filter = lines[_i].filter ? strdup(lines[_i].filter) : NULL;
	r = api_options_check(&o, &e);
	ck_assert_int_eq(r, lines[_i].says ? -EINVAL : 0);
	ck_assert_msg(strstr(e.msg, lines[_i].says ? lines[_i].says : ""), "%s", e.msg);
	ck_assert(r || (o.id && !o.sock == o.no_api));
	api_options_free(&o);
}
END_TEST

/* ---- memory ---- */

static struct fake_kvm slots;
static struct slot_table *table;

static void setup_memory(void)
{
	struct mem_region_desc d = { MEM_OPEN, "ram", { GIB(1) }, MIB(4) };
	struct err e = { "" };

	setup();
	memset(&slots, 0, sizeof(slots));
	memset(tags_of_guest, 0, sizeof(tags_of_guest));
	slots.max = 8;
	ck_assert_int_eq(guard_init(&e), 0);
	table = slot_table_new(&fake_slot_ops, &slots, 8);
	ck_assert_int_eq(mem_new(&fake.mem, table, &e), 0);
	ck_assert_int_eq(mem_add(fake.mem, &d, &e), 0);
	fake.has_tags = true;
	begin();
}

static void teardown_memory(void)
{
	mem_free(fake.mem);
	slot_table_free(table);
	teardown();
}

#define PAUSED	"{\"state\":\"Paused\"}"
#define RESUMED "{\"state\":\"Resumed\"}"

START_TEST(tags_are_told)
{
	tags_of_guest[256 + 3] = 5;
	tags_of_guest[512] = 15;
	ck_assert_int_eq(ask("GET", "/mte/tags?gpa=0x40000000&len=16384", NULL), 200);
	says("{\"gpa\":1073741824,\"len\":16384,\"granule\":16,\"pages\":[{\"gpa\":1073745920,"
	     "\"tags\":\"000500");
	says(",{\"gpa\":1073750016,\"tags\":\"f000");
	/* It was running, and stood still for it. */
	ck_assert_uint_eq(fake.pauses, 1);
	ck_assert_uint_eq(fake.resumes, 1);
	/* A part of two pages. */
	ck_assert_int_eq(ask("GET", "/mte/tags?len=0xfE0&gpa=1073745952", NULL), 200);
	says("[{\"gpa\":1073745952,\"tags\":\"0500");
	ck_assert_ptr_null(strstr(fake.text, "f00"));
	done("PATCH", "/vm", PAUSED);
	ck_assert_int_eq(ask("GET", "/mte/tags?gpa=1073741824&len=16", NULL), 200);
	says("\"pages\":[]");
	ck_assert_uint_eq(fake.pauses, 3);
	ck_assert_uint_eq(fake.resumes, 2);
}
END_TEST

static const struct {
	const char *query, *says;
} bad_ranges[] = {
	{ "", "missing parameter `gpa`" },
	{ "?", "missing parameter `gpa`" },
	{ "?gpa=0", "missing parameter `len`" },
	{ "?gpa=0&len=", "len: expected a number" },
	{ "?gpa=&len=16", "gpa: expected a number" },
	{ "?gpa=0x&len=16", "gpa: expected a number" },
	{ "?gpa=-16&len=16", "gpa: expected a number" },
	{ "?gpa=0x10000000000000000&len=16", "gpa: expected a number" },
	{ "?gpa=0&gpa=0&len=16", "gpa is given twice" },
	{ "?gpa=0&len=16&x=1", "unknown parameter `x=1`" },
	{ "?gpa=8&len=16", "multiples of 16" },
	{ "?gpa=0&len=8", "multiples of 16" },
	{ "?gpa=0&len=0", "multiples of 16" },
	{ "?gpa=0&len=1048592", "1048592 is too much" },
	{ "?gpa=0xfffffffffffffff0&len=32", "no range" },
	{ "?gpa=0xfffffffffffffff0&len=16", "no range" },
	{ "?gpa=0&len=16", "not guest memory" },
	{ "?gpa=0x403fff00&len=4096", "not guest memory" },
};

START_TEST(ranges_are_checked)
{
	char path[80];

	snprintf(path, sizeof(path), "/mte/tags%s", bad_ranges[_i].query);
	refused("GET", path, NULL, bad_ranges[_i].says);
	ck_assert_uint_eq(fake.pauses, fake.resumes);
}
END_TEST

START_TEST(tags_are_written_while_paused)
{
	static const uint8_t some[] = { 0, 1, 2, 10, 15, 0 }, more[] = { 7, 3, 9, 3, 9, 3, 7 };

	refused("PUT", "/mte/tags", "{\"gpa\":1073741840,\"tags\":\"12aF\"}",
		"only while the guest is paused");
	ck_assert_uint_eq(tags_of_guest[1], 0);
	done("PATCH", "/vm", PAUSED);
	done("PUT", "/mte/tags", "{\"gpa\":1073741840,\"tags\":\"12aF\"}");
	ck_assert_mem_eq(tags_of_guest, some, sizeof(some));
	/* What is around it stays, over the end of a page too. */
	memset(tags_of_guest, 7, 1024);
	done("PUT", "/mte/tags", "{\"gpa\":\"0x40000fe0\",\"len\":\"80\",\"tags\":\"39\"}");
	ck_assert_mem_eq(tags_of_guest + 253, more, sizeof(more) - 1);
	ck_assert_mem_eq(tags_of_guest + 258, "\3\7", 2);
}
END_TEST

static const struct {
	const char *body, *says;
} bad_tags[] = {
	{ "{}", "missing field `gpa`" },
	{ "{\"gpa\":1073741824}", "tags: expected a string" },
	{ "{\"gpa\":1073741824,\"tags\":5}", "tags: expected a string" },
	{ "{\"gpa\":1073741824,\"tags\":\"\"}", "multiples of 16" },
	{ "{\"gpa\":1073741824,\"tags\":\"0x1\"}", "hexadecimal digits" },
	{ "{\"gpa\":1073741824,\"tags\":\"12\",\"len\":16}", "2 digits, expected 1 to 1" },
	{ "{\"gpa\":1073741824,\"tags\":\"12\",\"len\":20}", "multiples of 16" },
	{ "{\"gpa\":1073741824,\"tags\":\"12\",\"len\":1048592}", "too much" },
	{ "{\"gpa\":-16,\"tags\":\"12\"}", "gpa: expected a number" },
	{ "{\"gpa\":\"x\",\"tags\":\"12\"}", "gpa: expected a number" },
	{ "{\"gpa\":true,\"tags\":\"12\"}", "gpa: expected a number" },
	{ "{\"gpa\":0,\"tags\":\"12\"}", "not guest memory" },
	{ "{\"gpa\":1073741824,\"tags\":\"12\",\"x\":1}", "unknown field `x`" },
};

START_TEST(wrong_tags_change_nothing)
{
	static const uint8_t zeros[1024];

	done("PATCH", "/vm", PAUSED);
	refused("PUT", "/mte/tags", bad_tags[_i].body, bad_tags[_i].says);
	ck_assert_mem_eq(tags_of_guest, zeros, sizeof(zeros));
}
END_TEST

START_TEST(guests_without_tags)
{
	fake.has_tags = false;
	refused("GET", "/mte/tags?gpa=1073741824&len=16", NULL, "has no memory tags");
	refused("PUT", "/mte/tags", "{\"gpa\":1073741824,\"tags\":\"1\"}", "has no memory tags");
}
END_TEST

/* Runs the stream to its end; the bytes of it. */
static size_t take_stream(void)
{
	static uint8_t buf[DUMP_PART_MAX];
	size_t all = 0;
	ssize_t n;

	while ((n = fake.stream.next(fake.stream.ctx, buf)) != 0) {
		ck_assert(n > 0 || n == -EAGAIN);
		all += n > 0 ? (size_t)n : 0;
	}
	return all;
}

START_TEST(a_dump_has_the_guest_stand_still)
{
	tags_of_guest[0] = 1;
	*(uint8_t *)mem_host(fake.mem, gpa(GIB(1)), 1) = 1;
	ck_assert_int_eq(ask("GET", "/memory/dump", NULL), 200);
	says("stream");
	ck_assert_uint_eq(fake.pauses, 1);
	ck_assert_uint_eq(fake.resumes, 0);
	refused("PATCH", "/vm", PAUSED, "being sent");
	refused("PATCH", "/vm", RESUMED, "being sent");
	refused("PUT", "/mte/tags", "{\"gpa\":1073741824,\"tags\":\"1\"}", "no dump of it");
	refused("GET", "/memory/dump", NULL, "being sent already");
	ck_assert_int_eq(ask("GET", "/mte/tags?gpa=1073741824&len=16", NULL), 200);
	ck_assert_uint_eq(fake.resumes, 0);
	/* Header; a region, a page, its tags, the end. */
	ck_assert_uint_eq(take_stream(), 64 + 4 * 32 + 4096 + 128);
	fake.stream.done(fake.stream.ctx);
	ck_assert_uint_eq(fake.resumes, 1);
	done("PATCH", "/vm", PAUSED);
}
END_TEST

START_TEST(a_paused_guest_stays_paused)
{
	done("PATCH", "/vm", PAUSED);
	ck_assert_int_eq(ask("GET", "/memory/dump", NULL), 200);
	fake.stream.done(fake.stream.ctx);
	ck_assert_uint_eq(fake.resumes, 0);
	done("PATCH", "/vm", RESUMED);
	ck_assert_uint_eq(fake.resumes, 1);
}
END_TEST

START_TEST(a_dump_that_cannot_be_sent_leaves_no_trace)
{
	fake.no_stream = true;
	refused("GET", "/memory/dump", NULL, "no stream");
	ck_assert_uint_eq(fake.pauses, 1);
	ck_assert_uint_eq(fake.resumes, 1);
	done("PATCH", "/vm", PAUSED);
}
END_TEST

static TCase *api_memory_case(void)
{
	TCase *t = tcase_create("memory");

	tcase_add_checked_fixture(t, setup_memory, teardown_memory);
	tcase_add_test(t, tags_are_told);
	tcase_add_loop_test(t, ranges_are_checked, 0, (int)ARRAY_SIZE(bad_ranges));
	tcase_add_test(t, tags_are_written_while_paused);
	tcase_add_loop_test(t, wrong_tags_change_nothing, 0, (int)ARRAY_SIZE(bad_tags));
	tcase_add_test(t, guests_without_tags);
	tcase_add_test(t, a_dump_has_the_guest_stand_still);
	tcase_add_test(t, a_paused_guest_stays_paused);
	tcase_add_test(t, a_dump_that_cannot_be_sent_leaves_no_trace);
	return t;
}

TCase *api_route_case(void)
{
	TCase *t = tcase_create("requests");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, paths_are_known_or_refused);
	tcase_add_test(t, bodies_are_json_objects);
	tcase_add_loop_test(t, what_is_missing_says_so, 0, (int)ARRAY_SIZE(not_yet));
	tcase_add_test(t, life_of_a_machine);
	tcase_add_loop_test(t, failed_start_may_be_tried_again, 0, 2);
	tcase_add_loop_test(t, some_is_for_running_machines, 0, (int)ARRAY_SIZE(only_after));
	tcase_add_test(t, answers_that_are_always_there);
	tcase_add_test(t, drives_change);
	tcase_add_test(t, files_that_cannot_be_opened_leave_no_trace);
	tcase_add_test(t, network_interfaces_change);
	tcase_add_test(t, balloon_changes);
	tcase_add_test(t, statistics_are_as_the_balloon_was_made);
	tcase_add_loop_test(t, signal_ends_the_wait, 0, (int)ARRAY_SIZE(end_signals));
	tcase_add_loop_test(t, command_line_is_checked, 0, (int)ARRAY_SIZE(lines));
	return t;
}

Suite *api_suite(void)
{
	Suite *s = suite_create("api");

	suite_add_tcase(s, api_server_case());
	suite_add_tcase(s, api_sock_case());
	suite_add_tcase(s, api_route_case());
	suite_add_tcase(s, api_memory_case());
	return s;
}
