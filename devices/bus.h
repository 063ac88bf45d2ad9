/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BUS_H
#define NACRE_BUS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "vmm/util/err.h"

/*
 * A bus: which device answers at which address. The machine has two, one for MMIO and one for x86
 * port I/O. Devices are added while the machine is built; once vCPUs run the table is only read, so
 * lookups take no lock.
 *
 * A vCPU thread that leaves the guest with an access calls bus_read or bus_write, and the bus calls
 * the device with its mutex held (if it named one). off is the distance from the device's base and
 * off + len never passes its end. len is 1 to 8 and data is in guest byte order, which is little
 * endian here; a read must fill all of data. The guest picks every one of these values.
 */
struct bus_ops {
	void (*read)(void *dev, uint64_t off, void *data, unsigned int len);
	void (*write)(void *dev, uint64_t off, const void *data, unsigned int len);
};

struct bus_dev {
	const char *name; /* for messages; must outlive the bus */
	uint64_t base;
	uint64_t size; /* bytes */
	const struct bus_ops *ops;
	void *dev;
	pthread_mutex_t *lock; /* held around ops; NULL when the device needs none */
};

#define BUS_DEVS_MAX 64
#define BUS_SEEN_MAX 32

struct bus {
	const char *name;		   /* for messages: "mmio", "port" */
	uint64_t last;			   /* highest address there is */
	struct bus_dev devs[BUS_DEVS_MAX]; /* sorted by base, never overlapping */
	unsigned int count;
	/* Unclaimed addresses already logged. Bounded: the guest must not fill memory or the log. */
	_Atomic uint64_t seen[BUS_SEEN_MAX];
	atomic_uint seen_count;
};

/* last is the highest address of the bus: UINT64_MAX for MMIO, 0xffff for ports. */
void bus_init(struct bus *b, const char *name, uint64_t last);

/*
 * Adds a copy of *d. Returns 0, or -EINVAL (no operations, zero size, runs past the end of the
 * bus), -EEXIST (overlaps another device) or -ENOSPC (table full) with a sentence. Not after vCPUs
 * have started.
 */
int bus_add(struct bus *b, const struct bus_dev *d, struct err *e);

/*
 * One access by the guest, from any thread. An access that no device claims in full reads as all
 * ones or is dropped, and is logged once per address, at debug level: kernels poke at a lot.
 */
void bus_read(struct bus *b, uint64_t addr, void *data, unsigned int len);
void bus_write(struct bus *b, uint64_t addr, const void *data, unsigned int len);

#endif
