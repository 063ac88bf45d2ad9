/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mem/guard.h"
#include "tests/unit/test_virtio_blk.h"
#include "vmm/util/clock.h"
#include "vmm/util/log.h"

struct blk_test bt;
struct blk_calls blk_calls;

const struct blk_mode blk_modes[BLK_MODES] = {
	{ "sync", BLK_SYNC, BLK_WRITEBACK, false, false },
	{ "sync, protected", BLK_SYNC, BLK_WRITEBACK, true, false },
	{ "sync, direct", BLK_SYNC, BLK_DIRECT, false, false },
	{ "uring", BLK_URING, BLK_WRITEBACK, false, false },
	{ "uring, protected", BLK_URING, BLK_WRITEBACK, true, false },
	{ "uring, direct", BLK_URING, BLK_DIRECT, false, false },
	{ "uring, direct, protected", BLK_URING, BLK_DIRECT, true, false },
	{ "aio", BLK_AIO, BLK_DIRECT, false, false },
	{ "aio, protected", BLK_AIO, BLK_DIRECT, true, false },
	{ "auto, unsafe", BLK_AUTO, BLK_UNSAFE, false, false },
	{ "sync, native", BLK_SYNC, BLK_WRITEBACK, true, true },
	{ "uring, native", BLK_URING, BLK_WRITEBACK, true, true },
	{ "aio, native", BLK_AIO, BLK_DIRECT, true, true },
};

/* ---- in front of libc's ---- */

/* The first 100 bytes of the first buffer, where transfers are to come out short. */
static const struct iovec *cut(const struct iovec *iov, int *count, struct iovec *room)
{
	if (!blk_calls.tiny)
		return iov;
	*room = *iov;
	if (room->iov_len > 100)
		room->iov_len = 100;
	*count = 1;
	return room;
}

static void wait_if_held(void)
{
	while (blk_calls.hold)
		usleep(1000);
}

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t off)
{
	struct iovec room;

	blk_calls.reads++;
	wait_if_held();
	iov = cut(iov, &count, &room);
	return syscall(SYS_preadv, fd, iov, (long)count, (long)off, 0l);
}

ssize_t pwritev2(int fd, const struct iovec *iov, int count, off_t off, int flags)
{
	struct iovec room;

	blk_calls.writes++;
	wait_if_held();
	blk_calls.stable += !!(flags & RWF_DSYNC);
	iov = cut(iov, &count, &room);
	return syscall(SYS_pwritev2, fd, iov, (long)count, (long)off, 0l, (long)flags);
}

int statx(
	int fd, const char *restrict path, int flags, unsigned int mask, struct statx *restrict out)
{
	int r = (int)syscall(SYS_statx, fd, path, flags, mask, out);

#ifdef STATX_DIOALIGN
	if ((blk_calls.align || blk_calls.no_direct) && mask & STATX_DIOALIGN) {
		out->stx_mask |= STATX_DIOALIGN;
		out->stx_dio_mem_align = out->stx_dio_offset_align = blk_calls.align;
	}
#endif
	return r;
}

int fdatasync(int fd)
{
	blk_calls.syncs++;
	return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	blk_calls.last_mode = mode;
	if (blk_calls.no_fallocate) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_fallocate, fd, mode, off, len);
}

/* ---- life ---- */

uint8_t disk_byte(uint64_t pos)
{
	return (uint8_t)(pos * 7 + (pos >> 9) * 31 + (pos >> 17));
}

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(bt.loop);
}

static void on_irq(void *arg, int fd, short events)
{
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) == sizeof(count))
		on_end(arg);
}

static void make_file(void)
{
	static uint8_t bytes[DISK_SIZE];

	bt.fd = scratch_file(bt.path);
	for (uint64_t i = 0; i < DISK_SIZE; i++)
		bytes[i] = disk_byte(i);
	ck_assert_int_eq(pwrite(bt.fd, bytes, DISK_SIZE, 0), DISK_SIZE);
}

