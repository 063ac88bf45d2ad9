/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_KVM_H
#define NACRE_KVM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/kvm_abi.h"
#include "vmm/util/err.h"

/*
 * The only door to KVM: typed functions over its ioctls, here and in kvm_x86.c / kvm_arm64.c. Each
 * returns 0 (or a new descriptor, or a value) on success and -errno with a message that names the
 * ioctl. Descriptors are plain ints owned by the caller; `kvm` is the device, `vm` a machine,
 * `vcpu` a virtual CPU. Any thread may call unless noted.
 */

/* Opens /dev/kvm; the message says what to do when that fails. */
int kvm_open(struct err *e);
/* This host's KVM is the paravirtual one of some cloud machines (module kvm_pvm). */
bool kvm_is_pvm(void);
int kvm_create_vm(int kvm, uint64_t type, struct err *e);

/* KVM_CHECK_EXTENSION; 0 when absent. Ask the VM: some answers depend on its type. */
int kvm_has(int fd, unsigned int cap);
int kvm_enable_cap(int fd, unsigned int cap, uint64_t arg0, struct err *e);

/* Memory. flags: ABI_GMEM_*. */
int kvm_create_gmem(int vm, uint64_t size, uint64_t flags, struct err *e);
struct kvm_slot {
	uint32_t id;
	uint64_t gpa;
	uint64_t size; /* 0 deletes the slot */
	void *hva;
	int gmem_fd; /* -1: ordinary memory at hva */
	uint64_t gmem_offset;
};
int kvm_set_slot(int vm, const struct kvm_slot *slot, struct err *e);
/* Where the guest gets this range from: its slot's guest_memfd, or its slot's host address. */
int kvm_set_private(int vm, uint64_t gpa, uint64_t size, bool private, struct err *e);

/* vCPUs. kvm_run: the vCPU's own thread only; -EINTR and -EAGAIN come back without a message. */
int kvm_create_vcpu(int vm, unsigned int id, struct err *e);
int kvm_run_size(int kvm, struct err *e);
int kvm_run(int vcpu);

/* An eventfd whose write raises (edge) interrupt line gsi. */
int kvm_irqfd(int vm, int eventfd, uint32_t gsi, struct err *e);
/* A guest's 4-byte write of that value to addr (MMIO) signals the eventfd and causes no exit. */
int kvm_ioeventfd(int vm, uint64_t addr, uint32_t value, int eventfd, struct err *e);

/* In-kernel devices and attributes, on a device, VM or vCPU descriptor. */
int kvm_create_device(int vm, uint32_t type, struct err *e);
bool kvm_has_attr(int fd, uint32_t group, uint64_t attr);
int kvm_set_attr(
	int fd, uint32_t group, uint64_t attr, const void *value, const char *what, struct err *e);

/* x86-64 (kvm_x86.c) */
struct kvm_cpuid2;
struct kvm_msrs;
int kvm_supported_cpuid(int kvm, struct kvm_cpuid2 **out, struct err *e); /* free() it */
int kvm_set_cpuid(int vcpu, const struct kvm_cpuid2 *cpuid, struct err *e);
int kvm_create_irqchip(int vm, struct err *e);
int kvm_create_pit(int vm, struct err *e);
int kvm_set_tss(int vm, uint64_t tss_gpa, uint64_t identity_gpa, struct err *e);
int kvm_get_sregs(int vcpu, struct kvm_sregs *sregs, struct err *e);
int kvm_set_sregs(int vcpu, const struct kvm_sregs *sregs, struct err *e);
int kvm_get_regs(int vcpu, struct kvm_regs *regs, struct err *e);
int kvm_set_regs(int vcpu, const struct kvm_regs *regs, struct err *e);
/* The guest was paused: it is told by its clock, if that is KVM's; -EINVAL if not. */
int kvm_tell_paused(int vcpu, struct err *e);
int kvm_set_msr(int vcpu, uint32_t index, uint64_t value, struct err *e);
/* The guest's accesses to these few come to us, as KVM_EXIT_X86_RDMSR and WRMSR. Once a VM. */
int kvm_forward_msrs(int vm, const uint32_t *index, unsigned int count, struct err *e);

/*
 * Memory tags of an arm64 guest that has them: len / 16 bytes, one tag each, of [gpa, gpa + len), from
 * the guest or to it. Returns the bytes of guest memory that are done, at most len.
 */
int64_t kvm_copy_tags(int vm, uint64_t gpa, uint64_t len, void *tags, bool to_guest, struct err *e);

/* arm64 (kvm_arm64.c) */
struct kvm_vcpu_init;
int kvm_preferred_target(int vm, struct kvm_vcpu_init *init, struct err *e);
int kvm_vcpu_init(int vcpu, const struct kvm_vcpu_init *init, struct err *e);
int kvm_get_reg(int vcpu, uint64_t id, void *value, struct err *e);
int kvm_set_reg(int vcpu, uint64_t id, const void *value, struct err *e);

/* For the two files above and nobody else: ioctl with the name in the message. */
int kvm_ioctl_named(int fd, unsigned long request, void *arg, const char *name, struct err *e);
#define KVM_IOCTL(fd, request, arg, e) kvm_ioctl_named(fd, request, arg, #request, e)

#endif
