/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_OPTIONS_H
#define NACRE_API_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/config.h"
#include "vmm/options.h"
#include "vmm/util/bits.h"

/*
 * The command line of nacre api, which is Firecracker's: its names, and the same meaning where there
 * is one here. Owned strings, NULL where not given.
 */
struct api_options {
	char *sock; /* NULL without a socket */
	char *config_file;
	char *id;
	bool no_api;
	uint32_t max_payload; /* bytes of a request's body */
	char *log_path;
	char *level;
	enum log_format log_format; /* ours */
	bool show_level, show_log_origin;
	char *module;
	char *metrics_path;
	struct option_list allow_paths; /* of char * */
	bool no_seccomp;
	bool boot_timer; /* warned of */
	/* Accepted and not looked at. */
	char *start_us, *start_cpu_us, *parent_cpu_us, *mmds_limit;
	bool enable_pci;
	/* What there is no equivalent of: refused by api_options_check. */
	char *seccomp_filter, *metadata;
};

/* Where Firecracker's clients look when nobody tells them. */
#define API_DEFAULT_SOCK "/run/firecracker.socket"

/* Bytes of memory, whose tags one request reads or writes: others wait for that long. */
#define API_TAGS_MAX MIB(1)

extern const struct option_table api_table;

/* Accept one that was only zeroed. */
void api_options_init(struct api_options *o);
void api_options_free(struct api_options *o);

/* What they say of log and metrics goes before what c says. 0, or -EINVAL and a sentence. */
int api_options_apply(const struct api_options *o, struct config *c, struct err *e);

/* Checks what no single option shows, and fills in the socket where none is named. */
int api_options_check(struct api_options *o, struct err *e);

#endif
