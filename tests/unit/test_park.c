/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Parking under load: members that run, members that change the world while they run, and the
 * conversions of rule 8 on top. Built with -fsanitize=thread too, where the plain reads of the
 * share map inside running sections are the test.
 */
#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem/convert.h"
#include "tests/unit/fake_slots.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/loop.h"
#include "vmm/util/park.h"

#define MEMBERS	  4
#define ROUNDS	  2000
#define HELD_MAX  8 /* changes in a row that find somebody held; one more waits */
#define RAM_BASE  GIB(1)
#define RAM_PAGES 1024u

static struct park park;

struct worker {
	pthread_t thread;
	struct park_member member;
	_Atomic bool kicked;
	unsigned int id;
	uint64_t entries; /* so often has it been let in */
};

static struct worker workers[MEMBERS];
/* Plain on purpose: only stopping the world makes changing it safe. */
static uint64_t world;
static atomic_bool done;
static atomic_uint begun;			/* so many readers have */
static atomic_flag changing = ATOMIC_FLAG_INIT; /* by one at a time */

static void on_kick(void *arg)
{
	struct worker *w = arg;

	atomic_store(&w->kicked, true);
}

static void start_workers(void *(*fn)(void *))
{
	unsigned int i;

	atomic_store(&done, false);
	atomic_store(&begun, 0);
	for (i = 0; i < MEMBERS; i++) {
		workers[i] = (struct worker){ .id = i };
		park_join(&park, &workers[i].member, on_kick, &workers[i]);
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, fn, &workers[i]), 0);
	}
}

static void join_workers(void)
{
	unsigned int i;

	for (i = 0; i < MEMBERS; i++)
		pthread_join(workers[i].thread, NULL);
}

static void *reader(void *arg)
{
	struct worker *w = arg;

	park_enter(&w->member);
	atomic_fetch_add(&begun, 1);
	while (!atomic_load(&done)) {
		uint64_t before = world;

		if (park_wanted(&park)) {
			park_yield(&w->member);
			w->entries++;
			continue;
		}
		/* Others have to look, too; and nobody changes it while we run. */
		sched_yield();
		if (world != before)
			abort();
	}
	park_quit(&w->member);
	return NULL;
}

START_TEST(outsider_stops_everybody)
{
	unsigned int i;

	start_workers(reader);
	for (i = 0; i < 2 * ROUNDS; i++) {
		park_stop(&park, NULL);
		ck_assert_uint_eq(park.running, 0);
		world++;
		park_start(&park, NULL);
	}
	atomic_store(&done, true);
	join_workers();
	ck_assert_uint_eq(world, 2 * ROUNDS);
	ck_assert_ptr_null(park.members);
}
END_TEST

static void *changer(void *arg)
{
	struct worker *w = arg;
	unsigned int i;

	park_enter(&w->member);
	for (i = 0; i < ROUNDS; i++) {
		park_stop(&park, &w->member);
		if (atomic_flag_test_and_set(&changing))
			abort();
		world++;
		if (i % 64 == 0)
			sched_yield(); /* time for another changer to be wrong in */
		atomic_flag_clear(&changing);
		park_start(&park, &w->member);
	}
	park_quit(&w->member);
	return NULL;
}

START_TEST(all_change_at_once_without_deadlock)
{
	start_workers(changer);
	join_workers();
	ck_assert_uint_eq(world, MEMBERS * ROUNDS);
	ck_assert_uint_eq(park.running, 0);
}
END_TEST

static void *storm(void *arg)
{
	struct worker *w = arg;
	unsigned int i;

	if (w->id)
		return reader(arg);
	/* Who has not begun is not held. */
	while (atomic_load(&begun) < MEMBERS - 1)
		sched_yield();
	park_enter(&w->member);
	for (i = 0; i < ROUNDS; i++) {
		park_stop(&park, &w->member);
		world++;
		park_start(&park, &w->member);
	}
	park_quit(&w->member);
	atomic_store(&done, true);
	return NULL;
}

/* Counted in changes and not in time: it is the same however busy this machine is. */
START_TEST(a_storm_does_not_starve_the_others)
{
	unsigned int i;

	start_workers(storm);
	join_workers();
	for (i = 1; i < MEMBERS; i++)
		ck_assert_uint_ge(workers[i].entries, ROUNDS / HELD_MAX - 1);
}
END_TEST

static void *change_once(void *arg)
{
	(void)arg;
	park_stop(&park, NULL);
	atomic_store(&done, true);
	park_start(&park, NULL);
	return NULL;
}

/* Somebody has drawn a number and not woken up yet: who comes later waits. */
START_TEST(changers_take_turns)
{
	pthread_t thread;

	atomic_store(&done, false);
	park.next_turn++;
	ck_assert_int_eq(pthread_create(&thread, NULL, change_once, NULL), 0);
	usleep(50000);
	ck_assert(!atomic_load(&done));
	pthread_mutex_lock(&park.lock);
	park.turn++;
	pthread_cond_broadcast(&park.changed);
	pthread_mutex_unlock(&park.lock);
	pthread_join(thread, NULL);
	ck_assert(atomic_load(&done));
}
END_TEST

