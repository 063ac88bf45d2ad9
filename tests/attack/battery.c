/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/battery.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <liburing.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "mem/guard.h"
#include "tests/guest/lib/marker.h"
#include "tests/attack/search.h"

#define PAGE 4096u

/* What attacks work with: files of ours that take what they read, or hold what they write. */
static struct {
	int taken;  /* a memfd of one page */
	int forged; /* one of a word */
	int pipe[2];
	int self_mem;
	struct io_uring ring;
} tools;

static uint64_t forged_word = 0x666f726765642121ULL;

/* A page, or a word of it, under attack. */
struct spot {
	uint8_t *addr;
	int fd;
	off_t off;
};

static long result(ssize_t n)
{
	return n < 0 ? -errno : n;
}

static bool tools_open(void)
{
	/* Of a process that has hidden itself these files are root's. Whoever is in it may end that. */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	tools.taken = memfd_create("taken", MFD_CLOEXEC);
	tools.forged = memfd_create("forged", MFD_CLOEXEC);
	tools.self_mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	if (tools.taken < 0 || tools.forged < 0 || tools.self_mem < 0 ||
		ftruncate(tools.taken, PAGE) || pwrite(tools.forged, &forged_word, 8, 0) != 8 ||
		pipe2(tools.pipe, O_NONBLOCK | O_CLOEXEC))
		return false;
	errno = -io_uring_queue_init(4, &tools.ring, 0);
	return errno == 0;
}

static void tools_close(void)
{
	io_uring_queue_exit(&tools.ring);
	close(tools.taken);
	close(tools.forged);
	close(tools.self_mem);
	close(tools.pipe[0]);
	close(tools.pipe[1]);
}

/* What a call has brought to the file for it. */
static long taken(long n, void *buf)
{
	return n <= 0 ? n : result(pread(tools.taken, buf, (size_t)n, 0));
}

static void drain(void)
{
	char rest[PAGE];

	while (read(tools.pipe[0], rest, sizeof(rest)) > 0)
		continue;
}

/* ---- by pointer ---- */

static long pointer_read(const struct spot *s, void *buf)
{
	struct guard_fault f;

	return guard_copy(buf, s->addr, PAGE, &f) ? (long)PAGE : BY_SIGNAL(f.signo);
}

static long pointer_write(const struct spot *s)
{
	struct guard_fault f;

	return guard_copy(s->addr, &forged_word, 8, &f) ? 8 : BY_SIGNAL(f.signo);
}

/* ---- calls that take an address ---- */

static long vm_readv(const struct spot *s, void *buf)
{
	struct iovec here = { buf, PAGE }, there = { s->addr, PAGE };

	return result(process_vm_readv(getpid(), &here, 1, &there, 1, 0));
}

static long vm_writev(const struct spot *s)
{
	struct iovec here = { &forged_word, 8 }, there = { s->addr, 8 };

	return result(process_vm_writev(getpid(), &here, 1, &there, 1, 0));
}

static long proc_mem_read(const struct spot *s, void *buf)
{
	return result(pread(tools.self_mem, buf, PAGE, (off_t)s->addr));
}

static long proc_mem_write(const struct spot *s)
{
	return result(pwrite(tools.self_mem, &forged_word, 8, (off_t)s->addr));
}

/* write() has the kernel read our memory, read() has it write there. */
static long by_write(const struct spot *s, void *buf)
{
	return taken(result(pwrite(tools.taken, s->addr, PAGE, 0)), buf);
}

static long by_read(const struct spot *s)
{
	return result(pread(tools.forged, s->addr, 8, 0));
}

static long by_pipe(const struct spot *s, void *buf)
{
	long n = result(write(tools.pipe[1], s->addr, PAGE));

	return n <= 0 ? n : result(read(tools.pipe[0], buf, PAGE));
}

static long vmsplice_out(const struct spot *s, void *buf)
{
	struct iovec iov = { s->addr, PAGE };
	long n = result(vmsplice(tools.pipe[1], &iov, 1, SPLICE_F_NONBLOCK));

	return n <= 0 ? n : result(read(tools.pipe[0], buf, PAGE));
}

static long vmsplice_in(const struct spot *s)
{
	struct iovec iov = { s->addr, 8 };
	long n = result(write(tools.pipe[1], &forged_word, 8));

	if (n == 8)
		n = result(vmsplice(tools.pipe[0], &iov, 1, SPLICE_F_NONBLOCK));
	drain();
	return n;
}

