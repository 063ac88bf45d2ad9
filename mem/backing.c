/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int map(struct backing *b, int flags, struct err *e)
{
	void *p = mmap(NULL, b->size, PROT_READ | PROT_WRITE, flags | MAP_NORESERVE, b->fd, 0);
	int r;

	if (p == MAP_FAILED) {
		r = err_sys(e, "map %llu MiB of guest memory", (unsigned long long)(b->size >> 20));
		if (b->kind == BACKING_GMEM && r == -ENODEV)
			err_hint(e, r, "this kernel cannot map guest_memfd: Linux 6.18 can");
		return r;
	}
	b->hva = p;
	/* Guest memory has no place in our core dump, nor in a child. Advice, so never fatal. */
	madvise(p, b->size, MADV_DONTDUMP);
	madvise(p, b->size, MADV_DONTFORK);
	return 0;
}

int backing_anon(struct backing *b, uint64_t size, struct err *e)
{
	int r;

	*b = (struct backing){ .kind = BACKING_ANON, .fd = -1, .size = size };
	r = map(b, MAP_PRIVATE | MAP_ANONYMOUS, e);
	if (r)
		backing_free(b);
	return r;
}

int backing_memfd(struct backing *b, const char *name, uint64_t size, struct err *e)
{
	int r;

	*b = (struct backing){ .kind = BACKING_MEMFD, .size = size };
	b->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (b->fd < 0) {
		r = err_sys(e, "memfd_create for guest memory");
		goto fail;
	}
	if (ftruncate(b->fd, (off_t)size)) {
		r = err_sys(e, "size guest memory to %llu MiB", (unsigned long long)(size >> 20));
		if (r == -EFBIG)
			err_hint(e, r, "the limit of file sizes, ulimit -f, counts for it too");
		goto fail;
	}
	/* Nobody who gets the descriptor can shrink the file under us (SIGBUS). */
	if (fcntl(b->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		r = err_sys(e, "seal guest memory");
		goto fail;
	}
	r = map(b, MAP_SHARED, e);
	if (!r)
		return 0;
fail:
	backing_free(b);
	return r;
}

int backing_gmem(struct backing *b, int fd, uint64_t size, struct err *e)
{
	int r;

	*b = (struct backing){ .kind = BACKING_GMEM, .fd = fd, .size = size };
	r = map(b, MAP_SHARED, e);
	if (r)
		backing_free(b);
	return r;
}

void backing_free(struct backing *b)
{
	if (b->kind == BACKING_NONE)
		return;
	if (b->hva)
		munmap(b->hva, b->size);
	if (b->fd >= 0)
		close(b->fd);
	*b = (struct backing){ .fd = -1 };
}

int backing_discard(const struct backing *b, uint64_t off, uint64_t len)
{
	int r;

	if (b->kind == BACKING_ANON)
		return madvise(b->hva + off, len, MADV_DONTNEED) ? -errno : 0;
	do
		r = fallocate(
			b->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
	while (r && errno == EINTR);
	return r ? -errno : 0;
}
