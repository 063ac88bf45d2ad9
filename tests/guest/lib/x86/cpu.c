/* SPDX-License-Identifier: Apache-2.0 */

/* The x86-64 part of the library: vCPUs by INIT and SIPI, KVM_HC_MAP_GPA_RANGE, the PIC. */
#include "guest.h"

#define VECTORS		 48u
#define VECTOR_PIC	 32u
#define SERIAL_IRQ	 4u
#define TRAMPOLINE_AT	 0x8000ULL
#define MSR_APIC_BASE	 0x1bu
#define APIC_BASE_X2APIC 0xc00u /* both enable bits */
#define MSR_X2APIC_ICR	 0x830u
#define ICR_INIT	 0x4500u
#define ICR_STARTUP	 0x4600u
#define GATE_INTERRUPT	 0x8e00u
#define SELECTOR_CODE	 0x10u
#define PIC_COMMAND	 0x20u
#define PIC_DATA	 0x21u
#define PIC2_COMMAND	 0xa0u
#define PIC2_DATA	 0xa1u
#define PIC_END		 0x20u
#define VECTOR_VIRTIO	 47u
#define VIRTIO_GSI	 16u
#define IOAPIC		 0xfec00000ULL
#define IOAPIC_REDIR	 0x10u
#define MSR_X2APIC_EOI	 0x80bu
#define MSR_X2APIC_SPUR	 0x80fu
#define APIC_ENABLED	 0x1ffu

struct gate {
	uint16_t low, selector, flags, middle;
	uint32_t high, reserved;
};

struct trap {
	uint64_t vector, error, rip, cs, rflags, rsp;
};

void cpu_trap(const struct trap *t);
extern uint8_t vector_entries[][16] __attribute__((visibility("hidden")));
extern uint8_t gdtr[] __attribute__((visibility("hidden")));
extern uint8_t trampoline[] __attribute__((visibility("hidden")));
extern uint8_t trampoline_cr3[] __attribute__((visibility("hidden")));
extern uint8_t trampoline_end[] __attribute__((visibility("hidden")));

static struct gate idt[VECTORS] __attribute__((aligned(16)));
static void (*serial_handler)(void);
static uint32_t interrupts;

static void fill_idt(void)
{
	unsigned int i;

	for (i = 0; i < VECTORS; i++) {
		uint64_t at = (uint64_t)vector_entries[i];

		idt[i] = (struct gate){ (uint16_t)at, SELECTOR_CODE, GATE_INTERRUPT,
			(uint16_t)(at >> 16), (uint32_t)(at >> 32), 0 };
	}
}

void cpu_setup(uint32_t cpu)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (uint64_t)idt };

	if (cpu == 0)
		fill_idt();
	/* The selectors we were started with mean the same in our table. */
	__asm__ volatile("lgdt (%0)\n\tlidt %1" ::"r"(gdtr), "m"(idtr) : "memory");
}

void halt(void)
{
	for (;;)
		__asm__ volatile("cli\n\thlt" ::: "memory");
}

uint64_t hypercall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	uint32_t eax = 0, ebx, ecx = 0, edx;

	/* "AuthenticAMD" and "HygonGenuine" have VMMCALL. */
	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	if (ecx == 0x444d4163 || ecx == 0x656e6975)
		__asm__ volatile("vmmcall" : "+a"(nr) : "b"(a0), "c"(a1), "d"(a2) : "memory");
	else
		__asm__ volatile("vmcall" : "+a"(nr) : "b"(a0), "c"(a1), "d"(a2) : "memory");
	return nr;
}

int64_t convert(uint64_t gpa, uint64_t pages, bool to_private)
{
	uint64_t attributes = to_private ? MAP_GPA_PRIVATE : 0, i;
	int64_t r = (int64_t)hypercall(HC_MAP_GPA_RANGE, gpa, pages, attributes);

	for (i = 0; i < pages && r == 0; i++)
		note_state(gpa + i * PAGE, !to_private);
	return r;
}

/* ---- other vCPUs, other places ---- */

static uint64_t tables(void)
{
	uint64_t cr3;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	return cr3 & ~(PAGE - 1);
}

static uint64_t read_msr(uint32_t msr)
{
	uint32_t lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (uint64_t)hi << 32;
}

static void write_msr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr" ::"a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr) : "memory");
}

