/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_EXITS_H
#define NACRE_EXITS_H

struct kvm_run;
struct vcpu;

/* Handles the exit that KVM_RUN just returned with. The vCPU's own thread. */
void exit_handle(struct vcpu *v);

/* The address of a KVM_EXIT_MEMORY_FAULT. */
unsigned long long exit_fault_gpa(const struct kvm_run *run);

#endif