/* It tells nothing but whether four bytes are the ones we think: enough to find a marker. */
static long by_futex(const struct spot *s, void *buf)
{
	static const struct timespec at_once;
	uint64_t i, word = marker_word(0);

	if (syscall(SYS_futex, s->addr, FUTEX_WAIT, (uint32_t)word, &at_once, NULL, 0) == 0)
		return 0;
	memset(buf, 0, PAGE);
	if (errno == EAGAIN)
		return 4;
	if (errno != ETIMEDOUT)
		return -errno;
	for (i = 0; i < MARKER_WORDS; i++) {
		word = marker_word(i);
		memcpy((char *)buf + 8 * i, &word, 8);
	}
	return MARKER_BYTES;
}

static long ring_wait(void)
{
	struct io_uring_cqe *cqe;
	long n = io_uring_submit_and_wait(&tools.ring, 1);

	if (n >= 0)
		n = io_uring_peek_cqe(&tools.ring, &cqe);
	if (n < 0)
		return n;
	n = cqe->res;
	io_uring_cqe_seen(&tools.ring, cqe);
	return n;
}

static long ring_write(const struct spot *s, void *buf)
{
	io_uring_prep_write(io_uring_get_sqe(&tools.ring), tools.taken, s->addr, PAGE, 0);
	return taken(ring_wait(), buf);
}

static long ring_read(const struct spot *s)
{
	io_uring_prep_read(io_uring_get_sqe(&tools.ring), tools.forged, s->addr, 8, 0);
	return ring_wait();
}

/* With the page pinned as a buffer of the ring. */
static long ring_fixed(const struct spot *s, bool is_write, void *buf)
{
	struct iovec iov = { s->addr, is_write ? 8 : PAGE };
	long n = io_uring_register_buffers(&tools.ring, &iov, 1);
	struct io_uring_sqe *sqe;

	if (n < 0)
		return n;
	sqe = io_uring_get_sqe(&tools.ring);
	if (is_write)
		io_uring_prep_read_fixed(sqe, tools.forged, s->addr, 8, 0, 0);
	else
		io_uring_prep_write_fixed(sqe, tools.taken, s->addr, PAGE, 0, 0);
	n = ring_wait();
	io_uring_unregister_buffers(&tools.ring);
	return is_write ? n : taken(n, buf);
}

static long ring_write_fixed(const struct spot *s, void *buf)
{
	return ring_fixed(s, false, buf);
}

static long ring_read_fixed(const struct spot *s)
{
	return ring_fixed(s, true, NULL);
}

/* ---- calls that take the descriptor ---- */

static long fd_mmap(const struct spot *s, int flags, struct spot *fresh)
{
	off_t page = s->off & ~(off_t)(PAGE - 1);

	*fresh = *s;
	fresh->addr = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, flags, s->fd, page);
	return fresh->addr == MAP_FAILED ? -errno : 0;
}

static long fd_mmap_read(const struct spot *s, int flags, void *buf)
{
	struct spot fresh;
	long n = fd_mmap(s, flags, &fresh);

	if (n)
		return n;
	n = pointer_read(&fresh, buf);
	munmap(fresh.addr, PAGE);
	return n;
}

static long fd_mmap_shared(const struct spot *s, void *buf)
{
	return fd_mmap_read(s, MAP_SHARED, buf);
}

static long fd_mmap_private(const struct spot *s, void *buf)
{
	return fd_mmap_read(s, MAP_PRIVATE, buf);
}

static long fd_mmap_write(const struct spot *s)
{
	struct spot fresh;
	long n = fd_mmap(s, MAP_SHARED, &fresh);
	uint8_t *page = fresh.addr;

	if (n)
		return n;
	fresh.addr += s->off & (PAGE - 1);
	n = pointer_write(&fresh);
	munmap(page, PAGE);
	return n;
}

/* Not pread, which asks first whether there is such a thing as a place in the file. */
static long fd_read(const struct spot *s, void *buf)
{
	lseek(s->fd, s->off, SEEK_SET);
	return result(read(s->fd, buf, PAGE));
}

static long fd_write(const struct spot *s)
{
	lseek(s->fd, s->off, SEEK_SET);
	return result(write(s->fd, &forged_word, 8));
}

/* A file opened once more is not bound to what the descriptor allows. */
static long fd_reopen(const struct spot *s, void *buf)
{
	char path[32];
	long n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", s->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = result(pread(fd, buf, PAGE, s->off));
	close(fd);
	return n;
}

static long fd_sendfile(const struct spot *s, void *buf)
{
	lseek(s->fd, s->off, SEEK_SET);
	lseek(tools.taken, 0, SEEK_SET);
	return taken(result(sendfile(tools.taken, s->fd, NULL, PAGE)), buf);
}

static long fd_copy_range(const struct spot *s, void *buf)
{
	off_t from = s->off, to = 0;

	return taken(result(copy_file_range(s->fd, &from, tools.taken, &to, PAGE, 0)), buf);
}

