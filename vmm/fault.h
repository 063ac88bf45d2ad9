/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_FAULT_H
#define NACRE_FAULT_H

#include <stdbool.h>

struct vcpu;

/*
 * KVM_RUN returned `code` with KVM_EXIT_MEMORY_FAULT. True when that was the guest using a page as
 * private that it shares, or the reverse, without a call: KVM asks for an implicit conversion. Then
 * the policy has been followed: the page is converted and the vCPU may go on, or the VM ends. False
 * for all other faults, which are the host's. The vCPU's own thread.
 *
 * KVM takes what kind of memory an access wants from the processor (SEV-SNP, TDX) or, for VMs of
 * type SW_PROTECTED, from the page's own attribute. So a guest of ours cannot cause this exit on
 * today's kernels but by changing an attribute while another vCPU faults on that page, and we change
 * none while a vCPU runs. What comes all the same is refused unless the user wishes otherwise: a
 * conversion destroys what the page holds, and a guest that means it can ask.
 */
bool fault_is_conversion(struct vcpu *v, int code);

/* The address of a KVM_EXIT_MEMORY_FAULT. */
struct kvm_run;
unsigned long long fault_gpa(const struct kvm_run *run);

#endif
