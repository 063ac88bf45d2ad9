/* SPDX-License-Identifier: Apache-2.0 */

/* What a machine says on standard error: what it starts, and when asked, what has happened. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/test_machine.h"
#include "vmm/machine_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

static const struct {
	enum protection mode;
	enum log_level level;
	bool asks, tells;
} measures[] = {
	/* Not free, so only where somebody may look at it. */
	{ PROTECTION_NONE, LOG_WARN, false, false },
	{ PROTECTION_NONE, LOG_INFO, true, true },
	{ PROTECTION_PRIVATE, LOG_WARN, true, true },
	/* A guest may ask for it. */
	{ PROTECTION_PRIVATE, LOG_ERROR, true, false },
};

/* At the launch, so that what cannot be started says nothing but why. */
START_TEST(measurement_is_told)
{
	char said[300] = "", *line;
	struct err e = { "" };
	int p[2], told;

	ck_assert_int_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(p[1], STDERR_FILENO);
	log_set_level(measures[_i].level);
	machine_config.protection = measures[_i].mode;
	machine_fake.powers_off = true;
	machine_ready();
	ck_assert_int_eq(machine_fake.asked_measurement, measures[_i].asks);
	ck_assert_int_eq(machine_fake.told_arch, measures[_i].asks);
	ck_assert_int_eq(read(p[0], said, sizeof(said) - 1), -1);
	ck_assert_int_eq(machine_run(test_machine, &e), 0);
	machine_free(test_machine);
	if (read(p[0], said, sizeof(said) - 1) < 0)
		said[0] = '\0';
	line = strstr(said, "nacre: measurement sha256:abababab");
	told = line && strlen(line) == strlen("nacre: measurement sha256:") + 65;
	ck_assert_msg(told == measures[_i].tells, "%s", said);
	fd_close(&p[0]);
	fd_close(&p[1]);
}
END_TEST

/* Who reads only the log wants it, too. */
START_TEST(measurement_is_logged)
{
	char path[SCRATCH_PATH], said[300] = "";
	int fd = scratch_file(path);
	struct log_config log = { .path = path, .level = LOG_WARN };
	struct err e = { "" };

	ck_assert_int_eq(log_setup(&log, &e), 0);
	dup2(machine_out[1], STDERR_FILENO);
	machine_config.protection = PROTECTION_PRIVATE;
	machine_fake.powers_off = true;
	machine_ready();
	ck_assert_int_eq(machine_run(test_machine, &e), 0);
	machine_free(test_machine);
	log_finish();
	ck_assert_int_gt(read(fd, said, sizeof(said) - 1), 0);
	ck_assert_ptr_nonnull(strstr(said, "] measurement sha256:abababab"));
	close(fd);
}
END_TEST

/* On a terminal's worth of reasons to be quiet, the signal is answered all the same. */
START_TEST(signal_prints_statistics)
{
	char said[600] = "";
	int p[2];

	ck_assert_int_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(p[1], STDERR_FILENO);
	machine_fake.prints_late = 1;
	machine_config.protection = PROTECTION_PRIVATE;
	machine_ready();
	stats_refused(&test_machine->vm->stats, true);
	raise(SIGUSR1);
	machine_run_until(SIGTERM);
	machine_free(test_machine);
	ck_assert_int_gt(read(p[0], said, sizeof(said) - 1), 0);
	ck_assert_ptr_eq(strstr(said, "nacre: statistics after "), said);
	ck_assert_ptr_nonnull(strstr(said, " of 64 MiB\n"));
	ck_assert_ptr_nonnull(strstr(said, "to private: 0, 0 KiB in all; 0 changed nothing, 1"));
	ck_assert_ptr_nonnull(strstr(said, "nacre: device 0 virtio-fake: "));
	fd_close(&p[0]);
	fd_close(&p[1]);
}
END_TEST

/* Nothing ends by it, also when whoever started us had it blocked. */
START_TEST(signal_for_statistics_ends_nothing)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	dup2(machine_out[1], STDERR_FILENO);
	machine_ready();
	pthread_sigmask(SIG_BLOCK, NULL, &set);
	ck_assert(!sigismember(&set, SIGUSR1));
	raise(SIGUSR1);
	machine_run_until(SIGTERM);
	ck_assert_int_eq(machine_end(test_machine, NULL, NULL), VM_STOPPED);
	machine_free(test_machine);
}
END_TEST

/* Where ACPI tells of a button, the signal raises its line, once; elsewhere somebody hears why not. */
START_TEST(signal_presses_the_power_button)
{
	struct irq_line *line;
	uint64_t edges = 0;
	char said[200] = "";
	bool has;
	int p[2];

	machine_ready();
	line = &test_machine->button;
	has = platform_find(&test_machine->vm->layout.platform, PLATFORM_ACPI);
	ck_assert_int_eq(line->fd >= 0, has);
	ck_assert_int_eq(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	dup2(p[1], STDERR_FILENO);
	log_set_level(LOG_WARN);
	fd_close(&line->fd);
	if (_i)
		line->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	raise(SIGUSR2);
	machine_run_until(SIGTERM);
	ck_assert_int_eq(machine_end(test_machine, NULL, NULL), VM_STOPPED);
	if (_i)
		ck_assert_int_eq(read(line->fd, &edges, sizeof(edges)), sizeof(edges));
	ck_assert_uint_eq(edges, (unsigned int)_i);
	machine_free(test_machine);
	/* Nothing, or why. */
	ck_assert_int_eq(read(p[0], said, sizeof(said) - 1) > 0, !_i);
	ck_assert_int_eq(strstr(said, "this machine has no power button") != NULL, !_i);
	fd_close(&p[0]);
	fd_close(&p[1]);
}
END_TEST

TCase *machine_said_case(void)
{
	TCase *t = tcase_create("said");

	tcase_add_checked_fixture(t, machine_setup, machine_teardown);
	tcase_set_timeout(t, 20);
	tcase_add_loop_test(t, measurement_is_told, 0, (int)ARRAY_SIZE(measures));
	tcase_add_test(t, measurement_is_logged);
	tcase_add_test(t, signal_prints_statistics);
	tcase_add_test(t, signal_for_statistics_ends_nothing);
	tcase_add_loop_test(t, signal_presses_the_power_button, 0, 2);
	return t;
}
