/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/backing.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE  103
#endif

static uint64_t alignment(uint64_t size)
{
	if (size >= GIB(1))
		return GIB(1);
	return size >= MIB(2) ? MIB(2) : PAGE_SIZE;
}

/* mmap, at an aligned address: in place of a part of some address space that is larger. */
static void *map_aligned(uint64_t size, int flags, int fd)
{
	uint64_t align = alignment(size), head;
	char *room = mmap(
		NULL, size + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	void *p;
	int saved;

	if (room == MAP_FAILED)
		return MAP_FAILED;
	head = align_up((uintptr_t)room, align) - (uintptr_t)room;
	p = mmap(room + head, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0);
	if (p == MAP_FAILED) {
		saved = errno;
		munmap(room, size + align);
		errno = saved;
		return MAP_FAILED;
	}
	if (head)
		munmap(room, head);
	munmap(room + head + size, align - head);
	return p;
}

static int map_failed(const struct backing *b, struct err *e)
{
	int r = err_sys(e, "map %llu MiB of guest memory", (unsigned long long)(b->size >> 20));

	if (b->kind == BACKING_GMEM && r == -ENODEV)
		err_hint(e, r, "this kernel cannot map guest_memfd: Linux 6.18 can");
	if (b->kind == BACKING_HUGE && r == -ENOMEM)
		err_hint(e, r, "the pool of huge pages is too small, or a control group limits it");
	return r;
}

/* Guest memory has no place in our core dump, nor in a child. Advice, so never fatal. */
static void keep_apart(void *p, uint64_t size)
{
	madvise(p, size, MADV_DONTDUMP);
	madvise(p, size, MADV_DONTFORK);
}

static int map(struct backing *b, int flags, struct err *e)
{
	/* Without this flag huge pages are reserved here; with it, one that is missing is SIGBUS. */
	int lazy = b->kind == BACKING_HUGE ? 0 : MAP_NORESERVE;
	void *p = map_aligned(b->size, flags | lazy, b->fd);

	if (p == MAP_FAILED)
		return map_failed(b, e);
	b->hva = p;
	keep_apart(p, b->size);
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

int backing_guarded(struct backing *b, uint64_t size, struct err *e)
{
	int r = backing_anon(b, size, e);

	/* As for a memfd below: one page shared shall not bring 2 MiB. */
	if (!r)
		madvise(b->hva, size, MADV_NOHUGEPAGE);
	return r;
}

static int fill_memfd(struct backing *b, struct err *e)
{
	if (b->fd < 0)
		return err_sys(e, "memfd_create for guest memory");
	if (ftruncate(b->fd, (off_t)b->size)) {
		int r = err_sys(
			e, "size guest memory to %llu MiB", (unsigned long long)(b->size >> 20));

		if (r == -EFBIG)
			err_hint(e, r, "the limit of file sizes, ulimit -f, counts for it too");
		return r;
	}
	/* Nobody who gets the descriptor can shrink the file under us (SIGBUS). */
	if (fcntl(b->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return err_sys(e, "seal guest memory");
	return map(b, MAP_SHARED, e);
}

int backing_memfd(struct backing *b, const char *name, uint64_t size, struct err *e)
{
	int r;

	*b = (struct backing){ .kind = BACKING_MEMFD, .size = size };
	b->fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	r = fill_memfd(b, e);
	if (r) {
		backing_free(b);
		return r;
	}
	/*
	 * The guest shares single pages. Where the host makes huge pages of such files, the first
	 * touch of one would bring 2 MiB, most of which the guest holds as private memory already.
	 */
	madvise(b->hva, size, MADV_NOHUGEPAGE);
	return 0;
}

static int backing_huge(struct backing *b, uint64_t size, uint64_t page, struct err *e)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB;
	int r;

	flags |= (unsigned int)__builtin_ctzll(page) << MFD_HUGE_SHIFT;
	*b = (struct backing){ .kind = BACKING_HUGE, .size = size };
	b->fd = memfd_create("nacre-ram", flags);
	r = fill_memfd(b, e);
	if (r == -ENODEV || r == -ENOENT || r == -EINVAL || r == -ENOSYS)
		err_hint(e, r, "this host has no huge pages of %llu MiB",
			(unsigned long long)(page >> 20));
	if (r)
		backing_free(b);
	return r;
}

int backing_ram(struct backing *b, uint64_t size, const struct backing_options *o, struct err *e)
{
	uint64_t page = huge_page_size(o->hugepages);
	int r = page ? backing_huge(b, size, page, e) : backing_anon(b, size, e);

	if (r)
		return r;
	/* Advice again: a kernel that cannot do it goes on with ordinary pages. */
	if (o->hugepages == HUGEPAGES_THP)
		madvise(b->hva, size, MADV_HUGEPAGE);
	if (o->hugepages == HUGEPAGES_OFF)
		madvise(b->hva, size, MADV_NOHUGEPAGE);
	if (o->mergeable && madvise(b->hva, size, MADV_MERGEABLE)) {
		r = err_sys(e, "make guest memory mergeable");
		if (r == -EINVAL)
			err_hint(e, r, "this kernel has no KSM; leave --mergeable out");
		backing_free(b);
	}
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

void backing_gmem_unmapped(struct backing *b, int fd, uint64_t size)
{
	*b = (struct backing){ .kind = BACKING_GMEM, .fd = fd, .size = size };
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

/* seccomp vcpu: mmap[2&PROT_EXEC=0] -- the staging area's memory goes, its addresses stay */
int backing_retire(struct backing *b, struct err *e)
{
	void *p;

	if (b->kind == BACKING_NONE)
		return 0;
	if (!b->hva) {
		fd_close(&b->fd);
		return 0;
	}
	p = mmap(b->hva, b->size, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	if (p == MAP_FAILED)
		return err_sys(e, "keep the addresses of guest memory");
	fd_close(&b->fd);
	return 0;
}

/*
 * seccomp vcpu: fallocate[1=FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE] -- pages given back
 * seccomp io vcpu: madvise -- the same; by the balloon, too, which is for anonymous memory
 */
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

/* The kernel may have cleared the way before it refused. */
static void put_back(void *at, uint64_t len)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;

	/* Without it, whoever touches it next is told by the guard. */
	if (mmap(at, len, PROT_READ | PROT_WRITE, flags, -1, 0) == MAP_FAILED)
		return;
	keep_apart(at, len);
}

int backing_take(const struct backing *b, uint64_t off, void *from, uint64_t len)
{
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, r;
	void *at = b->hva + off;

	if (b->kind != BACKING_ANON || !len || !is_aligned((uintptr_t)from | off | len, PAGE_SIZE))
		return -EINVAL;
	if (mremap(from, len, len, flags, at) == MAP_FAILED) {
		r = -errno;
		put_back(at, len);
		return r;
	}
	keep_apart(at, len);
	return 0;
}

int backing_protect(const struct backing *b, uint64_t off, uint64_t len, bool access)
{
	int advice = access ? MADV_GUARD_REMOVE : MADV_GUARD_INSTALL;

	return madvise(b->hva + off, len, advice) ? -errno : 0;
}
