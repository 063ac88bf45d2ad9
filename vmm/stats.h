/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_STATS_H
#define NACRE_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vmm/util/protection.h"

/*
 * What a running guest has cost and done, for people (SIGUSR1) and for programs. Two forms: the
 * counters, which any thread adds to without a lock and for a few nanoseconds, and a report, plain
 * numbers taken from them at one moment, which need not fit together to the last one.
 */

/*
 * Times in nanoseconds, four buckets to each power of two, so that a percentile is at most a quarter
 * too high; the last one takes all from about a minute on.
 */
#define STATS_TIMES 140u
/* Sizes by powers of two, from one page on; the last one takes all larger ones. */
#define STATS_SIZES 32u

/* Conversions in one direction. */
struct stats_convert {
	_Atomic uint64_t refused;   /* or failed */
	_Atomic uint64_t unchanged; /* all pages were in the wanted state */
	_Atomic uint64_t bytes;
	_Atomic uint64_t longest; /* ns */
	_Atomic uint64_t sizes[STATS_SIZES];
	_Atomic uint64_t times[STATS_TIMES];
};

/* A struct stats of zeros is one in which nothing has happened. */
struct stats {
	struct stats_convert convert[2]; /* to shared, to private */
	_Atomic uint64_t shared_now;	 /* bytes of RAM */
	_Atomic uint64_t shared_peak;
};

/* A conversion of that many bytes took place; ns: from the guest's call until its answer. */
void stats_converted(struct stats *s, bool to_private, uint64_t bytes, uint64_t ns);
void stats_refused(struct stats *s, bool to_private);
void stats_unchanged(struct stats *s, bool to_private);
/* So much RAM is shared now. Running members of the park only, whose looks agree. */
void stats_shared(struct stats *s, uint64_t bytes);

/*
 * Why a vCPU came back to us. One writer, its thread, which therefore needs no locked instruction;
 * any reader.
 */
struct stats_vcpu {
	_Atomic uint64_t io_in, io_out, mmio_read, mmio_write, failures;
};

static inline void stats_count(_Atomic uint64_t *counter)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
		memory_order_relaxed);
}

/* ---- reports ---- */

struct stats_convert_report {
	uint64_t done, refused, unchanged, bytes;
	uint64_t median, p90, p99, longest; /* ns; 0 when there was none */
	uint64_t sizes[STATS_SIZES];
};

/* A device that reads and writes guest memory. */
#define STATS_DEVICES_MAX  16u
#define STATS_COUNTERS_MAX 16u
struct stats_counter {
	const char *name; /* borrowed */
	uint64_t value;
};

struct stats_device {
	const char *group; /* of the counters: "block"; NULL: there are none */
	char id[65];	   /* of the API, or its place among those of its kind; "": the only one */
	struct stats_counter counters[STATS_COUNTERS_MAX];
	unsigned int counter_count;
	const char *name;   /* "virtio-blk"; borrowed, and not unique */
	unsigned int slot;  /* counting from 0, in the order in which the guest finds them */
	bool is_broken;	    /* now: the driver was told to reset it */
	uint64_t failures;  /* times that it broke */
	uint64_t faults;    /* of these, for memory that is private or not there */
	uint64_t held;	    /* bytes in the buffers that it has now */
	uint64_t held_peak; /* at most */
};

struct stats_report {
	uint64_t uptime_ms;
	bool is_split; /* the guest's memory has private and shared pages that we know of */
	uint64_t ram_bytes;
	struct stats_convert_report convert[2]; /* to shared, to private */
	uint64_t shared_now, shared_peak;
	/* Bytes in the buffers of all devices together: what a guest that bounces its I/O needs of
	 * its pool, but for buffers that a device has not fetched yet. */
	uint64_t held_now, held_peak;
	struct stats_device devices[STATS_DEVICES_MAX];
	unsigned int device_count;
	/* Of all vCPUs together. */
	struct {
		uint64_t io_in, io_out, mmio_read, mmio_write, failures;
	} vcpu;
	/*
	 * Bytes at the serial port; of it and the virtio console together, those that found the
	 * reader too slow, or were too many for the limit.
	 */
	struct {
		uint64_t reads, writes, dropped, limited;
	} uart;
	enum protection protection;
};

/* Adds what a vCPU has counted. */
void stats_add_vcpu(struct stats_report *r, const struct stats_vcpu *v);

/* Fills in what the counters know: conversions and shared bytes. */
void stats_read(const struct stats *s, struct stats_report *out);

/* Lines for people, each beginning with "nacre: ". */
void stats_print(const struct stats_report *r, FILE *out);

#endif
