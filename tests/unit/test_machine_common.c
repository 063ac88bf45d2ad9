/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The machine of the tests. There is no KVM here: the VM is a fake, and its guest prints some bytes and
 * may then power off.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
#include "vmm/machine_signals.c"
#include "vmm/machine_stats.c"

#include "tests/unit/test_machine.h"

#define SERIAL	0x1000u
#define STAGING 0x10000000u

struct machine_fake machine_fake;

static struct mem_region staging;
static struct mem memory;
struct machine *test_machine;
struct config machine_config;
int machine_in[2], machine_out[2];
static int saved[3];

/* From here on pthread_create answers EAGAIN, whoever we are. */
void machine_forbid_threads(void)
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
		machine_forbid_threads();
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
	ck_assert_int_eq(pipe2(machine_in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(machine_out, O_CLOEXEC), 0);
	for (int i = 0; i < 3; i++)
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
	dup2(machine_in[0], STDIN_FILENO);
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
		fd_close(&machine_in[i]);
		fd_close(&machine_out[i]);
	}
}

void machine_ready(void)
{
	struct err e = { "" };

	ck_assert_msg(machine_build(&test_machine, &machine_config, NULL, &e) == 0, "%s", e.msg);
}

void machine_close_out(void)
{
	fd_close(&machine_out[1]);
	dup2(saved[1], STDOUT_FILENO);
}

static void *signal_soon(void *arg)
{
	usleep(100000);
	kill(getpid(), *(int *)arg);
	return NULL;
}

void machine_run_until(int signo)
{
	struct err e = { "" };
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, signal_soon, &signo), 0);
	ck_assert_int_eq(machine_run(test_machine, &e), 0);
	pthread_join(thread, NULL);
}
