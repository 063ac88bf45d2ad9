/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What requests ask for: lines "METHOD PATH BODY", any bytes, one after the other, of a machine that
 * starts when it is told to and otherwise is none. Each gets one answer, of a known status.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/api_fakes.h"
#define sandbox_is_raised    fake_sandbox_is_raised
#define sandbox_limits_paths fake_sandbox_limits_paths
#define sandbox_describe     fake_sandbox_describe
#define log_setup	     fake_log_setup
#define metrics_open	     fake_metrics_open
#include "vmm/api/api.c"
#include "vmm/api/changes.c"
#include "vmm/api/route.c"
#include "vmm/api/handlers.c"
#include "vmm/api/watch.c"

/* A machine's memory is not there; mem/dump and its reader have targets of their own. */
#define NO_MEMORY(name)                                           \
	int name(struct api_call *call, struct err *e)            \
	{                                                         \
		(void)call;                                       \
		return err_set(e, -ENOTSUP, "no memory is here"); \
	}

NO_MEMORY(api_get_tags)
NO_MEMORY(api_put_tags)
NO_MEMORY(api_get_dump)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char something; /* stands for a machine, a device */
static unsigned int answers;

int api_get_openapi(struct api_call *call, struct err *e)
{
	(void)e;
	call->text = strdup("{}");
	call->type = "application/json";
	return 0;
}

/* All that is named is there: else no request would get far. */
int fake_check_files(const char *name, const char *id, const json_t *body, struct err *e)
{
	(void)name;
	(void)id;
	(void)body;
	(void)e;
	return 0;
}

int fake_machine_build(
	struct machine **out, const struct config *c, struct loop *control, struct err *e)
{
	(void)control;
	(void)e;
	/* Of what was checked this has to be true. */
	if ((!c->kernel && !c->firmware) || config_virtio_count(c) > CONFIG_VIRTIO_MAX)
		abort();
	*out = (struct machine *)&something;
	return 0;
}

int fake_machine_start(struct machine *m, struct err *e)
{
	(void)m;
	(void)e;
	return 0;
}

void fake_machine_set_api(struct machine *m, const char *sock)
{
	(void)m;
	(void)sock;
}

bool fake_sandbox_is_raised(void)
{
	return false;
}

bool fake_sandbox_limits_paths(void)
{
	return true;
}

const char *fake_sandbox_describe(char *buf, size_t size)
{
	snprintf(buf, size, "none");
	return buf;
}

void fake_machine_finish(struct machine *m)
{
	(void)m;
}

void fake_machine_free(struct machine *m)
{
	(void)m;
}

enum vm_end fake_machine_end(const struct machine *m, const char **text, int *signo)
{
	(void)m;
	(void)text;
	(void)signo;
	return VM_RUNNING;
}

void fake_machine_pause(struct machine *m)
{
	(void)m;
}

void fake_machine_resume(struct machine *m)
{
	(void)m;
}

bool fake_press_button(struct machine *m)
{
	(void)m;
	return true;
}

const struct virtio_set *fake_virtio(const struct machine *m)
{
	(void)m;
	return NULL;
}

void fake_get_protection(const struct machine *m, struct machine_protection *out)
{
	(void)m;
	*out = (struct machine_protection){ .mode = PROTECTION_NONE };
}

void fake_stats(struct machine *m, struct stats_report *out)
{
	(void)m;
	*out = (struct stats_report){ 0 };
}

struct virtio_blk *fake_disk(const struct virtio_set *s, uint32_t i)
{
	(void)s;
	(void)i;
	return (struct virtio_blk *)&something;
}

struct virtio_net *fake_net(const struct virtio_set *s, uint32_t i)
{
	(void)s;
	(void)i;
	return (struct virtio_net *)&something;
}

static const struct api *current;

struct virtio_balloon *fake_balloon(const struct virtio_set *s)
{
	(void)s;
	return current->config.balloon.count ? (struct virtio_balloon *)&something : NULL;
}

