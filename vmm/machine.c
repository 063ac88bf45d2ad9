/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/machine_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "devices/tty.h"
#include "mem/guard.h"
#include "vmm/bootfiles.h"
#include "vmm/memlock.h"
#include "vmm/protect.h"
#include "vmm/sandbox/sandbox.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"
#include "vmm/virtio_set.h"
#include "vmm/walls.h"

/* How often we look whether the console's reader has taken the rest of the output. */
#define DRAIN_TICK_US 20000
/* How long it may take when we were asked to stop: nobody shall have to ask twice. */
#define DRAIN_STOPPED_MS 200

/* ---- requests of the guest ---- */

static void drop_staging(struct machine *m)
{
	struct err e = { "" };

	if (!atomic_exchange(&m->staged, false)) {
		log_limited(LOG_WARN, "guest announced that it has loaded, but nothing is staged");
		return;
	}
	/* Under pKVM memory slots are fixed once the guest runs; the area was donated, not shared. */
	if (m->vm->config.protection == PROTECTION_PKVM)
		return;
	if (vm_remove_memory(m->vm, vcpu_current(), m->vm->layout.staging, &e))
		vm_end(m->vm, VM_FAILED, "remove the staging area: %s", e.msg);
	else
		log_debug("the staging area is gone");
}

static void on_power(void *ctx, enum power_cmd cmd)
{
	struct machine *m = ctx;

	switch (cmd) {
	case POWER_BOOT_DONE:
		drop_staging(m);
		break;
	case POWER_OFF:
		vm_end(m->vm, VM_POWEROFF, "the guest powered off");
		break;
	case POWER_RESET:
		vm_end(m->vm, VM_RESET, "the guest asked for a reset");
		break;
	case POWER_CRASH:
		vm_end(m->vm, VM_CRASHED, "the guest reported a crash");
		break;
	}
}

static const struct power_ops power_ops = { .request = on_power };

void machine_quit(void *ctx)
{
	struct machine *m = ctx;

	if (vm_ended(m->vm))
		atomic_store(&m->cancel, true);
	vm_end(m->vm, VM_STOPPED, "stopped by Ctrl-A x");
}

/* ---- building ---- */

/* True when all is written. What virtio devices still have of the output follows as there is room. */
static bool output_is_out(struct machine *m)
{
	bool more = true;

	while (more) {
		more = m->virtio && virtio_set_finish(m->virtio);
		if (tty_drain(m->tty, 0))
			return false;
	}
	return true;
}

/* The guest is gone; what it wrote is not. The console's loop writes it, and here we look. */
static void on_drain_tick(void *arg)
{
	struct machine *m = arg;

	if (atomic_load(&m->cancel) || output_is_out(m))
		loop_stop(m->control);
	else
		loop_timer_set(m->drain_tick, DRAIN_TICK_US);
}

static int make_loops(struct machine *m, struct err *e)
{
	int r = m->control ? 0 : loop_new(&m->own_control, NULL, e);

	if (m->own_control)
		m->control = m->own_control;
	m->vm->control = m->control;
	if (!r)
		r = loop_add_timer(m->control, on_drain_tick, m, &m->drain_tick, e);
	/*
	 * No member of the park: the console never looks at guest memory, and its output may go to
	 * a slow disk, whose write() would hold up every conversion.
	 */
	return r ? r : loop_new(&m->console, NULL, e);
}

/* pKVM pins the staging area too, and only the boot files tell how large that is. 0 in other modes. */
static uint64_t pinned_bytes(const struct machine *m)
{
	const struct vm *vm = m->vm;
	const struct mem_region *staging = mem_find(vm->mem, vm->layout.staging, 1);

	if (vm->config.protection != PROTECTION_PKVM)
		return 0;
	return vm->config.ram_bytes + (staging ? staging->size : 0);
}

static int allow_staging(const struct machine *m, struct err *e)
{
	uint64_t bytes = pinned_bytes(m);

	return bytes ? memlock_allow(bytes, e) : 0;
}

