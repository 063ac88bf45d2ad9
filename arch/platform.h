/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_PLATFORM_H
#define NACRE_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/util/err.h"

/*
 * Rows that join devices and architecture, which do not know each other: the machine puts a device
 * at the row's place, the architecture describes the row to the guest (device tree, ACPI).
 */
enum platform_kind {
	PLATFORM_SERIAL,
	PLATFORM_POWER,
	PLATFORM_PROBE,
	PLATFORM_I8042,
	PLATFORM_ACPI,	  /* x86: sleep and reset registers, and the power button's line */
	PLATFORM_PVPANIC, /* x86: where a kernel reports its panic */
	PLATFORM_RTC,	  /* arm64: the real time clock */
	PLATFORM_VIRTIO,  /* a slot for a virtio-mmio device */
	PLATFORM_KINDS
};

struct platform_dev {
	enum platform_kind kind;
	bool port; /* x86 port I/O instead of MMIO */
	uint64_t base;
	uint64_t size;
	uint32_t irq; /* the line for KVM_IRQFD (arm64: the SPI's number); 0: none */
};

/*
 * The fixed devices, and behind them as many virtio slots as the configuration asks for: the table
 * has all that the architecture can offer, and `count` says where the guest's machine ends.
 */
struct platform {
	const struct platform_dev *devs; /* a table in arch/ARCH/layout.c */
	unsigned int count;
};

/* The row of that kind, or NULL. */
const struct platform_dev *platform_find(const struct platform *p, enum platform_kind kind);

/* A platform with the first of the n rows, those with `virtio` slots. -E2BIG when there are fewer. */
int platform_cut(struct platform *out, const struct platform_dev *rows, unsigned int n,
	uint32_t virtio, struct err *e);

#endif
