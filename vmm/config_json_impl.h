/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CONFIG_JSON_IMPL_H
#define NACRE_CONFIG_JSON_IMPL_H

#include <jansson.h>

/* What config_json.c (reading) and config_dump.c (writing) share. */

static inline void json_release(json_t **v)
{
	json_decref(*v);
}

/* A local that drops its reference at the end of its scope. */
#define _json __attribute__((cleanup(json_release)))

#endif
