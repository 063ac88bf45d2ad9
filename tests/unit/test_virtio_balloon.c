/* SPDX-License-Identifier: Apache-2.0 */

/* The balloon: what a driver names is given back, on both sides, and nothing else is. */
#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "devices/virtio_balloon.h"
#include "mem/guard.h"
#include "tests/unit/fake_driver.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

#define F_STATS	    (1ull << 1)
#define F_OOM	    (1ull << 2)
#define F_POISON    (1ull << 4)
#define F_REPORTING (1ull << 5)

#define INFLATE 0
#define DEFLATE 1
#define STATS	2

/* Pages to give away lie from here on, behind the rings. */
#define PAGES_AT (GUEST_DATA + 0x20000)
#define PFN(at)	 ((uint32_t)((at) / 4096))

static struct guest guest;
static struct loop *loop;
static struct loop_event *end;
static struct virtio_balloon *balloon;
static struct driver drv;
static struct ring rings[3]; /* two of pages, and one for what comes behind */
static int irq;
static bool early; /* chains are there before the device starts, which looks at once */

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static struct balloon_config config(void)
{
	return (struct balloon_config){ .mem = guest.mem,
		.loop = loop,
		.irq.fd = irq,
		.ram_bytes = GUEST_SIZE,
		.target = 16 * 4096,
		.deflate_on_oom = true,
		.reporting = true,
		.stats_seconds = 1 };
}

/* Queue `third` is the one behind inflateq and deflateq that the driver uses. */
static void begin(const struct balloon_config *cfg, uint64_t features, unsigned int third)
{
	struct err e = { "" };

	virtio_balloon_free(balloon);
	balloon = NULL;
	ck_assert_msg(!virtio_balloon_new(&balloon, cfg, &e), "%s", e.msg);
	driver_new(&drv, virtio_balloon_dev(balloon));
	for (unsigned int i = 0; i < 3; i++)
		ring_new(&rings[i], &guest, GUEST_RAM + i * RING_BYTES, 128);
	ck_assert_uint_eq(
		driver_negotiate(&drv, features | F_VERSION), S_ACK | S_DRIVER | S_FEATURES_OK);
	driver_queue(&drv, INFLATE, &rings[0]);
	driver_queue(&drv, DEFLATE, &rings[1]);
	if (third)
		ck_assert_uint_eq(driver_queue(&drv, third, &rings[2]), 1);
	for (unsigned int i = 0; early && i < 3; i++) {
		uint32_t *pfns = guest_ptr(&guest, GUEST_DATA);

		pfns[0] = PFN(PAGES_AT);
		ring_desc(&rings[i], 0, GUEST_DATA, 4, 0, 0);
		ring_offer(&rings[i], 0);
	}
	driver_put(&drv, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

static void setup(void)
{
	struct balloon_config cfg;
	struct err e;

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(guard_init(&e), 0);
	guest_new(&guest);
	irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(loop_new(&loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(loop, on_end, NULL, &end, &e), 0);
	cfg = config();
	begin(&cfg, F_STATS | F_OOM | F_REPORTING, 0);
}

static void teardown(void)
{
	virtio_balloon_free(balloon);
	balloon = NULL;
	loop_event_free(end);
	loop_free(loop);
	close(irq);
	guest_free(&guest);
	log_set_level(LOG_WARN);
}

static void pump(unsigned int ms)
{
	loop_timer_set(end, ms * 1000ull);
	ck_assert_int_eq(loop_run(loop), 0);
}

static unsigned int irqs(void)
{
	uint64_t n = 0;

	return read(irq, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

static bool broken(void)
{
	return driver_get(&drv, R_STATUS) & S_NEEDS_RESET;
}

static uint64_t given_back(void)
{
	struct virtio_balloon_state s;

	virtio_balloon_get(balloon, &s);
	return s.given_back / 4096;
}

/* What lies behind the page on one side: 1 and up when it holds memory. The fake's files are memfds. */
static bool holds_memory(uint64_t at, bool private)
{
	struct mem_region *r = mem_find(guest.mem, gpa(GUEST_RAM), 1);
	const struct backing *b = private ? &r->private : &r->shared;
	off_t off = (off_t)(at - GUEST_RAM);

	return lseek(b->fd, off, SEEK_DATA) == off;
}

/* Both sides of n pages hold something. */
static void fill(uint64_t at, unsigned int n)
{
	struct mem_region *r = mem_find(guest.mem, gpa(GUEST_RAM), 1);

	memset(r->shared.hva + (at - GUEST_RAM), 0x55, n * 4096);
	memset(r->private.hva + (at - GUEST_RAM), 0x66, n * 4096);
}

/* Offers n page numbers, at that place in memory, on a queue of pages. */
static void offer(unsigned int q, uint64_t at, const uint32_t *pfns, unsigned int n)
{
	memcpy(guest_ptr(&guest, at), pfns, n * 4);
	ring_desc(&rings[q], 0, at, n * 4, 0, 0);
	ring_offer(&rings[q], 0);
	driver_put(&drv, R_NOTIFY, q);
}

static void expect_used(unsigned int i, unsigned int n)
{
	for (unsigned int tries = 0; ring_used_idx(&rings[i]) < n && tries < 5000; tries++)
		pump(1);
	ck_assert_uint_eq(ring_used_idx(&rings[i]), n);
}

START_TEST(is_a_balloon)
{
	ck_assert_uint_eq(driver_get(&drv, R_DEVICE_ID), 5);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG), 16);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG + 4), 0);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG + 16), 0);
}
END_TEST

