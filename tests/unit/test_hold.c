/* SPDX-License-Identifier: Apache-2.0 */

/* Pages that a device works on do not become private: which ones, how long, and who may wait. */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "mem/alias.h"
#include "mem/convert.h"
#include "mem/hold.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/vm_convert.h"

#define BASE  GIB(1)
#define SIZE  MIB(4)
#define BIT39 (1ull << 39)

static struct fake_kvm kvm;
static struct slot_table *table;
static struct mem *mem;
static struct err e;

static void make(enum mem_kind kind)
{
	const struct mem_region_desc ram = { kind, "ram", { BASE }, SIZE };

	memset(&kvm, 0, sizeof(kvm));
	kvm.max = FAKE_SLOTS_MAX;
	table = slot_table_new(&fake_slot_ops, &kvm, kvm.max);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	if (kind == MEM_ALIAS)
		mem_alias_set(mem, BIT39, false, SIZE);
	ck_assert_int_eq(mem_add(mem, &ram, &e), 0);
	if (kind != MEM_NATIVE)
		ck_assert_int_eq(convert_apply(mem, gpa(BASE), SIZE, false, &e), 0);
}

static void teardown(void)
{
	mem_free(mem);
	slot_table_free(table);
}

static int take(uint64_t page)
{
	return convert_apply(mem, gpa(BASE + page * PAGE_SIZE), PAGE_SIZE, true, &e);
}

/* A buffer of page 1's last byte and all of page 2, another in page 5. */
START_TEST(pages_of_each_buffer_stay)
{
	const enum mem_kind kind = _i ? MEM_ALIAS : MEM_SPLIT;
	const uint64_t bit = _i ? BIT39 : 0;
	const gpa_t at[] = { { (BASE + 2 * PAGE_SIZE - 1) | bit },
		{ (BASE + 5 * PAGE_SIZE + 8) | bit } };
	const struct iovec iov[] = { { NULL, PAGE_SIZE + 1 }, { NULL, 8 } };
	const int want[] = { 0, -EBUSY, -EBUSY, 0, 0, -EBUSY, 0 };
	struct mem_hold h;

	make(kind);
	ck_assert(mem_can_hold(mem));
	mem_hold(mem, &h, at, iov, 2);
	for (uint64_t i = 0; i < ARRAY_SIZE(want); i++)
		ck_assert_int_eq(take(i), want[i]);
	ck_assert_int_eq(convert_apply(mem, gpa(BASE), SIZE, true, &e), -EBUSY);
	ck_assert_ptr_nonnull(strstr(e.msg, "a device has I/O under way there"));
	/* Nothing has happened; and sharing what is shared is always fine. */
	ck_assert_ptr_nonnull(mem_host(mem, gpa(BASE + 7 * PAGE_SIZE), PAGE_SIZE));
	ck_assert_int_eq(convert_apply(mem, gpa(BASE), SIZE, false, &e), 0);
	mem_drop_hold(&h);
	mem_drop_hold(&h);
	ck_assert_int_eq(convert_apply(mem, gpa(BASE), SIZE, true, &e), 0);
}
END_TEST

/* In whatever order they come and go. */
START_TEST(holds_are_counted_each)
{
	static const uint8_t orders[][3] = { { 0, 1, 2 }, { 2, 1, 0 }, { 1, 0, 2 }, { 1, 2, 0 } };
	const gpa_t at = { BASE };
	const struct iovec iov = { NULL, 1 };
	struct mem_hold h[3];

	make(MEM_SPLIT);
	for (int i = 0; i < 3; i++)
		mem_hold(mem, &h[i], &at, &iov, 1);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(take(0), -EBUSY);
		mem_drop_hold(&h[orders[_i][i]]);
	}
	ck_assert_int_eq(take(0), 0);
}
END_TEST

static void *drop_soon(void *hold)
{
	usleep(5000);
	mem_drop_hold(hold);
	return NULL;
}

