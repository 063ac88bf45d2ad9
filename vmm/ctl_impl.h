/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CTL_IMPL_H
#define NACRE_CTL_IMPL_H

#include <jansson.h>
#include <stdio.h>

#include "vmm/ctl.h"
#include "vmm/ctl_http.h"

/* What the files of ctl's verbs share: ctl.c and ctl_memory.c. */

/* What a verb works with. */
struct ctl {
	const struct ctl_options *options;
	const char *const *operands; /* behind the verb */
	unsigned int count;
	FILE *out;
	struct err *e;
};

/* GET, for an answer that is an object; the caller's. */
int ctl_ask_json(const struct ctl *c, const char *path, json_t **out);
/* GET, for one of any length: ctl_download, and what the machine refuses is an error. */
int ctl_fetch(const struct ctl *c, const char *path, ctl_take take, void *ctx);
/* To c->out, in one line or for people, as the options say. */
void ctl_print_json(const struct ctl *c, const json_t *j);
/* A request that is done or not; `done` tells people so. */
int ctl_command(const struct ctl *c, const char *method, const char *path, const char *body,
	const char *done);

/* ---- verbs: ctl_memory.c ---- */

int ctl_mte_tags(const struct ctl *c);
int ctl_set_mte_tags(const struct ctl *c);
int ctl_dump_memory(const struct ctl *c);

#endif