static const struct {
	bool oom, reporting;
	uint32_t stats;
	uint64_t features;
	unsigned int queues;
} offers[] = {
	{ false, false, 0, 0, 2 },
	{ true, false, 0, F_OOM, 2 },
	{ false, false, 5, F_STATS, 3 },
	{ false, true, 0, F_REPORTING | F_POISON, 5 },
	{ true, true, 5, F_OOM | F_STATS | F_REPORTING | F_POISON, 5 },
};

START_TEST(offers_what_was_asked_for)
{
	struct balloon_config cfg = config();

	cfg.deflate_on_oom = offers[_i].oom;
	cfg.reporting = offers[_i].reporting;
	cfg.stats_seconds = offers[_i].stats;
	begin(&cfg, 0, 0);
	ck_assert_uint_eq(driver_features(&drv) & 0xffffff, offers[_i].features);
	for (unsigned int q = 0; q < 8; q++) {
		driver_put(&drv, R_QUEUE_SEL, q);
		ck_assert_uint_eq(driver_get(&drv, R_QUEUE_MAX), q < offers[_i].queues ? 128 : 0);
	}
}
END_TEST

/* Private pages and shared ones, neighbours or not, and no page that was not named. */
START_TEST(inflated_pages_are_given_back)
{
	const uint32_t pfns[] = { PFN(PAGES_AT + 0x3000), PFN(PAGES_AT + 0x2000), PFN(PAGES_AT),
		PFN(GUEST_PRIVATE), PFN(GUEST_PRIVATE - 4096), PFN(GUEST_END - 4096) };
	uint32_t head, len;

	fill(PAGES_AT, 6);
	fill(GUEST_PRIVATE - 0x2000, 4);
	fill(GUEST_END - 0x2000, 2);
	irqs();
	offer(INFLATE, GUEST_DATA, pfns, ARRAY_SIZE(pfns));
	expect_used(0, 1);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert(ring_take(&rings[0], &head, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert_uint_eq(given_back(), 6);
	for (unsigned int i = 0; i < 6; i++) {
		bool named = i == 0 || i == 2 || i == 3;

		ck_assert_int_eq(holds_memory(PAGES_AT + i * 4096, false), !named);
		ck_assert_int_eq(holds_memory(PAGES_AT + i * 4096, true), true);
	}
	/* The border: a run whose first half is shared and whose second is private. */
	ck_assert(holds_memory(GUEST_PRIVATE - 0x2000, false));
	ck_assert(!holds_memory(GUEST_PRIVATE - 0x1000, false));
	ck_assert(holds_memory(GUEST_PRIVATE - 0x1000, true));
	ck_assert(!holds_memory(GUEST_PRIVATE, true));
	ck_assert(holds_memory(GUEST_PRIVATE, false));
	ck_assert(holds_memory(GUEST_PRIVATE + 0x1000, true));
	ck_assert(!holds_memory(GUEST_END - 0x1000, true));
	ck_assert(holds_memory(GUEST_END - 0x2000, true));
	ck_assert_int_eq(*(char *)guest_ptr(&guest, PAGES_AT), 0);
	ck_assert_int_eq(*(char *)guest_ptr(&guest, PAGES_AT + 0x1000), 0x55);
}
END_TEST

START_TEST(deflating_touches_nothing)
{
	const uint32_t pfns[] = { PFN(PAGES_AT), 0, UINT32_MAX };

	fill(PAGES_AT, 1);
	offer(DEFLATE, GUEST_DATA, pfns, ARRAY_SIZE(pfns));
	expect_used(1, 1);
	ck_assert(holds_memory(PAGES_AT, false));
	ck_assert(!broken());
	ck_assert_uint_eq(given_back(), 0);
}
END_TEST

static const uint32_t foreign[] = { 0, UINT32_MAX, PFN(GUEST_RAM) - 1, PFN(GUEST_END),
	PFN(GUEST_END) + 1 };

/* With a page of RAM before it and one behind: sorted or not, neither may hide it. */
START_TEST(page_outside_ram_breaks_the_device)
{
	const uint32_t pfns[] = { PFN(GUEST_RAM) + 0x70, foreign[_i], PFN(GUEST_END) - 1 };

	offer(INFLATE, GUEST_DATA, pfns, ARRAY_SIZE(pfns));
	pump(5);
	ck_assert(broken());
	ck_assert_uint_eq(ring_used_idx(&rings[0]), 0);
}
END_TEST

START_TEST(staging_is_not_the_guests_to_give)
{
	const struct mem_region_desc d = { MEM_STAGING, "staging", { MIB(16) }, MIB(1) };
	const uint32_t pfn = PFN(MIB(16));
	struct err e;

	ck_assert_int_eq(mem_add(guest.mem, &d, &e), 0);
	memset(mem_host(guest.mem, d.base, 1), 7, 1);
	offer(INFLATE, GUEST_DATA, &pfn, 1);
	pump(5);
	ck_assert(broken());
	ck_assert_int_eq(*(char *)mem_host(guest.mem, d.base, 1), 7);
}
END_TEST

/* It is none of the driver's business. */
START_TEST(kernel_that_takes_nothing_back)
{
	const uint32_t pfns[] = { PFN(PAGES_AT), PFN(PAGES_AT + 0x2000) };
	void *kvm;

	slot_table_ops(guest.table, &kvm);
	((struct fake_kvm *)kvm)->fail_from = 1;
	fill(PAGES_AT, 1);
	offer(INFLATE, GUEST_DATA, pfns, ARRAY_SIZE(pfns));
	expect_used(0, 1);
	ck_assert(!broken());
	ck_assert_uint_eq(given_back(), 0);
	ck_assert(holds_memory(PAGES_AT, false));
}
END_TEST

static const struct {
	unsigned int q;
	uint32_t len;
	uint16_t flags;
} odd[] = {
	{ INFLATE, 1, 0 },
	{ INFLATE, 7, 0 },
	{ INFLATE, 8, DESC_WRITE },
	{ DEFLATE, 6, 0 },
	{ DEFLATE, 8, DESC_WRITE },
};

START_TEST(no_page_list_breaks_the_device)
{
	unsigned int q = odd[_i].q;

	memset(guest_ptr(&guest, GUEST_DATA), 0xff, 16);
	ring_desc(&rings[q], 0, GUEST_DATA, odd[_i].len, odd[_i].flags, 0);
	ring_offer(&rings[q], 0);
	driver_put(&drv, R_NOTIFY, q);
	pump(5);
	ck_assert(broken());
	ck_assert_uint_eq(ring_used_idx(&rings[q]), 0);
	/* Nothing is under way, and another life begins. */
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
}
END_TEST

/* Numbers may lie across several buffers. */
START_TEST(page_numbers_across_buffers)
{
	const uint32_t pfns[] = { PFN(PAGES_AT), PFN(PAGES_AT + 0x2000) };

	fill(PAGES_AT, 3);
	memcpy(guest_ptr(&guest, GUEST_DATA), pfns, 3);
	memcpy(guest_ptr(&guest, GUEST_DATA + 0x1000), (const char *)pfns + 3, 5);
	ring_desc(&rings[0], 0, GUEST_DATA, 3, DESC_NEXT, 1);
	ring_desc(&rings[0], 1, GUEST_DATA + 0x1000, 5, 0, 0);
	ring_offer(&rings[0], 0);
	driver_put(&drv, R_NOTIFY, INFLATE);
	expect_used(0, 1);
	ck_assert(!holds_memory(PAGES_AT, false));
	ck_assert(holds_memory(PAGES_AT + 0x1000, false));
	ck_assert(!holds_memory(PAGES_AT + 0x2000, false));
}
END_TEST

/* Two pages in turn, so that nothing is a run; 64 buffers of 128 KiB, 2 million numbers. */
static void offer_millions(void)
{
	uint32_t *p = guest_ptr(&guest, GUEST_DATA);
	const unsigned int buffers = 64, bytes = 0x20000;

	for (unsigned int i = 0; i < bytes / 4; i++)
		p[i] = PFN(PAGES_AT) + 2 * (i % 64);
	for (uint16_t i = 0; i < buffers; i++)
		ring_desc(&rings[0], i, GUEST_DATA, bytes, i + 1u < buffers ? DESC_NEXT : 0,
			(uint16_t)(i + 1));
	ring_offer(&rings[0], 0);
	driver_put(&drv, R_NOTIFY, INFLATE);
}

static unsigned int turns;

/* Counts while the chains of one of the rings are under way. */
static void on_turn(void *arg)
{
	turns += ring_used_idx(&rings[0]) < 1 && ring_used_idx(&rings[2]) < 50;
	loop_timer_set(*(struct loop_event **)arg, 0);
}

/* Whatever a chain holds, the rest of the loop has its turns. */
START_TEST(endless_list_leaves_time_to_others)
{
	struct loop_event *other;
	struct err e;

	ck_assert_int_eq(loop_add_timer(loop, on_turn, &other, &other, &e), 0);
	turns = 0;
	offer_millions();
	loop_timer_set(other, 0);
	expect_used(0, 1);
	ck_assert(!broken());
	/* 2048 batches of 64 runs each; a turn has room for about 30 of them. */
	ck_assert_uint_ge(turns, 40);
	ck_assert_uint_ge(given_back(), 2048 * 64);
	loop_event_free(other);
	/* And the next chain begins at its beginning. */
	fill(PAGES_AT + 0x1000, 1);
	offer(INFLATE, GUEST_DATA, &(uint32_t){ PFN(PAGES_AT + 0x1000) }, 1);
	expect_used(0, 2);
	ck_assert(!holds_memory(PAGES_AT + 0x1000, false));
}
END_TEST

/* A reset in the middle of such a chain; the next life starts afresh. */
START_TEST(reset_amid_a_list)
{
	const uint32_t pfn = PFN(PAGES_AT);
	uint64_t before;

	offer_millions();
	pump(0);
	ck_assert_uint_eq(ring_used_idx(&rings[0]), 0);
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
	before = given_back();
	pump(20);
	ck_assert_uint_eq(given_back(), before);
	driver_negotiate(&drv, F_VERSION);
	ring_new(&rings[0], &guest, GUEST_RAM, 128);
	driver_queue(&drv, INFLATE, &rings[0]);
	driver_put(&drv, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
	fill(PAGES_AT, 1);
	offer(INFLATE, GUEST_DATA, &pfn, 1);
	expect_used(0, 1);
	ck_assert(!holds_memory(PAGES_AT, false));
}
END_TEST

/* ---- target ---- */

START_TEST(target_can_change)
{
	uint32_t generation = driver_get(&drv, R_GENERATION);
	struct virtio_balloon_state s;
	struct err e = { "" };

	irqs();
	ck_assert_int_eq(virtio_balloon_set_target(balloon, MIB(1) + 17, &e), 0);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 2);
	ck_assert_uint_ne(driver_get(&drv, R_GENERATION), generation);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG), 256);
	driver_put(&drv, R_CONFIG + 4, 200);
	virtio_balloon_get(balloon, &s);
	ck_assert_uint_eq(s.target, MIB(1));
	ck_assert_uint_eq(s.actual, 200 * 4096);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG + 4), 200);
	/* All of it is too much. */
	ck_assert_int_eq(virtio_balloon_set_target(balloon, GUEST_SIZE, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "2 MiB in a guest of 2 MiB"));
	ck_assert_int_eq(virtio_balloon_set_target(balloon, GUEST_SIZE - 1, &e), 0);
	ck_assert_int_eq(virtio_balloon_set_target(balloon, UINT64_MAX, &e), -EINVAL);
	/* The balloon is empty after a reset, and wanted as large as before. */
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG), 511);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG + 4), 0);
}
END_TEST

