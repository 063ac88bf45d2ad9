/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/blkfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

/* What suits every disk, where the kernel does not say what direct I/O wants. */
#define SAFE_ALIGN 4096u

/* What to give instead of a directory, a socket, a terminal. */
#define EXPECTED "expected a raw image file or a block device"

/* ---- opening ---- */

static int open_error(const char *path, bool read_only, struct err *e)
{
	int r = err_sys(e, "open disk %s", path);

	if (r == -ENOENT)
		err_hint(e, r, "truncate -s 1G %s would make an empty one", path);
	else if (r == -ENXIO)
		err_hint(e, r, EXPECTED);
	else if (r == -EROFS || r == -ETXTBSY)
		err_hint(e, r, "make the disk read-only, or copy the file");
	else if ((r == -EACCES || r == -EPERM) && read_only)
		err_hint(e, r, "the user that runs nacre needs read permission");
	else if (r == -EACCES || r == -EPERM)
		err_hint(e, r,
			"the user that runs nacre needs read and write permission; or make the "
			"disk read-only");
	return r;
}

/* seccomp control+files: ioctl:BLKGETSIZE64 -- of a block device, also when it has grown */
int blkfile_size(const struct blkfile *f, uint64_t *out, struct err *e)
{
	struct stat st;
	uint64_t size;

	if (fd_stat(f->fd, &st))
		return err_sys(e, "stat disk %s", f->path);
	size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(f->fd, BLKGETSIZE64, &size))
		return err_sys(e, "size of disk %s", f->path);
	*out = align_down(size, SECTOR_SIZE);
	if (*out != size)
		log_warn("disk %s: %" PRIu64
			 " bytes are not whole sectors of 512; the last %" PRIu64
			 " are out of the guest's sight (truncate -s %%512 %s would fill it up)",
			f->path, size, size - *out, f->path);
	return 0;
}

/*
 * A device that does not end, or a pipe, is refused here.
 * seccomp control+files: ioctl:BLKSSZGET -- a block device in place of a file
 */
static int look_at(struct blkfile *f, struct err *e)
{
	int sector = SECTOR_SIZE, r;
	struct stat st;

	if (fd_stat(f->fd, &st))
		return err_sys(e, "stat disk %s", f->path);
	if (S_ISDIR(st.st_mode))
		return err_set(e, -EISDIR, "disk %s is a directory (" EXPECTED ")", f->path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return err_set(e, -EINVAL,
			"disk %s is neither a file nor a block device (" EXPECTED ")", f->path);
	if (S_ISBLK(st.st_mode) && ioctl(f->fd, BLKSSZGET, &sector))
		return err_sys(e, "sectors of disk %s", f->path);
	r = blkfile_size(f, &f->size, e);
	if (r)
		return r;
	f->block_size = (uint32_t)sector;
	/* Behind the end of a file there is nothing to lose: this only asks. */
	f->can_punch = S_ISBLK(st.st_mode) ||
		       !fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       (off_t)align_up((uint64_t)st.st_size, SAFE_ALIGN), SAFE_ALIGN);
	return 0;
}

bool blkfile_has_name(const struct blkfile *f)
{
	struct stat st;

	return !fd_stat(f->fd, &st) && (!S_ISREG(st.st_mode) || st.st_nlink > 0);
}

