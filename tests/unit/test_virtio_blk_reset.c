/* SPDX-License-Identifier: Apache-2.0 */

/* Requests that something comes in between: resets, mistakes, conversions, limits, the end. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "mem/convert.h"
#include "mem/hold.h"
#include "tests/unit/test_virtio_blk.h"
#include "vmm/util/clock.h"

static uint8_t buf[4096];

static bool all_are(uint64_t addr, uint8_t value, size_t len)
{
	const uint8_t *p = guest_ptr(&bt.guest, addr);

	for (; len && *p == value; len--)
		p++;
	return !len;
}

static void put_reads(unsigned int n)
{
	memset(guest_ptr(&bt.guest, GUEST_DATA), 0xaa, 0x80000);
	for (unsigned int i = 0; i < n; i++)
		blk_put(i, VIRTIO_BLK_T_IN, 8 * i, GUEST_DATA + 0x1000ull * i, 0x1000);
}

static void wait_until_reset(void)
{
	for (int i = 0; i < BLK_PATIENCE_MS && driver_get(&bt.drv, R_STATUS); i++)
		blk_pump(1);
	ck_assert_uint_eq(driver_get(&bt.drv, R_STATUS), 0);
}

static void wait_for_reset(void)
{
	driver_put(&bt.drv, R_STATUS, 0);
	wait_until_reset();
}

static void wait_for_none(void)
{
	const struct virtq *vq = &virtio_blk_dev(bt.disk)->queues[0].vq;

	for (int i = 0; i < BLK_PATIENCE_MS && vq->in_flight; i++)
		blk_pump(1);
	ck_assert_uint_eq(vq->in_flight, 0);
}

START_TEST(reset_waits_for_what_is_under_way)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	put_reads(20);
	blk_serve();
	driver_put(&bt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&bt.drv, R_STATUS), S_NEEDS_RESET);
	wait_until_reset();
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 0);
	for (unsigned int i = 0; i < 20; i++)
		ck_assert_uint_eq(*blk_status(i), 0xee);
	/* Pages that nobody holds are the guest's again when it says so, not when we are ready. */
	if (bt.is_native)
		ck_assert(all_are(GUEST_DATA, 0xaa, 0x14000));
	blk_drive();
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 4096), 0);
}
END_TEST

START_TEST(queue_reset_waits_for_what_is_under_way)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	put_reads(20);
	blk_serve();
	driver_put(&bt.drv, R_QUEUE_SEL, 0);
	driver_put(&bt.drv, R_QUEUE_RESET, 1);
	ck_assert_uint_eq(driver_get(&bt.drv, R_QUEUE_RESET), 1);
	for (int i = 0; i < BLK_PATIENCE_MS && driver_get(&bt.drv, R_QUEUE_RESET); i++)
		blk_pump(1);
	ck_assert_uint_eq(driver_get(&bt.drv, R_QUEUE_RESET), 0);
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 0);
	for (unsigned int i = 0; i < 20; i++)
		ck_assert_uint_eq(*blk_status(i), 0xee);
	if (bt.is_native)
		ck_assert(all_are(GUEST_DATA, 0xaa, 0x14000));
	ring_new(&bt.ring, &bt.guest, GUEST_RAM, 128);
	ck_assert_uint_eq(driver_queue(&bt.drv, 0, &bt.ring), 1);
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 4096), 0);
}
END_TEST

/* A request of several pieces ends with the one that is under way. */
START_TEST(reset_in_the_middle_of_a_large_request)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	memset(guest_ptr(&bt.guest, GUEST_DATA), 0x5a, 0x60000);
	blk_put(0, VIRTIO_BLK_T_OUT, 0, GUEST_DATA, 0x60000);
	blk_serve();
	wait_for_reset();
	blk_file(0x20000, buf, 4096);
	ck_assert_uint_eq(buf[7], bt.is_native ? disk_byte(0x20007) : 0x5a);
	blk_drive();
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 0x60000), 0);
}
END_TEST

