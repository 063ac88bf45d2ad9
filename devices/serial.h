/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SERIAL_H
#define NACRE_SERIAL_H

#include <pthread.h>
#include <stdbool.h>

#include "devices/bus.h"
#include "devices/irq.h"
#include "devices/tty.h"
#include "vmm/util/err.h"

/*
 * A 16550A serial port (National Semiconductor PC16550D data sheet): eight byte-wide registers at
 * stride 1, the same as MMIO on arm64 and as ports on x86. There is no line and no bit rate: what
 * the guest sends is at once in the tty's ring, and reception waits for the guest.
 *
 * When the ring runs full, LSR says that the transmitter is busy, so a guest that looks before it
 * sends waits; what is sent all the same is dropped and counted. No vCPU thread waits here.
 *
 * serial_ops are called by the bus with serial_lock held; the tty calls in from its loop and
 * takes the same lock. Lock order: serial, then tty.
 */
#define SERIAL_SIZE 8

struct serial;

struct serial_config {
	struct irq_line irq;
	struct tty *tty;  /* borrowed, outlives the device; NULL: no input, output is discarded */
	bool output_only; /* another device has the tty's input; see tty_join_output */
};

/* Makes the device and attaches it to the tty. Returns 0 or -errno. */
int serial_new(struct serial **out, const struct serial_config *cfg, struct err *e);
/* Detaches from the tty. Accepts NULL. No bus access may be under way any more. */
void serial_free(struct serial *s);

extern const struct bus_ops serial_ops;
pthread_mutex_t *serial_lock(struct serial *s);

/* Bytes that the guest has read, sent, and sent while the transmitter was busy. Any thread. */
struct serial_counts {
	uint64_t reads, writes, dropped;
};
void serial_read_counts(struct serial *s, struct serial_counts *out);

/* Bytes the guest sent while the transmitter was busy, and which are lost. Any thread. */
uint64_t serial_dropped(struct serial *s);

#endif
