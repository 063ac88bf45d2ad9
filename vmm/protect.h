/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_PROTECT_H
#define NACRE_PROTECT_H

#include "arch/arch.h"

/*
 * Settles the protection mode before anything is built: replaces PROTECTION_AUTO by the strongest
 * mode that this host and the kernel image allow and says which, and refuses what cannot work on this
 * host.
 */
int protect_resolve(struct arch_config *c, const struct boot_files *files, struct err *e);
/* Warns of what protects nothing or may not work, once there is such a VM: else its error is enough. */
void protect_warn(const struct arch_config *c, const struct boot_files *files);

/* Can this host run the mode at all? 0, or -ENOTSUP with what is missing and how to get it. */
int protect_possible(enum protection mode, bool open_memory, struct err *e);

/*
 * Replaces CONVERSION_AUTO by what this KVM has: attributes where they are offered and the memory is
 * not open, else swap. 0, or -ENOTSUP when attributes are asked for and cannot be. c->protection
 * must be settled. kvm: the device.
 */
int protect_conversion(int kvm, struct arch_config *c, struct err *e);

/* The same for a VM that exists already. */
int protect_check(int kvm, int vm, const struct arch_config *c, struct err *e);

/* The flags that guest_memfd is to be made with (ABI_GMEM_*). */
uint64_t protect_gmem_flags(const struct arch_config *c);

/* Adds to the error of a KVM_CREATE_VM that failed what the mode needs. Returns code. */
int protect_explain_vm(enum protection mode, int code, struct err *e);

#endif