START_TEST(mistake_while_requests_are_under_way)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	put_reads(10);
	ring_desc(&bt.ring, 200, BLK_STATUS, 1, DESC_WRITE, 0);
	ring_offer(&bt.ring, 200);
	blk_serve();
	ck_assert(blk_broken());
	driver_put(&bt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&bt.drv, R_STATUS), S_NEEDS_RESET);
	wait_until_reset();
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 0);
	ck_assert_uint_eq(*blk_status(0), 0xee);
	blk_drive();
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 4096), 0);
}
END_TEST

/* What follows the piece, or the range, under way is not begun. */
START_TEST(mistake_in_the_middle_of_a_large_request)
{
	struct virtio_blk_discard_write_zeroes z[2] = { { 0x80, 8, 0 }, { 0x800, 8, 0 } };

	if (!blk_start(&blk_modes[_i]))
		return;
	memset(guest_ptr(&bt.guest, GUEST_DATA), 0x5a, 0x60000);
	memcpy(guest_ptr(&bt.guest, GUEST_DATA + 0x70000), z, sizeof(z));
	blk_put(0, VIRTIO_BLK_T_OUT, 0x100, GUEST_DATA, 0x60000);
	blk_put(1, VIRTIO_BLK_T_WRITE_ZEROES, 0, GUEST_DATA + 0x70000, sizeof(z));
	ring_desc(&bt.ring, 200, BLK_STATUS, 1, DESC_WRITE, 0);
	ring_offer(&bt.ring, 200);
	blk_serve();
	ck_assert(blk_broken());
	/* Before any reset, which would end it as well. */
	wait_for_none();
	blk_file(0x10000, buf, 4096);
	ck_assert_uint_eq(buf[7], 0);
	blk_file(0x100000, buf, 4096);
	ck_assert_uint_eq(buf[7], disk_byte(0x100007));
	blk_file(0x20000 + 0x20000, buf, 4096);
	ck_assert_uint_eq(buf[7], bt.is_native ? disk_byte(0x40007) : 0x5a);
}
END_TEST

/* The queue is there again, but what was under way is not of its life. */
START_TEST(queue_is_enabled_before_its_reset_is_over)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	memset(guest_ptr(&bt.guest, GUEST_DATA), 0x5a, 0x60000);
	blk_put(0, VIRTIO_BLK_T_OUT, 0, GUEST_DATA, 0x60000);
	blk_serve();
	driver_put(&bt.drv, R_QUEUE_SEL, 0);
	driver_put(&bt.drv, R_QUEUE_RESET, 1);
	ring_new(&bt.ring, &bt.guest, GUEST_RAM, 128);
	driver_queue(&bt.drv, 0, &bt.ring);
	wait_for_none();
	ck_assert_uint_eq(*blk_status(0), 0xee);
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 0);
	blk_file(0x20000, buf, 4096);
	ck_assert_uint_eq(buf[7], bt.is_native ? disk_byte(0x20007) : 0x5a);
}
END_TEST

/* What a hypervisor does when the guest takes pages back. */
static void seize(uint64_t addr, size_t len, bool back)
{
	ck_assert_int_eq(mprotect(guest_ptr(&bt.guest, addr), len,
				 back ? PROT_READ | PROT_WRITE : PROT_NONE),
		0);
}

START_TEST(page_that_became_private_is_not_written)
{
	if (!blk_modes[_i].is_native || !blk_start(&blk_modes[_i]))
		return;
	put_reads(1);
	blk_serve();
	seize(GUEST_DATA, 0x1000, false);
	for (int i = 0; i < BLK_PATIENCE_MS && !blk_broken(); i++)
		blk_pump(1);
	ck_assert(blk_broken());
	seize(GUEST_DATA, 0x1000, true);
	ck_assert(all_are(GUEST_DATA, 0xaa, 0x1000));
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 0);
	/* Whatever was under way has come back: */
	driver_put(&bt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&bt.drv, R_STATUS), 0);
}
END_TEST

