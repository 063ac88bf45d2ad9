/* SPDX-License-Identifier: Apache-2.0 */

/* A disk and its host: files that are none, locks, limits, and engines that are forbidden. */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/test_virtio_blk.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

static uint8_t buf[4096];

/* virtio_blk_new fails with this code, and a sentence with these words. */
static void refused(const char *path, int code, const char *words)
{
	struct virtio_blk *b = NULL;
	struct err e = { "" };

	bt.cfg.path = path;
	ck_assert_int_eq(virtio_blk_new(&b, &bt.cfg, &e), code);
	ck_assert_ptr_null(b);
	ck_assert_msg(strstr(e.msg, words), "%s", e.msg);
	ck_assert_msg(strstr(e.msg, path), "%s", e.msg);
	bt.cfg.path = bt.path;
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void socket_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	close(fd);
}

START_TEST(what_is_no_disk_is_refused)
{
	char fifo[100];
	int before = open_fds();

	bt.cfg.read_only = _i;
	refused("/var/tmp/nacre-no/such", -ENOENT, "truncate -s");
	refused("/var/tmp", -EISDIR, "is a directory");
	refused("/dev/null", -EINVAL, "neither a file nor a block device");
	snprintf(fifo, sizeof(fifo), "%s-fifo", bt.path);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	refused(fifo, -EINVAL, "neither a file nor a block device");
	unlink(fifo);
	socket_at(fifo);
	refused(fifo, -ENXIO, "expected a raw image file or a block device");
	unlink(fifo);
	ck_assert_int_eq(ftruncate(bt.fd, 0), 0);
	refused(bt.path, -EINVAL, "no whole sector");
	ck_assert_int_eq(ftruncate(bt.fd, 511), 0);
	refused(bt.path, -EINVAL, "no whole sector");
	ck_assert_int_eq(ftruncate(bt.fd, 512), 0);
	bt.cfg.id = "123456789012345678901";
	refused(bt.path, -EINVAL, "longer than 20 bytes");
	bt.cfg.id = "";
	bt.cfg.limit.ops.refill_ms = UINT64_MAX;
	refused(bt.path, -EINVAL, "refill time");
	bt.cfg.limit.ops.refill_ms = 0;
	bt.cfg.engine = BLK_AIO;
	refused(bt.path, -EINVAL, "direct I/O only");
	ck_assert_int_eq(open_fds(), before);
}
END_TEST

/* Warnings go to stderr; from here on, to a file that has lost its name. */
static void keep_warnings(void)
{
	char path[SCRATCH_PATH];
	int fd = scratch_file(path);

	ck_assert_int_eq(dup2(fd, 2), 2);
	close(fd);
	log_set_level(LOG_WARN);
}

static void warned(const char *words)
{
	char text[4096] = "";

	ck_assert_int_ge(pread(2, text, sizeof(text) - 1, 0), 0);
	ck_assert_msg(strstr(text, words), "expected \"%s\" in: %s", words, text);
}

START_TEST(warnings_say_what_to_do)
{
	struct rlimit limit = { 0x8000, 0x8000 };

	ck_assert_int_eq(pwrite(bt.fd, "QFI\xfb", 4, 0), 4);
	ck_assert_int_eq(ftruncate(bt.fd, 0x10200 + 100), 0);
	keep_warnings();
	ck_assert(blk_start(&blk_modes[0]));
	warned("looks like a qcow2 image");
	warned("the last 100 are out of the guest's sight (truncate -s %512 ");
	ck_assert_int_eq(ftruncate(bt.fd, 0x10000), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0x80, GUEST_DATA, 512), VIRTIO_BLK_S_IOERR);
	warned(": read at byte 65536: Input/output error (the file is shorter");
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, 0x40, GUEST_DATA, 512), VIRTIO_BLK_S_IOERR);
	warned(": write at byte 32768: File too large (raise the limit");
	/* Drivers' mistakes name the disk. */
	ring_desc(&bt.ring, 0, BLK_HEADERS, 15, DESC_NEXT, 2);
	ring_offer(&bt.ring, 0);
	blk_serve();
	warned(bt.path);
	warned(": request with a header of 15 bytes, expected 16");
}
END_TEST

