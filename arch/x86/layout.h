/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_X86_LAYOUT_H
#define NACRE_X86_LAYOUT_H

/*
 * Guest physical addresses on x86-64: RAM from 0 to 3 GiB and from 4 GiB on; the hole between holds
 * the staging area, then interrupt controllers and KVM's own pages.
 */
#define X86_HOLE	 0xC0000000ULL
#define X86_STAGING	 0xC0000000ULL
#define X86_STAGING_END	 0xF0000000ULL
#define X86_IOAPIC	 0xFEC00000ULL
#define X86_LAPIC	 0xFEE00000ULL
#define X86_IDENTITY_MAP 0xFFFBC000ULL /* one page for KVM on VMX */
#define X86_TSS		 0xFFFBD000ULL /* three pages for KVM on VMX */
#define X86_HIGH_RAM	 0x100000000ULL

/* One page and one line of the I/O APIC for each virtio slot. */
#define X86_VIRTIO	  0xF0000000ULL
#define X86_VIRTIO_STRIDE 0x1000ULL

/* Ports and their lines. */
#define X86_SERIAL     0x3f8u
#define X86_SERIAL_IRQ 4u
#define X86_POWER      0x600u
#define X86_PROBE      0x640u
#define X86_I8042      0x64u
#define X86_ACPI       0x610u
#define X86_ACPI_IRQ   9u
#define X86_PVPANIC    0x505u

/*
 * APIC ids are vCPU numbers, and the redirection entries of KVM's I/O APIC have eight bits for one;
 * 255 is all of them. Linux takes no processor into use that such an interrupt cannot reach. (The
 * 15 bits of KVM_FEATURE_MSI_EXT_DEST_ID are for I/O APICs that the VMM emulates.)
 */
#define X86_CPUS_MAX 255u

/*
 * Mode soft-sev: the lowest bit that tells a private address from a shared one. Each processor with
 * nested paging has as many address bits. With more RAM than that it is the next free one, up to the
 * last that 47-bit virtual addresses can hold beside it.
 */
#define X86_ALIAS_BIT_MIN 35u
#define X86_ALIAS_BIT_MAX 46u
/*
 * Processors start in real mode, where no address has that bit. So the lowest MiB is the same memory
 * with it and without: Linux keeps all of that to itself and puts there what starts a processor.
 */
#define X86_ALIAS_BOTH 0x100000ULL

/* Low RAM as the 64-bit boot protocol and our plan use it. */
#define X86_EBDA	0x9fc00ULL
#define X86_GDT		0x6000ULL
#define X86_ZERO_PAGE	0x7000ULL
#define X86_CMDLINE	0x20000ULL
#define X86_CMDLINE_MAX 0x10000ULL
#define X86_HANDOFF	0x8000ULL
#define X86_ACPI_TABLES 0xE0000ULL /* up to the next; old kernels look for the root here */
#define X86_BIOS_ENTRY	0xFFFF0ULL /* real mode ffff:0000: a reset */
#define X86_KERNEL	0x100000ULL

/* The boot descriptor table and its selectors. */
#define X86_GDT_SIZE 0x20u
#define X86_SEL_CODE 0x10u
#define X86_SEL_DATA 0x18u

#endif
