/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The API of the tests: the real handlers, on a machine that is none. Answers are kept where the server
 * would send them.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/api_fakes.h"
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

void api_describe(void)
{
	api_done("PUT", "/boot-source", "{\"kernel_image_path\":\"/k\"}");
}

void api_begin(void)
{
	api_describe();
	api_done("PUT", "/actions", API_START);
}
