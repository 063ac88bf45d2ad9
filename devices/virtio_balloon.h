/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_BALLOON_H
#define NACRE_VIRTIO_BALLOON_H

#include "devices/virtio.h"

/*
 * The memory balloon (virtio 1.2, 5.5): the guest gives memory up, and the host really gets it.
 *
 *   inflate    the driver takes pages out of use until it has as many as the target says
 *   deflate    it takes them back when the target falls, or when it runs out of memory
 *              (DEFLATE_ON_OOM); the host gives each one anew when it is touched
 *   reporting  the driver names free pages as they come and go, without any target
 *   statistics the driver says now and then how much memory is free, and for what the rest is used
 *
 * The guest decides: a target is a wish. What it names is given back through mem_discard, which
 * checks every range; a page outside RAM fails the device. The work is done in short turns, so that
 * a driver that names a million pages holds up neither other devices nor whoever stops the world.
 *
 * For guests that are not protected only. In mode private a mistake in here could clear pages that
 * are the guest's alone, and no driver works with the device; under pKVM memory is pinned.
 */
struct virtio_balloon;

struct balloon_config {
	const struct mem *mem;
	struct loop *loop;
	struct irq_line irq;
	uint64_t ram_bytes; /* a target must be smaller */
	uint64_t target;    /* to begin with, in bytes */
	bool deflate_on_oom;
	bool reporting;
	uint32_t stats_seconds; /* time between two statistics; 0: none */
};

/*
 * What a driver tells of its memory; the values are the tags of virtio 1.2, 5.5.6.4, and those that
 * Linux has added since. Bytes, but for the counts.
 */
enum balloon_stat {
	BALLOON_SWAP_IN,
	BALLOON_SWAP_OUT,
	BALLOON_MAJOR_FAULTS, /* count */
	BALLOON_MINOR_FAULTS, /* count */
	BALLOON_FREE,
	BALLOON_TOTAL,
	BALLOON_AVAILABLE, /* can be had without swapping */
	BALLOON_CACHES,
	BALLOON_HUGE_ALLOCATED, /* count */
	BALLOON_HUGE_FAILED,	/* count */
	BALLOON_OOM_KILLS,	/* count */
	BALLOON_ALLOC_STALLS,	/* count */
	BALLOON_ASYNC_SCANNED,
	BALLOON_DIRECT_SCANNED,
	BALLOON_ASYNC_RECLAIMED,
	BALLOON_DIRECT_RECLAIMED,
	BALLOON_STATS
};

struct virtio_balloon_state {
	uint64_t target;	       /* bytes */
	uint64_t actual;	       /* bytes in the balloon, as the driver says */
	uint64_t given_back;	       /* bytes handed to the host so far, again and again */
	uint64_t reports;	       /* how many statistics have come */
	uint32_t known;		       /* which of the values the last one had: BIT(enum) */
	uint64_t stats[BALLOON_STATS]; /* from the guest, unchecked */
};

int virtio_balloon_new(
	struct virtio_balloon **out, const struct balloon_config *cfg, struct err *e);
/* Accepts NULL. No vCPU may be running any more. */
void virtio_balloon_free(struct virtio_balloon *b);

/*
 * Asks the guest for so many bytes, rounded down to pages, and tells it by a configuration
 * interrupt. Any thread, without the device's lock; returns at once, `actual` follows as the guest
 * gets to it. -EINVAL when that is all of its RAM or more.
 */
int virtio_balloon_set_target(struct virtio_balloon *b, uint64_t bytes, struct err *e);
/* How often the guest shall tell; -EINVAL from or to 0, since drivers ask once. As set_target. */
int virtio_balloon_set_interval(struct virtio_balloon *b, uint32_t seconds, struct err *e);
/* Any thread, without the device's lock. */
void virtio_balloon_get(struct virtio_balloon *b, struct virtio_balloon_state *out);

/* For a transport. */
struct virtio_dev *virtio_balloon_dev(struct virtio_balloon *b);

#endif
