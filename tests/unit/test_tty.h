/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_TTY_H
#define NACRE_TEST_TTY_H

#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "devices/tty.h"
#include "vmm/util/loop.h"

/* What the three files of the tty suite share; defined in test_tty.c. */

/* A device that keeps what it gets and takes `room` bytes until told otherwise. */
struct tty_dev {
	pthread_mutex_t lock;
	uint8_t got[65536];
	size_t count, room;
	unsigned int drained;
	atomic_uint quits;
};

extern struct tty_dev dev;
extern struct tty *tty;
extern struct loop *loop;
extern int in_pipe[2], out_pipe[2];

/* The pipes; for every test case. */
void tty_setup(void);
void tty_teardown(void);

/* A loop on its thread, and between it and dev a tty on these descriptors. Returns 0 or -errno. */
int tty_begin(int in, int out);
void tty_end(void);

/* How many bytes dev got; waits up to 5 s for n of them; lets it take n more. */
size_t dev_count(void);
bool dev_wait(size_t n);
void dev_give_room(size_t n);

/* Processor time of the whole process in milliseconds; whether it uses next to none. */
long cpu_ms(void);
bool loop_is_idle(void);

/* A regular file without a name that holds text, at its start. */
int temp_file(const char *text);

/* Writes until the ring is full and stays so, and the descriptor behind it, fd, as well. */
size_t fill_ring(int fd);

TCase *tty_output_case(void);
TCase *tty_terminal_case(void);

#endif
