/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ARM64_LAYOUT_H
#define NACRE_ARM64_LAYOUT_H

/*
 * Guest physical addresses on arm64. All of the first GiB is for us: devices low, the interrupt
 * controller, then the staging area up to where RAM begins.
 */
#define ARM64_SERIAL	    0x01000000ULL
#define ARM64_POWER	    0x01001000ULL
#define ARM64_PROBE	    0x01002000ULL
#define ARM64_RTC	    0x01003000ULL
#define ARM64_VIRTIO	    0x01010000ULL
#define ARM64_VIRTIO_STRIDE 0x1000ULL
#define ARM64_GICD	    0x08000000ULL
#define ARM64_GICD_SIZE	    0x00010000ULL
#define ARM64_GICR	    0x08100000ULL
#define ARM64_GICR_STRIDE   0x00020000ULL /* per vCPU */
#define ARM64_COPIER	    0x0ff00000ULL /* soft-realm: see copier.h */
#define ARM64_STAGING	    0x10000000ULL
#define ARM64_RAM	    0x40000000ULL

/* Shared peripheral interrupts count from 32 in the interrupt controller's numbering. */
#define ARM64_SPI_FIRST	 32u
#define ARM64_SERIAL_SPI 4u
#define ARM64_RTC_SPI	 5u
#define ARM64_VIRTIO_SPI 16u
#define ARM64_SPI_COUNT	 64u

/* Private peripheral interrupts of the architected timer, as KVM wires them. */
#define ARM64_PPI_TIMER_SECURE	 13u
#define ARM64_PPI_TIMER_PHYSICAL 14u
#define ARM64_PPI_TIMER_VIRTUAL	 11u
#define ARM64_PPI_TIMER_HYP	 10u

#define ARM64_CPUS_MAX ((ARM64_COPIER - ARM64_GICR) / ARM64_GICR_STRIDE)

/* Bits of the guest physical addresses that such a map needs. KVM takes 32 or more. */
struct arch_layout;
unsigned int arm64_ipa_bits(const struct arch_layout *l);

#endif
