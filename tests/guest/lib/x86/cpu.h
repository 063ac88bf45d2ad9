/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_GUEST_CPU_H
#define NACRE_TEST_GUEST_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* ---- accesses that reach the VMM ---- */

#define MMIO_ACCESS(bits, suffix)                                                          \
	static inline uint##bits##_t mmio_read##bits(uint64_t at)                          \
	{                                                                                  \
		uint##bits##_t v;                                                          \
		__asm__ volatile("mov" suffix " (%1), %0" : "=r"(v) : "r"(at) : "memory"); \
		return v;                                                                  \
	}                                                                                  \
	static inline void mmio_write##bits(uint64_t at, uint##bits##_t v)                 \
	{                                                                                  \
		__asm__ volatile("mov" suffix " %0, (%1)" ::"r"(v), "r"(at) : "memory");   \
	}

MMIO_ACCESS(8, "b")
MMIO_ACCESS(16, "w")
MMIO_ACCESS(32, "l")
MMIO_ACCESS(64, "q")
#undef MMIO_ACCESS

/* Devices are ports here. */
#define PORT_ACCESS(bits, suffix)                                                                  \
	static inline uint##bits##_t dev_read##bits(uint64_t at)                                   \
	{                                                                                          \
		uint##bits##_t v;                                                                  \
		__asm__ volatile("in" suffix " %%dx, %0" : "=a"(v) : "d"((uint16_t)at));           \
		return v;                                                                          \
	}                                                                                          \
	static inline void dev_write##bits(uint64_t at, uint##bits##_t v)                          \
	{                                                                                          \
		__asm__ volatile("out" suffix " %0, %%dx" ::"a"(v), "d"((uint16_t)at) : "memory"); \
	}

PORT_ACCESS(8, "b")
PORT_ACCESS(16, "w")
PORT_ACCESS(32, "l")
#undef PORT_ACCESS

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" ::: "memory");
}

static inline void cpu_undefined(void)
{
	__asm__ volatile("ud2");
}

/* ---- hypercalls ---- */

/* With the instruction of this CPU's maker, so that KVM need not patch it. */
uint64_t hypercall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2);

#define HC_MAP_GPA_RANGE 12u
#define MAP_GPA_PRIVATE	 0x10u

/* The answers to bad conversions, and whether a call takes more than one page. */
#define CONVERT_EINVAL (-22)
#define CONVERT_ENOSYS (-1000)
#define CONVERT_RANGES true

/*
 * The conversion, its neighbours, and others that nobody implements. Not among them are the calls
 * by which KVM writes to memory or sends interrupts as it is told (9 and 10).
 */
static const uint32_t call_numbers[] = { 0, 2, 4, 6, 8, 11, 12, 12, 12, 12, 12, 12, 13, 100,
	0x7fffffff, 0xffffffff };

/* Nothing answers here, neither as memory nor as a device. */
#define UNCLAIMED_MMIO 0xe8000000ULL
#define UNCLAIMED_DEV  0x5000ULL
/* The first slot of a virtio device, and an address of the interrupt controller. */
#define VIRTIO_BASE 0xf0000000ULL
#define IRQ_CHIP    0xfec00000ULL
/* Unaligned accesses need nothing special. */
#define MMIO_UNALIGNED 0ULL
/* Addresses of devices that a guest might ask to convert. */
#define MMIO_PAGES                                                         \
	{                                                                  \
		0xfec00000ULL, 0xfee00000ULL, 0xfffbc000ULL, 0xfffff000ULL \
	}

/* KVM may have to emulate MMIO instructions, which it reads through the VMM's mapping. */
#define CODE_IS_READ_BY_HOST true

/* Code was written to memory: nothing to do here. */
static inline void code_sync(uint64_t at, uint64_t len)
{
	(void)at;
	(void)len;
}

#endif
