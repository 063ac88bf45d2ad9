/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BACKING_H
#define NACRE_BACKING_H

#include <stdbool.h>
#include <stdint.h>

#include "mem/huge.h"
#include "vmm/util/err.h"

/*
 * Where the bytes of guest memory live. A guest_memfd (made by KVM, handed in as a descriptor) is
 * mapped too where KVM wants an address for its slot; touching that mapping gives SIGBUS unless
 * the file was made with INIT_SHARED. Mappings carry MADV_DONTDUMP: no guest byte in a core file.
 *
 * KVM maps a guest by large pages only where guest and host address are the same modulo that page.
 * So a mapping begins at a multiple of 1 GiB, or of 2 MiB when it is smaller than that, as the
 * regions of the guest's address map do.
 */
enum backing_kind {
	BACKING_NONE,
	BACKING_ANON,  /* private anonymous memory */
	BACKING_MEMFD, /* a memfd that we map and devices may use */
	BACKING_HUGE,  /* the same out of a pool of huge pages */
	BACKING_GMEM,  /* a guest_memfd: the guest's private memory */
};

struct backing {
	enum backing_kind kind;
	int fd;	       /* -1 for BACKING_ANON */
	char *hva;     /* start of the mapping; NULL when there is none */
	uint64_t size; /* bytes, page multiple */
};

/* What the user may wish for RAM. All zero: nothing special. */
struct backing_options {
	enum hugepages hugepages;
	bool prefault;	/* have all of it before the guest starts */
	bool mergeable; /* offer it to the host's KSM */
};

/* Each returns 0 or -errno. The caller owns the backing and releases it with backing_free. */
int backing_anon(struct backing *b, uint64_t size, struct err *e);
int backing_memfd(struct backing *b, const char *name, uint64_t size, struct err *e);
/* Anonymous too, in single pages, for backing_protect. */
int backing_guarded(struct backing *b, uint64_t size, struct err *e);
/* Takes over fd, also when it fails. */
int backing_gmem(struct backing *b, int fd, uint64_t size, struct err *e);
/* The same without a mapping: hva is NULL. Takes over fd. */
void backing_gmem_unmapped(struct backing *b, int fd, uint64_t size);
void backing_free(struct backing *b); /* accepts BACKING_NONE */

/*
 * The memory goes back to the host, the addresses stay ours: whoever works on them by a pointer from
 * before, the kernel for I/O under way, gets a fault (EFAULT) and never what we map next. Of the
 * backing only backing_free may follow. 0 or -errno, and then only that as well.
 */
int backing_retire(struct backing *b, struct err *e);

/*
 * Memory for a guest that is not protected: anonymous, or out of the pool of huge pages, of which
 * size must be a multiple. The pool's pages are reserved here, so that a fault cannot fail later.
 */
int backing_ram(struct backing *b, uint64_t size, const struct backing_options *o, struct err *e);

/*
 * Gives every page its memory now, on several threads if there is much of it. For a guest_memfd
 * that is its own store of private pages. -ENOMEM, or -ENOTSUP before Linux 5.14.
 */
int backing_prefault(const struct backing *b, struct err *e);

/*
 * Gives the pages of [off, off + len) back to the host: they read as zero the next time. Returns 0
 * or -errno; the range then holds its old bytes or zeroes.
 */
int backing_discard(const struct backing *b, uint64_t off, uint64_t len);

/*
 * Makes the pages of [from, from + len) those at `off`, in place of what is there. Of an anonymous
 * backing only; `from` is memory of malloc or mmap, not a file's, and reads as zeros afterwards, as
 * if freed and allocated anew (mremap, MREMAP_DONTUNMAP: Linux 5.7). 0 or -errno: then nothing is
 * taken, and what was at `off` is lost. -EINVAL when it is not whole pages.
 */
int backing_take(const struct backing *b, uint64_t off, void *from, uint64_t len);

/*
 * Lets our process, and the kernel on its behalf, access the mapping of [off, off + len) of a guarded
 * backing; or gives whoever tries SIGSEGV and EFAULT, and the memory back to the host (guard regions,
 * Linux 6.13). 0 or -errno, and then some of the range may have changed; -EINVAL on older kernels.
 */
int backing_protect(const struct backing *b, uint64_t off, uint64_t len, bool access);

#endif
