/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VCPU_H
#define NACRE_VCPU_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/stats.h"
#include "vmm/util/err.h"
#include "vmm/util/park.h"

struct kvm_run;
struct vm;

/*
 * A virtual CPU and its thread. The thread loops: park if somebody wants to change the maps, run the
 * guest, handle the exit. Another thread gets its attention with a kick: immediate_exit is set, then
 * a signal interrupts KVM_RUN. The order of the two sides' steps makes a lost kick impossible:
 *
 *   kicker: set what the vCPU shall see; immediate_exit = 1; send the signal
 *   vCPU:   immediate_exit = 0; look at what it shall see; KVM_RUN
 */
struct vcpu {
	struct vm *vm;
	uint32_t index;
	int fd;
	struct kvm_run *run;
	size_t run_size;
	pthread_t thread;     /* written by the thread itself, before `listens` */
	pthread_t joinable;   /* the same, as the control thread knows it */
	bool threaded;	      /* to be joined; control thread only */
	_Atomic bool listens; /* the thread runs and can be kicked */
	struct park_member member;
	struct stats_vcpu stats;
	unsigned int refaults; /* for vm_fault_shared; counted anew after each other exit */
};

/* Installs the kick signal's empty handler; once per process, any number of times. */
int vcpu_init_signal(struct err *e);

int vcpu_new(struct vcpu *v, struct vm *vm, uint32_t index, struct err *e);
/* Joined or never started; accepts a zeroed one. */
void vcpu_free(struct vcpu *v);

int vcpu_start(struct vcpu *v, struct err *e);
/* Any thread; nothing happens before the vCPU's thread runs (it looks around first). */
void vcpu_kick(struct vcpu *v);

/* The vCPU whose thread this is, or NULL. */
struct vcpu *vcpu_current(void);

#endif
