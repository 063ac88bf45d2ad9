/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_API_H
#define NACRE_TEST_API_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/ratelimit.h"
#include "vmm/vm.h"

/* The cases of the suite: the server and its socket, and what requests do. */
TCase *api_server_case(void);
TCase *api_sock_case(void);
TCase *api_route_case(void);
TCase *api_changes_case(void);
TCase *api_memory_case(void);
TCase *api_files_case(void);
TCase *api_options_case(void);

/* ---- test_api_common.c: the handlers, on a machine that is none ---- */

struct api_fake {
	/* What the host is like. */
	bool cannot_build, cannot_start, no_button;
	/* What was done. */
	unsigned int built, started, freed, finished, pauses, resumes, presses;
	enum vm_end end;
	char path[64];
	struct ratelimit_config limit, rx, tx;
	uint64_t target;
	uint32_t interval;
	/* The answer. */
	int status;
	char text[65536];
	char sock[128]; /* of requests, as the machine knows it */
};
extern struct api_fake fake_api;
extern struct api *tested_api;

/* The fixture: a new one of both. */
void api_setup(void);
void api_teardown(void);

/* A request: its status; the body of the answer is in fake_api.text. */
int api_ask(const char *method, const char *path, const char *body);
/* Whether the answer has these words. */
void api_says(const char *words);
/* A request that is answered with 204; with 400 and these words. */
void api_done(const char *method, const char *path, const char *body);
void api_refused(const char *method, const char *path, const char *body, const char *words);
#define API_START "{\"action_type\":\"InstanceStart\"}"
/* What there is to start, and that it is started. */
void api_describe(void);
void api_begin(void);

#endif