/* seccomp control+files: newfstatat -- is it the file that the disk has, and has it a name? */
bool blkfile_is(const struct blkfile *f, const char *path)
{
	struct stat ours, theirs;

	if (fd_stat(f->fd, &ours) || stat(path, &theirs))
		return false;
	/* A block device is the same by another node, too. */
	if (S_ISBLK(ours.st_mode) && S_ISBLK(theirs.st_mode))
		return ours.st_rdev == theirs.st_rdev;
	return ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

/* People try these, and a guest would see rubbish. It may also be what a guest wrote: no error. */
static void look_for_formats(const struct blkfile *f)
{
	static const struct {
		const char *name, *magic;
	} formats[] = { { "qcow2", "QFI\xfb" }, { "VMDK", "KDMV" }, { "VHDX", "vhdxfile" } };
	char head[8];
	size_t i;

	if (pread(f->fd, head, sizeof(head), 0) != sizeof(head))
		return;
	for (i = 0; i < ARRAY_SIZE(formats); i++)
		if (!memcmp(head, formats[i].magic, strlen(formats[i].magic)))
			log_warn("disk %s looks like a %s image but is used as raw bytes (qemu-img "
				 "convert -O raw makes a raw one)",
				f->path, formats[i].name);
}

/* Of the open file, so that it ends with it, and that no other file's close ends it: fcntl(2). */
static int lock(const struct blkfile *f, struct err *e)
{
	struct flock whole = { .l_type = f->read_only ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET };

	if (!fcntl(f->fd, F_OFD_SETLK, &whole))
		return 0;
	if (errno != EAGAIN && errno != EACCES) {
		log_warn("disk %s cannot be locked: %s (see that nobody else uses it)", f->path,
			strerror(errno));
		return 0;
	}
	return err_set(e, -EBUSY,
		f->read_only ? "disk %s is in use by another process that writes to it "
			       "(stop that)"
			     : "disk %s is in use by another process (stop that, or make the disk "
			       "read-only in both)",
		f->path);
}

/* ---- direct I/O ---- */

static int refuse_direct(const struct blkfile *f, int code, struct err *e)
{
	if (code == -EINVAL)
		return err_set(e, code,
			"disk %s: its file system has no direct I/O (use cache writeback)",
			f->path);
	return err_set(e, code,
		"open disk %s for direct I/O, by way of /proc: %s (use cache writeback)", f->path,
		strerror(-code));
}

static void set_alignment(struct blkfile *f, uint32_t mem, uint32_t io)
{
	f->mem_align = mem;
	f->io_align = io < SECTOR_SIZE ? SECTOR_SIZE : io;
	/* The guest should know, lest it ask for what takes the long way. */
	if (f->io_align > f->block_size)
		f->block_size = f->io_align;
}

static int open_direct(struct blkfile *f, struct err *e)
{
	int mode = f->read_only ? O_RDONLY : O_RDWR;
	char self[40];

	/* The same file, even if another has its name by now. */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", f->fd);
	f->direct_fd = open(self, mode | O_DIRECT | O_CLOEXEC);
	if (f->direct_fd < 0)
		return refuse_direct(f, -errno, e);
#ifdef STATX_DIOALIGN
	struct statx sx;

	if (!statx(f->direct_fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) &&
		sx.stx_mask & STATX_DIOALIGN) {
		if (!sx.stx_dio_offset_align || !sx.stx_dio_mem_align)
			return refuse_direct(f, -EINVAL, e);
		set_alignment(f, sx.stx_dio_mem_align, sx.stx_dio_offset_align);
		return 0;
	}
#endif
	set_alignment(f, SAFE_ALIGN, SAFE_ALIGN);
	return 0;
}

/*
 * seccomp control+files: openat[2&NOT_TO_OPEN=0] newfstatat pread64 -- a disk's new file
 * seccomp control+files: fallocate[1=FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE] -- has it holes?
 * seccomp control+files: fcntl[1=F_OFD_SETLK] fcntl[1=F_SETFL] -- it is locked, and waited for
 * seccomp control+files: statx -- with direct cache
 */
int blkfile_open(struct blkfile *f, const char *path, bool read_only, bool direct, struct err *e)
{
	int r;

	*f = (struct blkfile){ .path = path, .direct_fd = -1, .read_only = read_only };
	/* O_NONBLOCK: opening a FIFO that nobody writes must not hang the start. */
	f->fd = open(path, (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (f->fd < 0 && errno == EISDIR)
		return err_set(e, -EISDIR, "disk %s is a directory (" EXPECTED ")", path);
	if (f->fd < 0)
		return open_error(path, read_only, e);
	r = look_at(f, e);
	if (!r)
		r = lock(f, e);
	/* io_uring would answer with EAGAIN what it could wait for. */
	if (!r && fcntl(f->fd, F_SETFL, 0))
		r = err_sys(e, "set up disk %s", path);
	if (!r && direct)
		r = open_direct(f, e);
	if (r)
		blkfile_close(f);
	else
		look_for_formats(f);
	return r;
}

/* seccomp control io: fcntl[1=F_OFD_SETLK] -- the lock is given up */
void blkfile_unlock(const struct blkfile *f)
{
	struct flock whole = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	if (f->fd >= 0)
		fcntl(f->fd, F_OFD_SETLK, &whole);
}

void blkfile_close(struct blkfile *f)
{
	/* Not left to close(): io_uring may hold the file a moment longer than its requests run. */
	blkfile_unlock(f);
	fd_close(&f->direct_fd);
	fd_close(&f->fd);
}

/* ---- choosing ---- */

bool blkfile_range_fits(const struct blkfile *f, uint64_t off, uint64_t len)
{
	return f->direct_fd >= 0 && is_aligned(off | len, f->io_align);
}

bool blkfile_memory_fits(const struct blkfile *f, const struct iovec *iov, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!is_aligned((uintptr_t)iov[i].iov_base, f->mem_align) ||
			!is_aligned(iov[i].iov_len, f->io_align))
			return false;
	return true;
}

int blkfile_fd(const struct blkfile *f, uint64_t off, const struct iovec *iov, unsigned int count)
{
	if (blkfile_range_fits(f, off, 0) && blkfile_memory_fits(f, iov, count))
		return f->direct_fd;
	return f->fd;
}