START_TEST(permission_is_asked_for)
{
	ck_assert_int_eq(fchmod(bt.fd, 0444), 0);
	ck_assert_int_eq(seteuid(geteuid() ? geteuid() : 65534), 0);
	refused(bt.path, -EACCES, "or make the disk read-only");
	ck_assert_int_eq(seteuid(getuid()), 0);
	ck_assert_int_eq(fchmod(bt.fd, 0), 0);
	ck_assert_int_eq(seteuid(geteuid() ? geteuid() : 65534), 0);
	bt.cfg.read_only = true;
	refused(bt.path, -EACCES, "needs read permission");
	ck_assert_int_eq(seteuid(getuid()), 0);
}
END_TEST

START_TEST(a_part_of_a_sector_is_left_out)
{
	ck_assert_int_eq(ftruncate(bt.fd, 1535), 0);
	ck_assert(blk_start(&blk_modes[0]));
	ck_assert_uint_eq(driver_get(&bt.drv, R_CONFIG), 2);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 1024), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 2, GUEST_DATA, 512), VIRTIO_BLK_S_IOERR);
}
END_TEST

START_TEST(files_are_locked)
{
	struct virtio_blk *second = NULL;
	struct blk_config cfg;
	struct err e = { "" };
	int r;

	/* 0: two writers, 1: a writer and a reader, 2: a reader and a writer, 3: two readers. */
	bt.cfg.read_only = _i >= 2;
	ck_assert(blk_start(&blk_modes[0]));
	cfg = bt.cfg;
	cfg.read_only = _i & 1;
	r = virtio_blk_new(&second, &cfg, &e);
	ck_assert_int_eq(r, _i == 3 ? 0 : -EBUSY);
	ck_assert(!r || strstr(e.msg, "in use by another process"));
	virtio_blk_free(second);
	/* The lock goes with the disk. */
	virtio_blk_free(bt.disk);
	bt.disk = NULL;
	ck_assert_int_eq(virtio_blk_new(&bt.disk, &cfg, &e), 0);
}
END_TEST

START_TEST(a_file_that_shrinks_gives_errors)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	/* The first pieces may have been read, which says nothing. */
	ck_assert_int_eq(ftruncate(bt.fd, 0x30000), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 0x40000), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(bt.used_len, 1);
	ck_assert_int_eq(ftruncate(bt.fd, 0x10000), 0);
	memset(guest_ptr(&bt.guest, GUEST_DATA), 0xaa, sizeof(buf));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0x200, GUEST_DATA, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(bt.used_len, 1);
	/* Across the new end; also with an end within a sector. */
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0x7c, GUEST_DATA, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_int_eq(ftruncate(bt.fd, 0x10000 - 100), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0x78, GUEST_DATA, 4096), VIRTIO_BLK_S_IOERR);
	/* What is left is there, and a flush has nothing to do with it. */
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0x70, GUEST_DATA, 4096), 0);
	ck_assert_uint_eq(
		*(uint8_t *)guest_ptr(&bt.guest, GUEST_DATA + 77), disk_byte(0x70 * 512 + 77));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_FLUSH, 0, 0, 0), 0);
	ck_assert(!blk_broken());
}
END_TEST

START_TEST(a_host_without_space_gives_errors)
{
	struct rlimit limit = { 0x100000, 0x100000 };

	if (!blk_start(&blk_modes[_i]))
		return;
	/* SIGXFSZ comes on the thread that writes, which may be this one. */
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	memset(guest_ptr(&bt.guest, GUEST_DATA), 0x55, 0x40000);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, 0x800, GUEST_DATA, 4096), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, 0x700, GUEST_DATA, 0x40000), VIRTIO_BLK_S_IOERR);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, 0x7f8, GUEST_DATA, 4096), 0);
	blk_file(0xff000, buf, 4096);
	ck_assert_uint_eq(buf[4095], 0x55);
	blk_file(0x100000, buf, 4096);
	ck_assert_uint_eq(buf[0], disk_byte(0x100000));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0x800, GUEST_DATA, 4096), 0);
	ck_assert(!blk_broken());
}
END_TEST