static atomic_uint free_rounds;

static void *release_later(void *arg)
{
	(void)arg;
	while (!atomic_load(&free_rounds))
		usleep(1000);
	usleep(20000);
	pthread_mutex_lock(&park.lock);
	atomic_store(&done, true);
	park.waiting = 0;
	pthread_cond_broadcast(&park.changed);
	pthread_mutex_unlock(&park.lock);
	return NULL;
}

/* A member that does not wake up for long, played by its counter alone. */
START_TEST(changers_wait_for_who_is_held)
{
	pthread_t thread;
	unsigned int i;

	atomic_store(&done, false);
	atomic_store(&free_rounds, 0);
	park.waiting = 1;
	ck_assert_int_eq(pthread_create(&thread, NULL, release_later, NULL), 0);
	while (!atomic_load(&done)) {
		park_stop(&park, NULL);
		atomic_fetch_add(&free_rounds, !atomic_load(&done));
		park_start(&park, NULL);
	}
	pthread_join(thread, NULL);
	ck_assert_uint_ge(free_rounds, 1);
	ck_assert_uint_le(free_rounds, HELD_MAX);
	for (i = 0; i < 100; i++) {
		park_stop(&park, NULL);
		park_start(&park, NULL);
	}
}
END_TEST

/* ---- conversions by all members at once, each on its own pages ---- */

static struct fake_kvm kvm;
static struct mem *mem;

static void convert_one(struct worker *w, uint64_t page, bool to_private)
{
	gpa_t a = gpa(RAM_BASE + page * PAGE_SIZE);
	struct err e;

	if (convert_check(mem, a, PAGE_SIZE, &e))
		abort();
	if (convert_is_noop(mem, a, PAGE_SIZE, to_private))
		return;
	park_stop(&park, &w->member);
	if (convert_apply(mem, a, PAGE_SIZE, to_private, &e))
		abort();
	park_start(&park, &w->member);
}

static void *converter(void *arg)
{
	struct worker *w = arg;
	unsigned int i, seed = w->id + 1;

	park_enter(&w->member);
	for (i = 0; i < 500; i++) {
		uint64_t page = (uint64_t)rand_r(&seed) % (RAM_PAGES / MEMBERS) * MEMBERS + w->id;
		uint64_t *word;

		convert_one(w, page, i % 3 == 0);
		word = mem_host(mem, gpa(RAM_BASE + page * PAGE_SIZE), 8);
		if ((word == NULL) != (i % 3 == 0))
			abort();
		if (word)
			*word = i;
		if (park_wanted(&park))
			park_yield(&w->member);
	}
	park_quit(&w->member);
	return NULL;
}

START_TEST(conversions_by_all_at_once)
{
	struct mem_region_desc d = { MEM_SPLIT, "ram", { RAM_BASE }, RAM_PAGES * PAGE_SIZE };
	struct slot_table *table;
	struct err e = { "" };

	kvm.max = FAKE_SLOTS_MAX;
	table = slot_table_new(&fake_slot_ops, &kvm, kvm.max);
	ck_assert_int_eq(mem_new(&mem, table, &e), 0);
	ck_assert_int_eq(mem_add(mem, &d, &e), 0);
	start_workers(converter);
	join_workers();
	ck_assert_uint_eq(kvm.mistakes, 0);
	mem_free(mem);
	slot_table_free(table);
}
END_TEST

/* ---- the I/O loop as a member ---- */

static atomic_uint ticks;

static void tick(void *arg)
{
	struct loop *l = arg;
	uint64_t before = world;

	usleep(50);
	if (world != before)
		abort();
	atomic_fetch_add(&ticks, 1);
	if (!atomic_load(&done))
		loop_post(l, tick, l);
}

START_TEST(loop_callbacks_are_parked_too)
{
	struct err e = { "" };
	struct loop *l;
	unsigned int i;

	atomic_store(&done, false);
	ck_assert_int_eq(loop_new(&l, &park, &e), 0);
	ck_assert_int_eq(loop_post(l, tick, l), 0);
	ck_assert_int_eq(loop_start_thread(l, THREAD_IO, "loop", &e), 0);
	for (i = 0; i < 500; i++) {
		park_stop(&park, NULL);
		world++;
		park_start(&park, NULL);
	}
	while (atomic_load(&ticks) < 20)
		usleep(1000);
	atomic_store(&done, true);
	loop_free(l);
	ck_assert_uint_eq(park.running, 0);
}
END_TEST

static void setup(void)
{
	park_init(&park);
	world = 0;
}

static void teardown(void)
{
	park_destroy(&park);
}

Suite *park_suite(void)
{
	Suite *s = suite_create("park");
	TCase *t = tcase_create("park");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, outsider_stops_everybody);
	tcase_add_test(t, all_change_at_once_without_deadlock);
	tcase_add_test(t, a_storm_does_not_starve_the_others);
	tcase_add_test(t, changers_take_turns);
	tcase_add_test(t, changers_wait_for_who_is_held);
	tcase_add_test(t, conversions_by_all_at_once);
	tcase_add_test(t, loop_callbacks_are_parked_too);
	suite_add_tcase(s, t);
	return s;
}
