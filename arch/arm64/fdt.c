/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arm64/fdt.h"

#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/layout.h"
#include "vmm/util/bits.h"

#define FDT_ROOM     (64u << 10)
#define FDT_PER_CPU  256u
#define GIC_PHANDLE  1u
#define CLK_PHANDLE  2u
#define POOL_PHANDLE 3u
#define APB_CLOCK    24000000u
#define UART_CLOCK   1843200u
#define IRQ_SPI	     0u
#define IRQ_PPI	     1u
#define IRQ_EDGE     1u
#define IRQ_LEVEL_LO 8u

/* libfdt's sequential writer latches nothing, so remember the first error and go on. */
struct writer {
	void *fdt;
	int error;
};

static void keep(struct writer *w, int r)
{
	if (r < 0 && !w->error)
		w->error = r;
}

static void begin(struct writer *w, const char *name)
{
	keep(w, fdt_begin_node(w->fdt, name));
}

static void begin_at(struct writer *w, const char *name, uint64_t address)
{
	char full[64];

	snprintf(full, sizeof(full), "%s@%llx", name, (unsigned long long)address);
	begin(w, full);
}

static void end(struct writer *w)
{
	keep(w, fdt_end_node(w->fdt));
}

static void prop_u32(struct writer *w, const char *name, uint32_t v)
{
	keep(w, fdt_property_u32(w->fdt, name, v));
}

static void prop_u64(struct writer *w, const char *name, uint64_t v)
{
	keep(w, fdt_property_u64(w->fdt, name, v));
}

static void prop_str(struct writer *w, const char *name, const char *v)
{
	keep(w, fdt_property(w->fdt, name, v, (int)strlen(v) + 1));
}

static void prop_empty(struct writer *w, const char *name)
{
	keep(w, fdt_property(w->fdt, name, NULL, 0));
}

static void prop_cells(struct writer *w, const char *name, const uint32_t *v, unsigned int n)
{
	fdt32_t cells[16];
	unsigned int i;

	for (i = 0; i < n; i++)
		cells[i] = cpu_to_fdt32(v[i]);
	keep(w, fdt_property(w->fdt, name, cells, (int)(n * sizeof(*cells))));
}

/* base, size pairs in two cells each. */
static void prop_reg(struct writer *w, const char *name, const uint64_t *v, unsigned int n)
{
	fdt64_t cells[8];
	unsigned int i;

	for (i = 0; i < n; i++)
		cells[i] = cpu_to_fdt64(v[i]);
	keep(w, fdt_property(w->fdt, name, cells, (int)(n * sizeof(*cells))));
}

static void put_chosen(struct writer *w, const struct fdt_params *p)
{
	const struct platform_dev *serial = platform_find(&p->layout->platform, PLATFORM_SERIAL);
	char path[64];

	begin(w, "chosen");
	prop_str(w, "bootargs", p->bootargs);
	if (serial) {
		snprintf(path, sizeof(path), "/serial@%llx", (unsigned long long)serial->base);
		prop_str(w, "stdout-path", path);
	}
	if (p->initrd_size) {
		prop_u64(w, "linux,initrd-start", p->initrd_base);
		prop_u64(w, "linux,initrd-end", p->initrd_base + p->initrd_size);
	}
	prop_u64(w, "kaslr-seed", p->seed[0]);
	/*
	 * Linux counts rng-seed as entropy and believes its generator seeded. Where the host is not
	 * trusted that would be a secret the host knows; such a guest waits for its own sources.
	 * Addresses that the host may know are no worse than the fixed ones it would have else.
	 */
	if (p->config->protection != PROTECTION_PKVM)
		keep(w, fdt_property(w->fdt, "rng-seed", &p->seed[1], 7 * sizeof(p->seed[0])));
	end(w);
}

static void put_memory(struct writer *w, const struct arch_layout *l)
{
	unsigned int i;

	for (i = 0; i < l->ram_count; i++) {
		uint64_t reg[2] = { l->ram[i].base.v, l->ram[i].size };

		begin_at(w, "memory", l->ram[i].base.v);
		prop_str(w, "device_type", "memory");
		prop_reg(w, "reg", reg, 2);
		end(w);
	}
}

