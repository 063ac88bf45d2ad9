/* SPDX-License-Identifier: Apache-2.0 */

/* A disk that becomes another while its guest uses it. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/test_virtio_blk.h"
#include "vmm/util/bits.h"

static char other[80];

/* A second file, whose bytes are all `value`. */
static void make_other(uint8_t value, size_t size)
{
	static uint8_t bytes[DISK_SIZE];
	int fd;

	snprintf(other, sizeof(other), "%s-other", bt.path);
	fd = open(other, O_CREAT | O_RDWR | O_TRUNC | O_CLOEXEC, 0600);
	memset(bytes, value, size);
	ck_assert_int_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
	close(fd);
}

static void setup(void)
{
	blk_setup();
}

static void teardown(void)
{
	blk_teardown();
	unlink(other);
}

static uint64_t capacity(void)
{
	return driver_get(&bt.drv, R_CONFIG) | (uint64_t)driver_get(&bt.drv, R_CONFIG + 4) << 32;
}

/* Whether somebody has it locked. */
static bool is_locked(const char *path)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = open(path, O_RDWR | O_CLOEXEC);
	bool locked = fcntl(fd, F_OFD_GETLK, &lock) || lock.l_type != F_UNLCK;

	close(fd);
	return locked;
}

static void change(const char *path)
{
	struct err e = { "" };

	ck_assert_msg(virtio_blk_set_path(bt.disk, path, &e) == 0, "%s", e.msg);
}

START_TEST(another_file_takes_its_place)
{
	uint32_t generation;

	if (!blk_start(&blk_modes[_i]))
		return;
	make_other(0x5a, DISK_SIZE / 2);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096), 0);
	blk_is_disk(blk_data(0), 8, 4096);
	driver_put(&bt.drv, R_ACK, 3);
	generation = driver_get(&bt.drv, R_GENERATION);
	change(other);
	/* Others may have the first, also while our loop stands still. */
	ck_assert(!is_locked(bt.path));
	/* The driver is told, and finds the new size. */
	ck_assert_uint_eq(driver_get(&bt.drv, R_ISR) & 2, 2);
	ck_assert_uint_ne(driver_get(&bt.drv, R_GENERATION), generation);
	ck_assert_uint_eq(capacity(), DISK_SECTORS / 2);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096), 0);
	blk_is_all(blk_data(0), 0x5a, 4096);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, DISK_SECTORS / 2, GUEST_DATA, 512), 1);
	ck_assert(is_locked(other));
	change(bt.path);
	ck_assert_uint_eq(capacity(), DISK_SECTORS);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096), 0);
	blk_is_disk(blk_data(0), 8, 4096);
}
END_TEST

/* Requests end on the file that they began on: those under way on the first, later ones on the next. */
START_TEST(requests_under_way_end_where_they_began)
{
	/* In pieces, where the data goes through a buffer of ours. */
	static uint8_t bytes[0x40000];
	int fd;

	if (!blk_start(&blk_modes[_i]))
		return;
	make_other(0x5a, DISK_SIZE);
	memset(blk_data(0), 0x77, sizeof(bytes));
	/* Of the engines that we can hold up, only the thread; others may be done already. */
	blk_calls.hold = true;
	blk_put(0, VIRTIO_BLK_T_OUT, 0, GUEST_DATA, sizeof(bytes));
	blk_serve();
	change(other);
	blk_put(1, VIRTIO_BLK_T_IN, 0, GUEST_DATA + 0x40000, 4096);
	blk_serve();
	blk_calls.hold = false;
	blk_wait(2);
	ck_assert_uint_eq(*blk_status(0), 0);
	ck_assert_uint_eq(*blk_status(1), 0);
	blk_is_all(blk_data(0x40000), 0x5a, 4096);
	blk_file(0, bytes, sizeof(bytes));
	blk_is_all(bytes, 0x77, sizeof(bytes));
	fd = open(other, O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(pread(fd, bytes, sizeof(bytes), 0), sizeof(bytes));
	close(fd);
	blk_is_all(bytes, 0x5a, sizeof(bytes));
	for (int i = 0; i < BLK_PATIENCE_MS && is_locked(bt.path); i++)
		blk_pump(1);
	ck_assert(!is_locked(bt.path));
}
END_TEST

/* And with requests on both it may go away. */
START_TEST(may_go_away_with_two_files)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	make_other(0x5a, DISK_SIZE);
	blk_put(0, VIRTIO_BLK_T_IN, 0, GUEST_DATA, 65536);
	blk_serve();
	change(other);
	blk_put(1, VIRTIO_BLK_T_IN, 0, GUEST_DATA + 0x10000, 4096);
	blk_serve();
}
END_TEST

static void *let_go(void *arg)
{
	(void)arg;
	usleep(1000);
	blk_calls.hold = false;
	return NULL;
}

/* The last request on the first ends while all is being freed: for the sanitizers. */
START_TEST(may_go_away_while_requests_end)
{
	struct err e = { "" };
	pthread_t thread;

	ck_assert(blk_start(&blk_modes[0]));
	make_other(0x5a, DISK_SIZE);
	blk_calls.hold = true;
	blk_put(0, VIRTIO_BLK_T_IN, 0, GUEST_DATA, 65536);
	blk_serve();
	change(other);
	ck_assert_int_eq(loop_start_thread(bt.loop, THREAD_IO, "loop", &e), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, let_go, NULL), 0);
	usleep(1000);
	virtio_blk_free(bt.disk);
	bt.disk = NULL;
	pthread_join(thread, NULL);
}
END_TEST

