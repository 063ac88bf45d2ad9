/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BLKFILE_H
#define NACRE_BLKFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/util/err.h"

/*
 * A disk image: a raw file or a block device, opened, checked and locked. The lock is advisory and
 * belongs to the open file (OFD), as that of other VMMs: one writer, or any number of readers.
 */
#define SECTOR_SIZE 512u /* the unit of virtio, whatever the disk's own is */

enum blk_cache {
	BLK_WRITEBACK, /* the host's page cache; a guest's flush is fdatasync */
	BLK_UNSAFE,    /* the same, and flushes do nothing: a crash of the host may cost the disk */
	BLK_DIRECT,    /* past the host's page cache */
};

struct blkfile {
	const char *path; /* borrowed */
	int fd;		  /* through the page cache */
	int direct_fd;	  /* O_DIRECT, or -1 */
	bool read_only;
	bool can_punch;	     /* ranges can be given back: discard */
	uint64_t size;	     /* a multiple of SECTOR_SIZE */
	uint32_t block_size; /* of the disk's own blocks, 512 or more */
	uint32_t mem_align;  /* what direct I/O wants of addresses ... */
	uint32_t io_align;   /* ... and of offsets and lengths */
};

/*
 * 0, or -errno with a sentence: missing, no permission, no disk, in use. A size that is not whole
 * sectors is rounded down with a warning, be it to 0. After an error nothing is open.
 */
int blkfile_open(struct blkfile *f, const char *path, bool read_only, bool direct, struct err *e);
/* Others may have it from here on: nothing is under way, and nothing will be. */
void blkfile_unlock(const struct blkfile *f);
/* Accepts a zeroed-by-error one: descriptors of -1. */
void blkfile_close(struct blkfile *f);

/*
 * Has it a name in a file system? A regular file without one can be what no rule about paths knows of: a
 * memfd by way of /proc, be it the guest's memory.
 */
bool blkfile_has_name(const struct blkfile *f);
/* Is this the file at that path? */
bool blkfile_is(const struct blkfile *f, const char *path);
/* Its size by now, in whole sectors; f->size stays. */
int blkfile_size(const struct blkfile *f, uint64_t *size, struct err *e);

/* The size and place in the file suit direct I/O. */
bool blkfile_range_fits(const struct blkfile *f, uint64_t off, uint64_t len);
/* The buffers do. */
bool blkfile_memory_fits(const struct blkfile *f, const struct iovec *iov, unsigned int count);
/* The descriptor for a transfer: what does not suit direct I/O goes through the page cache. */
int blkfile_fd(const struct blkfile *f, uint64_t off, const struct iovec *iov, unsigned int count);

#endif
