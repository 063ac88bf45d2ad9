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
struct virtio_set;

/*
 * Opens and makes everything; on error nothing is left behind, and it may be tried again. Borrowed:
 * the config, and the loop for signals, timers and the end of the run, which is made here when NULL
 * is given.
 */
int machine_build(
	struct machine **out, const struct config *c, struct loop *control, struct err *e);
void machine_free(struct machine *m); /* accepts NULL */

/* What of the config concerns the architecture; the mode is as it was given, auto too. */
int machine_arch_config(const struct config *c, struct arch_config *out, struct err *e);

/* Requests may change it while it runs: by a socket there, borrowed. Before the start. */
void machine_set_api(struct machine *m, const char *sock);

/*
 * Runs the guest until it ends or a signal (SIGTERM, SIGINT, SIGHUP, SIGQUIT) asks us to, and
 * writes out what is left of its console; that waits for the reader until one of these signals or
 * Ctrl-A x. Returns 0 or -errno when it could not be started.
 */
int machine_run(struct machine *m, struct err *e);

/*
 * machine_run in two parts, for who runs the control loop by itself: loop_run returns when the guest
 * has ended, and then machine_finish is called once. After a failed start only machine_free is left;
 * the loop may return once for it, too.
 */
int machine_start(struct machine *m, struct err *e);
void machine_finish(struct machine *m);

/*
 * Holds the guest's vCPUs and the loop of its devices, from when the first returns until the second.
 * What was begun before may still end: disk requests that are under way, and queues that the host's
 * kernel serves (vhost), go on to write into its memory. The control loop goes on, and signals end a
 * paused machine like another. Between machine_start and machine_finish.
 */
void machine_pause(struct machine *m);
void machine_resume(struct machine *m);

/*
 * Presses the power button that ACPI tells the guest of; what comes of it is the guest's to decide, and
 * most shut down. False where there is none. Like machine_pause. SIGUSR2 does it too.
 */
bool machine_press_button(struct machine *m);

/* Its virtio devices, for changes while the guest runs, paused or not; NULL: none. */
const struct virtio_set *machine_virtio(const struct machine *m);

/* How the guest is protected: the mode that came of auto, too. */
struct machine_protection {
	enum protection mode;
	bool is_open; /* private memory that this process can read */
	const uint8_t
		*digest; /* SHA256_SIZE bytes, the machine's; NULL when nothing was measured */
};
void machine_get_protection(const struct machine *m, struct machine_protection *out);

/*
 * Its memory, which must not change while somebody looks: between machine_pause and machine_resume. And
 * the tags of it, or NULL for a guest without.
 */
const struct mem *machine_memory(const struct machine *m);
const struct mte *machine_tags(const struct machine *m);

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
