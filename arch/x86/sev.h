/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_X86_SEV_H
#define NACRE_X86_SEV_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The registers of an SEV guest, beside CPUID (cpuid.h), which KVM leaves to us. The first is where
 * the guest learns that it is one (AMD's APM volume 2, 15.34.10): its lowest bit is on, those of
 * SEV-ES and SEV-SNP are off, since neither are registers hidden nor is memory checked by hardware.
 * In the second it allows to be moved to another host (Documentation/virt/kvm/x86/msr.rst): we do not,
 * so it reads as 0 whatever was written.
 */
#define X86_MSR_SEV		0xc0010131u
#define X86_MSR_KVM_MIGRATION	0x4b564d08u
#define X86_MSR_SEV_ENABLED	1u
#define X86_MSR_MIGRATION_READY 1u

/* One access. data: what is written, or what is read then. False when it is a fault. */
bool x86_sev_msr(uint32_t index, bool is_write, uint64_t *data);

#endif
