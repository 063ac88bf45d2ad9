/* SPDX-License-Identifier: Apache-2.0 */

/* What the machine says of itself: the log and the metrics. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/api_impl.h"
#include "vmm/api/resource.h"
#include "vmm/util/log.h"

#define PROMETHEUS_TYPE "text/plain; version=0.0.4"

static void read_machine(void *machine, struct stats_report *out)
{
	machine_stats(machine, out);
}

int watch_new(struct api *a, uint64_t begun_ns, struct err *e)
{
	int r = metrics_new(&a->metrics, a->loop, a->options->id, e);

	if (!r && a->config.metrics_path)
		r = metrics_open(a->metrics, a->config.metrics_path, e);
	if (!r)
		metrics_ready(a->metrics, begun_ns);
	return r;
}

void watch_machine(struct api *a)
{
	if (a->metrics)
		metrics_set_source(a->metrics, a->machine ? read_machine : NULL, a->machine);
}

/* ---- handlers ---- */

static int apply_logger(void *ctx, const struct config *c, struct err *e)
{
	const struct api *a = ctx;
	struct log_config log = config_log(c, a->options->id);

	return log_setup(&log, e);
}

static int apply_metrics(void *ctx, const struct config *c, struct err *e)
{
	struct api *a = ctx;

	return metrics_open(a->metrics, c->metrics_path, e);
}

/* What a request leaves out stays; a path that is given again is opened again. */
int api_put_logger(struct api_call *call, struct err *e)
{
	return resource_apply(&call->api->config, "logger", call->body, apply_logger, call->api, e);
}

int api_put_metrics(struct api_call *call, struct err *e)
{
	struct api *a = call->api;

	if (metrics_is_open(a->metrics))
		return err_set(e, -EBUSY,
			"Metrics are written already; another metrics_path needs another start.");
	return resource_apply(&a->config, "metrics", call->body, apply_metrics, a, e);
}

int api_get_metrics(struct api_call *call, struct err *e)
{
	size_t len;

	call->text = metrics_prometheus(call->api->metrics, &len);
	call->type = PROMETHEUS_TYPE;
	return call->text ? 0 : err_set(e, -ENOMEM, "out of memory");
}

int api_flush_metrics(struct api *a, struct err *e)
{
	return metrics_flush(a->metrics, e);
}
