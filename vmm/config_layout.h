/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CONFIG_LAYOUT_H
#define NACRE_CONFIG_LAYOUT_H

#include <jansson.h>
#include <stdbool.h>

#include "vmm/config.h"
#include "vmm/util/err.h"

/*
 * Firecracker's layout of a config file, "boot-source", "drives" and so on, which may stand beside
 * our settings. Three keys are in both: what they hold tells which one is meant. Paths in these
 * objects count from the working directory, as there.
 */

/*
 * Whether that key of the file's object, with that value, is of this layout. In a file of this layout
 * null asks for nothing; ours has no null.
 */
bool layout_has(const json_t *root, const char *key, const json_t *v);

/* The keys, from 0 on; NULL behind the last. */
const char *layout_key(size_t i);

/* Sets all of them that the file's object has. On an error *key is the one that is wrong. */
int layout_set(struct config *c, const json_t *root, const char **key, struct err *e);

#endif
