/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_KVM_ABI_H
#define NACRE_KVM_ABI_H

#include <stdint.h>
#include <linux/kvm.h>

/*
 * Constants and layouts of the kernel's KVM interface that distribution headers still lack (Debian
 * 12 has those of Linux 6.1). Facts only, with our own names where the kernel's may appear later.
 * This is the one place to delete from when headers catch up.
 */

/* Capabilities, to be asked of the VM descriptor. */
#define ABI_CAP_ARM_MTE		  205
#define ABI_CAP_MEMORY_ATTRIBUTES 233
#define ABI_CAP_GUEST_MEMFD	  234
#define ABI_CAP_VM_TYPES	  235
#define ABI_CAP_GUEST_MEMFD_FLAGS 244
#define ABI_CAP_DISABLE_QUIRKS2	  213
#define ABI_QUIRK_SLOT_ZAP_ALL	  (1ULL << 7)

/* guest_memfd (Linux 6.18 for the flags). */
#define ABI_GMEM_MMAP	     1ULL
#define ABI_GMEM_INIT_SHARED 2ULL
#define ABI_SLOT_GMEM	     (1u << 2)

struct abi_create_gmem {
	uint64_t size;
	uint64_t flags;
	uint64_t reserved[6];
};

struct abi_slot2 {
	uint32_t slot;
	uint32_t flags;
	uint64_t gpa;
	uint64_t size;
	uint64_t hva;
	uint64_t gmem_offset;
	uint32_t gmem_fd;
	uint32_t pad1;
	uint64_t pad2[14];
};

struct abi_memory_attributes {
	uint64_t address;
	uint64_t size;
	uint64_t attributes;
	uint64_t flags;
};

_Static_assert(sizeof(struct abi_memory_attributes) == 32, "memory attributes block is 32 bytes");
_Static_assert(sizeof(struct abi_create_gmem) == 64, "guest_memfd creation block is 64 bytes");
_Static_assert(sizeof(struct abi_slot2) == 160, "second slot layout is 160 bytes");

#define ABI_CREATE_GUEST_MEMFD	    _IOWR(KVMIO, 0xd4, struct abi_create_gmem)
#define ABI_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct abi_slot2)
#define ABI_SET_MEMORY_ATTRIBUTES   _IOW(KVMIO, 0xd2, struct abi_memory_attributes)
#define ABI_ATTRIBUTE_PRIVATE	    (1ULL << 3)

/* x86 VM type, and its bit in KVM_CAP_VM_TYPES (asked of the device). */
#define ABI_VM_TYPE_X86_SW_PROTECTED 1u

/* arm64 VM type: bits 0-7 IPA size, bit 31 protected (pKVM). */
#define ABI_VM_TYPE_ARM_PROTECTED (1ULL << 31)

/* arm64 SMCCC filter: device attribute on the VM. */
#define ABI_ARM_VM_SMCCC_CTRL	0
#define ABI_ARM_VM_SMCCC_FILTER 0
#define ABI_SMCCC_FWD_TO_USER	2
struct abi_smccc_filter {
	uint32_t base;
	uint32_t nr_functions;
	uint8_t action;
	uint8_t pad[15];
};
_Static_assert(sizeof(struct abi_smccc_filter) == 24, "SMCCC filter block is 24 bytes");

/* arm64 memory tags (Linux 5.13): a byte for each 16 bytes of guest memory. */
#define ABI_MTE_FROM_GUEST 1ULL
struct abi_copy_tags {
	uint64_t gpa;
	uint64_t length;
	uint64_t tags; /* our address */
	uint64_t flags;
	uint64_t reserved[2];
};
_Static_assert(sizeof(struct abi_copy_tags) == 48, "block for copying tags is 48 bytes");
#define ABI_MTE_COPY_TAGS _IOR(KVMIO, 0xb4, struct abi_copy_tags)

/* Guest-visible events and exits newer than the headers. */
#define ABI_EXIT_MEMORY_FAULT 39
#define ABI_FAULT_PRIVATE     (1ULL << 3)
struct abi_memory_fault {
	uint64_t flags;
	uint64_t gpa;
	uint64_t size;
};

#endif