int machine_arch_config(const struct config *c, struct arch_config *out, struct err *e)
{
	*out = (struct arch_config){
		.protection = c->protection,
		.cpus = c->cpus,
		.smt = c->smt,
		.mte = c->mte,
		.ram_bytes = c->mem_mib << 20,
		.conversion = c->conversion,
		.implicit = c->implicit,
		.open_memory = c->private_memory == PRIVATE_MEMORY_OPEN,
		.shared_limit = config_shared_limit(c),
		.virtio = config_virtio_count(c),
		/* Programs of the user's own read neither device tree nor parameters. */
		.swiotlb = c->kernel ? c->swiotlb_mib << 20 : 0,
		.memory = c->memory,
	};
	return config_hidden(c, &out->hidden, e);
}

static int load(struct machine *m, struct boot_files *files, struct err *e)
{
	bool wanted = m->vm->config.protection != PROTECTION_NONE || log_enabled(LOG_INFO);
	struct measurement measured = { .len = 0 };
	bool staged = false;
	int r = bootfiles_load(
		files, m->vm, m->config->probe, &m->entry, &staged, wanted ? &measured : NULL, e);

	atomic_store(&m->staged, staged);
	if (!r && wanted) {
		arch_set_measurement(m->vm->arch, measured.digest, sizeof(measured.digest));
		memcpy(m->digest, measured.digest, sizeof(m->digest));
		m->is_measured = true;
	}
	measurement_free(&measured);
	return r;
}

static int build(struct machine *m, struct boot_files *files, struct err *e)
{
	struct arch_config ac;
	int r;

	r = machine_arch_config(m->config, &ac, e);
	if (!r)
		r = protect_resolve(&ac, files, e);
	if (!r)
		r = vm_new(&m->vm, &ac, e);
	if (!r) {
		protect_warn(&m->vm->config, files);
		r = make_loops(m, e);
	}
	if (!r)
		r = vm_add_vcpus(m->vm, e);
	if (!r)
		r = load(m, files, e);
	if (!r)
		r = allow_staging(m, e);
	/* Before the terminal becomes raw: whatever ends us from here on restores it. */
	if (!r)
		r = machine_catch_signals(m, e);
	return r ? r : machine_add_devices(m, e);
}

int machine_build(struct machine **out, const struct config *c, struct loop *control, struct err *e)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct boot_files files;
	int r;

	if (!m)
		return err_set(e, -ENOMEM, "machine: out of memory");
	m->config = c;
	m->control = control;
	m->started_ms = clock_ms();
	machine_init_devices(m);
	m->power = (struct power){ &power_ops, m };
	r = guard_init(e);
	if (!r)
		r = bootfiles_read(&files, c, e);
	if (!r) {
		guard_set_crash_hook(tty_crash_restore);
		seccomp_set_crash_hook(tty_crash_restore);
		r = build(m, &files, e);
		bootfiles_free(&files);
	}
	if (r) {
		machine_free(m);
		return r;
	}
	*out = m;
	return 0;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	machine_free_metrics(m);
	machine_free_devices(m);
	loop_free(m->io);
	machine_forget_signals(m);
	loop_event_free(m->resized);
	loop_event_free(m->drain_tick);
	loop_free(m->console);
	loop_free(m->own_control);
	vm_free(m->vm);
	free(m);
}

/* ---- running ---- */

/*
 * Waits for a slow reader until a signal or Ctrl-A x says no. This needs nothing that could be
 * refused now, such as a thread: it is the last words of a guest that would be lost.
 */
static void drain_console(struct machine *m)
{
	/* Else more could come while we look whether all is out. */
	if (m->io)
		loop_finish(m->io);
	/* Most often nothing is left, or it fits. */
	if (output_is_out(m))
		return;
	if (machine_end(m, NULL, NULL) == VM_STOPPED) {
		tty_drain(m->tty, DRAIN_STOPPED_MS);
		return;
	}
	/* The control loop stays in charge of signals meanwhile. */
	loop_timer_set(m->drain_tick, DRAIN_TICK_US);
	loop_run(m->control);
}

