/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_POWER_H
#define NACRE_POWER_H

#include "devices/bus.h"

/*
 * The control device: how a guest tells us that it has loaded, wants to stop, or cannot go on.
 *
 *   offset 0, 32 bits, write   a command, enum power_cmd
 *   offset 4, 32 bits, read    POWER_ID
 *
 * Everything else reads as zero and is dropped. And, for x86, the one useful corner of the i8042
 * keyboard controller: port 0x64, where an operating system of that world asks for a reset; and the
 * registers of a hardware-reduced ACPI machine (ACPI 6.4, 4.8.3.7), one byte each:
 *
 *   offset 0, write   sleep control: the enable bit with type 5 powers off
 *   offset 1, read    sleep status: never woken
 *   offset 2, write   1 asks for a reset
 *
 * And pvpanic, by which a kernel tells that it panics (QEMU's docs/specs/pvpanic): one byte of
 * events, which reads as the set of those we know.
 *
 *   bit 0   the kernel panicked: a crash
 *   bit 1   the kernel panicked and starts its crash kernel, so the guest goes on
 *   bit 2   shutdown
 */
#define POWER_SIZE 8
#define POWER_ID   0x4e414352u /* "NACR" */

#define ACPI_SIZE 4

#define PVPANIC_SIZE 1

#define I8042_PORT 0x64
#define I8042_SIZE 1

enum power_cmd {
	POWER_BOOT_DONE = 1, /* the loader is done, the staging area may go */
	POWER_OFF = 2,
	POWER_RESET = 3,
	POWER_CRASH = 4, /* the guest says that it cannot go on */
};

/*
 * What the machine does about it. Called on the vCPU thread whose guest wrote the command, with no
 * lock held, possibly by several at once and any number of times: the callback may stop the world.
 */
struct power_ops {
	void (*request)(void *ctx, enum power_cmd cmd);
};

/* The device is nothing but this; the machine owns it. It is the `dev` of all its bus rows. */
struct power {
	const struct power_ops *ops;
	void *ctx;
};

extern const struct bus_ops power_bus_ops;
extern const struct bus_ops i8042_ops;
extern const struct bus_ops acpi_ops;
extern const struct bus_ops pvpanic_ops;

#endif
