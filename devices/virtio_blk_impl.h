/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VIRTIO_BLK_IMPL_H
#define NACRE_VIRTIO_BLK_IMPL_H

#include <linux/virtio_blk.h>

#include "devices/virtio_blk.h"
#include "mem/hold.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

/*
 * What virtio_blk.c (the device, its queue and its life) and virtio_blk_req.c (what becomes of a
 * request) share. Not for others. All is called on the loop, and all but blk_on_done with the lock.
 *
 *   blk_take -> blk_parse -> blk_begin -> blk_on_done, once for each I/O
 */
#define QUEUE_SIZE 256u
/* Without indirect descriptors a request has to fit the queue. Header and status are not data. */
#define SEGS_MAX (VIRTQ_SEGS_MAX - 2u)
/* Data that goes through a buffer of ours does so in pieces: QUEUE_SIZE of them are 32 MiB. */
#define PIECE_MAX   KIB(128)
#define PIECE_ALIGN 4096u
#define RANGES_MAX  16u
/* A range of zeroes may have to be written, and a reset waits for it: 64 MiB. */
#define ZERO_MAX_SECTORS    (MIB(64) / SECTOR_SIZE)
#define DISCARD_MAX_SECTORS (GIB(1) / SECTOR_SIZE)
#define HEADER		    sizeof(struct virtio_blk_outhdr)

/* The request is under way; its status is not known yet. */
#define PENDING (-1)

/*
 * The file that the disk is. It may be given another while it runs: what is under way ends on the one it
 * began on, which is freed after the last of it.
 */
struct blk_medium {
	struct blk_medium *next; /* of those that are no longer the disk's */
	char *path;
	struct blkfile file;
	unsigned int busy; /* requests */
};

struct blk_request {
	struct virtio_blk *disk;
	struct blk_medium *medium; /* while it is taken */
	struct blk_request *next;  /* free */
	struct virtq_chain chain;
	uint32_t type;
	uint64_t off;	/* of a transfer, in the file */
	uint32_t len;	/* of its data */
	uint32_t moved; /* by the pieces before this one */
	uint32_t piece;
	uint64_t cost;	      /* bytes, for the rate limit */
	uint32_t written;     /* bytes of the guest's buffers */
	uint8_t *bounce;      /* or NULL: I/O runs on the guest's buffers, */
	struct mem_hold hold; /* which a protected guest cannot take away meanwhile */
	unsigned int ranges, range;
	struct virtio_blk_discard_write_zeroes range_list[RANGES_MAX];
	struct blkio_req io;
	struct iovec iov[VIRTQ_SEGS_MAX];
};

/* For metrics. */
struct blk_counts {
	uint64_t reads, writes, flushes; /* that succeeded */
	uint64_t read_bytes, write_bytes;
	uint64_t failures; /* of the host */
	uint64_t invalid;  /* that the driver should not have asked for */
	uint64_t events;   /* notifications */
};

struct virtio_blk {
	struct virtio_dev dev;
	struct ratelimit limit;
	struct blk_medium *medium, *retired;
	struct loop_event *reaper;
	struct blkio *io; /* moves the data of all of them */
	enum blk_cache cache;
	char id[VIRTIO_BLK_ID_BYTES];
	struct virtio_blk_config space;
	struct blk_request *requests, *free;
	struct blk_counts counts;
	struct log_gate errors; /* of the host; each disk may tell of its own */
};

/* There is one: no more chains are under way than the queue has entries. */
struct blk_request *blk_take(struct virtio_blk *b);
void blk_release(struct blk_request *r);
/* It was never taken. */
void blk_put_free(struct blk_request *r);

/* What is asked? Nothing is done yet. PENDING, or the status: nothing to do. */
int blk_parse(struct virtio_blk *b, struct blk_request *r, const struct virtq_chain *c,
	const struct virtio_blk_outhdr *h);

/* Does what blk_parse found, with a copy of the chain, or gives it back with its status at once. */
void blk_begin(struct blk_request *r, const struct virtq_chain *c, int status);

/* I/O has ended; for blkio_new, with the struct virtio_blk. */
void blk_on_done(void *arg, struct blkio_req *list);

#endif
