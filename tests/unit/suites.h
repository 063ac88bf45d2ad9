/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SUITES_H
#define NACRE_SUITES_H

#include <check.h>

/* One suite per test file; run.c lists them. */
Suite *acpi_suite(void);
Suite *api_suite(void);
Suite *api_stream_suite(void);
Suite *alias_suite(void);
Suite *arm64_boot_suite(void);
Suite *arm64_image_suite(void);
Suite *backing_suite(void);
Suite *bounce_suite(void);
Suite *bus_suite(void);
Suite *config_suite(void);
Suite *attributes_suite(void);
Suite *dump_suite(void);
Suite *fault_suite(void);
Suite *convert_suite(void);
Suite *convert_cost_suite(void);
Suite *ctl_suite(void);
Suite *doctor_suite(void);
Suite *hold_suite(void);
Suite *inspect_suite(void);
Suite *landlock_suite(void);
Suite *log_suite(void);
Suite *machine_suite(void);
Suite *measure_suite(void);
Suite *mem_suite(void);
Suite *memlock_suite(void);
Suite *metrics_suite(void);
Suite *mte_suite(void);
Suite *netio_suite(void);
Suite *park_suite(void);
Suite *passt_suite(void);
Suite *pl031_suite(void);
Suite *power_suite(void);
Suite *probe_suite(void);
Suite *protect_suite(void);
Suite *ratelimit_suite(void);
Suite *resource_suite(void);
Suite *rsi_suite(void);
Suite *sandbox_suite(void);
Suite *seccomp_suite(void);
Suite *serial_suite(void);
Suite *stage_suite(void);
Suite *stats_suite(void);
Suite *tty_suite(void);
Suite *util_suite(void);
Suite *virtio_balloon_suite(void);
Suite *virtio_blk_suite(void);
Suite *virtio_console_suite(void);
Suite *virtio_mmio_suite(void);
Suite *virtio_net_suite(void);
Suite *virtio_rng_suite(void);
Suite *vhost_suite(void);
Suite *virtio_vsock_suite(void);
Suite *virtq_suite(void);
Suite *x86_boot_suite(void);
Suite *x86_elf_suite(void);
Suite *x86_features_suite(void);
Suite *x86_sev_suite(void);

#endif
