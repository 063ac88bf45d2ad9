/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_PL031_H
#define NACRE_PL031_H

#include <pthread.h>

#include "devices/bus.h"
#include "devices/irq.h"
#include "vmm/util/err.h"
#include "vmm/util/loop.h"

/*
 * Arm's real time clock, PrimeCell PL031 (DDI 0224): a counter of seconds that a guest can load,
 * and an alarm. The counter is the host's CLOCK_REALTIME in seconds since 1970 (until 2106), plus
 * whatever distance the guest has put between them by loading it; when the host's clock is set,
 * counter and alarm follow. Nothing a guest writes here is seen by anybody else, or outlives it.
 *
 * Registers are 32 bits wide; other widths and offsets read zero and are dropped.
 */
enum pl031_reg {
	PL031_DR = 0x00,   /* read: the counter */
	PL031_MR = 0x04,   /* the alarm: when the counter becomes equal to it */
	PL031_LR = 0x08,   /* write: load the counter; reads what was written last */
	PL031_CR = 0x0c,   /* reads 1: it runs, and cannot be stopped */
	PL031_IMSC = 0x10, /* bit 0: let the alarm interrupt */
	PL031_RIS = 0x14,  /* read: bit 0: alarm has gone off */
	PL031_MIS = 0x18,  /* read: the same where IMSC lets it through */
	PL031_ICR = 0x1c,  /* write: bit 0 clears the alarm */
	PL031_ID = 0xfe0,  /* read: eight identification bytes, one in each word */
	PL031_SIZE = 0x1000,
};

struct pl031;

struct pl031_config {
	struct loop *loop;   /* where the alarm goes off; any but a slow one */
	struct irq_line irq; /* an edge as MIS becomes 1 */
};

/* pl031_free accepts NULL; no vCPU may be running any more. */
int pl031_new(struct pl031 **out, const struct pl031_config *cfg, struct err *e);
void pl031_free(struct pl031 *p);

extern const struct bus_ops pl031_ops;
pthread_mutex_t *pl031_lock(struct pl031 *p);

#endif
