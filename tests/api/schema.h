/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_SCHEMA_H
#define NACRE_TEST_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * As much of OpenAPI 3.0's schemas as vmm/api/openapi.json uses: a keyword that is not known here is
 * an error, so that nothing in the document goes unchecked.
 */

/* Does v fit? If not, `why` says where and what. doc: the whole document, for its references. */
bool schema_fits(const json_t *doc, const json_t *schema, const json_t *v, char *why, size_t size);

/* The schema of an operation's body, or NULL. method in lower case. */
const json_t *schema_of_request(const json_t *doc, const char *path, const char *method);
/* That of the answer with that status; NULL: no body, or not described. */
const json_t *schema_of_answer(const json_t *doc, const char *path, const char *method, int status);
/* Whether the document says that the operation may answer so. */
bool schema_has_answer(const json_t *doc, const char *path, const char *method, int status);

#endif
