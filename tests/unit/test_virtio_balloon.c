/* SPDX-License-Identifier: Apache-2.0 */

/* The balloon: what a driver names is given back, on both sides, and nothing else is. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "tests/unit/test_virtio_balloon.h"
#include "vmm/util/bits.h"

START_TEST(is_a_balloon)
{
	ck_assert_uint_eq(driver_get(&blt.drv, R_DEVICE_ID), 5);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG), 16);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG + 4), 0);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG + 16), 0);
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
	struct balloon_config cfg = blt_config();

	cfg.deflate_on_oom = offers[_i].oom;
	cfg.reporting = offers[_i].reporting;
	cfg.stats_seconds = offers[_i].stats;
	blt_begin(&cfg, 0, 0);
	ck_assert_uint_eq(driver_features(&blt.drv) & 0xffffff, offers[_i].features);
	for (unsigned int q = 0; q < 8; q++) {
		driver_put(&blt.drv, R_QUEUE_SEL, q);
		ck_assert_uint_eq(
			driver_get(&blt.drv, R_QUEUE_MAX), q < offers[_i].queues ? 128 : 0);
	}
}
END_TEST

/* Private pages and shared ones, neighbours or not, and no page that was not named. */
START_TEST(inflated_pages_are_given_back)
{
	const uint32_t pfns[] = { PFN(PAGES_AT + 0x3000), PFN(PAGES_AT + 0x2000), PFN(PAGES_AT),
		PFN(GUEST_PRIVATE), PFN(GUEST_PRIVATE - 4096), PFN(GUEST_END - 4096) };
	uint32_t head, len;

	blt_fill(PAGES_AT, 6);
	blt_fill(GUEST_PRIVATE - 0x2000, 4);
	blt_fill(GUEST_END - 0x2000, 2);
	blt_irqs();
	blt_offer(INFLATE, GUEST_DATA, pfns, ARRAY_SIZE(pfns));
	blt_expect_used(0, 1);
	ck_assert_uint_eq(blt_irqs(), 1);
	ck_assert(ring_take(&blt.rings[0], &head, &len));
	ck_assert_uint_eq(len, 0);
	ck_assert_uint_eq(blt_given_back(), 6);
	ck_assert_uint_eq(device_count(virtio_balloon_dev(blt.balloon), "inflate_count"), 1);
	for (unsigned int i = 0; i < 6; i++) {
		bool named = i == 0 || i == 2 || i == 3;

		ck_assert_int_eq(blt_holds_memory(PAGES_AT + i * 4096, false), !named);
		ck_assert_int_eq(blt_holds_memory(PAGES_AT + i * 4096, true), true);
	}
	/* The border: a run whose first half is shared and whose second is private. */
	ck_assert(blt_holds_memory(GUEST_PRIVATE - 0x2000, false));
	ck_assert(!blt_holds_memory(GUEST_PRIVATE - 0x1000, false));
	ck_assert(blt_holds_memory(GUEST_PRIVATE - 0x1000, true));
	ck_assert(!blt_holds_memory(GUEST_PRIVATE, true));
	ck_assert(blt_holds_memory(GUEST_PRIVATE, false));
	ck_assert(blt_holds_memory(GUEST_PRIVATE + 0x1000, true));
	ck_assert(!blt_holds_memory(GUEST_END - 0x1000, true));
	ck_assert(blt_holds_memory(GUEST_END - 0x2000, true));
	ck_assert_int_eq(*(char *)guest_ptr(&blt.guest, PAGES_AT), 0);
	ck_assert_int_eq(*(char *)guest_ptr(&blt.guest, PAGES_AT + 0x1000), 0x55);
}
END_TEST

START_TEST(deflating_touches_nothing)
{
	const uint32_t pfns[] = { PFN(PAGES_AT), 0, UINT32_MAX };

	blt_fill(PAGES_AT, 1);
	blt_offer(DEFLATE, GUEST_DATA, pfns, ARRAY_SIZE(pfns));
	blt_expect_used(1, 1);
	ck_assert(blt_holds_memory(PAGES_AT, false));
	ck_assert(!blt_broken());
	ck_assert_uint_eq(blt_given_back(), 0);
}
END_TEST

static const uint32_t foreign[] = { 0, UINT32_MAX, PFN(GUEST_RAM) - 1, PFN(GUEST_END),
	PFN(GUEST_END) + 1 };

/* With a page of RAM before it and one behind: sorted or not, neither may hide it. */
START_TEST(page_outside_ram_breaks_the_device)
{
	const uint32_t pfns[] = { PFN(GUEST_RAM) + 0x70, foreign[_i], PFN(GUEST_END) - 1 };

	blt_offer(INFLATE, GUEST_DATA, pfns, ARRAY_SIZE(pfns));
	blt_pump(5);
	ck_assert(blt_broken());
	ck_assert_uint_eq(ring_used_idx(&blt.rings[0]), 0);
}
END_TEST

