/* SPDX-License-Identifier: Apache-2.0 */

/* A machine that is paused. */
#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "tests/unit/test_machine.h"
#include "vmm/machine_impl.h"

static void pause_twice(void *arg)
{
	machine_pause(arg);
	machine_pause(arg);
	ck_assert(park_wanted(&test_machine->vm->park));
}

/* Signals still come to the control loop; and whoever is held is let go, to see that it is over. */
START_TEST(paused_machine_can_be_stopped)
{
	machine_ready();
	ck_assert_int_eq(loop_post(test_machine->control, pause_twice, test_machine), 0);
	machine_run_until(SIGTERM);
	ck_assert_int_eq(machine_end(test_machine, NULL, NULL), VM_STOPPED);
	ck_assert(!park_wanted(&test_machine->vm->park));
	machine_free(test_machine);
}
END_TEST

/* Somebody who looks at the guest's memory again and again, as the loop of the devices does. */
static struct {
	_Atomic unsigned int turns;
	_Atomic bool over;
} looker;

static void *look_at_guest(void *arg)
{
	struct park_member member;

	park_join(arg, &member, NULL, NULL);
	while (!atomic_load(&looker.over)) {
		park_enter(&member);
		atomic_fetch_add(&looker.turns, 1);
		park_leave(&member);
		usleep(100);
	}
	park_quit(&member);
	return NULL;
}

static void await_turns(unsigned int n)
{
	unsigned int until = atomic_load(&looker.turns) + n;

	while (atomic_load(&looker.turns) < until)
		usleep(100);
}

START_TEST(nobody_looks_at_a_paused_guest)
{
	unsigned int i, before;
	pthread_t thread;

	machine_ready();
	pthread_create(&thread, NULL, look_at_guest, &test_machine->vm->park);
	for (i = 0; i < 20; i++) {
		await_turns(2);
		machine_pause(test_machine);
		before = atomic_load(&looker.turns);
		usleep(2000);
		ck_assert_uint_eq(atomic_load(&looker.turns), before);
		machine_resume(test_machine);
		machine_resume(test_machine);
	}
	await_turns(2);
	atomic_store(&looker.over, true);
	pthread_join(thread, NULL);
	machine_free(test_machine);
}
END_TEST

TCase *machine_pause_case(void)
{
	TCase *t = tcase_create("pause");

	tcase_add_checked_fixture(t, machine_setup, machine_teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, paused_machine_can_be_stopped);
	tcase_add_test(t, nobody_looks_at_a_paused_guest);
	return t;
}
