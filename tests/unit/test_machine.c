/* SPDX-License-Identifier: Apache-2.0 */

/* The machine's own part: which loop serves the console, what signals do, and how a run ends. */
#include "tests/unit/test_machine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "vmm/machine_impl.h"
#include "vmm/util/log.h"

/* ---- the console's loop ---- */

static sem_t stuck, go_on;

/* What a write() to a file on a slow disk is to the loop. */
static void slow_write(void *arg)
{
	(void)arg;
	sem_post(&stuck);
	sem_wait(&go_on);
}

START_TEST(slow_output_does_not_hold_up_conversions)
{
	struct err e = { "" };

	sem_init(&stuck, 0, 0);
	sem_init(&go_on, 0, 0);
	machine_ready();
	ck_assert_int_eq(loop_start_thread(test_machine->console, THREAD_IO, "console", &e), 0);
	ck_assert_int_eq(loop_post(test_machine->console, slow_write, NULL), 0);
	sem_wait(&stuck);
	/* As vm_convert does it. If this waits for the console, the test runs into its timeout. */
	park_stop(&test_machine->vm->park, NULL);
	park_start(&test_machine->vm->park, NULL);
	sem_post(&go_on);
	machine_free(test_machine);
}
END_TEST

START_TEST(console_without_a_thread_is_an_error)
{
	struct err e = { "" };

	machine_ready();
	machine_forbid_threads();
	ck_assert_int_eq(machine_run(test_machine, &e), -EAGAIN);
	ck_assert_str_eq(e.msg, "start thread nacre-console: Resource temporarily unavailable");
	machine_free(test_machine);
}
END_TEST

/* ---- the end of a run ---- */

/* Until a write would wait. */
static size_t fill_pipe(int fd)
{
	char junk[4096] = { 0 };
	size_t sum = 0;
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while ((n = write(fd, junk, sizeof(junk))) > 0)
		sum += (size_t)n;
	fcntl(fd, F_SETFL, 0);
	return sum;
}

struct reader {
	size_t skip, got;
	bool right;
};

/* A reader that is late and slow; the guest's bytes come after those that filled the pipe. */
static void *read_late(void *arg)
{
	struct reader *r = arg;
	uint8_t buf[3000];
	size_t at = 0;
	ssize_t n;

	r->right = true;
	usleep(100000);
	while ((n = read(machine_out[0], buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++, at++)
			if (at >= r->skip)
				r->right &= buf[i] == 'a' + (at - r->skip) % 26;
		usleep(1000);
	}
	r->got = at - r->skip;
	return NULL;
}

/*
 * The last words of a guest arrive, also when no thread can be had any more (1), and those that a
 * virtio device has not looked at when the guest is gone (2), or not all, for want of room (3).
 */
START_TEST(slow_reader_gets_the_last_output)
{
	struct reader r = { .right = false };
	struct err e = { "" };
	pthread_t thread;

	machine_fake.prints = _i < 2 ? 20000 : 0;
	machine_fake.prints_late = _i < 2 ? 0 : 2000;
	if (_i == 3)
		machine_fake.prints_late = 200000;
	machine_fake.powers_off = true;
	machine_fake.no_threads = _i == 1;
	r.skip = fill_pipe(machine_out[1]);
	machine_ready();
	ck_assert_int_eq(pthread_create(&thread, NULL, read_late, &r), 0);
	ck_assert_int_eq(machine_run(test_machine, &e), 0);
	ck_assert_int_eq(machine_end(test_machine, NULL, NULL), VM_POWEROFF);
	machine_free(test_machine);
	/* All writers are closed now, so the reader ends. */
	machine_close_out();
	pthread_join(thread, NULL);
	ck_assert(r.right);
	ck_assert_uint_eq(r.got, machine_fake.prints + machine_fake.prints_late);
}
END_TEST

/* Nobody reads, the guest is gone: one signal is enough, and it is what we then die of. */
START_TEST(one_signal_ends_the_wait_for_the_reader)
{
	int signo = loop_end_signals[_i], told = 0;

	machine_fake.prints = 1000;
	machine_fake.powers_off = true;
	fill_pipe(machine_out[1]);
	machine_ready();
	machine_run_until(signo);
	ck_assert_int_eq(machine_end(test_machine, NULL, &told), VM_POWEROFF);
	ck_assert_int_eq(told, signo);
	machine_free(test_machine);
}
END_TEST

/* A guest that is stopped while nobody reads its output, nor (1) our messages. */
START_TEST(stopping_does_not_wait_for_readers)
{
	int told = 0;

	machine_fake.prints = 1000;
	fill_pipe(machine_out[1]);
	if (_i) {
		fill_pipe(machine_in[1]);
		dup2(machine_in[1], STDERR_FILENO);
		log_set_level(LOG_DEBUG);
	}
	machine_ready();
	log_info("nobody reads this");
	machine_run_until(SIGTERM);
	ck_assert_int_eq(machine_end(test_machine, NULL, &told), VM_STOPPED);
	ck_assert_int_eq(told, SIGTERM);
	machine_free(test_machine);
}
END_TEST

START_TEST(no_signal_no_wait)
{
	int told = -1;
	struct err e = { "" };

	machine_fake.powers_off = true;
	machine_ready();
	ck_assert_int_eq(machine_run(test_machine, &e), 0);
	ck_assert_int_eq(machine_end(test_machine, NULL, &told), VM_POWEROFF);
	ck_assert_int_eq(told, 0);
	machine_free(test_machine);
}
END_TEST

/* Who has a loop lends it, and has it back as it was; also from a machine that cannot start. */
START_TEST(machine_runs_on_a_loop_of_others)
{
	struct err e = { "" };
	struct loop *loop;

	ck_assert_int_eq(loop_new(&loop, NULL, &e), 0);
	ck_assert_int_eq(machine_build(&test_machine, &machine_config, loop, &e), 0);
	if (_i) {
		machine_forbid_threads();
		ck_assert_int_eq(machine_start(test_machine, &e), -EAGAIN);
	} else {
		machine_fake.powers_off = true;
		ck_assert_int_eq(machine_start(test_machine, &e), 0);
		loop_run(loop);
		machine_finish(test_machine);
		ck_assert_int_eq(machine_end(test_machine, NULL, NULL), VM_POWEROFF);
	}
	machine_free(test_machine);
	loop_free(loop);
}
END_TEST

Suite *machine_suite(void)
{
	Suite *s = suite_create("machine");
	TCase *t = tcase_create("machine");

	tcase_add_checked_fixture(t, machine_setup, machine_teardown);
	tcase_set_timeout(t, 20);
	tcase_add_test(t, slow_output_does_not_hold_up_conversions);
	tcase_add_test(t, console_without_a_thread_is_an_error);
	tcase_add_loop_test(t, slow_reader_gets_the_last_output, 0, 4);
	tcase_add_loop_test(t, one_signal_ends_the_wait_for_the_reader, 0, LOOP_END_SIGNALS);
	tcase_add_loop_test(t, stopping_does_not_wait_for_readers, 0, 2);
	tcase_add_test(t, no_signal_no_wait);
	tcase_add_loop_test(t, machine_runs_on_a_loop_of_others, 0, 2);
	suite_add_tcase(s, t);
	suite_add_tcase(s, machine_said_case());
	suite_add_tcase(s, machine_main_case());
	suite_add_tcase(s, machine_fdt_case());
	suite_add_tcase(s, machine_output_case());
	suite_add_tcase(s, machine_build_case());
	suite_add_tcase(s, machine_pause_case());
	suite_add_tcase(s, machine_abort_case());
	return s;
}
