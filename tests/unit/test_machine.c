/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The machine's own part: which loop serves the console, what signals do, and how a run ends. There
 * is no KVM here: the VM is a fake, and its guest prints some bytes and may then power off.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define vm_new		     fake_vm_new
#define vm_add_vcpus	     fake_vm_add_vcpus
#define vm_free		     fake_vm_free
#define vm_start	     fake_vm_start
#define vm_join		     fake_vm_join
#define vm_end		     fake_vm_end
#define vm_pause	     fake_vm_pause
#define vm_resume	     fake_vm_resume
#define vm_remove_memory     fake_vm_remove_memory
#define vcpu_current	     fake_vcpu_current
#define vm_add_irq	     fake_vm_add_irq
#define protect_resolve	     fake_protect_resolve
#define protect_warn	     fake_protect_warn
#define memlock_allow	     fake_memlock_allow
#define config_virtio_count  fake_config_virtio_count
#define virtio_set_new	     fake_virtio_set_new
#define virtio_set_resized   fake_virtio_set_resized
#define virtio_set_stats     fake_virtio_set_stats
#define virtio_set_finish    fake_virtio_set_finish
#define virtio_set_free	     fake_virtio_set_free
#define bootfiles_read	     fake_bootfiles_read
#define bootfiles_free	     fake_bootfiles_free
#define bootfiles_load	     fake_bootfiles_load
#define arch_set_measurement fake_arch_set_measurement
#include "vmm/machine.c"
#include "vmm/machine_devices.c"

#include "tests/unit/suites.h"
#include "tests/unit/test_machine.h"

#define SERIAL	0x1000u
#define STAGING 0x10000000u

struct machine_fake machine_fake;

static struct mem_region staging;
static struct mem memory;
struct machine *test_machine;
struct config machine_config;
static int in_pipe[2];
int machine_out[2];
static int saved[3];

/* From here on pthread_create answers EAGAIN, whoever we are. */
static void forbid_threads(void)
{
	pthread_attr_t huge;

	pthread_attr_init(&huge);
	pthread_attr_setstacksize(&huge, (size_t)1 << 60);
	ck_assert_int_eq(pthread_setattr_default_np(&huge), 0);
}

uint32_t fake_config_virtio_count(const struct config *c)
{
	(void)c;
	return machine_fake.prints_late ? 1 : 0;
}

int fake_virtio_set_new(struct virtio_set **out, struct vm *vm, struct loop *io, struct tty *tty,
	const struct config *c, struct err *e)
{
	(void)vm;
	(void)io;
	(void)c;
	(void)e;
	machine_fake.tty = tty;
	machine_fake.left = machine_fake.prints_late;
	*out = (struct virtio_set *)&machine_fake;
	return 0;
}

/* As much as fits; true when the rest is still to come. */
static bool print_more(unsigned int down_to)
{
	for (; machine_fake.left > down_to; machine_fake.left--) {
		uint8_t byte = (uint8_t)('a' + (machine_fake.prints + machine_fake.prints_late -
						       machine_fake.left) %
						       26);

		if (!tty_write(machine_fake.tty, &byte, 1))
			return true;
	}
	return false;
}

/* On the devices' loop, which may be behind. */
static void print_late(void *arg)
{
	(void)arg;
	usleep(100000);
	print_more(machine_fake.prints_late / 2);
}

bool fake_virtio_set_finish(struct virtio_set *s)
{
	(void)s;
	return print_more(0);
}

void fake_virtio_set_stats(struct virtio_set *s, struct stats_report *out)
{
	(void)s;
	out->device_count = 1;
	out->devices[0] = (struct stats_device){ .name = "virtio-fake", .failures = 7 };
}

void fake_virtio_set_resized(struct virtio_set *s)
{
	(void)s;
}

void fake_virtio_set_free(struct virtio_set *s)
{
	(void)s;
}

int fake_vm_new(struct vm **out, const struct arch_config *c, struct err *e)
{
	static const struct platform_dev row = { PLATFORM_SERIAL, false, SERIAL, 8, 4 };
	struct vm *vm;

	if (machine_fake.impossible)
		return err_set(e, -ENOTSUP, "no such mode");
	vm = calloc(1, sizeof(*vm));
	vm->config = *c;
	vm->layout.staging = (gpa_t){ STAGING };
	vm->layout.platform = (struct platform){ &row, 1 };
	vm->mem = &memory;
	park_init(&vm->park);
	bus_init(&vm->mmio, "mmio", UINT64_MAX);
	bus_init(&vm->port, "port", 0xffff);
	*out = vm;
	return 0;
}

void fake_vm_free(struct vm *vm)
{
	if (!vm)
		return;
	park_destroy(&vm->park);
	free(vm);
}

int fake_vm_add_vcpus(struct vm *vm, struct err *e)
{
	(void)vm;
	(void)e;
	return 0;
}

int fake_vm_start(struct vm *vm, const struct boot_entry *entry, struct err *e)
{
	(void)entry;
	(void)e;
	if (machine_fake.no_threads)
		forbid_threads();
	for (unsigned int i = 0; i < machine_fake.prints; i++) {
		uint8_t byte = (uint8_t)('a' + i % 26);

		bus_write(&vm->mmio, SERIAL, &byte, 1);
	}
	if (machine_fake.prints_late)
		ck_assert_int_eq(loop_post(test_machine->io, print_late, NULL), 0);
	if (machine_fake.powers_off)
		vm_end(vm, VM_POWEROFF, "the guest powered off");
	return 0;
}

