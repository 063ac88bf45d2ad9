/* SPDX-License-Identifier: Apache-2.0 */

/* What the machine says of itself: the log and the metrics. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/api_impl.h"
#include "vmm/api/resource.h"
#include "vmm/util/fd.h"
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

static char *copy(const char *s)
{
	return s ? strdup(s) : NULL;
}

static void swap(char **a, char **b)
{
	char *was = *a;

	*a = *b;
	*b = was;
}

/* What a request leaves out stays; a path that is given again is opened again. */
int api_put_logger(struct api_call *call, struct err *e)
{
	struct config *c = &call->api->config, was = *c;
	_free char *path = copy(c->log_path), *module = copy(c->log_module);
	struct log_config log;
	int r = resource_put(c, "logger", NULL, call->body, e);

	if (r)
		return r;
	log = config_log(c, call->api->options->id);
	r = log_setup(&log, e);
	if (!r)
		return 0;
	swap(&c->log_path, &path);
	swap(&c->log_module, &module);
	c->log_level = was.log_level;
	c->show_level = was.show_level;
	c->show_log_origin = was.show_log_origin;
	return r;
}

int api_put_metrics(struct api_call *call, struct err *e)
{
	struct api *a = call->api;
	int r;

	if (metrics_is_open(a->metrics))
		return err_set(e, -EBUSY,
			"Metrics are written already; another metrics_path needs another start.");
	r = resource_put(&a->config, "metrics", NULL, call->body, e);
	if (!r)
		r = metrics_open(a->metrics, a->config.metrics_path, e);
	if (r) {
		free(a->config.metrics_path);
		a->config.metrics_path = NULL;
	}
	return r;
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