START_TEST(short_transfers_go_on)
{
	uint8_t *p = guest_ptr(&bt.guest, GUEST_DATA);

	ck_assert(blk_start(&blk_modes[_i]));
	blk_calls.tiny = true;
	memset(p, 0xaa, 0x2000);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA + 3, 4096), 0);
	ck_assert_uint_ge(blk_calls.reads, 41);
	for (unsigned int i = 0; i < 4096; i++)
		buf[i] = disk_byte(4096 + i);
	ck_assert_mem_eq(p + 3, buf, 4096);
	ck_assert_uint_eq(p[2], 0xaa);
	ck_assert_uint_eq(p[4099], 0xaa);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_OUT, 100, GUEST_DATA + 3, 4096), 0);
	ck_assert_uint_ge(blk_calls.writes, 41);
	blk_file(100 * 512, buf, 4096);
	ck_assert_mem_eq(p + 3, buf, 4096);
}
END_TEST

/* What direct I/O wants is not always 512: the rest goes through the page cache. */
START_TEST(direct_io_of_large_blocks)
{
	blk_calls.align = 4096;
	if (!blk_start(&blk_modes[7]))
		return;
	ck_assert_uint_eq(driver_get(&bt.drv, R_CONFIG + 20), 4096);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA + 512, 4096), 0);
	ck_assert_uint_eq(blk_calls.reads, 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 512), 0);
	ck_assert_uint_eq(blk_calls.reads, 1);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 9, GUEST_DATA, 4096), 0);
	ck_assert_uint_eq(blk_calls.reads, 2);
	ck_assert_uint_eq(*(uint8_t *)guest_ptr(&bt.guest, GUEST_DATA + 5), disk_byte(9 * 512 + 5));
}
END_TEST

/* The disk's descriptors with these flags. */
static int disk_fds(int mask, int flags)
{
	struct stat own, st;
	int n = 0;

	ck_assert_int_eq(fstat(bt.fd, &own), 0);
	for (int fd = 0; fd < 256; fd++)
		if (fd != bt.fd && !fstat(fd, &st) && st.st_ino == own.st_ino &&
			st.st_dev == own.st_dev)
			n += (fcntl(fd, F_GETFL) & mask) == flags;
	return n;
}

START_TEST(files_are_opened_for_what_they_are_for)
{
	bt.cfg.read_only = _i;
	if (!blk_start(&blk_modes[2]))
		return;
	ck_assert_int_eq(disk_fds(0, 0), 2);
	ck_assert_int_eq(disk_fds(O_ACCMODE, _i ? O_RDONLY : O_RDWR), 2);
	ck_assert_int_eq(disk_fds(O_DIRECT, O_DIRECT), 1);
	ck_assert_int_eq(disk_fds(O_NONBLOCK, 0), 2);
	virtio_blk_free(bt.disk);
	bt.disk = NULL;
	ck_assert_int_eq(disk_fds(0, 0), 0);
#ifdef STATX_DIOALIGN
	blk_calls.no_direct = true;
	refused(bt.path, -EINVAL, "has no direct I/O (use cache writeback)");
	ck_assert_int_eq(disk_fds(0, 0), 0);
#endif
}
END_TEST

START_TEST(ranges_have_a_largest_length)
{
	struct virtio_blk_discard_write_zeroes z = { 0, 1u << 17, 1 };
	const uint32_t zeroes = VIRTIO_BLK_T_WRITE_ZEROES, discard = VIRTIO_BLK_T_DISCARD;
	void *p = guest_ptr(&bt.guest, GUEST_DATA);

	ck_assert_int_eq(ftruncate(bt.fd, (off_t)GIB(3)), 0);
	ck_assert(blk_start(&blk_modes[0]));
	memcpy(p, &z, sizeof(z));
	ck_assert_uint_eq(blk_do(zeroes, 0, GUEST_DATA, 16), 0);
	z.num_sectors++;
	memcpy(p, &z, sizeof(z));
	ck_assert_uint_eq(blk_do(zeroes, 0, GUEST_DATA, 16), VIRTIO_BLK_S_IOERR);
	z.flags = 0;
	z.num_sectors = 1u << 21;
	memcpy(p, &z, sizeof(z));
	ck_assert_uint_eq(blk_do(discard, 0, GUEST_DATA, 16), 0);
	z.num_sectors++;
	memcpy(p, &z, sizeof(z));
	ck_assert_uint_eq(blk_do(discard, 0, GUEST_DATA, 16), VIRTIO_BLK_S_IOERR);
}
END_TEST

