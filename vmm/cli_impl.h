/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CLI_IMPL_H
#define NACRE_CLI_IMPL_H

#include <stddef.h>

#include "vmm/cli.h"
#include "vmm/options.h"

/* The commands, for cli.c (the command line), cli_help.c and completion.c (what shells know of it). */

#define CLI_TABLES 2

struct command_def {
	const char *name;
	const char *operands; /* of the usage line */
	const char *summary;
	/* Those of --help first; then perhaps run's, which it need not list again. */
	struct {
		const struct option_table *options; /* NULL: takes none */
		size_t base;			    /* offset in struct cli that it counts from */
	} tables[CLI_TABLES];
};

extern const struct command_def cli_commands[COMMANDS];
/* Every command has it, so it is in no table and has no field. */
extern const struct option_def cli_help_def;

/* NULL: there is none of that name. */
const struct command_def *cli_find_command(const char *name);

#endif
