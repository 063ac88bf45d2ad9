/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_MACHINE_H
#define NACRE_TEST_MACHINE_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/tty.h"
#include "vmm/machine.h"

/* What the guest does, and what the host is like. */
struct machine_fake {
	unsigned int prints;
	bool powers_off;
	bool asked_measurement, told_arch;
	bool impossible; /* there can be no such VM */
	bool warned;
	bool no_threads;	  /* from the guest's first instruction on */
	uint64_t staging_bytes;	  /* 0: nothing is staged */
	uint64_t allowed;	  /* the last that memlock_allow was asked for */
	unsigned int prints_late; /* by a virtio device, half of it after the end */
	unsigned int left;
	struct tty *tty;
};
extern struct machine_fake machine_fake;
extern struct machine *test_machine;
extern struct config machine_config;
extern int machine_in[2], machine_out[2]; /* pipes, its standard input and output */

void machine_setup(void);
void machine_teardown(void);
/* Builds test_machine. */
void machine_ready(void);
/* All ends that could write to machine_out. */
void machine_close_out(void);
/* From here on none can be started. */
void machine_forbid_threads(void);
/* Runs the guest; a signal comes 100 ms later. If that does not end it, Check does. */
void machine_run_until(int signo);

/* The further cases: around the machine, what it says, and what it tells its guest. */
TCase *machine_main_case(void);
TCase *machine_said_case(void);
TCase *machine_fdt_case(void);
TCase *machine_output_case(void);
TCase *machine_build_case(void);
TCase *machine_pause_case(void);
TCase *machine_abort_case(void);

#endif