START_TEST(who_waits_is_woken)
{
	const gpa_t at = { BASE };
	const struct iovec iov = { NULL, 1 };
	struct mem_hold h;
	pthread_t thread;
	uint64_t before;

	make(MEM_SPLIT);
	mem_hold(mem, &h, &at, &iov, 1);
	before = clock_ms();
	ck_assert(!mem_wait_unheld(mem, gpa(BASE), PAGE_SIZE, 20));
	ck_assert_uint_ge(clock_ms() - before, 19);
	ck_assert(mem_wait_unheld(mem, gpa(BASE + PAGE_SIZE), PAGE_SIZE, 0));
	ck_assert_int_eq(pthread_create(&thread, NULL, drop_soon, &h), 0);
	/* Long before the time is up, or Check's limit ends this test. */
	ck_assert(mem_wait_unheld(mem, gpa(BASE), PAGE_SIZE, 3600000));
	pthread_join(thread, NULL);
}
END_TEST

/* ---- a vCPU that converts ---- */

static struct park park;
static struct park_member vcpu, other;
static _Atomic int end;

static void make_park(void)
{
	make(MEM_SPLIT);
	atomic_store(&end, 0);
	park_init(&park);
	park_join(&park, &vcpu, NULL, NULL);
	park_join(&park, &other, NULL, NULL);
	park_enter(&vcpu);
}

static void end_park(void)
{
	park_quit(&vcpu);
	park_quit(&other);
	park_destroy(&park);
}

static int convert_first(void)
{
	const struct arch_convert c = { { BASE }, PAGE_SIZE, true };

	return vm_convert_unheld(&park, &vcpu, mem, &c, &end, &e);
}

/* A device's loop comes back from its poll, which no waiting vCPU may keep it from, and drops it. */
static void *drop_as_member(void *hold)
{
	usleep(30000);
	park_enter(&other);
	mem_drop_hold(hold);
	park_leave(&other);
	return NULL;
}

START_TEST(conversion_waits_for_the_device)
{
	const gpa_t at = { BASE };
	const struct iovec iov = { NULL, 1 };
	struct mem_hold h;
	uint64_t before = clock_ms(), refusals = 0;
	pthread_t thread;
	int r;

	make_park();
	mem_hold(mem, &h, &at, &iov, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, drop_as_member, &h), 0);
	/* It may be refused where the thread has not run for so long; but not sooner. */
	while ((r = convert_first()) == -EBUSY)
		refusals++;
	ck_assert_int_eq(r, 0);
	ck_assert_uint_ge(clock_ms() - before, refusals * 1000);
	ck_assert_ptr_null(mem_host(mem, gpa(BASE), 1));
	pthread_join(thread, NULL);
	end_park();
}
END_TEST

static void *change_the_world(void *arg)
{
	(void)arg;
	usleep(30000);
	park_stop(&park, NULL);
	park_start(&park, NULL);
	atomic_store(&end, 1);
	return NULL;
}

/* Others change the map meanwhile; and when the run is over, so is the wait. */
START_TEST(conversion_holds_up_nobody)
{
	const gpa_t at = { BASE };
	const struct iovec iov = { NULL, 1 };
	struct mem_hold h;
	pthread_t thread;
	uint64_t before = clock_ms();

	make_park();
	mem_hold(mem, &h, &at, &iov, 1);
	ck_assert(_i || !pthread_create(&thread, NULL, change_the_world, NULL));
	ck_assert_int_eq(convert_first(), -EBUSY);
	/* Ended by the other thread, or by its own patience. */
	ck_assert_uint_ge(clock_ms() - before, _i ? 1000 : 30);
	ck_assert_ptr_nonnull(mem_host(mem, gpa(BASE), 1));
	if (!_i)
		pthread_join(thread, NULL);
	mem_drop_hold(&h);
	end_park();
}
END_TEST

START_TEST(what_a_hypervisor_takes_cannot_be_held)
{
	make(MEM_NATIVE);
	ck_assert(!mem_can_hold(mem));
}
END_TEST

Suite *hold_suite(void)
{
	Suite *s = suite_create("hold");
	TCase *t = tcase_create("hold");

	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_loop_test(t, pages_of_each_buffer_stay, 0, 2);
	tcase_add_loop_test(t, holds_are_counted_each, 0, 4);
	tcase_add_test(t, who_waits_is_woken);
	tcase_add_test(t, conversion_waits_for_the_device);
	tcase_add_loop_test(t, conversion_holds_up_nobody, 0, 2);
	tcase_add_test(t, what_a_hypervisor_takes_cannot_be_held);
	suite_add_tcase(s, t);
	return s;
}
