/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A request finds its row by method and path. Then, in this order, so that each
 * error is the one that Firecracker's clients know: is the path one of ours, is there a body where one
 * belongs, is the body JSON, is this the time for it. Only then comes the handler.
 */
#include <errno.h>
#include <string.h>

#include "vmm/api/api_impl.h"
#include "vmm/config_json_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/text.h"

#define ID_MAX	  64
#define JSON_TYPE "application/json"

/* When a request is in place. */
enum { BEFORE = 1, AFTER = 2, ALWAYS = BEFORE | AFTER };

struct route {
	enum http_method method;
	const char *path; /* its last part may be "{}": an id */
	unsigned int when;
	api_handler handle; /* NULL: not supported yet */
};

static const struct route routes[] = {
	{ HTTP_GET, "/", ALWAYS, api_get_instance },
	{ HTTP_GET, "/version", ALWAYS, api_get_version },
	{ HTTP_GET, "/vm/config", ALWAYS, api_get_config },
	{ HTTP_PATCH, "/vm", AFTER, api_patch_vm },
	{ HTTP_PUT, "/actions", ALWAYS, api_put_actions },
	{ HTTP_PUT, "/boot-source", BEFORE, api_put_object },
	{ HTTP_GET, "/machine-config", ALWAYS, api_get_object },
	{ HTTP_PUT, "/machine-config", BEFORE, api_put_object },
	{ HTTP_PATCH, "/machine-config", BEFORE, api_patch_object },
	{ HTTP_PUT, "/drives/{}", BEFORE, api_put_object },
	{ HTTP_PUT, "/network-interfaces/{}", BEFORE, api_put_object },
	{ HTTP_PUT, "/vsock", BEFORE, api_put_object },
	{ HTTP_PUT, "/entropy", BEFORE, api_put_object },
	{ HTTP_PUT, "/serial", BEFORE, api_put_object },
	{ HTTP_PUT, "/logger", BEFORE, api_put_logger },
	{ HTTP_PUT, "/metrics", BEFORE, api_put_metrics },
	{ HTTP_GET, "/balloon", ALWAYS, api_get_object },
	{ HTTP_PUT, "/balloon", BEFORE, api_put_object },
	{ HTTP_PATCH, "/balloon", AFTER, api_patch_balloon },
	{ HTTP_GET, "/balloon/statistics", AFTER, api_get_balloon_stats },
	{ HTTP_PATCH, "/balloon/statistics", AFTER, api_patch_balloon_stats },
	{ HTTP_PATCH, "/drives/{}", AFTER, api_patch_drive },
	{ HTTP_PATCH, "/network-interfaces/{}", AFTER, api_patch_net },
	/* Ours. */
	{ HTTP_GET, "/metrics", ALWAYS, api_get_metrics },
	{ HTTP_GET, "/protection", AFTER, api_get_protection },
	{ HTTP_GET, "/doctor", BEFORE, api_get_doctor },
	{ HTTP_GET, "/openapi.json", ALWAYS, api_get_openapi },
	{ HTTP_GET, "/mte/tags", AFTER, api_get_tags },
	{ HTTP_PUT, "/mte/tags", AFTER, api_put_tags },
	{ HTTP_GET, "/memory/dump", AFTER, api_get_dump },
	/* Firecracker's, which we do not have yet. */
	{ HTTP_PUT, "/cpu-config", ALWAYS, NULL },
	{ HTTP_PATCH, "/balloon/hinting/start", ALWAYS, NULL },
	{ HTTP_GET, "/balloon/hinting/status", ALWAYS, NULL },
	{ HTTP_PATCH, "/balloon/hinting/stop", ALWAYS, NULL },
	{ HTTP_GET, "/hotplug/memory", ALWAYS, NULL },
	{ HTTP_PUT, "/hotplug/memory", ALWAYS, NULL },
	{ HTTP_PATCH, "/hotplug/memory", ALWAYS, NULL },
	{ HTTP_GET, "/mmds", ALWAYS, NULL },
	{ HTTP_PUT, "/mmds", ALWAYS, NULL },
	{ HTTP_PATCH, "/mmds", ALWAYS, NULL },
	{ HTTP_PUT, "/mmds/config", ALWAYS, NULL },
	{ HTTP_PUT, "/pmem/{}", ALWAYS, NULL },
	{ HTTP_PATCH, "/pmem/{}", ALWAYS, NULL },
	{ HTTP_PUT, "/snapshot/create", ALWAYS, NULL },
	{ HTTP_PUT, "/snapshot/load", ALWAYS, NULL },
};

