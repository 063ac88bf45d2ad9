/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_VIRTIO_CONSOLE_H
#define NACRE_TEST_VIRTIO_CONSOLE_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/virtio_console.h"
#include "tests/unit/fake_driver.h"

/* What the files of the console's suite share: a console between pipes, its driver, and two loops. */
#define F_SIZE 1ull

#define RX 0
#define TX 1

struct console_test {
	struct guest guest;
	struct loop *loop;	   /* the device's; runs when told */
	struct loop *console_loop; /* the tty's; on a thread */
	struct loop_event *end;
	struct tty *tty;
	struct virtio_console *console;
	struct driver drv;
	struct ring rx, tx;
	bool early; /* chains are there before the device starts, which looks at once */
	int irq, in_pipe[2], out_pipe[2];
};
extern struct console_test ct;

void ct_setup(void);
void ct_teardown(void);
/* A new device on these descriptors, and a driver for it that has not begun. */
void ct_begin(int in, int out);
void ct_start_driver(uint64_t features);
void ct_pump(unsigned int ms);

/* Interrupts since the last call. */
unsigned int ct_irqs(void);
bool ct_broken(void);
void ct_expect_used(const struct ring *r, unsigned int n);
/* Numbers that do not repeat soon. */
void ct_pattern(uint8_t *p, size_t n, uint32_t seed);
/* Reads n bytes of output, and lets the device work meanwhile. */
void ct_read_output(uint8_t *p, size_t n);
bool ct_output_is_empty(void);
/* What is on its way. */
size_t ct_read_rest(uint8_t *p, size_t n);
void ct_transmit(uint16_t desc, uint64_t at, uint32_t len);
void ct_take_input(uint16_t desc, uint64_t at, uint32_t len);

TCase *virtio_console_terminal_case(void);

#endif