void blk_setup(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(guard_init(&e), 0);
	memset(&bt, 0, sizeof(bt));
	memset(&blk_calls, 0, sizeof(blk_calls));
	guest_new(&bt.guest);
	make_file();
	bt.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(loop_new(&bt.loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(bt.loop, on_end, NULL, &bt.end, &e), 0);
	ck_assert_int_eq(loop_add_fd(bt.loop, bt.irq, LOOP_READ, on_irq, NULL, &bt.on_irq, &e), 0);
	bt.cfg = (struct blk_config){ .path = bt.path, .id = "serial-0" };
	bt.cfg.mem = bt.guest.mem;
	bt.cfg.loop = bt.loop;
	bt.cfg.irq.fd = bt.irq;
}

void blk_teardown(void)
{
	virtio_blk_free(bt.disk);
	loop_event_free(bt.end);
	loop_event_free(bt.on_irq);
	loop_free(bt.loop);
	close(bt.irq);
	close(bt.fd);
	/* At once: there are many. */
	unlink(bt.path);
	guest_free(&bt.guest);
	log_set_level(LOG_WARN);
}

void blk_drive(void)
{
	uint64_t want = BLK_FEATURES | F_RESET | F_INDIRECT;

	want |= bt.cfg.is_protected ? F_PLATFORM : 0;
	want &= driver_features(&bt.drv) & ~bt.drop;
	ring_new(&bt.ring, &bt.guest, GUEST_RAM, 256);
	for (unsigned int i = 0; i < bt.offered; i++)
		blk_put(i, i % 3 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, 8 * i,
			GUEST_DATA + 0x1000ull * i, 4096);
	ck_assert_uint_eq(driver_start(&bt.drv, want, &bt.ring),
		S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

void blk_memory(const struct blk_mode *mode)
{
	if (mode->is_native == bt.is_native)
		return;
	guest_free(&bt.guest);
	if (mode->is_native)
		guest_new_native(&bt.guest);
	else
		guest_new(&bt.guest);
	bt.is_native = mode->is_native;
	bt.cfg.mem = bt.guest.mem;
}

bool blk_start(const struct blk_mode *mode)
{
	struct err e = { "" };
	int r;

	bt.cfg.engine = mode->engine;
	bt.cfg.cache = mode->cache;
	bt.cfg.is_protected = mode->is_protected;
	virtio_blk_free(bt.disk);
	bt.disk = NULL;
	blk_memory(mode);
	r = virtio_blk_new(&bt.disk, &bt.cfg, &e);
	if (r && (strstr(e.msg, "direct I/O (use") || strstr(e.msg, "forbids it"))) {
		fprintf(stderr, "not tested: %s: %s\n", mode->name, e.msg);
		return false;
	}
	ck_assert_msg(!r, "%s: %s", mode->name, e.msg);
	driver_new(&bt.drv, virtio_blk_dev(bt.disk));
	blk_drive();
	return true;
}

/* ---- requests ---- */

void blk_pump(unsigned int ms)
{
	loop_timer_set(bt.end, ms * 1000ull);
	ck_assert_int_eq(loop_run(bt.loop), 0);
}

void blk_wait(uint16_t used)
{
	uint64_t end = clock_ms() + BLK_PATIENCE_MS;

	while (ring_used_idx(&bt.ring) != used && clock_ms() < end)
		blk_pump(1000);
	ck_assert_uint_eq(ring_used_idx(&bt.ring), used);
}

uint8_t *blk_status(unsigned int i)
{
	return guest_ptr(&bt.guest, BLK_STATUS + i);
}

static void put_header(unsigned int i, uint32_t type, uint64_t sector)
{
	struct virtio_blk_outhdr h = { type, 0, sector };

	memcpy(guest_ptr(&bt.guest, BLK_HEADERS + 16ull * i), &h, sizeof(h));
}

void blk_put(unsigned int i, uint32_t type, uint64_t sector, uint64_t addr, uint32_t len)
{
	bool in = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	uint16_t d = (uint16_t)(i * 3);

	put_header(i, type, sector);
	*blk_status(i) = 0xee;
	ring_desc(&bt.ring, d, BLK_HEADERS + 16ull * i, 16, DESC_NEXT,
		(uint16_t)(len ? d + 1 : d + 2));
	ring_desc(&bt.ring, (uint16_t)(d + 1), addr, len,
		(uint16_t)(DESC_NEXT | (in ? DESC_WRITE : 0)), (uint16_t)(d + 2));
	ring_desc(&bt.ring, (uint16_t)(d + 2), BLK_STATUS + i, 1, DESC_WRITE, 0);
	ring_offer(&bt.ring, d);
}

void blk_ring(void)
{
	driver_put(&bt.drv, R_NOTIFY, 0);
}

void blk_serve(void)
{
	struct virtio_dev *d = virtio_blk_dev(bt.disk);

	pthread_mutex_lock(&d->lock);
	d->ops->queue_notify(d, 0);
	pthread_mutex_unlock(&d->lock);
}

uint8_t blk_do(uint32_t type, uint64_t sector, uint64_t addr, uint32_t len)
{
	uint16_t before = ring_used_idx(&bt.ring);
	uint32_t head;

	blk_put(0, type, sector, addr, len);
	blk_ring();
	blk_wait((uint16_t)(before + 1));
	while (ring_take(&bt.ring, &head, &bt.used_len))
		continue;
	return *blk_status(0);
}

bool blk_broken(void)
{
	return driver_get(&bt.drv, R_STATUS) & S_NEEDS_RESET;
}

void blk_file(uint64_t off, void *buf, size_t len)
{
	ck_assert_int_eq(pread(bt.fd, buf, len, (off_t)off), (ssize_t)len);
}

/* ---- bytes ---- */

uint8_t *blk_data(uint64_t off)
{
	return guest_ptr(&bt.guest, GUEST_DATA + off);
}

void blk_is_disk(const uint8_t *p, uint64_t sector, uint32_t len)
{
	uint32_t i = 0;

	/* One assertion: Check writes each of them to a pipe. */
	while (i < len && p[i] == disk_byte(sector * 512 + i))
		i++;
	ck_assert_msg(i == len, "byte %u of sector %u is 0x%02x", i, (unsigned int)sector, p[i]);
}

void blk_is_all(const uint8_t *p, uint8_t value, size_t len)
{
	size_t i = 0;

	while (i < len && p[i] == value)
		i++;
	ck_assert_msg(i == len, "byte %zu of %zu is 0x%02x", i, len, p[i]);
}
