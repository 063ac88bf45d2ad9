/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_MACHINE_H
#define NACRE_MACHINE_H

#include "vmm/config.h"
#include "vmm/util/err.h"
#include "vmm/vm.h"

/*
 * A machine: one VM with its devices, loops and boot files, built from a config. This is the one
 * place that knows both devices and architecture; it joins them by platform rows. Control thread
 * only. To add a device: its file, a row in the architecture's layout, a line in machine_devices.c.
 */
struct machine;

/* Opens and makes everything; on error nothing is left behind. The config is borrowed. */
int machine_build(struct machine **out, const struct config *c, struct err *e);
void machine_free(struct machine *m); /* accepts NULL */

/* What of the config concerns the architecture; the mode is as it was given, auto too. */
int machine_arch_config(const struct config *c, struct arch_config *out, struct err *e);

/*
 * Runs the guest until it ends or a signal (SIGTERM, SIGINT, SIGHUP, SIGQUIT) asks us to, and
 * writes out what is left of its console; that waits for the reader until one of these signals or
 * Ctrl-A x. Returns 0 or -errno when it could not be started.
 */
int machine_run(struct machine *m, struct err *e);

/* The numbers of this moment; SIGUSR1 prints them. Control thread, while the machine exists. */
void machine_stats(struct machine *m, struct stats_report *out);

/*
 * Writes metrics there each minute and when the machine is freed (vmm/metrics.h). For those who have
 * no struct metrics of their own, with machine_stats as its source.
 */
int machine_write_metrics(struct machine *m, const char *path, struct err *e);

/*
 * After machine_run: how it ended. *signo is the last signal that asked us to stop, be it the guest
 * or the wait for the console's reader; 0 when none came, as for Ctrl-A x.
 */
enum vm_end machine_end(const struct machine *m, const char **text, int *signo);

#endif