static long fd_splice(const struct spot *s, void *buf)
{
	off_t off = s->off;
	long n = result(splice(s->fd, &off, tools.pipe[1], NULL, PAGE, SPLICE_F_NONBLOCK));

	return n <= 0 ? n : result(read(tools.pipe[0], buf, PAGE));
}

static long fd_ring_read(const struct spot *s, void *buf)
{
	io_uring_prep_read(io_uring_get_sqe(&tools.ring), s->fd, buf, PAGE, (uint64_t)s->off);
	return ring_wait();
}

/* ---- all of them ---- */

static const struct attack {
	const char *name;
	enum battery_part part;
	long (*read)(const struct spot *s, void *buf); /* or */
	long (*write)(const struct spot *s);
} attacks[] = {
	{ "pointer", BATTERY_POINTER, .read = pointer_read },
	{ "pointer", BATTERY_POINTER, .write = pointer_write },
	{ "process_vm_readv", BATTERY_CALLS, .read = vm_readv },
	{ "process_vm_writev", BATTERY_CALLS, .write = vm_writev },
	{ "/proc/self/mem", BATTERY_CALLS, .read = proc_mem_read },
	{ "/proc/self/mem", BATTERY_CALLS, .write = proc_mem_write },
	{ "write()", BATTERY_CALLS, .read = by_write },
	{ "read()", BATTERY_CALLS, .write = by_read },
	{ "write()-to-pipe", BATTERY_CALLS, .read = by_pipe },
	{ "vmsplice", BATTERY_CALLS, .read = vmsplice_out },
	{ "vmsplice", BATTERY_CALLS, .write = vmsplice_in },
	{ "io_uring", BATTERY_CALLS, .read = ring_write },
	{ "io_uring", BATTERY_CALLS, .write = ring_read },
	{ "io_uring-pinned", BATTERY_CALLS, .read = ring_write_fixed },
	{ "io_uring-pinned", BATTERY_CALLS, .write = ring_read_fixed },
	{ "futex", BATTERY_CALLS, .read = by_futex },
	{ "mmap", BATTERY_FILE, .read = fd_mmap_shared },
	{ "mmap", BATTERY_FILE, .write = fd_mmap_write },
	{ "file-mmap-copy", BATTERY_FILE, .read = fd_mmap_private },
	{ "file-read()", BATTERY_FILE, .read = fd_read },
	{ "file-write()", BATTERY_FILE, .write = fd_write },
	{ "file-open()", BATTERY_FILE, .read = fd_reopen },
	{ "file-sendfile", BATTERY_FILE, .read = fd_sendfile },
	{ "file-copy_file_range", BATTERY_FILE, .read = fd_copy_range },
	{ "file-splice", BATTERY_FILE, .read = fd_splice },
	{ "file-io_uring", BATTERY_FILE, .read = fd_ring_read },
};

static void read_page(const struct attack *a, const struct spot *s, struct tally *t)
{
	static uint8_t buf[PAGE] __attribute__((aligned(PAGE)));
	long n = a->read(s, buf);

	t->pages++;
	if (n <= 0) {
		tally_refusal(t, n);
		return;
	}
	t->through++;
	t->marked += marker_count(buf, (size_t)n) != 0;
}

static void write_word(const struct attack *a, const struct spot *page, struct tally *t)
{
	struct spot s = *page;
	long n;

	s.addr += 8 * t->marked;
	s.off += (off_t)(8 * t->marked);
	n = a->write(&s);
	t->pages++;
	if (n == 8)
		t->through++;
	else
		tally_refusal(t, n);
}

bool battery_run(
	const struct target *t, unsigned int parts, unsigned int word, const char *prefix, int out)
{
	const unsigned int count = sizeof(attacks) / sizeof(attacks[0]);
	uint64_t off, step = parts & BATTERY_STRIPES ? count * PAGE : PAGE;
	unsigned int i;

	if (!tools_open()) {
		dprintf(out, "%stools broken 1 0 0 %s\n", prefix, strerrorname_np(errno));
		return false;
	}
	for (i = 0; i < count; i++) {
		const struct attack *a = &attacks[i];
		struct tally tally = { .marked = a->write ? word++ : 0 };

		if (!(a->part & parts) || (a->part == BATTERY_FILE && t->fd < 0))
			continue;
		for (off = i * PAGE % step; off < t->len; off += step) {
			struct spot s = { t->addr + off, t->fd, (off_t)off };

			if (a->read)
				read_page(a, &s, &tally);
			else
				write_word(a, &s, &tally);
		}
		tally_print(out, prefix, a->name, a->read ? "read" : "write", &tally);
	}
	tools_close();
	return true;
}
