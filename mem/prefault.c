/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Clearing pages is what takes the time, about a second for 4 GiB on one processor. So a large
 * backing is cut into parts, and each gets a thread; the kernel lets them work side by side.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem/backing.h"
#include "vmm/util/bits.h"
#include "vmm/util/thread.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define PARTS_MAX 8u
/* What is worth a thread; also a multiple of every huge page. Tests make do with less. */
#ifndef PART_MIN
#define PART_MIN GIB(1)
#endif

struct part {
	const struct backing *b;
	uint64_t off, len;
	pthread_t thread;
	bool threaded;
	int result; /* 0 or -errno */
};

static void *fill(void *arg)
{
	struct part *p = arg;
	int r;

	do {
		if (p->b->kind == BACKING_GMEM)
			r = fallocate(p->b->fd, FALLOC_FL_KEEP_SIZE, (off_t)p->off, (off_t)p->len);
		else
			r = madvise(p->b->hva + p->off, p->len, MADV_POPULATE_WRITE);
	} while (r && errno == EINTR);
	p->result = r ? -errno : 0;
	return NULL;
}

/* Bytes of one part. */
static uint64_t part_size(uint64_t size)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t parts = cpus > 0 ? min_u64((uint64_t)cpus, PARTS_MAX) : 1;

	return max_u64(align_up((size + parts - 1) / parts, PART_MIN), PART_MIN);
}

static int failed(const struct backing *b, int code, struct err *e)
{
	errno = -code;
	err_sys(e, "prefault %llu MiB of guest memory", (unsigned long long)(b->size >> 20));
	if (code == -EINVAL || code == -EOPNOTSUPP)
		return err_hint(e, -ENOTSUP, "this kernel cannot: Linux 5.14 can");
	if (code == -EFAULT || code == -ENOMEM || code == -ENOSPC)
		return err_hint(e, -ENOMEM,
			"the host, or the control group's limit, has less memory than that");
	return code;
}

int backing_prefault(const struct backing *b, struct err *e)
{
	struct part parts[PARTS_MAX];
	uint64_t size = part_size(b->size), off;
	unsigned int n = 0, i;
	int r = 0;

	for (off = 0; off < b->size; off += size) {
		struct part *p = &parts[n++];

		*p = (struct part){ .b = b, .off = off, .len = min_u64(size, b->size - off) };
		/* The last one is ours; so is any that gets no thread. */
		p->threaded = off + size < b->size &&
			      !thread_start(&p->thread, THREAD_FILL, "nacre-fill", fill, p, NULL);
		if (!p->threaded)
			fill(p);
	}
	for (i = 0; i < n; i++) {
		if (parts[i].threaded)
			pthread_join(parts[i].thread, NULL);
		if (!r)
			r = parts[i].result;
	}
	return r ? failed(b, r, e) : 0;
}
