/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_SERIAL_H
#define NACRE_TEST_SERIAL_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/bus.h"
#include "devices/serial.h"
#include "devices/tty.h"

/* What the three files of the serial suite share; defined in test_serial.c. */

/* Register offsets and bits, written out here as a driver would know them. */
enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

#define THRE 0x60 /* with TEMT */
#define DR   0x01

extern struct bus serial_bus;
extern struct serial *serial;
/* With serial_setup_tty: between the port and two pipes. */
extern struct tty *serial_tty;
extern int serial_in[2], serial_out[2];

/* The port alone, and with a tty whose loop runs on a thread. */
void serial_setup(void);
void serial_teardown(void);
void serial_setup_tty(void);
void serial_teardown_tty(void);

/* Registers, as a driver reaches them. */
uint8_t serial_get(unsigned int reg);
void serial_put(unsigned int reg, uint8_t v);

/* Interrupts raised since the last call; waits up to 5 s for one, or for bits of LSR. */
unsigned int serial_irqs(void);
bool serial_wait_irq(void);
bool serial_wait_lsr(uint8_t bits);

TCase *serial_interrupts_case(void);
TCase *serial_tty_case(void);

#endif