/* The id that stands for "{}", which is empty where there is none; NULL when the path is another. */
static const char *match(const char *pattern, const char *path)
{
	size_t n = strlen(pattern);

	if (n < 4 || strcmp(pattern + n - 3, "/{}") != 0)
		return strcmp(pattern, path) == 0 ? path + strlen(path) : NULL;
	n -= 3;
	if (strncmp(pattern, path, n) != 0)
		return NULL;
	if (path[n] == '\0')
		return path + n;
	return path[n] == '/' && !strchr(path + n + 1, '/') ? path + n + 1 : NULL;
}

static const struct route *find(const struct server_request *rq, const char **id)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(routes); i++) {
		if (routes[i].method != rq->method)
			continue;
		*id = match(routes[i].path, rq->path);
		if (!*id)
			continue;
		if (!strchr(routes[i].path, '{'))
			*id = NULL;
		return &routes[i];
	}
	return NULL;
}

static int check_id(const char *id, struct err *e)
{
	if (!*id)
		return err_set(e, -EINVAL, "The ID cannot be empty.");
	if (!text_is_plain(id, "_"))
		return err_set(e, -EINVAL,
			"API Resource IDs can only contain alphanumeric characters and "
			"underscores.");
	if (strlen(id) > ID_MAX)
		return err_set(e, -EINVAL, "The ID is longer than %d characters.", ID_MAX);
	return 0;
}

static int check_body(const struct server_request *rq, struct err *e)
{
	if (rq->method == HTTP_GET && rq->body_len)
		return err_set(e, -EINVAL, "GET request cannot have a body.");
	if ((rq->method == HTTP_PUT || rq->method == HTTP_PATCH) && !rq->body_len)
		return err_set(e, -EINVAL, "Empty %s request.", rq->method_name);
	return 0;
}

static int unknown(const struct server_request *rq, struct err *e)
{
	char shown[TEXT_SHOWN];

	return err_set(e, -EINVAL, "Invalid request method and/or path: %s %s.", rq->method_name,
		text_show(shown, sizeof(shown), rq->path + 1));
}

static int parse_body(const struct server_request *rq, json_t **out, struct err *e)
{
	char shown[TEXT_SHOWN * 2];
	json_error_t error;

	*out = NULL;
	if (!rq->body_len)
		return 0;
	*out = json_loadb(rq->body, rq->body_len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!*out)
		return err_set(e, -EINVAL,
			"An error occurred when deserializing the json body of a request: %s at "
			"line %d column %d.",
			text_show(shown, sizeof(shown), error.text), error.line, error.column);
	if (!json_is_object(*out))
		return err_set(e, -EINVAL,
			"An error occurred when deserializing the json body of a request: expected "
			"an object.");
	return 0;
}

static int check_time(const struct route *route, const struct api *a, struct err *e)
{
	if (a->is_over)
		return err_set(e, -EINVAL, "The guest has ended.");
	if (!(route->when & (a->machine ? AFTER : BEFORE)))
		return err_set(e, -EINVAL,
			"The requested operation is not supported %s starting the microVM.",
			a->machine ? "after" : "before");
	return 0;
}

static int dispatch(struct api_call *call, struct err *e)
{
	const struct server_request *rq = call->rq;
	const struct route *route;
	_json json_t *body = NULL;
	int r = check_body(rq, e);

	route = r ? NULL : find(rq, &call->id);
	if (!r && !route)
		r = unknown(rq, e);
	if (!r && !route->handle)
		return err_set(
			e, -ENOTSUP, "%s %s is not supported yet.", rq->method_name, rq->path);
	if (!r && call->id)
		r = check_id(call->id, e);
	if (!r)
		r = parse_body(rq, &body, e);
	if (!r)
		r = check_time(route, call->api, e);
	if (r)
		return r;
	call->body = body;
	return route->handle(call, e);
}

/* Sends what the handler left, or why it could not. */
static void answer(struct api_call *call, int r, const struct err *e)
{
	_free char *text = call->text;

	if (!r && call->json) {
		text = json_dumps(call->json, JSON_COMPACT);
		call->type = JSON_TYPE;
	}
	metrics_request(call->api->metrics, call->rq->method_name, call->rq->path, !r);
	if (r)
		log_info("API: %s %s: %s", call->rq->method_name, call->rq->path, e->msg);
	else
		log_debug("API: %s %s", call->rq->method_name, call->rq->path);
	if (r)
		server_fault(call->rq, 400, e->msg);
	else if (call->is_streamed)
		return;
	else if (text)
		server_reply(call->rq, 200, call->type, text, strlen(text));
	else if (call->json)
		server_fault(call->rq, 500, "Out of memory.");
	else
		server_reply(call->rq, 204, NULL, NULL, 0);
	json_decref(call->json);
}

void route_request(void *ctx, struct server_request *rq)
{
	struct api_call call = { .api = ctx, .rq = rq };
	struct err e = { "" };
	int r = dispatch(&call, &e);

	answer(&call, r, &e);
}