START_TEST(staging_is_not_the_guests_to_give)
{
	const struct mem_region_desc d = { MEM_STAGING, "staging", { MIB(16) }, MIB(1) };
	const uint32_t pfn = PFN(MIB(16));
	struct err e;

	ck_assert_int_eq(mem_add(blt.guest.mem, &d, &e), 0);
	memset(mem_host(blt.guest.mem, d.base, 1), 7, 1);
	blt_offer(INFLATE, GUEST_DATA, &pfn, 1);
	blt_pump(5);
	ck_assert(blt_broken());
	ck_assert_int_eq(*(char *)mem_host(blt.guest.mem, d.base, 1), 7);
}
END_TEST

/* It is none of the driver's business. */
START_TEST(kernel_that_takes_nothing_back)
{
	const uint32_t pfns[] = { PFN(PAGES_AT), PFN(PAGES_AT + 0x2000) };
	void *kvm;

	slot_table_ops(blt.guest.table, &kvm);
	((struct fake_kvm *)kvm)->fail_from = 1;
	blt_fill(PAGES_AT, 1);
	blt_offer(INFLATE, GUEST_DATA, pfns, ARRAY_SIZE(pfns));
	blt_expect_used(0, 1);
	ck_assert(!blt_broken());
	ck_assert_uint_eq(blt_given_back(), 0);
	ck_assert(blt_holds_memory(PAGES_AT, false));
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

	memset(guest_ptr(&blt.guest, GUEST_DATA), 0xff, 16);
	ring_desc(&blt.rings[q], 0, GUEST_DATA, odd[_i].len, odd[_i].flags, 0);
	ring_offer(&blt.rings[q], 0);
	driver_put(&blt.drv, R_NOTIFY, q);
	blt_pump(5);
	ck_assert(blt_broken());
	ck_assert_uint_eq(ring_used_idx(&blt.rings[q]), 0);
	/* Nothing is under way, and another life begins. */
	driver_put(&blt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&blt.drv, R_STATUS), 0);
}
END_TEST

/* Numbers may lie across several buffers. */
START_TEST(page_numbers_across_buffers)
{
	const uint32_t pfns[] = { PFN(PAGES_AT), PFN(PAGES_AT + 0x2000) };

	blt_fill(PAGES_AT, 3);
	memcpy(guest_ptr(&blt.guest, GUEST_DATA), pfns, 3);
	memcpy(guest_ptr(&blt.guest, GUEST_DATA + 0x1000), (const char *)pfns + 3, 5);
	ring_desc(&blt.rings[0], 0, GUEST_DATA, 3, DESC_NEXT, 1);
	ring_desc(&blt.rings[0], 1, GUEST_DATA + 0x1000, 5, 0, 0);
	ring_offer(&blt.rings[0], 0);
	driver_put(&blt.drv, R_NOTIFY, INFLATE);
	blt_expect_used(0, 1);
	ck_assert(!blt_holds_memory(PAGES_AT, false));
	ck_assert(blt_holds_memory(PAGES_AT + 0x1000, false));
	ck_assert(!blt_holds_memory(PAGES_AT + 0x2000, false));
}
END_TEST

/* Two pages in turn, so that nothing is a run; 64 buffers of 128 KiB, 2 million numbers. */
static void offer_millions(void)
{
	uint32_t *p = guest_ptr(&blt.guest, GUEST_DATA);
	const unsigned int buffers = 64, bytes = 0x20000;

	for (unsigned int i = 0; i < bytes / 4; i++)
		p[i] = PFN(PAGES_AT) + 2 * (i % 64);
	for (uint16_t i = 0; i < buffers; i++)
		ring_desc(&blt.rings[0], i, GUEST_DATA, bytes, i + 1u < buffers ? DESC_NEXT : 0,
			(uint16_t)(i + 1));
	ring_offer(&blt.rings[0], 0);
	driver_put(&blt.drv, R_NOTIFY, INFLATE);
}

/* Whatever a chain holds, the rest of the loop has its turns. */
START_TEST(endless_list_leaves_time_to_others)
{
	struct loop_event *other;
	struct err e;

	ck_assert_int_eq(loop_add_timer(blt.loop, blt_on_turn, &other, &other, &e), 0);
	blt.turns = 0;
	offer_millions();
	loop_timer_set(other, 0);
	blt_expect_used(0, 1);
	ck_assert(!blt_broken());
	/* 2048 batches of 64 runs each; a turn has room for about 30 of them. */
	ck_assert_uint_ge(blt.turns, 40);
	ck_assert_uint_ge(blt_given_back(), 2048 * 64);
	loop_event_free(other);
	/* And the next chain begins at its beginning. */
	blt_fill(PAGES_AT + 0x1000, 1);
	blt_offer(INFLATE, GUEST_DATA, &(uint32_t){ PFN(PAGES_AT + 0x1000) }, 1);
	blt_expect_used(0, 2);
	ck_assert(!blt_holds_memory(PAGES_AT + 0x1000, false));
}
END_TEST

