/* SPDX-License-Identifier: Apache-2.0 */
/*
 * disk FILE ROUNDS - 4 KiB random reads at queue depth 32, through the block device's model and
 * straight to io_uring
 *
 * Both in one process, in turns, on the same blocks of the same file (made if it is missing). The
 * driver's side is the one of the unit tests, on the thread of the device's loop, so its work counts
 * against the model; a guest's would run beside it. For each cache mode a line
 *
 *   CACHE MODEL STRAIGHT       the median of the rounds, in reads a second
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "devices/virtio_blk.h"
#include "mem/guard.h"
#include "tests/unit/fake_driver.h"
#include "vmm/util/bits.h"

#define DEPTH	   32u
#define BLOCK	   4096u
#define FILE_BYTES MIB(256)
#define READS	   20000u
#define ROUNDS_MAX 99
#define HEADERS	   (GUEST_RAM + 0x40000)
#define STATUS	   (GUEST_RAM + 0x50000)

static uint32_t order[READS]; /* the blocks to read */

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "disk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_file(const char *path)
{
	static uint8_t bytes[1 << 20];
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	need(fd >= 0, path);
	if (lseek(fd, 0, SEEK_END) != (off_t)FILE_BYTES) {
		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)(i * 2654435761u >> 11);
		for (off_t at = 0; at < (off_t)FILE_BYTES; at += (off_t)sizeof(bytes))
			need(pwrite(fd, bytes, sizeof(bytes), at) == sizeof(bytes), path);
		need(!fsync(fd), path);
	}
	close(fd);
}

static void shuffle(void)
{
	srandom(1);
	for (unsigned int i = 0; i < READS; i++)
		order[i] = (uint32_t)((uint64_t)random() % (FILE_BYTES / BLOCK));
}

/* ---- straight ---- */

static void submit_one(struct io_uring *ring, int fd, uint8_t *buffers, uint32_t slot, uint32_t i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);

	io_uring_prep_read(sqe, fd, buffers + slot * BLOCK, BLOCK, (uint64_t)order[i] * BLOCK);
	io_uring_sqe_set_data(sqe, buffers + slot * BLOCK);
}

static double straight(const char *path, bool direct)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | (direct ? O_DIRECT : 0));
	uint8_t *buffers = aligned_alloc(BLOCK, DEPTH * BLOCK);
	uint32_t sent, done = 0;
	struct io_uring ring;
	double start;

	need(fd >= 0 && buffers, path);
	need(!io_uring_queue_init(DEPTH, &ring, 0), "io_uring");
	start = seconds();
	for (sent = 0; sent < DEPTH; sent++)
		submit_one(&ring, fd, buffers, sent, sent);
	while (done < READS) {
		struct io_uring_cqe *cqe;

		need(io_uring_submit_and_wait(&ring, 1) >= 0, "io_uring_enter");
		while (!io_uring_peek_cqe(&ring, &cqe)) {
			uint8_t *buffer = io_uring_cqe_get_data(cqe);

			need(cqe->res == (int)BLOCK, "read");
			io_uring_cqe_seen(&ring, cqe);
			done++;
			if (sent < READS)
				submit_one(&ring, fd, buffers,
					(uint32_t)((size_t)(buffer - buffers) / BLOCK), sent++);
		}
	}
	start = seconds() - start;
	io_uring_queue_exit(&ring);
	free(buffers);
	close(fd);
	return READS / start;
}

/* ---- through the model ---- */

struct model {
	struct guest guest;
	struct loop *loop;
	struct loop_event *on_irq;
	struct driver drv;
	struct ring ring;
	uint32_t sent, done;
	int irq;
};

static void offer(struct model *m, uint32_t slot)
{
	struct virtio_blk_outhdr h = { VIRTIO_BLK_T_IN, 0,
		(uint64_t)order[m->sent++] * (BLOCK / 512) };
	uint16_t d = (uint16_t)(slot * 3);

	memcpy(guest_ptr(&m->guest, HEADERS + 16ull * slot), &h, sizeof(h));
	ring_offer(&m->ring, d);
}

static void on_irq(void *arg, int fd, short events)
{
	struct model *m = arg;
	uint32_t head, len;
	uint64_t count;

	(void)events;
	need(read(fd, &count, sizeof(count)) == sizeof(count), "interrupt");
	while (ring_take(&m->ring, &head, &len)) {
		need(*(uint8_t *)guest_ptr(&m->guest, STATUS + head / 3) == 0, "read by the model");
		m->done++;
		if (m->sent < READS)
			offer(m, head / 3);
	}
	if (m->done == READS)
		loop_stop(m->loop);
	else
		driver_put(&m->drv, R_NOTIFY, 0);
}

static double through(struct model *m)
{
	double start;
	uint32_t i;

	m->sent = m->done = 0;
	for (i = 0; i < DEPTH; i++) {
		uint16_t d = (uint16_t)(i * 3);

		ring_desc(&m->ring, d, HEADERS + 16ull * i, 16, DESC_NEXT, (uint16_t)(d + 1));
		ring_desc(&m->ring, (uint16_t)(d + 1), GUEST_DATA + (uint64_t)i * BLOCK, BLOCK,
			DESC_NEXT | DESC_WRITE, (uint16_t)(d + 2));
		ring_desc(&m->ring, (uint16_t)(d + 2), STATUS + i, 1, DESC_WRITE, 0);
	}
	start = seconds();
	for (i = 0; i < DEPTH; i++)
		offer(m, i);
	driver_put(&m->drv, R_NOTIFY, 0);
	need(!loop_run(m->loop), "loop");
	return READS / (seconds() - start);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(const char *path, enum blk_cache cache, const char *name, unsigned int rounds)
{
	double a[ROUNDS_MAX], b[ROUNDS_MAX];
	struct model m = { .irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	struct virtio_blk *disk;
	struct err e;

	guest_new(&m.guest);
	if (loop_new(&m.loop, NULL, &e) ||
		loop_add_fd(m.loop, m.irq, LOOP_READ, on_irq, &m, &m.on_irq, &e) ||
		virtio_blk_new(&disk,
			&(struct blk_config){ .path = path,
				.cache = cache,
				.engine = BLK_URING,
				.mem = m.guest.mem,
				.loop = m.loop,
				.irq.fd = m.irq },
			&e)) {
		fprintf(stderr, "disk: %s: %s\n", name, e.msg);
		return;
	}
	driver_new(&m.drv, virtio_blk_dev(disk));
	ring_new(&m.ring, &m.guest, GUEST_RAM, 256);
	driver_start(&m.drv, F_VERSION, &m.ring);
	for (unsigned int i = 0; i < rounds; i++) {
		a[i] = through(&m);
		b[i] = straight(path, cache == BLK_DIRECT);
	}
	qsort(a, rounds, sizeof(*a), by_value);
	qsort(b, rounds, sizeof(*b), by_value);
	printf("%s %.0f %.0f\n", name, a[rounds / 2], b[rounds / 2]);
	virtio_blk_free(disk);
	loop_event_free(m.on_irq);
	loop_free(m.loop);
	guest_free(&m.guest);
	close(m.irq);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc == 3 ? (unsigned int)atoi(argv[2]) : 0;
	struct err e;

	if (!rounds || rounds > ROUNDS_MAX || guard_init(&e)) {
		fprintf(stderr, "usage: disk FILE ROUNDS (1 to %d)\n", ROUNDS_MAX);
		return 2;
	}
	make_file(argv[1]);
	shuffle();
	measure(argv[1], BLK_DIRECT, "direct", rounds);
	measure(argv[1], BLK_WRITEBACK, "writeback", rounds);
	return 0;
}
