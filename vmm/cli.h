/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CLI_H
#define NACRE_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "vmm/api/options.h"
#include "vmm/config.h"
#include "vmm/ctl.h"
#include "vmm/inspect.h"
#include "vmm/util/err.h"

/* The command line: which command, with which settings. Nothing here prints but cli_print_help. */

enum command {
	CMD_RUN,
	CMD_MEASURE,
	CMD_API,
	CMD_CTL,
	CMD_INSPECT,
	CMD_DOCTOR,
	CMD_HELP,
	CMD_COMPLETION,
	CMD_VERSION,
	COMMANDS
};

struct cli {
	enum command command;
	struct config config; /* of run and measure; of api, what its config file says */
	struct api_options api;
	bool json; /* of doctor and measure: print a report for programs */
	bool text; /* of measure: print what the digest is of */
	struct ctl_options ctl;
	struct inspect_options inspect;
	const char *words[CTL_OPERANDS]; /* of ctl: verb and operands; of inspect: the file */
	unsigned int word_count;
	const char *
		topic; /* of completion: the shell; of help: the name of a command, or NULL for all of them */
};

/* Exit status of the program; part of its interface (man page, EXIT STATUS). */
enum exit_status {
	EXIT_OK = 0,	   /* the guest powered off or reset; the question was answered */
	EXIT_NO_START = 1, /* the host lacks something, or a file is missing or unfit */
	EXIT_USAGE = 2,	   /* command line or config file are wrong; nothing was opened */
	EXIT_GUEST = 3	   /* the guest or KVM failed while running */
};

/*
 * Parses the whole command line and the config file it names; the result has passed config_check, but
 * for that of api without a config file. Returns 0, or -errno with a sentence for the user, which means
 * EXIT_USAGE, but for -ENOTSUP EXIT_NO_START; then out holds nothing. Changes neither argv nor any
 * global, and may be called any number of times.
 */
int cli_parse(int argc, char **argv, struct cli *out, struct err *e);

/* Frees what cli_parse filled in. */
void cli_free(struct cli *c);

/* Prints the help of one command, or with NULL (or a name that is none) the overview. */
void cli_print_help(FILE *out, const char *command);

#endif
