/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BENCH_FLOOR_VCPUS_H
#define NACRE_BENCH_FLOOR_VCPUS_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "vmm/util/err.h"
#include "vmm/util/park.h"

#define FLOOR_VCPUS_MAX 8

/*
 * vCPUs in threads of their own for floor_convert.c, and nothing else around them. They are kept out of
 * the guest as Nacre does it (vmm/util/park.h).
 */
struct floor_vcpu {
	struct floor_vcpus *all;
	int fd;
	struct kvm_run *run;
	pthread_t thread;
	struct park_member member;
	_Atomic bool listens;
};

struct floor_vcpus {
	struct floor_vcpu vcpu[FLOOR_VCPUS_MAX];
	unsigned int count;
	void (*on_exit)(void *ctx, int fd, struct kvm_run *run);
	void *ctx;
	_Atomic bool ended;
	struct park park;
};

/* Makes them; 0 or -errno. */
int floor_vcpus_make(struct floor_vcpus *s, int kvm, int vm, unsigned int count, struct err *e);
/* Runs them, and calls on_exit in the thread of the vCPU, until floor_end. */
int floor_vcpus_run(struct floor_vcpus *s, void (*on_exit)(void *, int, struct kvm_run *),
	void *ctx, struct err *e);
void floor_end(struct floor_vcpus *s);

/* In on_exit of the first vCPU: when it returns, no vCPU is in the guest, until floor_release. */
void floor_park(struct floor_vcpus *s);
void floor_release(struct floor_vcpus *s);

#endif