/* While the loop stands still, as that of a paused guest, nobody lets go of what was before. */
START_TEST(files_that_wait_are_few)
{
	struct err e = { "" };
	int r = 0, i;

	if (!blk_start(&blk_modes[_i]))
		return;
	make_other(0x5a, DISK_SIZE);
	for (i = 0; i < 100 && !r; i++)
		r = virtio_blk_set_path(bt.disk, i % 2 ? bt.path : other, &e);
	ck_assert_int_eq(r, -EBUSY);
	ck_assert_int_eq(i, 9);
	ck_assert_ptr_nonnull(strstr(e.msg, "resume the guest"));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096), 0);
	blk_is_disk(blk_data(0), 8, 4096);
	blk_pump(20);
	change(other);
}
END_TEST

START_TEST(same_file_has_another_size)
{
	ck_assert(blk_start(&blk_modes[0]));
	ck_assert_int_eq(ftruncate(bt.fd, DISK_SIZE * 2), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, DISK_SECTORS, GUEST_DATA, 512), 1);
	change(bt.path);
	ck_assert_uint_eq(capacity(), DISK_SECTORS * 2);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, DISK_SECTORS, GUEST_DATA, 512), 0);
	ck_assert(is_locked(bt.path));
	/* By another name, too. */
	snprintf(other, sizeof(other), "%s-other", bt.path);
	ck_assert_int_eq(symlink(bt.path, other), 0);
	ck_assert_int_eq(ftruncate(bt.fd, DISK_SIZE), 0);
	change(other);
	ck_assert_uint_eq(capacity(), DISK_SECTORS);
}
END_TEST

START_TEST(what_is_no_disk_changes_nothing)
{
	struct err e = { "" };

	ck_assert(blk_start(&blk_modes[0]));
	ck_assert_int_eq(virtio_blk_set_path(bt.disk, "/var/tmp/nacre-no/such", &e), -ENOENT);
	ck_assert_int_eq(virtio_blk_set_path(bt.disk, "/dev/null", &e), -EINVAL);
	ck_assert_uint_eq(capacity(), DISK_SECTORS);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096), 0);
	blk_is_disk(blk_data(0), 8, 4096);
}
END_TEST

/* Of which one could be the guest's own memory, by the way that no wall of paths covers. */
START_TEST(files_without_a_name_stay_out)
{
	int fd = _i ? memfd_create("guest", MFD_CLOEXEC) : -1;
	struct err e = { "" };
	char way[40];

	ck_assert(blk_start(&blk_modes[0]));
	if (!_i) {
		make_other(1, DISK_SIZE);
		fd = open(other, O_RDWR | O_CLOEXEC);
		unlink(other);
	}
	ck_assert_int_eq(ftruncate(fd, DISK_SIZE), 0);
	snprintf(way, sizeof(way), "/proc/self/fd/%d", fd);
	ck_assert_int_eq(virtio_blk_set_path(bt.disk, way, &e), -EINVAL);
	ck_assert_msg(strstr(e.msg, "has no name any more") != NULL, "%s", e.msg);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096), 0);
	blk_is_disk(blk_data(0), 8, 4096);
	close(fd);
}
END_TEST

/* A disk that is to come, and one that was taken away again. */
START_TEST(place_may_be_empty)
{
	ck_assert_int_eq(ftruncate(bt.fd, 0), 0);
	bt.cfg.may_be_empty = true;
	ck_assert(blk_start(&blk_modes[0]));
	ck_assert_uint_eq(capacity(), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 512), VIRTIO_BLK_S_IOERR);
	make_other(1, DISK_SIZE);
	change(other);
	ck_assert_uint_eq(capacity(), DISK_SECTORS);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096), 0);
	change(bt.path);
	ck_assert_uint_eq(capacity(), 0);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 8, GUEST_DATA, 4096), VIRTIO_BLK_S_IOERR);
}
END_TEST

/* Of requests that wait for tokens: with more of them, they go on at once. */
START_TEST(limit_may_be_raised)
{
	const struct ratelimit_config few = { .ops = { .size = 1, .refill_ms = 1000000 } };
	const struct ratelimit_config none = { { 0 }, { 0 } };
	const struct ratelimit_config wrong = { .ops = { .size = 1, .refill_ms = UINT64_MAX } };
	struct err e = { "" };

	bt.cfg.limit = few;
	ck_assert(blk_start(&blk_modes[0]));
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 512), 0);
	blk_put(1, VIRTIO_BLK_T_IN, 8, GUEST_DATA, 512);
	blk_serve();
	blk_pump(50);
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 1);
	ck_assert_int_eq(virtio_blk_set_limit(bt.disk, &wrong, &e), -EINVAL);
	ck_assert_int_eq(virtio_blk_set_limit(bt.disk, &none, &e), 0);
	blk_wait(2);
	blk_is_disk(blk_data(0), 8, 512);
}
END_TEST

void blk_add_change_tests(Suite *s)
{
	TCase *t = tcase_create("change");

	tcase_set_timeout(t, BLK_TIMEOUT);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, another_file_takes_its_place, 0, BLK_MODES);
	tcase_add_loop_test(t, requests_under_way_end_where_they_began, 0, BLK_MODES);
	tcase_add_loop_test(t, may_go_away_with_two_files, 0, BLK_MODES);
	tcase_add_loop_test(t, may_go_away_while_requests_end, 0, 20);
	tcase_add_loop_test(t, files_that_wait_are_few, 0, BLK_MODES);
	tcase_add_test(t, same_file_has_another_size);
	tcase_add_test(t, what_is_no_disk_changes_nothing);
	tcase_add_loop_test(t, files_without_a_name_stay_out, 0, 2);
	tcase_add_test(t, place_may_be_empty);
	tcase_add_test(t, limit_may_be_raised);
	suite_add_tcase(s, t);
}