int fake_blk_set_path(struct virtio_blk *b, const char *path, struct err *e)
{
	(void)b;
	(void)path;
	(void)e;
	return 0;
}

int fake_blk_set_limit(struct virtio_blk *b, const struct ratelimit_config *limit, struct err *e)
{
	(void)b;
	return ratelimit_check(limit, e);
}

int fake_net_set_limits(struct virtio_net *n, const struct ratelimit_config *rx,
	const struct ratelimit_config *tx, struct err *e)
{
	(void)n;
	return ratelimit_check(rx, e) ? -EINVAL : ratelimit_check(tx, e);
}

int fake_balloon_set_target(struct virtio_balloon *b, uint64_t bytes, struct err *e)
{
	(void)b;
	(void)bytes;
	(void)e;
	return 0;
}

int fake_balloon_set_interval(struct virtio_balloon *b, uint32_t seconds, struct err *e)
{
	(void)b;
	(void)seconds;
	(void)e;
	return 0;
}

void fake_balloon_get(struct virtio_balloon *b, struct virtio_balloon_state *out)
{
	(void)b;
	*out = (struct virtio_balloon_state){ .known = UINT32_MAX };
}

void fake_doctor_collect(struct doctor_report *r)
{
	(void)r;
}

int fake_doctor_print_json(const struct doctor_report *r, FILE *out)
{
	(void)r;
	return fputs("{}", out) < 0;
}

int fake_server_new(struct server **out, const struct server_config *cfg, struct err *e)
{
	(void)cfg;
	(void)e;
	*out = NULL;
	return 0;
}

void fake_server_free(struct server *s)
{
	(void)s;
}

void fake_reply(
	struct server_request *rq, int status, const char *type, const char *body, size_t len)
{
	(void)rq;
	answers++;
	if ((status == 204) != !type || (type && (!len || strlen(body) != len)))
		abort();
	if (status != 200 && status != 204 && status != 400)
		abort();
}

void fake_fault(struct server_request *rq, int status, const char *text)
{
	fake_reply(rq, status, "text", text, strlen(text));
}

/* No file is opened for what a fuzzer writes. */
int fake_log_setup(const struct log_config *c, struct err *e)
{
	(void)c;
	(void)e;
	return 0;
}

int fake_metrics_open(struct metrics *m, const char *path, struct err *e)
{
	(void)m;
	(void)path;
	(void)e;
	return 0;
}

/* Cuts the next word off; it ends at a blank or the end. */
static char *word(char **at)
{
	char *start = *at;

	*at += strcspn(start, " ");
	if (**at)
		*(*at)++ = '\0';
	return start;
}

static void ask(struct api *a, char *line, size_t len)
{
	char *at = line;
	struct server_request rq = { .method = HTTP_OTHER };
	unsigned int before = answers;

	rq.method_name = word(&at);
	rq.path = word(&at);
	rq.body = at;
	rq.body_len = len - (size_t)(at - line);
	if (!strcmp(rq.method_name, "GET"))
		rq.method = HTTP_GET;
	else if (!strcmp(rq.method_name, "PUT"))
		rq.method = HTTP_PUT;
	else if (!strcmp(rq.method_name, "PATCH"))
		rq.method = HTTP_PATCH;
	if (rq.path[0] != '/')
		return;
	route_request(a, &rq);
	if (answers != before + 1)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_options options;
	struct config c;
	struct err e = { "" };
	struct api *a;

	api_options_init(&options);
	options.sock = strdup("x");
	resource_init(&c);
	if (api_options_check(&options, &e) || api_new(&a, &options, &c, &e))
		abort();
	current = a;
	while (size) {
		const uint8_t *end = memchr(data, '\n', size);
		size_t len = end ? (size_t)(end - data) : size;
		char *line = malloc(len + 1);

		memcpy(line, data, len);
		line[len] = '\0';
		ask(a, line, len);
		free(line);
		data += len;
		size -= len;
		if (size) {
			data++;
			size--;
		}
	}
	api_free(a);
	api_options_free(&options);
	return 0;
}