START_TEST(page_that_became_private_is_not_read)
{
	if (!blk_modes[_i].is_native || !blk_start(&blk_modes[_i]))
		return;
	/* What was taken at the start is written; the second piece is out of reach. */
	memset(guest_ptr(&bt.guest, GUEST_DATA), 0x5a, 0x40000);
	blk_put(0, VIRTIO_BLK_T_OUT, 0, GUEST_DATA, 0x1000);
	blk_serve();
	seize(GUEST_DATA, 0x1000, false);
	blk_wait(1);
	ck_assert_uint_eq(*blk_status(0), 0);
	blk_file(0, buf, 4096);
	ck_assert_uint_eq(buf[0], 0x5a);
	ck_assert_uint_eq(buf[4095], 0x5a);
	blk_put(0, VIRTIO_BLK_T_OUT, 0x100, GUEST_DATA + 0x1000, 0x30000);
	blk_serve();
	seize(GUEST_DATA + 0x30000, 0x1000, false);
	for (int i = 0; i < BLK_PATIENCE_MS && !blk_broken(); i++)
		blk_pump(1);
	ck_assert(blk_broken());
	blk_file(0x20000 + 0x2f000, buf, 4096);
	ck_assert_uint_eq(buf[0], disk_byte(0x20000 + 0x2f000));
}
END_TEST

/* The host's kernel would take a page that the guest has not shared away from it, by force. */
START_TEST(page_not_shared_never_reaches_the_host_kernel)
{
	if (!blk_modes[_i].is_native || !blk_start(&blk_modes[_i]))
		return;
	seize(GUEST_DATA + 0x5000, 0x1000, false);
	blk_put(0, VIRTIO_BLK_T_IN, 0, GUEST_DATA, 0x8000);
	blk_serve();
	ck_assert(blk_broken());
	ck_assert_uint_eq(blk_calls.reads, 0);
	seize(GUEST_DATA + 0x5000, 0x1000, true);
	wait_for_reset();
	blk_drive();
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 0x8000), 0);
}
END_TEST

static int make_private(uint64_t addr, uint64_t len)
{
	struct err e;

	return convert_apply(bt.guest.mem, gpa(addr), len, true, &e);
}

/* A guest that shares all of its data by itself, so that KVM's slots agree with the map. */
static bool start_holding(const struct blk_mode *mode)
{
	return mode->is_protected && !mode->is_native && blk_start(mode);
}

START_TEST(pages_under_requests_stay_shared)
{
	const uint64_t data = GUEST_DATA;

	if (!start_holding(&blk_modes[_i]))
		return;
	blk_calls.hold = true;
	blk_put(0, VIRTIO_BLK_T_IN, 0, data + 0x1200, 0x2000);
	blk_serve();
	/* Each page of the data, of its header and of its status; not their neighbours. */
	ck_assert_int_eq(make_private(data + 0x1000, 0x1000), -EBUSY);
	ck_assert_int_eq(make_private(data + 0x2000, 0x1000), -EBUSY);
	ck_assert_int_eq(make_private(data + 0x3000, 0x1000), -EBUSY);
	ck_assert_int_eq(make_private(data, 0x10000), -EBUSY);
	ck_assert_int_eq(make_private(BLK_STATUS, 0x1000), -EBUSY);
	ck_assert(!mem_is_held(bt.guest.mem, gpa(data), 0x1000));
	ck_assert(!mem_is_held(bt.guest.mem, gpa(data + 0x4000), 0x1000));
	ck_assert(mem_host(bt.guest.mem, gpa(data), 0x10000) != NULL);
	ck_assert(!mem_wait_unheld(bt.guest.mem, gpa(data), 0x2000, 1));
	blk_calls.hold = false;
	blk_wait(1);
	ck_assert_uint_eq(*blk_status(0), 0);
	blk_is_disk(guest_ptr(&bt.guest, data + 0x1200), 0, 0x2000);
	ck_assert(mem_wait_unheld(bt.guest.mem, gpa(GUEST_RAM), GUEST_SIZE, 0));
	guest_convert(&bt.guest, data, 0x10000, false);
	blk_put(1, VIRTIO_BLK_T_IN, 0, data + 0x1200, 0x2000);
	blk_serve();
	ck_assert(blk_broken());
	ck_assert(!mem_is_held(bt.guest.mem, gpa(GUEST_RAM), GUEST_SIZE));
}
END_TEST