START_TEST(driver_writes_what_is_its_own)
{
	uint16_t half = 0x5555;

	driver_put(&drv, R_CONFIG, 77);
	driver_put(&drv, R_CONFIG + 8, 77);
	driver_put(&drv, R_CONFIG + 16, 77);
	driver_put(&drv, R_CONFIG + 12, 78);
	bus_write(&drv.bus, 0xd0000000ull + R_CONFIG + 4, &half, sizeof(half));
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG), 16);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG + 4), 0);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG + 8), 0);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG + 12), 78);
}
END_TEST

START_TEST(target_of_all_ram_is_refused)
{
	struct balloon_config cfg = config();
	struct virtio_balloon *b = NULL;
	struct err e = { "" };

	cfg.target = GUEST_SIZE;
	ck_assert_int_eq(virtio_balloon_new(&b, &cfg, &e), -EINVAL);
	ck_assert_ptr_null(b);
	ck_assert_ptr_nonnull(strstr(e.msg, "virtio-balloon: "));
}
END_TEST

/* ---- reporting ---- */

/* One chain of two ranges on queue q, which are ring 2. */
static void report(unsigned int q, uint64_t at, uint32_t len, uint64_t at2, uint32_t len2)
{
	ring_desc(&rings[2], 0, at, len, DESC_WRITE | DESC_NEXT, 1);
	ring_desc(&rings[2], 1, at2, len2, DESC_WRITE, 0);
	ring_offer(&rings[2], 0);
	driver_put(&drv, R_NOTIFY, q);
}