/* KVM numbers vCPUs by affinity: 16 to a cluster at level 0, then 256 at each level above. */
static uint64_t mpidr_of(uint32_t index)
{
	return (index & 0xf) | ((uint64_t)(index >> 4 & 0xff) << 8) |
	       ((uint64_t)(index >> 12 & 0xff) << 16);
}

static void put_cpus(struct writer *w, uint32_t cpus)
{
	uint32_t i;

	begin(w, "cpus");
	prop_u32(w, "#address-cells", 1);
	prop_u32(w, "#size-cells", 0);
	for (i = 0; i < cpus; i++) {
		begin_at(w, "cpu", mpidr_of(i));
		prop_str(w, "device_type", "cpu");
		prop_str(w, "compatible", "arm,armv8");
		prop_u32(w, "reg", (uint32_t)mpidr_of(i));
		/* The kernel's binding (arm/cpus.yaml) wants it for a single CPU too. */
		prop_str(w, "enable-method", "psci");
		end(w);
	}
	end(w);
}

/* A realm makes all its calls by SMC, and Linux looks for the realm's interface only then. */
static void put_psci(struct writer *w, enum protection mode)
{
	static const char compatible[] = "arm,psci-1.0\0arm,psci-0.2";

	begin(w, "psci");
	keep(w, fdt_property(w->fdt, "compatible", compatible, sizeof(compatible)));
	prop_str(w, "method", mode == PROTECTION_SOFT_REALM ? "smc" : "hvc");
	end(w);
}

static void put_gic(struct writer *w, uint32_t cpus)
{
	const uint64_t reg[4] = { ARM64_GICD, ARM64_GICD_SIZE, ARM64_GICR,
		cpus * ARM64_GICR_STRIDE };

	begin_at(w, "interrupt-controller", ARM64_GICD);
	prop_str(w, "compatible", "arm,gic-v3");
	prop_empty(w, "interrupt-controller");
	prop_u32(w, "#interrupt-cells", 3);
	prop_u32(w, "#address-cells", 0); /* interrupts are routed by number alone */
	prop_reg(w, "reg", reg, 4);
	prop_u32(w, "phandle", GIC_PHANDLE);
	end(w);
}

static void put_timer(struct writer *w)
{
	const uint32_t irqs[] = {
		IRQ_PPI, ARM64_PPI_TIMER_SECURE, IRQ_LEVEL_LO,	 /* secure physical */
		IRQ_PPI, ARM64_PPI_TIMER_PHYSICAL, IRQ_LEVEL_LO, /* non-secure physical */
		IRQ_PPI, ARM64_PPI_TIMER_VIRTUAL, IRQ_LEVEL_LO,	 /* virtual */
		IRQ_PPI, ARM64_PPI_TIMER_HYP, IRQ_LEVEL_LO,	 /* hypervisor */
	};

	begin(w, "timer");
	prop_str(w, "compatible", "arm,armv8-timer");
	prop_cells(w, "interrupts", irqs, ARRAY_SIZE(irqs));
	prop_empty(w, "always-on");
	end(w);
}

static void put_serial(struct writer *w, const struct platform_dev *d)
{
	const uint32_t irq[] = { IRQ_SPI, d->irq, IRQ_EDGE };
	const uint64_t reg[] = { d->base, d->size };

	begin_at(w, "serial", d->base);
	prop_str(w, "compatible", "ns16550a");
	prop_reg(w, "reg", reg, 2);
	prop_cells(w, "interrupts", irq, 3);
	prop_u32(w, "clock-frequency", UART_CLOCK);
	prop_u32(w, "current-speed", 115200);
	end(w);
}

/* The bus clock that the binding of every PrimeCell asks for (arm,primecell.yaml); it just runs. */
static void put_bus_clock(struct writer *w)
{
	begin(w, "apb-pclk");
	prop_str(w, "compatible", "fixed-clock");
	prop_u32(w, "#clock-cells", 0);
	prop_u32(w, "clock-frequency", APB_CLOCK);
	prop_u32(w, "phandle", CLK_PHANDLE);
	end(w);
}

