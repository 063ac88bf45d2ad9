/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/metrics.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vmm/metrics_set.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"
#include "vmm/util/log_sink.h"
#include "vmm/util/resident.h"

/* Firecracker's. */
#define MINUTE_US (60u * 1000000u)

/* Requests by path, as far as Firecracker counts them, and with which methods. */
static const struct {
	const char *path; /* the first part of it */
	const char *get, *put, *patch;
} resources[] = {
	{ "", "instance_info", NULL, NULL },
	{ "version", "vmm_version", NULL, NULL },
	{ "actions", NULL, "actions", NULL },
	{ "boot-source", NULL, "boot_source", NULL },
	{ "drives", NULL, "drive", "drive" },
	{ "logger", NULL, "logger", NULL },
	{ "machine-config", "machine_cfg", "machine_cfg", "machine_cfg" },
	{ "cpu-config", NULL, "cpu_cfg", NULL },
	{ "metrics", NULL, "metrics", NULL },
	{ "network-interfaces", NULL, "network", "network" },
	{ "mmds", "mmds", "mmds", "mmds" },
	{ "vsock", NULL, "vsock", NULL },
	{ "pmem", NULL, "pmem", NULL },
	{ "serial", NULL, "serial", NULL },
	{ "hotplug", "hotplug_memory", "hotplug_memory", "hotplug_memory" },
};

enum { GET, PUT, PATCH, METHODS };

static const char *const methods[METHODS] = { "GET", "PUT", "PATCH" };
static const char *const method_groups[METHODS] = { "get_api_requests", "put_api_requests",
	"patch_api_requests" };

struct metrics {
	metrics_read_fn read;
	void *arg;
	struct stats_report report; /* the last that was read */
	bool has_report;
	char id[65];
	struct sink *sink;
	struct loop_event *timer;
	int resident_fd;
	uint64_t failures, deprecated;
	struct {
		uint64_t count, fails;
	} requests[METHODS][ARRAY_SIZE(resources)];
	uint64_t latencies[METRICS_LATENCIES];
	uint64_t ready_us, ready_cpu_us;
	struct metrics_set before; /* what the last line said */
	struct metrics_set now;
};

/* ---- collecting ---- */

static const char *request_name(unsigned int method, size_t i)
{
	return method == GET   ? resources[i].get
	       : method == PUT ? resources[i].put
			       : resources[i].patch;
}

static void add_requests(const struct metrics *m, struct metrics_set *s)
{
	unsigned int method;
	char name[40];
	size_t i;

	for (method = 0; method < METHODS; method++) {
		for (i = 0; i < ARRAY_SIZE(resources); i++) {
			const char *what = request_name(method, i);

			if (!what)
				continue;
			snprintf(name, sizeof(name), "%s_count", what);
			metrics_add(s, METRIC_COUNTER, method_groups[method], name,
				m->requests[method][i].count);
			if (method == GET)
				continue;
			snprintf(name, sizeof(name), "%s_fails", what);
			metrics_add(s, METRIC_COUNTER, method_groups[method], name,
				m->requests[method][i].fails);
		}
	}
	metrics_add(
		s, METRIC_COUNTER, "deprecated_api", "deprecated_http_api_calls", m->deprecated);
}

static void add_program(const struct metrics *m, struct metrics_set *s)
{
	struct log_stats log;
	uint64_t resident = 0;

	log_read_stats(&log);
	resident_read(m->resident_fd, &resident);
	metrics_add(s, METRIC_GAUGE, "api_server", "process_startup_time_us", m->ready_us);
	metrics_add(s, METRIC_GAUGE, "api_server", "process_startup_time_cpu_us", m->ready_cpu_us);
	metrics_add(s, METRIC_GAUGE, "latencies_us", "pause_vm", m->latencies[METRICS_PAUSE]);
	metrics_add(s, METRIC_GAUGE, "latencies_us", "resume_vm", m->latencies[METRICS_RESUME]);
	metrics_add(s, METRIC_COUNTER, "logger", "missed_metrics_count",
		m->sink ? sink_lost(m->sink) : 0);
	metrics_add(s, METRIC_COUNTER, "logger", "metrics_fails", m->failures);
	metrics_add(s, METRIC_COUNTER, "logger", "missed_log_count", log.lost);
	metrics_add(s, METRIC_COUNTER, "nacre", "log_held_back", log.held_back);
	metrics_add(s, METRIC_GAUGE, "nacre", "resident_bytes", resident);
}