/* Numbers of the queue as the specification, as Linux, and as others count. */
static const struct {
	uint64_t features;
	unsigned int q;
} numbers[] = {
	{ F_REPORTING, 2 },
	{ F_REPORTING, 3 },
	{ F_REPORTING, 4 },
	{ F_REPORTING | F_STATS, 3 },
	{ F_REPORTING | F_STATS, 4 },
};

START_TEST(reported_pages_are_given_back)
{
	struct balloon_config cfg = config();

	begin(&cfg, numbers[_i].features, numbers[_i].q);
	fill(PAGES_AT, 8);
	report(numbers[_i].q, PAGES_AT + 0x1000, 0x2000, PAGES_AT + 0x4ff0, 0x2020);
	expect_used(2, 1);
	for (unsigned int i = 0; i < 8; i++) {
		/* Of the second range two pages are whole. */
		bool named = i == 1 || i == 2 || i == 5 || i == 6;

		ck_assert_int_eq(holds_memory(PAGES_AT + i * 4096, false), !named);
		ck_assert(holds_memory(PAGES_AT + i * 4096, true));
	}
	ck_assert_uint_eq(given_back(), 4);
}
END_TEST

START_TEST(poisoned_pages_keep_their_pattern)
{
	struct balloon_config cfg = config();

	begin(&cfg, F_REPORTING | (_i < 2 ? F_POISON : 0), 2);
	/* Zero is a pattern that we can keep; without the feature nobody asked. */
	driver_put(&drv, R_CONFIG + 12, _i == 1 ? 0 : 0xaaaaaaaa);
	fill(PAGES_AT, 2);
	report(2, PAGES_AT, 0x1000, PAGES_AT + 0x1000, 0x1000);
	expect_used(2, 1);
	ck_assert_int_eq(holds_memory(PAGES_AT, false), _i == 0);
	ck_assert_int_eq(holds_memory(PAGES_AT + 0x1000, false), _i == 0);
}
END_TEST

