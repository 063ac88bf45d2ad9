/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ARCH_H
#define NACRE_ARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "arch/boot.h"
#include "arch/platform.h"
#include "mem/backing.h"
#include "mem/gpa.h"
#include "vmm/util/err.h"
#include "vmm/util/finding.h"
#include "vmm/util/protection.h"

/*
 * The contract of an architecture. Each function has one implementation in arch/x86 and one in
 * arch/arm64, in files of the same name; the build picks one. Nothing above this header knows which
 * it is. The order of calls:
 *
 *   arch_layout -> arch_vm_type -> KVM_CREATE_VM -> arch_check -> arch_vm_new -> arch_vm_memory
 *   -> KVM_CREATE_VCPU + arch_vcpu_init for each, in order of index -> arch_vm_ready
 *   -> arch_boot_plan -> (memory is filled) -> arch_vcpu_start for each -> run
 *
 * Set-up runs on one thread. arch_hypercall, arch_exit and arch_dump run on the vCPU's own thread.
 */
struct kvm_run;

struct arch_config {
	enum protection protection;
	uint32_t cpus;
	bool smt; /* the CPUs are pairs of threads of cores */
	uint64_t ram_bytes;
	uint64_t shared_limit;	    /* bytes; alias modes: see mem/alias.h */
	enum conversion conversion; /* of mode private; never AUTO once there is a VM */
	enum implicit implicit;
	bool open_memory; /* guest_memfd with INIT_SHARED: protects nothing */
	bool mte;	  /* the guest has memory tags */
	uint32_t virtio;  /* slots for virtio devices */
	uint64_t swiotlb; /* bytes wanted for the pool of arch_layout; 0: none */
	uint64_t hidden;  /* CPU features that the guest shall not see: arch_feature_hide */
	struct backing_options memory;
};

#define ARCH_RAM_MAX 2

/* The map of guest physical addresses. */
struct arch_layout {
	struct {
		gpa_t base;
		uint64_t size;
	} ram[ARCH_RAM_MAX];
	unsigned int ram_count;
	/* Alias modes: the bit in which the addresses of a page's two copies differ, and whose the
	 * address with that bit is. 0 in all other modes. */
	uint64_t alias_bit;
	bool alias_is_private;
	/* Bytes from the start of ram[0] that are the same memory at both addresses, and never private:
	 * for processors that cannot set the bit yet. */
	uint64_t alias_both;
	bool alias_traps; /* KVM may not be able to emulate accesses to shared addresses */
	/*
	 * The part of RAM through which such a guest exchanges data with devices, where it shares
	 * pages by pKVM's calls (arm64): it is told to share this and nothing else. size 0: none.
	 */
	struct {
		gpa_t base;
		uint64_t size;
	} pool;
	gpa_t staging;
	uint64_t staging_max; /* bytes between the staging area's start and the next thing */
	struct platform platform;
};

/* "x86_64" or "arm64". */
const char *arch_name(void);

/*
 * Fills the map for that much RAM. A sentence when the architecture cannot: -ENOTSUP for a mode that
 * it does not have, else -EINVAL. Needs no KVM, so that what cannot run is not measured either.
 */
int arch_layout(const struct arch_config *c, struct arch_layout *out, struct err *e);

/* The type argument of KVM_CREATE_VM. kvm: the device, for limits that depend on the host. */
int arch_vm_type(int kvm, const struct arch_config *c, const struct arch_layout *l, uint64_t *type,
	struct err *e);

/* Says what host or KVM lack for this configuration, in one sentence each. */
int arch_check(int kvm, int vm, const struct arch_config *c, struct err *e);

/* True when KVM on this CPU fetches guest code through our mapping (facts: no decode assists), so
 * that code in private memory cannot run. */
bool arch_kvm_emulates(void);

/* Whether KVM has VMs whose pages change sides by memory attributes. kvm: the device. */
bool arch_has_attributes(int kvm);

