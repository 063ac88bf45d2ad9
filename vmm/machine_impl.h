/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_MACHINE_IMPL_H
#define NACRE_MACHINE_IMPL_H

#include <stdatomic.h>

#include "devices/pl031.h"
#include "devices/power.h"
#include "devices/probe.h"
#include "devices/serial.h"
#include "vmm/machine.h"
#include "vmm/util/loop.h"
#include "vmm/util/sha256.h"

/* What machine.c (life), machine_devices.c, machine_signals.c and machine_stats.c share. */

struct machine {
	const struct config *config;
	const char *api_sock; /* or NULL */
	struct vm *vm;
	struct loop *control;	  /* own_control, or borrowed */
	struct loop *own_control; /* or NULL */
	struct loop *console;
	struct loop_event *signals[LOOP_END_SIGNALS];
	struct loop_event *asked;   /* SIGUSR1 */
	struct loop_event *pressed; /* SIGUSR2 */
	struct metrics *metrics;    /* or NULL */
	struct loop_event *resumed;
	uint64_t started_ms; /* clock_ms */
	struct loop_event *resized;
	struct loop_event *drain_tick;
	struct tty *tty;
	int serial_out; /* -1: standard output. Kept open: we are a FIFO's reader while none is there */
	struct serial *serial;
	struct irq_line serial_irq;
	struct pl031 *rtc;
	struct irq_line rtc_irq;
	struct probe_dev *probe;
	struct power power;
	struct irq_line button; /* of ACPI */
	struct loop *io;	/* of the virtio devices; NULL without any */
	struct virtio_set *virtio;
	struct boot_entry entry;
	bool is_measured;
	uint8_t digest[SHA256_SIZE]; /* of what was loaded, when it is */
	bool is_paused;
	_Atomic bool staged;
	atomic_bool cancel; /* asked to stop once more: do not wait for the console's reader */
	_Atomic int signo;
};

/* ---- machine.c ---- */

/* Ctrl-A x: tty_config.quit. */
void machine_quit(void *machine);

/* ---- machine_signals.c ---- */

/* From here on these signals come to the control loop; before, they simply end the process. */
int machine_catch_signals(struct machine *m, struct err *e);
/* While the loop is still there. */
void machine_forget_signals(struct machine *m);

/* ---- machine_stats.c ---- */

/* Writes the last line, if there is a file, for which all devices must still be there. */
void machine_free_metrics(struct machine *m);

/* ---- machine_devices.c ---- */

/* First of all; then machine_free_devices does no harm. */
void machine_init_devices(struct machine *m);
/* Makes those that the config wants and registers them in the buses. The VM and all loops but that of
 * the virtio devices, which is made here, exist. */
int machine_add_devices(struct machine *m, struct err *e);
/* Their loops must still exist, and no vCPU be running. */
void machine_free_devices(struct machine *m);

#endif