START_TEST(broken_report_breaks_the_device)
{
	struct balloon_config cfg = config();

	begin(&cfg, F_REPORTING, 2);
	fill(PAGES_AT, 1);
	if (_i == 0)
		ring_desc(&rings[2], 0, PAGES_AT, 4096, 0, 0);
	else if (_i == 1)
		ring_desc(&rings[2], 0, GUEST_PRIVATE, 4096, DESC_WRITE, 0);
	else
		ring_desc(&rings[2], 0, GUEST_END, 4096, DESC_WRITE, 0);
	ring_offer(&rings[2], 0);
	driver_put(&drv, R_NOTIFY, 2);
	pump(5);
	ck_assert(broken());
	ck_assert(holds_memory(PAGES_AT, false));
	ck_assert_uint_eq(given_back(), 0);
}
END_TEST

/* 128 buffers of 1 MiB less a page each: more than a turn's worth. */
START_TEST(large_report_takes_several_turns)
{
	struct balloon_config cfg = config();
	const uint32_t len = 0x180000 - 0x120000;
	struct loop_event *other;
	struct err e;

	begin(&cfg, F_REPORTING, 2);
	ck_assert_int_eq(loop_add_timer(loop, on_turn, &other, &other, &e), 0);
	turns = 0;
	for (unsigned int n = 0; n < 50; n++) {
		for (uint16_t i = 0; i < 128; i++)
			ring_desc(&rings[2], i, PAGES_AT, len,
				(uint16_t)(DESC_WRITE | (i < 127 ? DESC_NEXT : 0)),
				(uint16_t)(i + 1));
		ring_offer(&rings[2], 0);
	}
	loop_timer_set(other, 0);
	driver_put(&drv, R_NOTIFY, 2);
	expect_used(2, 50);
	/* 614 thousand pages and 6400 calls; a turn has room for 32 thousand. */
	ck_assert_uint_ge(turns, 15);
	ck_assert_uint_eq(given_back(), 50 * 128 * (len / 4096));
	loop_event_free(other);
}
END_TEST

