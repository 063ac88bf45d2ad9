/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_IMPL_H
#define NACRE_API_IMPL_H

#include <jansson.h>
#include <stdbool.h>

#include "vmm/api/api.h"
#include "vmm/api/server.h"
#include "vmm/machine.h"
#include "vmm/metrics.h"
#include "vmm/util/loop.h"

/* What api.c (life), route.c (which request means what) and the handlers share. */

struct api {
	const struct api_options *options;
	struct config config;
	struct loop *loop;
	struct server *server; /* NULL: no socket is wanted */
	struct loop_event *signals[LOOP_END_SIGNALS], *asked, *pressed;
	struct machine *machine; /* NULL before the start */
	struct metrics *metrics;
	int signo; /* that stopped us before the start */
	bool is_paused;
	bool is_dumping; /* a dump of memory is being sent; the guest stands still meanwhile */
	bool is_over;	 /* the run has ended, and only the rest of its output is waited for */
};

/*
 * A request on its way through its handler. The handler leaves the answer in one of json and text, or
 * neither, which is 204; route.c sends it and frees them.
 */
struct api_call {
	struct api *api;
	struct server_request *rq;
	const char *id; /* of the path, or NULL */
	const json_t *body;
	json_t *json;
	char *text;
	const char *type; /* of text */
	bool is_streamed; /* the answer is on its way already */
};

/* ---- api.c ---- */

const char *api_state(const struct api *a);

/* ---- watch.c ---- */

/* Metrics exist from here on; begun_ns: when the program started (clock_ns). */
int watch_new(struct api *a, uint64_t begun_ns, struct err *e);
/* There is a machine now, or there will be none any more. */
void watch_machine(struct api *a);

/* ---- route.c ---- */

/* server_config.handle; ctx is a struct api. */
void route_request(void *ctx, struct server_request *rq);

/* ---- handlers.c ---- */

/*
 * 0, or -EINVAL and a sentence: the object has a field that is not in the list, which ends with NULL,
 * or lacks the first of it.
 */
int api_only_fields(const json_t *body, const char *const *names, struct err *e);

/* ---- files.c ---- */

/*
 * Whether the files that the object names can be opened, as Firecracker looks when it is told of
 * them; whoever names one that is not there need not wait for the start to hear of it. 0, or -errno
 * and a sentence, which may be about the object's fields, too.
 */
int api_check_files(const char *name, const char *id, const json_t *body, struct err *e);

/* ---- handlers: 0, or -errno and a sentence ---- */

typedef int (*api_handler)(struct api_call *call, struct err *e);

int api_get_instance(struct api_call *call, struct err *e);
int api_get_version(struct api_call *call, struct err *e);
int api_get_config(struct api_call *call, struct err *e);
int api_put_actions(struct api_call *call, struct err *e);
int api_patch_vm(struct api_call *call, struct err *e);
int api_get_protection(struct api_call *call, struct err *e);
int api_get_doctor(struct api_call *call, struct err *e);
int api_get_openapi(struct api_call *call, struct err *e); /* openapi.c */
int api_put_object(struct api_call *call, struct err *e);
int api_patch_object(struct api_call *call, struct err *e);
int api_get_object(struct api_call *call, struct err *e);
/* changes.c */
int api_patch_drive(struct api_call *call, struct err *e);
int api_patch_net(struct api_call *call, struct err *e);
int api_patch_balloon(struct api_call *call, struct err *e);
int api_get_balloon_stats(struct api_call *call, struct err *e);
int api_patch_balloon_stats(struct api_call *call, struct err *e);

/* memory.c */
int api_get_tags(struct api_call *call, struct err *e);
int api_put_tags(struct api_call *call, struct err *e);
int api_get_dump(struct api_call *call, struct err *e);

/* watch.c */
int api_put_logger(struct api_call *call, struct err *e);
int api_put_metrics(struct api_call *call, struct err *e);
int api_get_metrics(struct api_call *call, struct err *e);
int api_flush_metrics(struct api *a, struct err *e);

#endif
