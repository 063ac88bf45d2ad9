/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mem/guard.h"
#include "tests/unit/test_virtio_balloon.h"
#include "vmm/util/log.h"

struct balloon_test blt;

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(blt.loop);
}

struct balloon_config blt_config(void)
{
	return (struct balloon_config){ .mem = blt.guest.mem,
		.loop = blt.loop,
		.irq.fd = blt.irq,
		.ram_bytes = GUEST_SIZE,
		.target = 16 * 4096,
		.deflate_on_oom = true,
		.reporting = true,
		.stats_seconds = 1 };
}

void blt_begin(const struct balloon_config *cfg, uint64_t features, unsigned int third)
{
	struct err e = { "" };

	virtio_balloon_free(blt.balloon);
	blt.balloon = NULL;
	ck_assert_msg(!virtio_balloon_new(&blt.balloon, cfg, &e), "%s", e.msg);
	driver_new(&blt.drv, virtio_balloon_dev(blt.balloon));
	for (unsigned int i = 0; i < 3; i++)
		ring_new(&blt.rings[i], &blt.guest, GUEST_RAM + i * RING_BYTES, 128);
	ck_assert_uint_eq(
		driver_negotiate(&blt.drv, features | F_VERSION), S_ACK | S_DRIVER | S_FEATURES_OK);
	driver_queue(&blt.drv, INFLATE, &blt.rings[0]);
	driver_queue(&blt.drv, DEFLATE, &blt.rings[1]);
	if (third)
		ck_assert_uint_eq(driver_queue(&blt.drv, third, &blt.rings[2]), 1);
	for (unsigned int i = 0; blt.early && i < 3; i++) {
		uint32_t *pfns = guest_ptr(&blt.guest, GUEST_DATA);

		pfns[0] = PFN(PAGES_AT);
		ring_desc(&blt.rings[i], 0, GUEST_DATA, 4, 0, 0);
		ring_offer(&blt.rings[i], 0);
	}
	driver_put(&blt.drv, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

void blt_setup(void)
{
	struct balloon_config cfg;
	struct err e;

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(guard_init(&e), 0);
	guest_new(&blt.guest);
	blt.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(loop_new(&blt.loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(blt.loop, on_end, NULL, &blt.end, &e), 0);
	cfg = blt_config();
	blt_begin(&cfg, F_STATS | F_OOM | F_REPORTING, 0);
}

void blt_teardown(void)
{
	virtio_balloon_free(blt.balloon);
	blt.balloon = NULL;
	loop_event_free(blt.end);
	loop_free(blt.loop);
	close(blt.irq);
	guest_free(&blt.guest);
	log_set_level(LOG_WARN);
}

void blt_pump(unsigned int ms)
{
	loop_timer_set(blt.end, ms * 1000ull);
	ck_assert_int_eq(loop_run(blt.loop), 0);
}

unsigned int blt_irqs(void)
{
	uint64_t n = 0;

	return read(blt.irq, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

bool blt_broken(void)
{
	return driver_get(&blt.drv, R_STATUS) & S_NEEDS_RESET;
}

uint64_t blt_given_back(void)
{
	struct virtio_balloon_state s;

	virtio_balloon_get(blt.balloon, &s);
	return s.given_back / 4096;
}

bool blt_holds_memory(uint64_t at, bool private)
{
	struct mem_region *r = mem_find(blt.guest.mem, gpa(GUEST_RAM), 1);
	const struct backing *b = private ? &r->private : &r->shared;
	off_t off = (off_t)(at - GUEST_RAM);

	return lseek(b->fd, off, SEEK_DATA) == off;
}

void blt_fill(uint64_t at, unsigned int n)
{
	struct mem_region *r = mem_find(blt.guest.mem, gpa(GUEST_RAM), 1);

	memset(r->shared.hva + (at - GUEST_RAM), 0x55, n * 4096);
	memset(r->private.hva + (at - GUEST_RAM), 0x66, n * 4096);
}

void blt_offer(unsigned int q, uint64_t at, const uint32_t *pfns, unsigned int n)
{
	memcpy(guest_ptr(&blt.guest, at), pfns, n * 4);
	ring_desc(&blt.rings[q], 0, at, n * 4, 0, 0);
	ring_offer(&blt.rings[q], 0);
	driver_put(&blt.drv, R_NOTIFY, q);
}

void blt_expect_used(unsigned int i, unsigned int n)
{
	for (unsigned int tries = 0; ring_used_idx(&blt.rings[i]) < n && tries < 5000; tries++)
		blt_pump(1);
	ck_assert_uint_eq(ring_used_idx(&blt.rings[i]), n);
}

void blt_on_turn(void *arg)
{
	blt.turns += ring_used_idx(&blt.rings[0]) < 1 && ring_used_idx(&blt.rings[2]) < 50;
	loop_timer_set(*(struct loop_event **)arg, 0);
}
