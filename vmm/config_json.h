/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CONFIG_JSON_H
#define NACRE_CONFIG_JSON_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

#include "vmm/config.h"
#include "vmm/util/err.h"

/*
 * Settings as a JSON object whose keys are the long option names. Reading is strict: what is not
 * understood is an error that names file, line and key, since a protected guest that starts with a
 * setting silently dropped is worse than one that does not start.
 */

/* A config file is written by people; anything larger is the wrong file. */
#define CONFIG_FILE_MAX ((size_t)1 << 20)

/*
 * Reads the file over what c holds: keys that it has not stay as they are. Relative paths in it
 * count from the folder of the file and arrive in c as paths from the working directory. After an
 * error c holds some of the settings and must still be freed. config_check is the caller's.
 */
int config_load(struct config *c, const char *path, struct err *e);

/* The same for text already in memory; path names it in messages and gives the folder. */
int config_parse(struct config *c, const char *path, const char *text, size_t len, struct err *e);

/* Sets one setting of the struct at base from JSON; a path counts from the working directory. */
int config_set_json(const struct option_def *def, void *base, const json_t *v, struct err *e);

/* "an object", "true": what kind of value that is, for messages. */
const char *config_json_type(const json_t *v);

/*
 * Prints c as a config file that means the same wherever it is put: every setting but those for
 * the command line only, paths made absolute. -EILSEQ for text that JSON cannot hold.
 */
int config_dump(const struct config *c, FILE *out, struct err *e);

#endif