/* A reset in the middle of such a chain; the next life starts afresh. */
START_TEST(reset_amid_a_list)
{
	const uint32_t pfn = PFN(PAGES_AT);
	uint64_t before;

	offer_millions();
	blt_pump(0);
	ck_assert_uint_eq(ring_used_idx(&blt.rings[0]), 0);
	driver_put(&blt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&blt.drv, R_STATUS), 0);
	before = blt_given_back();
	blt_pump(20);
	ck_assert_uint_eq(blt_given_back(), before);
	driver_negotiate(&blt.drv, F_VERSION);
	ring_new(&blt.rings[0], &blt.guest, GUEST_RAM, 128);
	driver_queue(&blt.drv, INFLATE, &blt.rings[0]);
	driver_put(&blt.drv, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
	blt_fill(PAGES_AT, 1);
	blt_offer(INFLATE, GUEST_DATA, &pfn, 1);
	blt_expect_used(0, 1);
	ck_assert(!blt_holds_memory(PAGES_AT, false));
}
END_TEST

/* ---- target ---- */

START_TEST(target_can_change)
{
	uint32_t generation = driver_get(&blt.drv, R_GENERATION);
	struct virtio_balloon_state s;
	struct err e = { "" };

	blt_irqs();
	ck_assert_int_eq(virtio_balloon_set_target(blt.balloon, MIB(1) + 17, &e), 0);
	ck_assert_uint_eq(blt_irqs(), 1);
	ck_assert_uint_eq(driver_get(&blt.drv, R_ISR), 2);
	ck_assert_uint_ne(driver_get(&blt.drv, R_GENERATION), generation);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG), 256);
	driver_put(&blt.drv, R_CONFIG + 4, 200);
	virtio_balloon_get(blt.balloon, &s);
	ck_assert_uint_eq(s.target, MIB(1));
	ck_assert_uint_eq(s.actual, 200 * 4096);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG + 4), 200);
	/* All of it is too much. */
	ck_assert_int_eq(virtio_balloon_set_target(blt.balloon, GUEST_SIZE, &e), -EINVAL);
	ck_assert_ptr_nonnull(strstr(e.msg, "2 MiB in a guest of 2 MiB"));
	ck_assert_int_eq(virtio_balloon_set_target(blt.balloon, GUEST_SIZE - 1, &e), 0);
	ck_assert_int_eq(virtio_balloon_set_target(blt.balloon, UINT64_MAX, &e), -EINVAL);
	/* The balloon is empty after a reset, and wanted as large as before. */
	driver_put(&blt.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG), 511);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG + 4), 0);
}
END_TEST

START_TEST(driver_writes_what_is_its_own)
{
	uint16_t half = 0x5555;

	driver_put(&blt.drv, R_CONFIG, 77);
	driver_put(&blt.drv, R_CONFIG + 8, 77);
	driver_put(&blt.drv, R_CONFIG + 16, 77);
	driver_put(&blt.drv, R_CONFIG + 12, 78);
	bus_write(&blt.drv.bus, 0xd0000000ull + R_CONFIG + 4, &half, sizeof(half));
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG), 16);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG + 4), 0);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG + 8), 0);
	ck_assert_uint_eq(driver_get(&blt.drv, R_CONFIG + 12), 78);
}
END_TEST

START_TEST(target_of_all_ram_is_refused)
{
	struct balloon_config cfg = blt_config();
	struct virtio_balloon *b = NULL;
	struct err e = { "" };

	cfg.target = GUEST_SIZE;
	ck_assert_int_eq(virtio_balloon_new(&b, &cfg, &e), -EINVAL);
	ck_assert_ptr_null(b);
	ck_assert_ptr_nonnull(strstr(e.msg, "virtio-balloon: "));
}
END_TEST

START_TEST(queue_without_its_feature)
{
	struct balloon_config cfg = blt_config();

	blt_begin(&cfg, 0, 2 + (unsigned int)_i);
	ring_desc(&blt.rings[2], 0, PAGES_AT, 4096, DESC_WRITE, 0);
	blt_fill(PAGES_AT, 1);
	ring_offer(&blt.rings[2], 0);
	driver_put(&blt.drv, R_NOTIFY, 2 + (uint32_t)_i);
	blt_pump(5);
	ck_assert(blt_broken());
	ck_assert(blt_holds_memory(PAGES_AT, false));
}
END_TEST

START_TEST(may_go_away_while_the_loop_runs)
{
	struct balloon_config cfg = blt_config();
	struct err e;

	blt.early = true;
	loop_event_free(blt.end);
	blt.end = NULL;
	ck_assert_int_eq(loop_start_thread(blt.loop, THREAD_IO, "io", &e), 0);
	for (unsigned int i = 0; i < 100; i++) {
		blt_begin(&cfg, F_STATS | F_REPORTING, STATS);
		virtio_balloon_set_target(blt.balloon, i * 4096, &e);
		usleep(i * 20);
	}
}
END_TEST

Suite *virtio_balloon_suite(void)
{
	Suite *s = suite_create("virtio_balloon");
	TCase *t = tcase_create("virtio_balloon");

	tcase_add_checked_fixture(t, blt_setup, blt_teardown);
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
	tcase_add_loop_test(t, queue_without_its_feature, 0, 3);
	tcase_add_test(t, may_go_away_while_the_loop_runs);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	suite_add_tcase(s, virtio_balloon_reports_case());
	return s;
}
