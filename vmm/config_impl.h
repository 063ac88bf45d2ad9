/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CONFIG_IMPL_H
#define NACRE_CONFIG_IMPL_H

#include <limits.h>

#include "vmm/config.h"
#include "vmm/util/bits.h"

/* What config.c and the tables of devices (config_devices.c, config_net.c) share. Not for others. */

#define FILE_ARG     .type = OPTION_PATH, .min = 1, .max = PATH_MAX - 1, .arg = "FILE"
#define NAMES(names) .type = OPTION_ENUM, .values = names, .value_count = ARRAY_SIZE(names)

#define MEM_MIB_MAX (16LL << 20)
#define RATE_MAX    INT64_MAX
/* More cannot be found: there is a slot for each, and 16 of them. */
#define DISKS_MAX 15
#define NETS_MAX  15

extern const struct option_table config_disk_table, config_net_table, config_balloon_table,
	config_vsock_table;

/* Their part of config_check. */
int config_check_devices(const struct config *c, struct err *e);
int config_check_nets(const struct config *c, struct err *e);

#endif