/* A reset of the device or of the queue, a mistake, or the device's end. */
START_TEST(pages_are_let_go_however_it_ends)
{
	const struct mem *mem;
	int end = _i % 4;

	if (!start_holding(&blk_modes[_i / 4]))
		return;
	mem = bt.guest.mem;
	put_reads(20);
	blk_serve();
	ck_assert(mem_is_held(mem, gpa(GUEST_DATA + 0x13000), 0x1000));
	if (end == 0) {
		wait_for_reset();
	} else if (end == 1) {
		driver_put(&bt.drv, R_QUEUE_SEL, 0);
		driver_put(&bt.drv, R_QUEUE_RESET, 1);
		ck_assert(mem_is_held(mem, gpa(GUEST_DATA + 0x13000), 0x1000));
		wait_for_none();
	} else if (end == 2) {
		ring_desc(&bt.ring, 200, BLK_STATUS, 1, DESC_WRITE, 0);
		ring_offer(&bt.ring, 200);
		blk_serve();
		ck_assert(blk_broken());
		wait_for_none();
	} else {
		virtio_blk_free(bt.disk);
		bt.disk = NULL;
	}
	ck_assert(!mem_is_held(mem, gpa(GUEST_RAM), GUEST_SIZE));
}
END_TEST

START_TEST(may_go_away_with_requests_under_way)
{
	if (!blk_start(&blk_modes[_i]))
		return;
	memset(guest_ptr(&bt.guest, GUEST_DATA), 0x5a, 0x1000);
	for (unsigned int i = 0; i < 60; i++)
		blk_put(i, VIRTIO_BLK_T_OUT, 8 * i, GUEST_DATA, 4096);
	blk_serve();
	virtio_blk_free(bt.disk);
	bt.disk = NULL;
	/* It waited: all is in the file, and nothing more comes. */
	for (unsigned int i = 0; i < 60; i++) {
		blk_file(4096 * i, buf, 4096);
		ck_assert_uint_eq(buf[0], 0x5a);
		ck_assert_uint_eq(buf[4095], 0x5a);
	}
	blk_pump(5);
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 0);
	virtio_blk_free(NULL);
}
END_TEST

START_TEST(may_go_away_while_the_loop_runs)
{
	struct err e;

	loop_event_free(bt.end);
	loop_event_free(bt.on_irq);
	bt.end = bt.on_irq = NULL;
	ck_assert_int_eq(loop_start_thread(bt.loop, THREAD_IO, "io", &e), 0);
	/* Work at once and for some time, and the end comes at any point of it. */
	bt.offered = 60;
	for (unsigned int i = 0; i < 20; i++) {
		if (!blk_start(&blk_modes[_i]))
			return;
		usleep(i * 20);
	}
}
END_TEST

/* ---- limits ---- */

START_TEST(rate_is_limited)
{
	/* Ten requests at once, ten more in 100 ms, by operations or by bytes, in or out. */
	struct ratelimit_config by_bytes = { { 40960, 0, 100 }, { 0 } };
	struct ratelimit_config by_ops = { { 0 }, { 10, 0, 100 } };
	uint64_t before;

	bt.cfg.limit = _i & 1 ? by_bytes : by_ops;
	ck_assert(blk_start(&blk_modes[_i & 2 ? 0 : 1]));
	before = clock_ms();
	for (unsigned int i = 0; i < 20; i++)
		blk_put(i, _i & 4 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 0, GUEST_DATA, 4096);
	blk_serve();
	ck_assert_uint_ge(virtio_blk_dev(bt.disk)->queues[0].vq.in_flight, 10);
	/* Half of the rest takes half of the time. */
	ck_assert(
		virtio_blk_dev(bt.disk)->queues[0].vq.in_flight < 15 || clock_ms() - before >= 35);
	/* Asking costs nothing, however often. */
	for (unsigned int i = 0; i < 300; i++)
		blk_serve();
	blk_wait(20);
	ck_assert_uint_ge(clock_ms() - before, 85);
	for (unsigned int i = 0; i < 20; i++)
		ck_assert_uint_eq(*blk_status(i), 0);
}
END_TEST