static struct virtio_dev *device_with_reports(void)
{
	struct balloon_config cfg = config();

	begin(&cfg, F_REPORTING, 2);
	return virtio_balloon_dev(balloon);
}

/* One turn, without the loop. */
static void serve(struct virtio_dev *d, unsigned int q)
{
	pthread_mutex_lock(&d->lock);
	d->ops->queue_notify(d, q);
	pthread_mutex_unlock(&d->lock);
}

/* Pieces of less than a page are work too: here they make one turn two. */
START_TEST(pieces_of_nothing_take_time)
{
	struct virtio_dev *d = device_with_reports();

	/* 28672 pages' worth in all, and 16128 single bytes. */
	for (uint16_t i = 0; i < 128; i++)
		ring_desc(&rings[2], i, PAGES_AT + (i < 126), i < 126 ? 1 : 0x60000,
			(uint16_t)(DESC_WRITE | (i < 127 ? DESC_NEXT : 0)), (uint16_t)(i + 1));
	for (unsigned int n = 0; n < 128; n++)
		ring_offer(&rings[2], 0);
	serve(d, 2);
	ck_assert_uint_lt(ring_used_idx(&rings[2]), 128);
	expect_used(2, 128);
	ck_assert(!broken());
}
END_TEST

/* However cheap it should be: where the kernel takes its time, the turn ends by the clock. */
START_TEST(slow_kernel_leaves_time_to_others)
{
	struct virtio_dev *d = device_with_reports();
	void *kvm;

	slot_table_ops(guest.table, &kvm);
	((struct fake_kvm *)kvm)->discard_us = 1000;
	for (uint16_t i = 0; i < 20; i++) {
		ring_desc(&rings[2], i, PAGES_AT + i * 4096, 4096, DESC_WRITE, 0);
		ring_offer(&rings[2], i);
	}
	/* Something is done in each of them. */
	for (unsigned int n = 1; n <= 5; n++) {
		serve(d, 2);
		ck_assert_uint_ge(ring_used_idx(&rings[2]), n);
		ck_assert_uint_le(ring_used_idx(&rings[2]), 2 * n);
	}
	expect_used(2, 20);
	ck_assert_uint_eq(given_back(), 20);
}
END_TEST