static void put_rtc(struct writer *w, const struct platform_dev *d)
{
	static const char compatible[] = "arm,pl031\0arm,primecell";
	const uint32_t irq[] = { IRQ_SPI, d->irq, IRQ_EDGE };
	const uint64_t reg[] = { d->base, d->size };

	put_bus_clock(w);
	begin_at(w, "rtc", d->base);
	keep(w, fdt_property(w->fdt, "compatible", compatible, sizeof(compatible)));
	prop_reg(w, "reg", reg, 2);
	prop_cells(w, "interrupts", irq, 3);
	prop_u32(w, "clocks", CLK_PHANDLE);
	prop_str(w, "clock-names", "apb_pclk");
	end(w);
}

/*
 * The kernel's bindings reserved-memory/shared-dma-pool.yaml and reserved-memory.yaml: a device that
 * points here gets all its buffers from here.
 */
static void put_pool(struct writer *w, const struct arch_layout *l)
{
	const uint64_t reg[] = { l->pool.base.v, l->pool.size };

	if (!l->pool.size)
		return;
	begin(w, "reserved-memory");
	prop_u32(w, "#address-cells", 2);
	prop_u32(w, "#size-cells", 2);
	prop_empty(w, "ranges");
	begin_at(w, "restricted-dma-pool", l->pool.base.v);
	prop_str(w, "compatible", "restricted-dma-pool");
	prop_reg(w, "reg", reg, 2);
	prop_u32(w, "phandle", POOL_PHANDLE);
	end(w);
	end(w);
}

static void put_virtio(struct writer *w, const struct platform_dev *d, bool has_pool)
{
	const uint32_t irq[] = { IRQ_SPI, d->irq, IRQ_EDGE };
	const uint64_t reg[] = { d->base, d->size };

	begin_at(w, "virtio_mmio", d->base);
	prop_str(w, "compatible", "virtio,mmio");
	prop_reg(w, "reg", reg, 2);
	prop_cells(w, "interrupts", irq, 3);
	keep(w, fdt_property(w->fdt, "dma-coherent", NULL, 0));
	if (has_pool)
		prop_u32(w, "memory-region", POOL_PHANDLE);
	end(w);
}

static void put_devices(struct writer *w, const struct arch_layout *l)
{
	const struct platform *p = &l->platform;
	unsigned int i;

	for (i = 0; i < p->count; i++) {
		if (p->devs[i].kind == PLATFORM_SERIAL)
			put_serial(w, &p->devs[i]);
		else if (p->devs[i].kind == PLATFORM_RTC)
			put_rtc(w, &p->devs[i]);
		else if (p->devs[i].kind == PLATFORM_VIRTIO)
			put_virtio(w, &p->devs[i], l->pool.size);
	}
}

static void put_root(struct writer *w, const struct fdt_params *p)
{
	begin(w, "");
	prop_str(w, "compatible", "linux,dummy-virt");
	prop_str(w, "model", "nacre");
	prop_u32(w, "#address-cells", 2);
	prop_u32(w, "#size-cells", 2);
	prop_u32(w, "interrupt-parent", GIC_PHANDLE);
	put_chosen(w, p);
	put_memory(w, p->layout);
	put_pool(w, p->layout);
	put_cpus(w, p->config->cpus);
	put_psci(w, p->config->protection);
	put_gic(w, p->config->cpus);
	put_timer(w);
	put_devices(w, p->layout);
	end(w);
}

int arm64_fdt_build(const struct fdt_params *p, void **out, size_t *len, struct err *e)
{
	size_t room = FDT_ROOM + p->config->cpus * FDT_PER_CPU + strlen(p->bootargs);
	struct writer w = { .fdt = calloc(1, room) };

	if (!w.fdt)
		return err_set(e, -ENOMEM, "device tree: out of memory");
	keep(&w, fdt_create(w.fdt, (int)room));
	keep(&w, fdt_finish_reservemap(w.fdt));
	put_root(&w, p);
	keep(&w, fdt_finish(w.fdt));
	if (w.error) {
		free(w.fdt);
		return err_set(e, -EINVAL, "device tree: %s", fdt_strerror(w.error));
	}
	*out = w.fdt;
	*len = fdt_totalsize(w.fdt);
	return 0;
}