/* For a sanitizer: a timer that is left would find nothing but freed memory. */
START_TEST(may_go_away_while_requests_wait)
{
	bt.cfg.limit = (struct ratelimit_config){ { 0 }, { 10, 0, 100 } };
	ck_assert(blk_start(&blk_modes[_i]));
	put_reads(20);
	blk_serve();
	virtio_blk_free(bt.disk);
	bt.disk = NULL;
	blk_pump(150);
	ck_assert_uint_eq(ring_used_idx(&bt.ring), 0);
}
END_TEST

START_TEST(zeroes_count_as_bytes)
{
	struct virtio_blk_discard_write_zeroes z[2] = { { 0, 8, 0 }, { 8, 8, 0 } };

	bt.cfg.limit = (struct ratelimit_config){ { 8192, 0, 100 }, { 0 } };
	ck_assert(blk_start(&blk_modes[0]));
	memcpy(guest_ptr(&bt.guest, GUEST_DATA), z, sizeof(z));
	blk_put(0, VIRTIO_BLK_T_WRITE_ZEROES, 0, GUEST_DATA, sizeof(z));
	blk_put(1, VIRTIO_BLK_T_WRITE_ZEROES, 0, GUEST_DATA, sizeof(z));
	blk_serve();
	ck_assert_uint_eq(virtio_blk_dev(bt.disk)->queues[0].vq.in_flight, 1);
	blk_wait(2);
}
END_TEST

START_TEST(flushes_count_as_requests_only)
{
	bt.cfg.limit = (struct ratelimit_config){ { 8192, 0, 10000 }, { 0 } };
	ck_assert(blk_start(&blk_modes[0]));
	/* More than half, and what knew of it is used again. */
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 0, GUEST_DATA, 4608), 0);
	for (unsigned int i = 0; i < 3; i++)
		blk_put(i, VIRTIO_BLK_T_FLUSH, 0, GUEST_DATA, 0);
	blk_serve();
	ck_assert_uint_eq(virtio_blk_dev(bt.disk)->queues[0].vq.in_flight, 3);
	blk_wait(4);
}
END_TEST

START_TEST(discards_count_as_requests_only)
{
	struct virtio_blk_discard_write_zeroes z = { 0, DISK_SECTORS, 0 };

	bt.cfg.limit = (struct ratelimit_config){ { 8192, 0, 10000 }, { 0 } };
	ck_assert(blk_start(&blk_modes[0]));
	memcpy(guest_ptr(&bt.guest, GUEST_DATA), &z, sizeof(z));
	for (unsigned int i = 0; i < 3; i++)
		blk_put(i, VIRTIO_BLK_T_DISCARD, 0, GUEST_DATA, sizeof(z));
	blk_serve();
	ck_assert_uint_eq(virtio_blk_dev(bt.disk)->queues[0].vq.in_flight, 3);
	blk_wait(3);
}
END_TEST

/* ---- memory that goes away ---- */

#define STAGING	     0x80000000ull
#define STAGING_SIZE 0x100000u

static char *add_staging(void)
{
	const struct mem_region_desc d = { MEM_STAGING, "staging", { STAGING }, STAGING_SIZE };
	struct err e;

	ck_assert_int_eq(mem_add(bt.guest.mem, &d, &e), 0);
	memset(guest_ptr(&bt.guest, STAGING), 0x5a, STAGING_SIZE);
	return guest_ptr(&bt.guest, STAGING);
}