/* True when the calls by which a guest of an alias mode says what it shares reach KVM here. */
bool arch_guest_can_share(void);

/* True when at least memory-mapped devices work from private code: KVM is told what was accessed. */
bool arch_private_mmio(void);

/*
 * Appends what only this architecture knows of the host to f, for nacre doctor: which KVM this is,
 * and the capabilities that its modes use. kvm and vm may be -1 (not to be had): then only what can
 * be known without them. Never fails and changes nothing.
 */
void arch_caps(int kvm, int vm, struct findings *f);

/* In-kernel devices and call filters. The object keeps what the vCPUs need. */
struct arch_vm;
int arch_vm_new(struct arch_vm **out, int kvm, int vm, const struct arch_config *c, struct err *e);
int arch_vcpu_init(struct arch_vm *a, int vcpu, unsigned int index, struct err *e);
int arch_vm_ready(struct arch_vm *a, struct err *e);
/* RAM has been added to m: adds what the architecture itself needs. m outlives the vCPUs' runs. */
int arch_vm_memory(struct arch_vm *a, struct mem *m, struct err *e);
/* What the guest may read as its initial measurement, where it can, before the first vCPU runs. */
void arch_set_measurement(struct arch_vm *a, const uint8_t *digest, size_t len);
void arch_vm_free(struct arch_vm *a); /* accepts NULL */

/*
 * Lays out what the guest boots: reads nothing from disk, calls no KVM. The plan's items borrow
 * from files and own what was made here.
 */
int arch_boot_plan(const struct arch_config *c, const struct arch_layout *l,
	const struct boot_files *files, struct boot_plan *out, struct err *e);

/*
 * What a program in the staging area needs besides its own bytes, appended to the image area (x86:
 * page tables). Returns the number of bytes put at `at`, which has room for `room`.
 */
uint64_t arch_stage_extra(const struct arch_layout *l, gpa_t at, void *buf, uint64_t room);

/*
 * Hands over, as boot_stage_each does, what arch_vm_memory puts into guest memory: for the
 * measurement. Needs no VM.
 */
int arch_own_pieces(const struct arch_config *c, const struct arch_layout *l, boot_piece_fn *fn,
	void *ctx, struct err *e);

/* The embedded loader for protected guests. */
extern const uint8_t arch_loader[];
extern const uint8_t arch_loader_end[];

/*
 * The vCPU has stood still and is about to go on: its guest is told, where it can be, so that it does not
 * take the time for a hang of its own. It is not running. Control thread.
 */
void arch_vcpu_resumed(int vcpu);

/* Puts vCPU index into its first state; all but the first wait to be started by the guest. */
int arch_vcpu_start(struct arch_vm *a, int vcpu, unsigned int index, const struct boot_entry *entry,
	struct err *e);

/*
 * A hypercall exit. Either answered at once (false), or a conversion to carry out (true, *c filled)
 * whose result then goes to arch_convert_done (0 or -errno).
 */
struct arch_convert {
	gpa_t gpa;
	uint64_t len;
	bool to_private;
};
bool arch_hypercall(struct arch_vm *a, int vcpu, struct kvm_run *run, struct arch_convert *c);
void arch_convert_done(
	struct arch_vm *a, int vcpu, struct kvm_run *run, const struct arch_convert *c, int result);

/* One line about an exit that ends the run and that only this architecture knows, else "". */
const char *arch_exit_name(uint32_t reason);

/* What it says of a guest that it accesses that address, where it can only be a mistake; else NULL. */
const char *arch_mmio_note(const struct arch_layout *l, uint64_t addr);

/* An exit that only this architecture knows: true when it has been handled. */
bool arch_exit(struct arch_vm *a, int vcpu, struct kvm_run *run);

/* Writes the registers as text, several lines; returns buf. Empty when KVM refuses (pKVM). */
const char *arch_dump(int vcpu, char *buf, size_t room);

#endif