static void add_conversions(
	const struct stats_convert_report *c, const char *to, struct metrics_set *s)
{
	const struct {
		const char *name;
		enum metric_kind kind;
		uint64_t n;
	} rows[] = {
		{ "conversions", METRIC_COUNTER, c->done },
		{ "conversions_bytes", METRIC_COUNTER, c->bytes },
		{ "conversions_refused", METRIC_COUNTER, c->refused },
		{ "conversions_unchanged", METRIC_COUNTER, c->unchanged },
		{ "conversion_median_ns", METRIC_GAUGE, c->median },
		{ "conversion_p90_ns", METRIC_GAUGE, c->p90 },
		{ "conversion_p99_ns", METRIC_GAUGE, c->p99 },
		{ "conversion_longest_ns", METRIC_GAUGE, c->longest },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(rows); i++)
		metrics_add_labelled(s, rows[i].kind, "nacre", rows[i].name, "to", to, rows[i].n);
}

static void add_device(const struct stats_device *d, struct metrics_set *s)
{
	unsigned int i;

	for (i = 0; d->group && i < d->counter_count; i++)
		metrics_add_labelled(s, METRIC_COUNTER, d->group, d->counters[i].name,
			d->id[0] ? "id" : "", d->id, d->counters[i].value);
}

static void add_machine(const struct stats_report *r, struct metrics_set *s)
{
	unsigned int i;

	metrics_add(s, METRIC_COUNTER, "vcpu", "exit_io_in", r->vcpu.io_in);
	metrics_add(s, METRIC_COUNTER, "vcpu", "exit_io_out", r->vcpu.io_out);
	metrics_add(s, METRIC_COUNTER, "vcpu", "exit_mmio_read", r->vcpu.mmio_read);
	metrics_add(s, METRIC_COUNTER, "vcpu", "exit_mmio_write", r->vcpu.mmio_write);
	metrics_add(s, METRIC_COUNTER, "vcpu", "failures", r->vcpu.failures);
	metrics_add(s, METRIC_COUNTER, "uart", "read_count", r->uart.reads);
	metrics_add(s, METRIC_COUNTER, "uart", "write_count", r->uart.writes);
	metrics_add(s, METRIC_COUNTER, "uart", "missed_write_count", r->uart.dropped);
	metrics_add(s, METRIC_COUNTER, "uart", "rate_limiter_dropped_bytes", r->uart.limited);
	metrics_add(s, METRIC_GAUGE, "nacre", "uptime_ms", r->uptime_ms);
	metrics_add(s, METRIC_GAUGE, "nacre", "ram_bytes", r->ram_bytes);
	metrics_add(s, METRIC_GAUGE, "nacre", "shared_bytes", r->shared_now);
	metrics_add(s, METRIC_GAUGE, "nacre", "shared_peak_bytes", r->shared_peak);
	metrics_add(s, METRIC_GAUGE, "nacre", "buffers_bytes", r->held_now);
	metrics_add(s, METRIC_GAUGE, "nacre", "buffers_peak_bytes", r->held_peak);
	add_conversions(&r->convert[0], "shared", s);
	add_conversions(&r->convert[1], "private", s);
	for (i = 0; i < r->device_count; i++)
		add_device(&r->devices[i], s);
}

static void collect(struct metrics *m)
{
	m->now.count = 0;
	if (m->read) {
		memset(&m->report, 0, sizeof(m->report));
		m->read(m->arg, &m->report);
		m->has_report = true;
	}
	add_program(m, &m->now);
	add_requests(m, &m->now);
	add_machine(&m->report, &m->now);
}

void metrics_set_source(struct metrics *m, metrics_read_fn read, void *arg)
{
	/* What the machine that goes has done is still to be told. */
	if (m->read && !read)
		collect(m);
	m->read = read;
	m->arg = arg;
}

/* ---- forms ---- */

/* Groups that are there whether the machine has such a device or not: readers count on them. */
static const char *const always[] = { "balloon", "block", "net", "vsock", "entropy" };