/* Nothing that we map later may get the addresses that the host's kernel still works on. */
static void remove_staging(char *hva)
{
	struct err e;

	ck_assert_int_eq(mem_remove(bt.guest.mem, gpa(STAGING), &e), 0);
	ck_assert_ptr_eq(mmap(hva, STAGING_SIZE, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
		MAP_FAILED);
	ck_assert_int_eq(errno, EEXIST);
}

/* The firmware says that it has loaded, while its reads and writes there are under way. */
START_TEST(memory_goes_away_under_requests)
{
	const struct blk_mode *mode = &blk_modes[_i / 2];
	bool is_write = _i % 2;
	char *hva;

	blk_memory(mode);
	hva = add_staging();
	if (!blk_start(mode))
		return;
	/* Out of the cache, so that io_uring has to wait for it. */
	ck_assert_int_eq(syscall(SYS_fdatasync, bt.fd), 0);
	posix_fadvise(bt.fd, 0, 0, POSIX_FADV_DONTNEED);
	blk_calls.hold = true;
	blk_put(0, is_write ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_IN, 0, STAGING, STAGING_SIZE);
	blk_serve();
	remove_staging(hva);
	blk_calls.hold = false;
	for (int i = 0; i < BLK_PATIENCE_MS && !ring_used_idx(&bt.ring) && !blk_broken(); i++)
		blk_pump(10);
	/* A copy of ours asks the gate, which says no; the host's kernel finds no memory. */
	if (mode->engine == BLK_SYNC) {
		ck_assert_int_eq(blk_broken(), mode->is_native);
		ck_assert_uint_eq(*blk_status(0), mode->is_native ? 0xee : VIRTIO_BLK_S_IOERR);
	}
	if (is_write) {
		blk_file(STAGING_SIZE - sizeof(buf), buf, sizeof(buf));
		ck_assert(buf[7] == 0x5a || buf[7] == disk_byte(STAGING_SIZE - sizeof(buf) + 7));
	}
	wait_for_reset();
	blk_drive();
	ck_assert_uint_eq(blk_do(VIRTIO_BLK_T_IN, 4000, GUEST_DATA, 4096), 0);
	blk_is_disk(guest_ptr(&bt.guest, GUEST_DATA), 4000, 4096);
}
END_TEST

void blk_add_reset_tests(Suite *s)
{
	TCase *t = tcase_create("reset");

	tcase_add_checked_fixture(t, blk_setup, blk_teardown);
	tcase_add_loop_test(t, reset_waits_for_what_is_under_way, 0, BLK_MODES);
	tcase_add_loop_test(t, queue_reset_waits_for_what_is_under_way, 0, BLK_MODES);
	tcase_add_loop_test(t, reset_in_the_middle_of_a_large_request, 0, BLK_MODES);
	tcase_add_loop_test(t, mistake_while_requests_are_under_way, 0, BLK_MODES);
	tcase_add_loop_test(t, mistake_in_the_middle_of_a_large_request, 0, BLK_MODES);
	tcase_add_loop_test(t, queue_is_enabled_before_its_reset_is_over, 0, BLK_MODES);
	tcase_add_loop_test(t, page_that_became_private_is_not_written, 0, BLK_MODES);
	tcase_add_loop_test(t, page_that_became_private_is_not_read, 0, BLK_MODES);
	tcase_add_loop_test(t, page_not_shared_never_reaches_the_host_kernel, 0, BLK_MODES);
	tcase_add_loop_test(t, pages_under_requests_stay_shared, 0, BLK_MODES);
	tcase_add_loop_test(t, pages_are_let_go_however_it_ends, 0, 4 * BLK_MODES);
	tcase_add_loop_test(t, may_go_away_with_requests_under_way, 0, BLK_MODES);
	tcase_add_loop_test(t, may_go_away_while_the_loop_runs, 0, BLK_MODES);
	tcase_add_loop_test(t, memory_goes_away_under_requests, 0, 2 * BLK_MODES);
	tcase_add_loop_test(t, rate_is_limited, 0, 8);
	tcase_add_loop_test(t, may_go_away_while_requests_wait, 0, 2);
	tcase_add_test(t, zeroes_count_as_bytes);
	tcase_add_test(t, flushes_count_as_requests_only);
	tcase_add_test(t, discards_count_as_requests_only);
	tcase_set_timeout(t, BLK_TIMEOUT);
	suite_add_tcase(s, t);
}