/* ---- engines ---- */

/* From here on the kernel refuses that call. */
static void forbid(unsigned int call, int code)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)code),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { ARRAY_SIZE(rules), rules };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

START_TEST(auto_takes_what_works)
{
	static const unsigned int calls[] = { SYS_io_uring_setup, SYS_io_uring_enter,
		SYS_io_uring_register };
	struct blk_mode mode = { "auto", BLK_AUTO, BLK_WRITEBACK, false, false };
	int before;

	forbid(calls[_i / 2], _i & 1 ? ENOSYS : EPERM);
	before = open_fds();
	bt.cfg.engine = BLK_URING;
	refused(bt.path, _i & 1 ? -ENOSYS : -EPERM, "this host forbids it");
	ck_assert_int_eq(open_fds(), before);
	ck_assert(blk_start(&mode));
	ck_assert_str_eq(virtio_blk_engine(bt.disk), "sync");
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 4096), 0);
	mode.cache = BLK_DIRECT;
	if (!blk_start(&mode))
		return;
	ck_assert_str_eq(virtio_blk_engine(bt.disk), "aio");
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 4096), 0);
	forbid(SYS_io_setup, EPERM);
	ck_assert(blk_start(&mode));
	ck_assert_str_eq(virtio_blk_engine(bt.disk), "sync");
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 4096), 0);
}
END_TEST

START_TEST(engine_is_the_one_asked_for)
{
	static const char *const names[] = { "", "io_uring", "aio", "sync" };

	if (!blk_start(&blk_modes[_i]))
		return;
	if (blk_modes[_i].engine != BLK_AUTO)
		ck_assert_str_eq(virtio_blk_engine(bt.disk), names[blk_modes[_i].engine]);
}
END_TEST

/* What a kernel does when it is short of memory: the request is refused at submission. */
START_TEST(refused_submissions_go_another_way)
{
	if (!blk_start(&blk_modes[7]))
		return;
	forbid(SYS_io_submit, EAGAIN);
	memset(guest_ptr(&bt.guest, GUEST_DATA), 0, 4096);
	for (unsigned int i = 0; i < 20; i++)
		blk_put(i, VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096);
	blk_ring();
	blk_wait(20);
	ck_assert_uint_eq(
		*(uint8_t *)guest_ptr(&bt.guest, GUEST_DATA + 77), disk_byte(8 * 512 + 77));
}
END_TEST

void blk_add_host_tests(Suite *s)
{
	TCase *t = tcase_create("host");

	tcase_add_checked_fixture(t, blk_setup, blk_teardown);
	tcase_add_loop_test(t, what_is_no_disk_is_refused, 0, 2);
	tcase_add_test(t, warnings_say_what_to_do);
	tcase_add_test(t, permission_is_asked_for);
	tcase_add_test(t, a_part_of_a_sector_is_left_out);
	tcase_add_loop_test(t, files_are_locked, 0, 4);
	tcase_add_loop_test(t, a_file_that_shrinks_gives_errors, 0, BLK_MODES);
	tcase_add_loop_test(t, a_host_without_space_gives_errors, 0, BLK_MODES);
	tcase_add_loop_test(t, short_transfers_go_on, 0, 2);
	tcase_add_test(t, direct_io_of_large_blocks);
	tcase_add_loop_test(t, files_are_opened_for_what_they_are_for, 0, 2);
	tcase_add_test(t, ranges_have_a_largest_length);
	tcase_add_loop_test(t, auto_takes_what_works, 0, 6);
	tcase_add_loop_test(t, engine_is_the_one_asked_for, 0, BLK_MODES);
	tcase_add_test(t, refused_submissions_go_another_way);
	tcase_set_timeout(t, BLK_TIMEOUT);
	suite_add_tcase(s, t);
}