static json_t *line_json(struct metrics *m)
{
	json_t *groups, *all = json_object(), *ours;
	struct timespec t;
	size_t i;

	collect(m);
	clock_gettime(CLOCK_REALTIME, &t);
	json_object_set_new(all, "utc_timestamp_ms",
		json_integer((json_int_t)t.tv_sec * 1000 + t.tv_nsec / 1000000));
	if (m->id[0])
		json_object_set_new(all, "id", json_string(m->id));
	groups = metrics_set_json(&m->now, &m->before);
	for (i = 0; i < ARRAY_SIZE(always); i++)
		if (groups && !json_object_get(groups, always[i]))
			json_object_set_new(groups, always[i], json_object());
	ours = json_object_get(groups, "nacre");
	if (ours && m->has_report)
		json_object_set_new(
			ours, "protection", json_string(protection_name(m->report.protection)));
	json_object_update(all, groups);
	json_decref(groups);
	return all;
}

char *metrics_prometheus(struct metrics *m, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);

	if (!out)
		return NULL;
	collect(m);
	fprintf(out, "# HELP nacre_info What this is\n# TYPE nacre_info gauge\n"
		     "nacre_info{version=\"" NACRE_VERSION "\"");
	if (m->has_report)
		fprintf(out, ",protection=\"%s\"", protection_name(m->report.protection));
	/* Identities are letters, digits and dashes: nothing to escape. */
	if (m->id[0])
		fprintf(out, ",id=\"%s\"", m->id);
	fputs("} 1\n", out);
	metrics_set_prometheus(&m->now, out);
	if (!fclose(out))
		return text;
	free(text);
	return NULL;
}

int metrics_flush(struct metrics *m, struct err *e)
{
	json_t *line;
	char *text;
	size_t len;
	bool done;

	if (!m->sink)
		return 0;
	line = line_json(m);
	text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	json_decref(line);
	if (!text) {
		m->failures++;
		return err_set(e, -ENOMEM, "metrics: out of memory");
	}
	/* The line end takes the place of the NUL. */
	len = strlen(text);
	text[len++] = '\n';
	done = sink_write(m->sink, text, len);
	free(text);
	if (!done)
		return err_set(e, -EAGAIN,
			"metrics: no room for a line (is anybody reading the FIFO, and is there "
			"room on the disk?)");
	/* A line that is lost is contained in the next one. */
	m->before = m->now;
	return 0;
}

/* ---- life ---- */

static void on_minute(void *arg)
{
	struct metrics *m = arg;
	struct err e = { "" };

	if (metrics_flush(m, &e))
		log_limited(LOG_WARN, "%s", e.msg);
	loop_timer_set(m->timer, MINUTE_US);
}

int metrics_new(struct metrics **out, struct loop *loop, const char *id, struct err *e)
{
	struct metrics *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "metrics: out of memory");
	snprintf(m->id, sizeof(m->id), "%s", id ? id : "");
	/* Opens a file at the first object of all, which may be too late for that. */
	json_object_seed(0);
	m->resident_fd = resident_open();
	r = loop_add_timer(loop, on_minute, m, &m->timer, e);
	if (r) {
		fd_close(&m->resident_fd);
		free(m);
		return r;
	}
	*out = m;
	return 0;
}

int metrics_open(struct metrics *m, const char *path, struct err *e)
{
	int r;

	if (m->sink)
		return err_set(e, -EBUSY, "metrics: they are written already");
	r = sink_open(&m->sink, path, e);
	if (r)
		return err_prefix(e, r, "metrics");
	loop_timer_set(m->timer, MINUTE_US);
	return 0;
}

bool metrics_is_open(const struct metrics *m)
{
	return m->sink;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	metrics_flush(m, NULL);
	loop_event_free(m->timer);
	sink_free(m->sink);
	fd_close(&m->resident_fd);
	free(m);
}

/* ---- what is told from outside ---- */

void metrics_request(struct metrics *m, const char *method, const char *path, bool ok)
{
	size_t len, i;
	int k;

	path += *path == '/';
	len = strcspn(path, "/?");
	for (k = 0; k < METHODS && strcmp(methods[k], method) != 0; k++)
		;
	for (i = 0; k < METHODS && i < ARRAY_SIZE(resources); i++) {
		if (strlen(resources[i].path) != len || memcmp(resources[i].path, path, len) != 0)
			continue;
		m->requests[k][i].count++;
		m->requests[k][i].fails += !ok;
	}
}

void metrics_deprecated(struct metrics *m)
{
	m->deprecated++;
}

void metrics_took(struct metrics *m, enum metrics_latency what, uint64_t us)
{
	m->latencies[what] = us;
}

void metrics_ready(struct metrics *m, uint64_t begun_ns)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	m->ready_us = (clock_ns() - begun_ns) / 1000;
	m->ready_cpu_us = (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}
