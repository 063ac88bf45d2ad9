/* SPDX-License-Identifier: Apache-2.0 */

/* The arm64 part of the library: vCPUs by PSCI, conversions by pKVM's or a realm's calls, GICv3. */
#include "guest.h"

/* A realm's interrupt controller is at shared addresses. */
#define GICD (0x08000000ULL | boot->alias_bit)
#define GICR (0x08100000ULL | boot->alias_bit)

enum { GICD_CTLR = 0x0, GICD_IGROUPR = 0x80, GICD_ISENABLER = 0x100, GICD_IPRIORITYR = 0x400 };
enum { GICD_ICFGR = 0xc00, GICD_IROUTER = 0x6000, GICR_WAKER = 0x14 };
#define GICD_ARE_AND_GROUP1 0x12u
#define WAKER_SLEEP	    2u
#define WAKER_ASLEEP	    4u

#define SERIAL_INTID 36u /* SPI 4 */
#define VIRTIO_INTID 48u /* SPI 16, of the first slot */
#define INTID_NONE   1020u

/* A block of 1 GiB in level1, see start.S: device memory, accessed, never executed. */
#define DEVICE_BLOCK (1ULL | 1ULL << 10 | 3ULL << 53)

_Noreturn void cpu_exception(uint64_t vector, uint64_t esr, uint64_t elr, uint64_t far);
void cpu_interrupt(void);
_Noreturn void cpu_leave_asm(uint64_t fn, const struct outside *o, uint64_t stack);
extern volatile uint64_t level1[512] __attribute__((visibility("hidden")));
extern uint8_t secondary_start[] __attribute__((visibility("hidden")));

static void (*serial_handler)(void);
static uint32_t interrupts;

void cpu_setup(uint32_t cpu)
{
	/* start.S has done the rest: the first GiB once more, as devices at their shared addresses. */
	if (cpu == 0 && boot->alias_bit) {
		level1[boot->alias_bit >> 30] = 0;
		__asm__ volatile("dsb ishst\n\ttlbi vmalle1is\n\tdsb ish\n\tisb" ::: "memory");
		level1[boot->alias_bit >> 30] = boot->alias_bit | DEVICE_BLOCK;
		__asm__ volatile("dsb ishst\n\tisb" ::: "memory");
	}
}

void cpu_exception(uint64_t vector, uint64_t esr, uint64_t elr, uint64_t far)
{
	fail("exception %lu: esr 0x%lx at 0x%lx, address 0x%lx", vector, esr, elr, far);
}

void halt(void)
{
	for (;;)
		__asm__ volatile("msr daifset, #2\n\twfi" ::: "memory");
}

bool cpu_start(uint32_t cpu)
{
	/* One core per number, sixteen in a cluster, as KVM numbers them. */
	uint64_t mpidr = (cpu & 15) | (uint64_t)(cpu >> 4) << 8;

	return hypercall(PSCI_CPU_ON, mpidr, (uint64_t)secondary_start, cpu) == 0;
}

void cpu_leave(uint64_t fn, const struct outside *o, uint64_t stack, uint64_t room)
{
	(void)room;
	cpu_leave_asm(fn, o, stack);
}

/* All refusals, and those of the host, are one error to the tests. */
static int64_t realm_convert(uint64_t page, bool to_private)
{
	struct call c = { { RSI_IPA_STATE_SET, page, page + PAGE, to_private } };

	smc(&c);
	return c.x[0] == 0 && c.x[1] == page + PAGE && c.x[2] == 0 ? 0 : CONVERT_EINVAL;
}

int64_t convert(uint64_t gpa, uint64_t pages, bool to_private)
{
	int64_t r = 0;
	uint64_t i;

	for (i = 0; i < pages && r == 0; i++) {
		if (mode_is(BOOT_SOFT_REALM))
			r = realm_convert(gpa + i * PAGE, to_private);
		else
			r = (int64_t)hypercall(
				to_private ? MEM_UNSHARE : MEM_SHARE, gpa + i * PAGE, 0, 0);
		if (r == 0)
			note_state(gpa + i * PAGE, !to_private);
	}
	return r;
}

void code_sync(uint64_t at, uint64_t len)
{
	uint64_t ctr, line, p;

	__asm__ volatile("mrs %0, ctr_el0" : "=r"(ctr));
	line = 4ULL << ((ctr >> 16) & 15);
	for (p = at & ~(line - 1); p < at + len; p += line)
		__asm__ volatile("dc civac, %0" ::"r"(p) : "memory");
	__asm__ volatile("dsb sy\n\tic iallu\n\tdsb sy\n\tisb" ::: "memory");
}

/* ---- interrupts ---- */

void cpu_interrupt(void)
{
	uint64_t id;

	__asm__ volatile("mrs %0, s3_0_c12_c12_0" : "=r"(id)); /* ICC_IAR1_EL1 */
	if (id >= INTID_NONE)
		return;
	CHECK(id == SERIAL_INTID || id >= VIRTIO_INTID, "interrupt %lu", id);
	interrupts++;
	if (id == SERIAL_INTID)
		serial_handler();
	__asm__ volatile("msr s3_0_c12_c12_1, %0\n\tisb" ::"r"(id)); /* ICC_EOIR1_EL1 */
}

static void wake_redistributor(void)
{
	mmio_write32(GICR + GICR_WAKER, mmio_read32(GICR + GICR_WAKER) & ~WAKER_SLEEP);
	while (mmio_read32(GICR + GICR_WAKER) & WAKER_ASLEEP)
		cpu_relax();
}

/* Edge-triggered, as the device tree says: group 1, to the first vCPU. */
static void route(uint32_t intid)
{
	uint32_t bit = 1u << (intid % 32), word = intid / 32 * 4;
	uint64_t cfg = GICD + GICD_ICFGR + intid / 16 * 4;

	mmio_write32(GICD + GICD_CTLR, GICD_ARE_AND_GROUP1);
	mmio_write32(GICD + GICD_IGROUPR + word, mmio_read32(GICD + GICD_IGROUPR + word) | bit);
	mmio_write32(cfg, mmio_read32(cfg) | 2u << (intid % 16 * 2));
	mmio_write8(GICD + GICD_IPRIORITYR + intid, 0x80);
	mmio_write64(GICD + GICD_IROUTER + 8 * (uint64_t)intid, 0);
	mmio_write32(GICD + GICD_ISENABLER + word, bit);
}

static void enable(uint32_t intid)
{
	uint64_t sre;

	__asm__ volatile("mrs %0, s3_0_c12_c12_5" : "=r"(sre)); /* ICC_SRE_EL1 */
	__asm__ volatile("msr s3_0_c12_c12_5, %0\n\tisb" ::"r"(sre | 1));
	wake_redistributor();
	route(intid);
	__asm__ volatile("msr s3_0_c4_c6_0, %0" ::"r"(0xffULL));       /* ICC_PMR_EL1 */
	__asm__ volatile("msr s3_0_c12_c12_7, %0\n\tisb" ::"r"(1ULL)); /* ICC_IGRPEN1_EL1 */
}

void irq_serial(void (*fn)(void))
{
	serial_handler = fn;
	enable(SERIAL_INTID);
}

void irq_virtio(uint32_t slot)
{
	enable(VIRTIO_INTID + slot);
}

/* WFI wakes for a pending interrupt although it is masked: none is lost between look and sleep. */
void irq_wait(void)
{
	uint32_t before = interrupts;

	while (interrupts == before)
		__asm__ volatile("wfi\n\tmsr daifclr, #2\n\tisb\n\tmsr daifset, #2" ::: "memory");
}
