/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_GUEST_CPU_H
#define NACRE_TEST_GUEST_CPU_H

#include <stdbool.h>
#include <stdint.h>

/* ---- accesses that reach the VMM: one plain instruction each, which KVM can decode ---- */

#define MMIO_ACCESS(bits, suffix, reg)                                                            \
	static inline uint##bits##_t mmio_read##bits(uint64_t at)                                 \
	{                                                                                         \
		uint##bits##_t v;                                                                 \
		__asm__ volatile("ldr" suffix " %" reg "0, [%1]" : "=r"(v) : "r"(at) : "memory"); \
		return v;                                                                         \
	}                                                                                         \
	static inline void mmio_write##bits(uint64_t at, uint##bits##_t v)                        \
	{                                                                                         \
		__asm__ volatile("str" suffix " %" reg "0, [%1]" ::"r"(v), "r"(at) : "memory");   \
	}

MMIO_ACCESS(8, "b", "w")
MMIO_ACCESS(16, "h", "w")
MMIO_ACCESS(32, "", "w")
MMIO_ACCESS(64, "", "x")
#undef MMIO_ACCESS

/* Devices are memory here. */
#define dev_read8   mmio_read8
#define dev_read16  mmio_read16
#define dev_read32  mmio_read32
#define dev_write8  mmio_write8
#define dev_write16 mmio_write16
#define dev_write32 mmio_write32

/*
 * The first GiB once more, as normal uncached memory, which allows unaligned accesses: what lies
 * behind no memory slot comes to the VMM either way.
 */
#define MMIO_UNALIGNED (511ULL << 30)

static inline void cpu_relax(void)
{
	__asm__ volatile("yield" ::: "memory");
}

static inline void cpu_undefined(void)
{
	__asm__ volatile("udf #0");
}

/* ---- hypercalls ---- */

struct call {
	uint64_t x[4];
};
/* By HVC and by SMC. What comes back is in c. */
void hvc(struct call *c);
void smc(struct call *c);

/* x0 of the answer. */
static inline uint64_t hypercall(uint64_t id, uint64_t x1, uint64_t x2, uint64_t x3)
{
	struct call c = { { id, x1, x2, x3 } };

	hvc(&c);
	return c.x[0];
}

/* The answers to bad conversions, and whether a call takes more than one page. */
#define CONVERT_EINVAL (-3)
#define CONVERT_ENOSYS (-1)
#define CONVERT_RANGES false

/* Forwarded ones, their neighbours, and others that nobody implements. */
static const uint32_t call_numbers[] = { 0x86000000, 0x86000001, 0xC6000001, 0xC6000002, 0xC6000003,
	0xC6000003, 0xC6000004, 0xC6000004, 0xC6000005, 0xC6000006, 0xC6000007, 0xC6000008,
	0xC4000190, 0xC4000193, 0xC4000195, 0xC4000196, 0xC4000197, 0xC4000198, 0xC4000199,
	0xC40001AF, 0x82000000, 0x12345678 };

/* Nothing answers here, neither as memory nor as a device. */
#define UNCLAIMED_MMIO 0x02000000ULL
#define UNCLAIMED_DEV  0x03000000ULL
/* The first slot of a virtio device, and an address of the interrupt controller. */
#define VIRTIO_BASE 0x01010000ULL
#define IRQ_CHIP    0x08000000ULL
/* Addresses of devices that a guest might ask to convert. */
#define MMIO_PAGES                                                         \
	{                                                                  \
		0x01000000ULL, 0x01001000ULL, 0x08000000ULL, 0x08100000ULL \
	}

/* KVM never fetches instructions through the VMM's mapping. */
#define CODE_IS_READ_BY_HOST false

#define PSCI_SYSTEM_OFF	  0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u
#define PSCI_CPU_ON	  0xC4000003u

/* A realm's calls, from here on (Arm DEN0137). */
#define RSI_FIRST	  0xC4000190u
#define RSI_IPA_STATE_SET 0xC4000197u

#define VENDOR_FEATURES 0x86000000u
#define HYP_MEMINFO	0xC6000002u
#define MEM_SHARE	0xC6000003u
#define MEM_UNSHARE	0xC6000004u
#define MMIO_GUARD	0xC6000007u

/* Code was written at [at, at + len): makes it fit to run, also with the MMU off. */
void code_sync(uint64_t at, uint64_t len);

#endif
