/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_METRICS_SET_H
#define NACRE_METRICS_SET_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Numbers with names, and the two forms that fleets read: Firecracker's JSON lines, where a counter
 * says what has come since the line before, and Prometheus' text, where it says what there is in
 * all. Pure; nobody here knows where a number comes from.
 */
enum metric_kind { METRIC_COUNTER, METRIC_GAUGE };

struct metric {
	char group[24]; /* "block" */
	char name[40];	/* "read_bytes" */
	/*
	 * Of several of the same name. With the label "id", of a device: JSON has it in the group
	 * "block_ID", and the sum of all in "block". Others become a part of the name. "": none.
	 */
	char label[8], value[65];
	enum metric_kind kind;
	uint64_t now;
};

/* At most METRICS_MAX, in the order in which they were added; what is too much is left out. */
#define METRICS_MAX 512u
struct metrics_set {
	unsigned int count;
	struct metric m[METRICS_MAX];
};

void metrics_add(struct metrics_set *s, enum metric_kind kind, const char *group, const char *name,
	uint64_t now);
void metrics_add_labelled(struct metrics_set *s, enum metric_kind kind, const char *group,
	const char *name, const char *label, const char *value, uint64_t now);

/*
 * An object of groups. Counters less what they were in `before`; NULL: in all. The caller's; NULL
 * when there is no memory.
 */
json_t *metrics_set_json(const struct metrics_set *s, const struct metrics_set *before);

/* Text exposition format 0.0.4, each name with HELP and TYPE. */
void metrics_set_prometheus(const struct metrics_set *s, FILE *out);

#endif
