/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_METRICS_H
#define NACRE_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/stats.h"
#include "vmm/util/err.h"
#include "vmm/util/loop.h"

/*
 * The metrics of one machine, in Firecracker's layout and names as far as there is the thing that is
 * counted, and with a group `nacre` of ours; nacre-api(7) lists them. They are collected when somebody
 * wants them. With a path a line goes there each minute, without waiting for who reads it
 * (vmm/util/log_sink.h). Control thread only.
 */
struct metrics;

typedef void (*metrics_read_fn)(void *arg, struct stats_report *out);

/* loop: for the minute's timer; borrowed. id: of the machine, or NULL. 0 or -errno. */
int metrics_new(struct metrics **out, struct loop *loop, const char *id, struct err *e);
/* Writes a last line, where there is a path. The loop still exists. Accepts NULL. */
void metrics_free(struct metrics *m);

/* Where the machine's numbers come from; NULL while there is none. They are kept when it goes. */
void metrics_set_source(struct metrics *m, metrics_read_fn read, void *arg);

/* Opens the file or FIFO and starts the timer. -EBUSY and a sentence when there is one already. */
int metrics_open(struct metrics *m, const char *path, struct err *e);

bool metrics_is_open(const struct metrics *m);

/* Writes a line now. 0, also without a path; -EAGAIN and a sentence when it found no room. */
int metrics_flush(struct metrics *m, struct err *e);

/* For GET /metrics: text for Prometheus, the caller's to free. NULL: out of memory. */
char *metrics_prometheus(struct metrics *m, size_t *len);

/* ---- what is told from outside ---- */

/* A request was answered: method "GET", "PUT" or "PATCH", and its path; ok: with 2xx. */
void metrics_request(struct metrics *m, const char *method, const char *path, bool ok);
/* A request had a field that is to go. */
void metrics_deprecated(struct metrics *m);

/* How long the last one took, for the requester. */
enum metrics_latency { METRICS_PAUSE, METRICS_RESUME, METRICS_LATENCIES };
void metrics_took(struct metrics *m, enum metrics_latency what, uint64_t us);

/* The program is ready for requests; begun_ns: when it was started (clock_ns). */
void metrics_ready(struct metrics *m, uint64_t begun_ns);

#endif
