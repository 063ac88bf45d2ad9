/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CONFIG_LINE_H
#define NACRE_CONFIG_LINE_H

#include <stddef.h>

/*
 * The line, from 1, on which a field of a JSON text stands: key of the outermost object, and in its
 * value what path names, "1/rate_limiter/size" (err_field(); "": the key itself). Of a path that
 * leads nowhere, the line of the last part that is there. The text must be valid JSON.
 */
int config_line(const char *text, size_t len, const char *key, const char *path);

#endif
