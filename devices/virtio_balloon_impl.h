/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_BALLOON_IMPL_H
#define NACRE_VIRTIO_BALLOON_IMPL_H

#include "devices/virtio_balloon.h"

/* What virtio_balloon.c (statistics, registers, life) and virtio_balloon_pages.c (giving memory
 * back) share. */

/*
 * Queues (5.5.2). Those behind deflateq exist with their feature only, and drivers do not agree
 * whether a missing one keeps its number: Linux counts on without it, the specification does not.
 * There is no free page hinting, so without doubt queue 2 is statsq if statistics were negotiated,
 * and any other of the three can only mean the reporting queue.
 */
enum { INFLATEQ, DEFLATEQ, STATSQ, BALLOON_QUEUES = 5 };

#define BALLOON_BATCH \
	256u /* page numbers read at once, to be sorted into runs; Linux sends as many */

struct virtio_balloon {
	struct virtio_dev dev;
	struct loop_event *timer; /* to ask for the next statistics */
	uint64_t ram_bytes;
	uint32_t stats_seconds;
	bool stats_held; /* stats_chain is to be given back when the time comes */
	struct virtq_chain stats_chain;
	int64_t budget;	   /* what is left of this turn, in pages */
	uint64_t turn_end; /* CLOCK_MONOTONIC in ns */
	/* Bytes of the next chain that earlier turns have worked off. */
	uint32_t done[BALLOON_QUEUES];
	uint32_t batch[BALLOON_BATCH];
	uint32_t target, actual; /* in pages */
	uint32_t poison;
	/* For metrics: requests, and bytes. */
	struct {
		uint64_t inflates, deflates, reports, reported;
	} counts;
	struct virtio_balloon_state state; /* all but those two */
};

/* A turn on the loop begins: what it may cost, and until when. */
void balloon_begin_turn(struct virtio_balloon *b);
/* What virtio_serve calls for a chain of those queues. */
enum virtio_next balloon_inflate(struct virtio_dev *d, unsigned int q, struct virtq_chain *c);
enum virtio_next balloon_deflate(struct virtio_dev *d, unsigned int q, struct virtq_chain *c);
enum virtio_next balloon_report(struct virtio_dev *d, unsigned int q, struct virtq_chain *c);
/* Pushes it; the next one begins at its start. */
enum virtio_next balloon_finish(struct virtio_dev *d, unsigned int q, struct virtq_chain *c);

#endif