/* ---- statistics ---- */

static void put_stat(uint8_t *at, uint16_t tag, uint64_t value)
{
	memcpy(at, &tag, 2);
	memcpy(at + 2, &value, 8);
}

static void offer_stats(uint16_t desc, uint32_t len)
{
	ring_desc(&rings[2], desc, GUEST_DATA + 0x4000, len, 0, 0);
	ring_offer(&rings[2], desc);
	driver_put(&drv, R_NOTIFY, STATS);
}

START_TEST(statistics_come_again_and_again)
{
	struct balloon_config cfg = config();
	uint8_t *p = guest_ptr(&guest, GUEST_DATA + 0x4000);
	struct virtio_balloon_state s;

	begin(&cfg, F_STATS, STATS);
	put_stat(p, BALLOON_TOTAL, MIB(200));
	put_stat(p + 10, BALLOON_STATS + (_i ? 999 : 0), 1);
	put_stat(p + 20, BALLOON_FREE, MIB(50));
	put_stat(p + 30, BALLOON_DIRECT_RECLAIMED, 4);
	offer_stats(0, 45);
	pump(20);
	virtio_balloon_get(balloon, &s);
	ck_assert_uint_eq(s.reports, 1);
	ck_assert_uint_eq(s.known, BIT(BALLOON_TOTAL) | BIT(BALLOON_FREE) | BIT(15));
	ck_assert_uint_eq(s.stats[BALLOON_TOTAL], MIB(200));
	ck_assert_uint_eq(s.stats[BALLOON_FREE], MIB(50));
	/* The device keeps the buffer, and gives it back a second later to ask anew. */
	ck_assert_uint_eq(ring_used_idx(&rings[2]), 0);
	irqs();
	expect_used(2, 1);
	ck_assert_uint_eq(irqs(), 1);
	put_stat(p, BALLOON_FREE, MIB(40));
	offer_stats(1, 10);
	pump(20);
	virtio_balloon_get(balloon, &s);
	ck_assert_uint_eq(s.reports, 2);
	ck_assert_uint_eq(s.known, BIT(BALLOON_FREE));
	ck_assert_uint_eq(s.stats[BALLOON_FREE], MIB(40));
}
END_TEST

START_TEST(more_statistics_than_there_are)
{
	struct balloon_config cfg = config();
	struct virtio_balloon_state s;

	begin(&cfg, F_STATS, STATS);
	memset(guest_ptr(&guest, GUEST_DATA + 0x4000), 0, 0x10000);
	offer_stats(0, 0x10000);
	pump(20);
	virtio_balloon_get(balloon, &s);
	ck_assert_uint_eq(s.known, 1);
	ck_assert(!broken());
}
END_TEST

START_TEST(broken_statistics_break_the_device)
{
	struct balloon_config cfg = config();

	begin(&cfg, F_STATS, STATS);
	offer_stats(0, 10);
	pump(10);
	if (_i == 0) {
		offer_stats(1, 10);
	} else {
		driver_put(&drv, R_STATUS, 0);
		ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
		begin(&cfg, F_STATS, STATS);
		ring_desc(&rings[2], 0, GUEST_DATA, 10, DESC_WRITE, 0);
		ring_offer(&rings[2], 0);
		driver_put(&drv, R_NOTIFY, STATS);
	}
	pump(10);
	ck_assert(broken());
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
}
END_TEST

