/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_CONFIG_H
#define NACRE_TEST_CONFIG_H

#include <check.h>

#include "vmm/cli.h"
#include "vmm/config.h"

/* What the files of the config suite share; defined in test_config.c. */

#define ARGS_MAX 12

/* Parses "nacre" and at most ARGS_MAX arguments, which end with NULL. */
int parse_line(const char *const *given, struct cli *c, struct err *e);

/* The dump of a config as a string to free. */
char *dump_text(const struct config *c);

/* Reads the dump of a config, to free: it is to be read again as it was. */
void reread(const struct config *c, struct config *again);
/* A config file with that text is refused with these words. */
void text_refused(const char *text, const char *words);

/* Equal strings, or both NULL. */
void assert_same(const char *a, const char *b);
/* Equal in everything that a config file can say. */
void assert_same_config(const struct config *a, const struct config *b);

TCase *config_cli_case(void);
TCase *config_layout_case(void);
TCase *config_list_case(void);
TCase *config_once_case(void);
TCase *config_random_case(void);

#endif
