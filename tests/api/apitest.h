/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_API_H
#define NACRE_TEST_API_H

#include <jansson.h>

#include "tests/api/session.h"

/*
 * A test client of the API. It was written after Firecracker's OpenAPI document and knows nothing of
 * our sources but vmm/api/openapi.json, against which it holds what it sends and gets. What to send is
 * in tests/api/cases, a file for each operation; cases.c says what is in one.
 */
struct suite {
	const char *nacre, *guest;
	const json_t *doc;
	bool no_skip, has_kvm; /* is it a failure when no guest can be started? */
	int passed, failed, skipped;
};

/* All that a file of cases asks for; prints a line for each failure and counts. */
void cases_run(struct suite *t, const json_t *file);

#endif