/* The buffer that the device keeps holds up no reset, of the device or of its queue. */
START_TEST(reset_takes_the_buffer_back)
{
	struct balloon_config cfg = config();

	begin(&cfg, F_STATS | F_RESET, STATS);
	offer_stats(0, 10);
	pump(10);
	if (_i == 0) {
		driver_put(&drv, R_STATUS, 0);
		ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
	} else {
		driver_put(&drv, R_QUEUE_SEL, STATS);
		driver_put(&drv, R_QUEUE_RESET, 1);
		ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 0);
		ring_new(&rings[2], &guest, GUEST_RAM + 2 * RING_BYTES, 128);
		ck_assert_uint_eq(driver_queue(&drv, STATS, &rings[2]), 1);
		offer_stats(0, 10);
	}
	/* The timer ends, of which the new life knows nothing. */
	pump(1100);
	ck_assert_uint_eq(ring_used_idx(&rings[2]), _i == 0 ? 0 : 1);
}
END_TEST

START_TEST(queue_without_its_feature)
{
	struct balloon_config cfg = config();

	begin(&cfg, 0, 2 + (unsigned int)_i);
	ring_desc(&rings[2], 0, PAGES_AT, 4096, DESC_WRITE, 0);
	fill(PAGES_AT, 1);
	ring_offer(&rings[2], 0);
	driver_put(&drv, R_NOTIFY, 2 + (uint32_t)_i);
	pump(5);
	ck_assert(broken());
	ck_assert(holds_memory(PAGES_AT, false));
}
END_TEST

START_TEST(may_go_away_while_the_loop_runs)
{
	struct balloon_config cfg = config();
	struct err e;

	early = true;
	loop_event_free(end);
	end = NULL;
	ck_assert_int_eq(loop_start_thread(loop, "io", &e), 0);
	for (unsigned int i = 0; i < 100; i++) {
		begin(&cfg, F_STATS | F_REPORTING, STATS);
		virtio_balloon_set_target(balloon, i * 4096, &e);
		usleep(i * 20);
	}
}
END_TEST

Suite *virtio_balloon_suite(void)
{
	Suite *s = suite_create("virtio_balloon");
	TCase *t = tcase_create("virtio_balloon");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, is_a_balloon);
	tcase_add_loop_test(t, offers_what_was_asked_for, 0, ARRAY_SIZE(offers));
	tcase_add_test(t, inflated_pages_are_given_back);
	tcase_add_test(t, deflating_touches_nothing);
	tcase_add_loop_test(t, page_outside_ram_breaks_the_device, 0, ARRAY_SIZE(foreign));
	tcase_add_test(t, staging_is_not_the_guests_to_give);
	tcase_add_test(t, kernel_that_takes_nothing_back);
	tcase_add_loop_test(t, no_page_list_breaks_the_device, 0, ARRAY_SIZE(odd));
	tcase_add_test(t, page_numbers_across_buffers);
	tcase_add_test(t, endless_list_leaves_time_to_others);
	tcase_add_test(t, reset_amid_a_list);
	tcase_add_test(t, target_can_change);
	tcase_add_test(t, driver_writes_what_is_its_own);
	tcase_add_test(t, target_of_all_ram_is_refused);
	tcase_add_loop_test(t, reported_pages_are_given_back, 0, ARRAY_SIZE(numbers));
	tcase_add_loop_test(t, poisoned_pages_keep_their_pattern, 0, 3);
	tcase_add_loop_test(t, broken_report_breaks_the_device, 0, 3);
	tcase_add_test(t, large_report_takes_several_turns);
	tcase_add_test(t, pieces_of_nothing_take_time);
	tcase_add_test(t, slow_kernel_leaves_time_to_others);
	tcase_add_loop_test(t, statistics_come_again_and_again, 0, 2);
	tcase_add_test(t, more_statistics_than_there_are);
	tcase_add_loop_test(t, broken_statistics_break_the_device, 0, 2);
	tcase_add_loop_test(t, reset_takes_the_buffer_back, 0, 2);
	tcase_add_loop_test(t, queue_without_its_feature, 0, 3);
	tcase_add_test(t, may_go_away_while_the_loop_runs);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	return s;
}
