/* SPDX-License-Identifier: Apache-2.0 */

/* Why a vCPU left the guest, and what is done about it: one small handler per reason. */
#include "vmm/exits.h"

#include <stdio.h>

#include "vmm/kvm.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"
#include "vmm/vm.h"

static void on_mmio(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	unsigned int len = run->mmio.len <= sizeof(run->mmio.data) ? run->mmio.len : 0;
	uint64_t addr = run->mmio.phys_addr;
	const char *note = arch_mmio_note(&v->vm->layout, addr);

	stats_count(run->mmio.is_write ? &v->stats.mmio_write : &v->stats.mmio_read);
	if (note)
		log_limited(LOG_WARN, "guest: %s", note);
	if (!len || vm_access_shared(v->vm, v, gpa(addr), run->mmio.data, len, run->mmio.is_write))
		return;
	/* Where shared addresses have a bit of their own, a kernel that knows it maps devices so. */
	if (!v->vm->layout.alias_is_private)
		addr &= ~v->vm->layout.alias_bit;
	if (run->mmio.is_write)
		bus_write(&v->vm->mmio, addr, run->mmio.data, len);
	else
		bus_read(&v->vm->mmio, addr, run->mmio.data, len);
}

/* `count` above one is a string instruction: the port stays, the data moves on. */
static void on_io(struct vcpu *v)
{
	struct kvm_run *run = v->run;
	char *data = (char *)run + run->io.data_offset;
	uint32_t i;

	stats_count(run->io.direction == KVM_EXIT_IO_OUT ? &v->stats.io_out : &v->stats.io_in);
	for (i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(&v->vm->port, run->io.port, data, run->io.size);
		else
			bus_read(&v->vm->port, run->io.port, data, run->io.size);
	}
}

static void on_hypercall(struct vcpu *v)
{
	struct vm *vm = v->vm;
	struct arch_convert c;

	if (arch_hypercall(vm->arch, v->fd, v->run, &c))
		arch_convert_done(vm->arch, v->fd, v->run, &c, vm_convert(vm, v, &c));
}

static void on_system_event(struct vcpu *v)
{
	switch (v->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_end(v->vm, VM_POWEROFF, "the guest powered off");
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm_end(v->vm, VM_RESET, "the guest asked for a reset");
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		vm_end(v->vm, VM_CRASHED, "the guest reported a crash");
		break;
	default:
		vm_end(v->vm, VM_FAILED, "vCPU %u: unknown system event %u", v->index,
			v->run->system_event.type);
	}
}

/*
 * A register may hold a secret: the dump is for guests that have none from us. note: what to know
 * when reading it, or "".
 */
static void fail_noting(struct vcpu *v, const char *what, const char *note)
{
	char regs[1600] = "";

	stats_count(&v->stats.failures);
	if (v->vm->config.protection == PROTECTION_NONE && arch_dump(v->fd, regs, sizeof(regs))[0])
		log_error("registers of vCPU %u%s:\n%s", v->index, note, regs);
	vm_end(v->vm, VM_FAILED, "vCPU %u: %s%s", v->index, what,
		v->vm->config.protection == PROTECTION_NONE
			? ""
			: " (registers are not shown: the guest is protected)");
}

static void fail(struct vcpu *v, const char *what)
{
	fail_noting(v, what, "");
}

static void on_internal_error(struct vcpu *v)
{
	bool emulation = v->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION;
	char what[200];

	snprintf(what, sizeof(what), "KVM_EXIT_INTERNAL_ERROR %u%s", v->run->internal.suberror,
		emulation && v->vm->config.protection != PROTECTION_NONE
			? ": KVM has to emulate an instruction that lies in private memory; this "
			  "CPU lacks the assists that mode needs, see nacre doctor"
		: emulation ? ": KVM here cannot emulate the guest's instruction, see nacre doctor"
			    : "");
	fail(v, what);
}

static void on_fail_entry(struct vcpu *v)
{
	char what[120];

	snprintf(what, sizeof(what), "KVM_EXIT_FAIL_ENTRY, hardware reason 0x%llx",
		(unsigned long long)v->run->fail_entry.hardware_entry_failure_reason);
	fail(v, what);
}

static void on_intr(struct vcpu *v)
{
	/* A signal came: the loop looks around and runs on. */
	(void)v;
}

static void on_shutdown(struct vcpu *v)
{
	/* KVM on AMD resets the vCPU before it tells us. */
	fail_noting(v, "triple fault (KVM_EXIT_SHUTDOWN)",
		" (after a triple fault; on AMD those of a reset, not of the fault)");
}

static void on_other(struct vcpu *v)
{
	char what[160];

	if (arch_exit(v->vm->arch, v->fd, v->run))
		return;
	snprintf(what, sizeof(what), "exit %u that nobody handles%s%s", v->run->exit_reason,
		arch_exit_name(v->run->exit_reason)[0] ? ": " : "",
		arch_exit_name(v->run->exit_reason));
	fail(v, what);
}

static void (*const handlers[])(struct vcpu *v) = {
	[KVM_EXIT_IO] = on_io,
	[KVM_EXIT_HYPERCALL] = on_hypercall,
	[KVM_EXIT_MMIO] = on_mmio,
	[KVM_EXIT_SHUTDOWN] = on_shutdown,
	[KVM_EXIT_FAIL_ENTRY] = on_fail_entry,
	[KVM_EXIT_INTR] = on_intr,
	[KVM_EXIT_INTERNAL_ERROR] = on_internal_error,
	[KVM_EXIT_SYSTEM_EVENT] = on_system_event,
};

void exit_handle(struct vcpu *v)
{
	uint32_t reason = v->run->exit_reason;

	if (reason < ARRAY_SIZE(handlers) && handlers[reason])
		handlers[reason](v);
	else
		on_other(v);
}
