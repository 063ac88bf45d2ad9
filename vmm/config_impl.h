/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CONFIG_IMPL_H
#define NACRE_CONFIG_IMPL_H

#include <limits.h>

#include "vmm/config.h"
#include "vmm/util/bits.h"

/*
 * What config.c, config_check.c and the tables of devices (config_devices.c, config_net.c) share. Not for
 * others.
 */

#define FILE_ARG     .type = OPTION_PATH, .min = 1, .max = PATH_MAX - 1, .arg = "FILE"
#define NAMES(names) .type = OPTION_ENUM, .values = names, .value_count = ARRAY_SIZE(names)

#define MEM_MIB_MAX (16LL << 20)
#define RATE_MAX    (1LL << 62)
/* Of a disk or network device: a name in a path of the API. */
#define CONFIG_ID_MAX 64
/* More cannot be found: there is a slot for each, and 16 of them. */
#define DISKS_MAX 15
#define NETS_MAX  15

extern const struct option_table config_disk_table, config_net_table, config_balloon_table,
	config_vsock_table;

#define NET_MTU_MIN 68u /* virtio 1.2, 5.1.4.1 */
#define NET_MTU_MAX 65535u
/* What the kernel takes for the name of one interface. */
bool net_is_interface(const char *name);
/* 0, or -EINVAL: that is no address, or none of one interface. */
int net_check_mac(const char *text, struct err *e);

/* Bounce buffers, unless told otherwise. */
#define SWIOTLB_MIB 64u

/* Linux keeps 2048 bytes on both architectures, the end mark included, and cuts silently. */
#define PARAMS_MAX 2047

/* Their part of config_check. */
int config_check_devices(const struct config *c, struct err *e);
int config_check_nets(const struct config *c, struct err *e);

#endif
