/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BENCH_BARE_H
#define NACRE_BENCH_BARE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The architecture's share of floor.c, in bare_x86.c and bare_arm64.c: KVM's ioctls as they come,
 * in the order of Nacre's start, with no thought for anything else. Every failure ends the program.
 */
struct bare {
	int kvm, vm, vcpu;
	bool private;
	struct kvm_run *run;
};

struct bare_place {
	uint64_t ram, staging;
};
extern const struct bare_place bare_place;

uint64_t bare_vm_type(const struct bare *b);
void bare_vm(struct bare *b);	 /* before memory */
void bare_vcpu(struct bare *b);	 /* right after KVM_CREATE_VCPU */
void bare_ready(struct bare *b); /* when all vCPUs exist */
/* Tables that a program needs, as guest memory at `at`; their size with buf NULL. */
uint64_t bare_tables(uint64_t ram_bytes, uint64_t at, void *buf);
void bare_start(struct bare *b, uint64_t pc, uint64_t arg, uint64_t tables);
/* Whether the exit is a write to the power device. */
bool bare_ended(const struct bare *b);

/* ioctl, or the end of the program with its name. */
int bare_call(int fd, unsigned long request, unsigned long arg, const char *name);
#define CALL(fd, request, arg) bare_call(fd, request, (unsigned long)(arg), #request)

#endif
