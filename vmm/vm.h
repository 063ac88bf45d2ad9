/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VM_H
#define NACRE_VM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch/arch.h"
#include "devices/bus.h"
#include "devices/irq.h"
#include "mem/mem.h"
#include "mem/mte.h"
#include "vmm/stats.h"
#include "vmm/util/err.h"
#include "vmm/util/loop.h"
#include "vmm/util/park.h"
#include "vmm/vcpu.h"

/*
 * A virtual machine: KVM's descriptors, memory, buses and vCPUs, and the two things that concern
 * all of them: conversions, and the end. What devices it has is machine_devices.c's business.
 *
 * Life: vm_new -> vm_add_vcpus -> (machine fills buses and memory) -> vm_start -> ... vm_end ...
 * -> vm_join -> vm_free. Set-up and join on the control thread; vm_convert and vm_end from anywhere
 * noted.
 */

/* Why a run ended. The first reason wins. */
enum vm_end {
	VM_RUNNING = 0,
	VM_POWEROFF,
	VM_RESET,
	VM_CRASHED, /* the guest said so */
	VM_FAILED,  /* KVM or we cannot go on */
	VM_STOPPED, /* asked from outside: a signal, Ctrl-A x */
};

struct vm {
	int kvm;
	int fd;
	struct arch_config config;
	struct arch_layout layout;
	struct arch_vm *arch;
	struct slot_table *slots;
	struct mem *mem;
	struct mte mte; /* for guests that have tags (config.mte) */
	struct bus mmio;
	struct bus port;
	struct park park;
	struct stats stats;
	struct vcpu *vcpus;
	uint32_t vcpu_count; /* made so far */

	/* The end: whoever sets `ending` first writes the text and then `end`. */
	_Atomic bool ending;
	_Atomic int end;
	char end_text[512];
	_Atomic bool end_told; /* everybody has been kicked */
	struct loop *control;  /* stopped when the run ends; borrowed, set before anything runs */
};

/*
 * Opens KVM and makes the VM with its RAM and in-kernel devices, no vCPU yet. On error nothing is
 * left. vm_free accepts NULL; running vCPUs must have been joined.
 */
int vm_new(struct vm **out, const struct arch_config *config, struct err *e);
int vm_add_vcpus(struct vm *vm, struct err *e);
void vm_free(struct vm *vm);

/* A new eventfd that raises this line; the caller closes it, also after an error. Before vCPUs run. */
int vm_add_irq(struct vm *vm, uint32_t gsi, struct irq_line *irq, struct err *e);

/* Starts all vCPU threads. */
int vm_start(struct vm *vm, const struct boot_entry *entry, struct err *e);

/* Ends the run; the first caller's reason and text stay. Any thread, also a vCPU's own. */
void vm_end(struct vm *vm, enum vm_end why, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static inline bool vm_ended(const struct vm *vm)
{
	return atomic_load(&vm->end) != VM_RUNNING;
}

/*
 * Holds the vCPUs and all others that look at the guest's memory, until vm_resume, also past vm_end.
 * One thread, no member of the park, which must not stop the world by other means meanwhile.
 */
void vm_pause(struct vm *vm);
void vm_resume(struct vm *vm);

/* Waits for all vCPU threads, after vm_end. */
void vm_join(struct vm *vm);

/*
 * Carries out the guest's conversion request, on the thread of the vCPU that asked: validates,
 * stops the world, swaps, lets it go on. 0 or -errno for the guest; when the old state could not be
 * restored the VM ends.
 */
int vm_convert(struct vm *vm, struct vcpu *self, const struct arch_convert *c);

/*
 * An access that found no memory. Where it went to the shared address of a page of RAM, that gets its
 * slot (mem/alias.h), the access is made good, and true returned; past the limit reads give ones.
 * False for all other addresses. On the thread of the vCPU that made it.
 */
bool vm_access_shared(
	struct vm *vm, struct vcpu *self, gpa_t a, void *data, unsigned int len, bool is_write);

/*
 * The same for an access that KVM could not make and told the address of: true when it can be made
 * now, or the VM has ended because it cannot. False too when it still fails after many such tries.
 */
bool vm_fault_shared(struct vm *vm, struct vcpu *self, gpa_t a);

/* Removes a memory region while the guest runs (the staging area). self as for vm_convert. */
int vm_remove_memory(struct vm *vm, struct vcpu *self, gpa_t base, struct err *e);

#endif