/* In real mode there is no other place for it than low RAM, so that page becomes shared. */
static void place_trampoline(void)
{
	uint64_t len = (uint64_t)(trampoline_end - trampoline), i;
	uint8_t *to = (uint8_t *)TRAMPOLINE_AT;

	if (mode_is(BOOT_PRIVATE))
		CHECK(share(TRAMPOLINE_AT, 1) == 0, "the trampoline's page cannot be shared");
	for (i = 0; i < len; i++)
		to[i] = trampoline[i];
	*(volatile uint32_t *)(to + (trampoline_cr3 - trampoline)) = (uint32_t)tables();
}

bool cpu_start(uint32_t cpu)
{
	static bool placed;

	if (!placed) {
		place_trampoline();
		write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | APIC_BASE_X2APIC);
	}
	placed = true;
	write_msr(MSR_X2APIC_ICR, (uint64_t)cpu << 32 | ICR_INIT);
	write_msr(MSR_X2APIC_ICR, (uint64_t)cpu << 32 | ICR_STARTUP | TRAMPOLINE_AT / PAGE);
	return true;
}

/*
 * New tables, in pages of 2 MiB: the first GiB of RAM, its private copy where there are two, and the
 * GiB of the staging area, where we still are when CR3 changes.
 */
void cpu_leave(uint64_t fn, const struct outside *o, uint64_t stack, uint64_t room)
{
	uint64_t gib = boot->staging_base >> 30, c_bit = boot->alias_bit, i;

	words(room)[0] = (room + PAGE) | c_bit | 3;
	words(room + PAGE)[0] = (room + 2 * PAGE) | c_bit | 3;
	words(room + PAGE)[gib] = (room + 3 * PAGE) | c_bit | 3;
	for (i = 0; i < 512; i++) {
		words(room + 2 * PAGE)[i] = i << 21 | c_bit | 0x83;
		words(room + 3 * PAGE)[i] = gib << 30 | i << 21 | 0x83;
	}
	__asm__ volatile("mov %0, %%cr3\n\tlea -8(%1), %%rsp\n\tjmp *%2" ::"r"(room | c_bit),
			 "r"(stack), "r"(fn), "D"(o)
			 : "memory");
	__builtin_unreachable();
}

/* ---- exceptions and interrupts ---- */

void cpu_trap(const struct trap *t)
{
	uint64_t cr2;

	if (t->vector == VECTOR_PIC + SERIAL_IRQ) {
		interrupts++;
		serial_handler();
		dev_write8(PIC_COMMAND, PIC_END);
		return;
	}
	if (t->vector == VECTOR_VIRTIO) {
		interrupts++;
		write_msr(MSR_X2APIC_EOI, 0);
		return;
	}
	__asm__ volatile("mov %%cr2, %0" : "=r"(cr2));
	fail("exception %lu: error 0x%lx at 0x%lx, cr2 0x%lx", t->vector, t->error, t->rip, cr2);
}

/* The pair of controllers: edges, vectors from 32 on, all masked but the serial port's line. */
void irq_serial(void (*fn)(void))
{
	serial_handler = fn;
	dev_write8(PIC_COMMAND, 0x11);
	dev_write8(PIC_DATA, VECTOR_PIC);
	dev_write8(PIC_DATA, 1 << 2);
	dev_write8(PIC_DATA, 1);
	dev_write8(PIC2_COMMAND, 0x11);
	dev_write8(PIC2_DATA, VECTOR_PIC + 8);
	dev_write8(PIC2_DATA, 2);
	dev_write8(PIC2_DATA, 1);
	dev_write8(PIC2_DATA, 0xff);
	dev_write8(PIC_DATA, 0xff & ~(1u << SERIAL_IRQ));
}

/* An edge at the I/O APIC's pin, a fixed vector, to the first processor. */
void irq_virtio(uint32_t slot)
{
	uint32_t reg = IOAPIC_REDIR + 2 * (VIRTIO_GSI + slot);

	write_msr(MSR_APIC_BASE, read_msr(MSR_APIC_BASE) | APIC_BASE_X2APIC);
	write_msr(MSR_X2APIC_SPUR, APIC_ENABLED);
	mmio_write32(IOAPIC, reg + 1);
	mmio_write32(IOAPIC + 0x10, 0);
	mmio_write32(IOAPIC, reg);
	mmio_write32(IOAPIC + 0x10, VECTOR_VIRTIO);
}

/* STI takes effect behind HLT: no interrupt is lost between look and sleep. */
void irq_wait(void)
{
	uint32_t before = interrupts;

	while (interrupts == before)
		__asm__ volatile("sti\n\thlt\n\tcli" ::: "memory");
}