void fake_vm_join(struct vm *vm)
{
	(void)vm;
}

void fake_vm_end(struct vm *vm, enum vm_end why, const char *fmt, ...)
{
	(void)fmt;
	if (atomic_exchange(&vm->ending, true))
		return;
	atomic_store(&vm->end, (int)why);
	loop_stop(vm->control);
}

void fake_vm_pause(struct vm *vm)
{
	park_stop(&vm->park, NULL);
}

void fake_vm_resume(struct vm *vm)
{
	park_start(&vm->park, NULL);
}

int fake_vm_remove_memory(struct vm *vm, struct vcpu *self, gpa_t base, struct err *e)
{
	(void)vm;
	(void)self;
	(void)base;
	(void)e;
	return 0;
}

struct vcpu *fake_vcpu_current(void)
{
	return NULL;
}

int fake_vm_add_irq(struct vm *vm, uint32_t gsi, struct irq_line *irq, struct err *e)
{
	(void)vm;
	(void)gsi;
	(void)e;
	irq->fd = eventfd(0, EFD_CLOEXEC);
	return 0;
}

int fake_protect_resolve(struct arch_config *c, const struct boot_files *files, struct err *e)
{
	(void)c;
	(void)files;
	(void)e;
	return 0;
}

void fake_protect_warn(const struct arch_config *c, const struct boot_files *files)
{
	(void)c;
	(void)files;
	machine_fake.warned = true;
}

int fake_memlock_allow(uint64_t guest_bytes, struct err *e)
{
	machine_fake.allowed = guest_bytes;
	return guest_bytes > MIB(1024) ? err_set(e, -EPERM, "memlock") : 0;
}

int fake_bootfiles_read(struct boot_files *f, const struct config *c, struct err *e)
{
	(void)c;
	(void)e;
	memset(f, 0, sizeof(*f));
	return 0;
}

void fake_arch_set_measurement(struct arch_vm *a, const uint8_t *digest, size_t len)
{
	(void)a;
	machine_fake.told_arch = len == SHA256_SIZE && digest[0] == 0xab && digest[len - 1] == 0xab;
}

void fake_bootfiles_free(struct boot_files *f)
{
	(void)f;
}

int fake_bootfiles_load(const struct boot_files *f, struct vm *vm, bool probe,
	struct boot_entry *entry, bool *staged, struct measurement *measured, struct err *e)
{
	machine_fake.asked_measurement = measured != NULL;
	if (measured)
		memset(measured->digest, 0xab, sizeof(measured->digest));
	(void)f;
	(void)vm;
	(void)probe;
	(void)entry;
	(void)e;
	*staged = machine_fake.staging_bytes != 0;
	staging = (struct mem_region){ .base = { STAGING }, .size = machine_fake.staging_bytes };
	memory = (struct mem){ .regions = { &staging }, .count = *staged };
	return 0;
}

void machine_setup(void)
{
	memset(&machine_fake, 0, sizeof(machine_fake));
	machine_config = (struct config){ .cpus = 1, .mem_mib = 64 };
	ck_assert_int_eq(pipe2(in_pipe, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(machine_out, O_CLOEXEC), 0);
	for (int i = 0; i < 3; i++)
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
	dup2(in_pipe[0], STDIN_FILENO);
	dup2(machine_out[1], STDOUT_FILENO);
	log_set_level(LOG_ERROR);
}

void machine_teardown(void)
{
	for (int i = 0; i < 3; i++) {
		dup2(saved[i], i);
		fd_close(&saved[i]);
	}
	for (int i = 0; i < 2; i++) {
		fd_close(&in_pipe[i]);
		fd_close(&machine_out[i]);
	}
}

void machine_ready(void)
{
	struct err e = { "" };

	ck_assert_msg(machine_build(&test_machine, &machine_config, NULL, &e) == 0, "%s", e.msg);
}

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

static void *signal_soon(void *arg)
{
	usleep(100000);
	kill(getpid(), *(int *)arg);
	return NULL;
}

long machine_run_until(int signo)
{
	struct err e = { "" };
	uint64_t begin = clock_ms();
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, signal_soon, &signo), 0);
	ck_assert_int_eq(machine_run(test_machine, &e), 0);
	pthread_join(thread, NULL);
	return (long)(clock_ms() - begin);
}

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
	forbid_threads();
	ck_assert_int_eq(machine_run(test_machine, &e), -EAGAIN);
	ck_assert_str_eq(e.msg, "start thread nacre-console: Resource temporarily unavailable");
	machine_free(test_machine);
}
END_TEST

/* ---- the end of a run ---- */

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
	fd_close(&machine_out[1]);
	dup2(saved[1], STDOUT_FILENO);
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
	ck_assert_int_lt(machine_run_until(signo), 2000);
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
		fill_pipe(in_pipe[1]);
		dup2(in_pipe[1], STDERR_FILENO);
		log_set_level(LOG_DEBUG);
	}
	machine_ready();
	log_info("nobody reads this");
	ck_assert_int_lt(machine_run_until(SIGTERM), 2000);
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
		forbid_threads();
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