/* Who protects a guest wants to know what was started; others may ask for it by the log level. */
static void tell_measurement(const struct machine *m)
{
	bool is_open = m->vm->config.protection == PROTECTION_NONE;
	enum log_level level = is_open ? LOG_INFO : LOG_WARN;
	char hex[SHA256_HEX], line[SHA256_HEX + 40];
	int n;

	if (!m->is_measured || !log_enabled(level))
		return;
	n = snprintf(
		line, sizeof(line), "nacre: measurement sha256:%s\n", sha256_hex(m->digest, hex));
	log_raw(line, (size_t)n);
	/* Who reads only the log wants it, too. */
	if (log_has_file())
		log_write(level, "measurement sha256:%s", hex);
}

void machine_set_api(struct machine *m, const char *sock)
{
	m->api_sock = sock;
}

static int raise_walls(const struct machine *m, struct err *e)
{
	const struct seccomp_plan calls = walls_calls(m->config, m->api_sock);
	uint64_t pinned = pinned_bytes(m);
	struct walls walls;
	int r = walls_plan(&walls, m->config, m->api_sock, e);
	const struct sandbox_plan plan = {
		.is_protected = m->vm->config.protection != PROTECTION_NONE,
		.keeps_ipc_lock = pinned && memlock_falls_short(pinned),
		.traces_itself = SECCOMP_SANITIZED,
		.paths = walls.paths,
		.path_count = walls.count,
	};

	if (r)
		return r;
	/* What files may be named by is not left open for a guest that breaks out. */
	if (!fd_close_given())
		log_warn(
			"what files this process was started with is not known, and they stay open "
			"(mount /proc)");
	/* Who reads the first plan has read it by then. */
	thread_wait_entered();
	r = seccomp_prepare(&calls, e);
	if (!r)
		r = sandbox_raise(&plan, e);
	walls_free(&walls);
	return r;
}

int machine_start(struct machine *m, struct err *e)
{
	int r = raise_walls(m, e);

	if (!r)
		r = loop_start_thread(m->console, THREAD_CONSOLE, "nacre-console", e);
	if (!r && m->io)
		r = loop_start_thread(m->io, THREAD_IO, "nacre-io", e);
	if (!r)
		tell_measurement(m);
	/*
	 * The vCPUs' threads are there before the last wall, and run nothing before it stands. No
	 * vm_pause: that has the guest told of time that it has lost.
	 */
	park_stop(&m->vm->park, NULL);
	if (!r)
		r = vm_start(m->vm, &m->entry, e);
	if (!r) {
		thread_wait_entered();
		r = sandbox_seal(e);
	}
	if (r)
		vm_end(m->vm, VM_FAILED, "%s", "not started");
	park_start(&m->vm->park, NULL);
	if (r)
		vm_join(m->vm);
	return r;
}

void machine_pause(struct machine *m)
{
	if (m->is_paused)
		return;
	vm_pause(m->vm);
	m->is_paused = true;
}

void machine_resume(struct machine *m)
{
	if (!m->is_paused)
		return;
	m->is_paused = false;
	vm_resume(m->vm);
}

bool machine_press_button(struct machine *m)
{
	irq_raise(&m->button);
	return m->button.fd >= 0;
}

const struct virtio_set *machine_virtio(const struct machine *m)
{
	return m->virtio;
}

void machine_get_protection(const struct machine *m, struct machine_protection *out)
{
	*out = (struct machine_protection){
		.mode = m->vm->config.protection,
		.is_open = m->vm->config.open_memory,
		.digest = m->is_measured ? m->digest : NULL,
	};
}

const struct mem *machine_memory(const struct machine *m)
{
	return m->vm->mem;
}

const struct mte *machine_tags(const struct machine *m)
{
	return m->vm->config.mte ? &m->vm->mte : NULL;
}

void machine_finish(struct machine *m)
{
	/* Those who are held have yet to see that it has ended. */
	machine_resume(m);
	vm_join(m->vm);
	drain_console(m);
}

int machine_run(struct machine *m, struct err *e)
{
	int r = machine_start(m, e);

	if (r)
		return r;
	loop_run(m->control);
	machine_finish(m);
	return 0;
}

enum vm_end machine_end(const struct machine *m, const char **text, int *signo)
{
	if (text)
		*text = m->vm->end_text;
	if (signo)
		*signo = atomic_load(&m->signo);
	return (enum vm_end)atomic_load(&m->vm->end);
}
