/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_EXITS_H
#define NACRE_EXITS_H

struct vcpu;

/* Handles the exit that KVM_RUN just returned with. The vCPU's own thread. */
void exit_handle(struct vcpu *v);

#endif
