/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/acpi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/x86/aml.h"
#include "arch/x86/layout.h"
#include "vmm/util/bits.h"

#define RSDP_LEN	36u
#define RSDP_V1_LEN	20u
#define RSDP_SUM	8u
#define RSDP_SUM_ALL	32u
#define RSDP_XSDT	24u
#define HEADER_LENGTH	4u
#define HEADER_CHECKSUM 9u
#define OEM_ID		"NACRE "
#define OEM_TABLE	"NACREVM "
#define CREATOR		"NACR"

/* FADT (5.2.9): fixed features that a hardware-reduced machine has, and those it lacks. */
#define FADT_LEN	     276u
#define FADT_DSDT	     40u
#define FADT_BOOT_ARCH	     109u
#define FADT_FLAGS	     112u
#define FADT_RESET	     116u
#define FADT_RESET_VALUE     128u
#define FADT_MINOR	     131u
#define FADT_X_DSDT	     140u
#define FADT_SLEEP_CONTROL   244u
#define FADT_SLEEP_STATUS    256u
#define BOOT_NO_VGA	     (1u << 2)
#define BOOT_NO_CMOS_RTC     (1u << 5)
#define FLAG_WBINVD	     (1u << 0)
#define FLAG_NO_POWER_BUTTON (1u << 4) /* none in fixed hardware */
#define FLAG_NO_SLEEP_BUTTON (1u << 5)
#define FLAG_RESET_REG	     (1u << 10)
#define FLAG_HW_REDUCED	     (1u << 20)
#define SPACE_PORT	     1u

/* MADT entries (5.2.12). */
#define MADT_PCAT_COMPAT 1u /* the 8259s are there and are to be silenced */
#define MADT_LAPIC	 0u
#define MADT_IOAPIC	 1u
#define MADT_X2APIC	 9u
#define MADT_ENABLED	 1u

/* Returns where the table begins. */
static size_t begin_table(struct aml *a, const char *signature, uint8_t revision)
{
	size_t at;

	/* Aligned, as fields of eight bytes lie in them. */
	while (a->len % 16 && !a->failed)
		aml_int(a, 0, 1);
	at = a->len;
	aml_bytes(a, signature, 4);
	aml_int(a, 0, 4);
	aml_int(a, revision, 1);
	aml_int(a, 0, 1);
	aml_bytes(a, OEM_ID, 6);
	aml_bytes(a, OEM_TABLE, 8);
	aml_int(a, 1, 4);
	aml_bytes(a, CREATOR, 4);
	aml_int(a, 1, 4);
	return at;
}

/* What makes the bytes add up to zero. */
static uint8_t checksum(const uint8_t *p, size_t len)
{
	uint8_t sum = 0;

	while (len--)
		sum = (uint8_t)(sum + *p++);
	return (uint8_t)-sum;
}

static void end_table(struct aml *a, size_t at)
{
	if (a->failed)
		return;
	aml_patch(a, at + HEADER_LENGTH, a->len - at, 4);
	aml_patch(a, at + HEADER_CHECKSUM, checksum(a->data + at, a->len - at), 1);
}

/* ---- DSDT: the devices ---- */

static void add_serial(struct aml *a, const struct platform_dev *d)
{
	size_t dev = aml_device(a, "COM1"), crs;

	aml_name_string(a, "_HID", "PNP0501");
	aml_name_int(a, "_UID", 1);
	crs = aml_resources(a);
	aml_io(a, (uint16_t)d->base, (uint8_t)d->size);
	aml_irq(a, d->irq);
	aml_close_resources(a, crs);
	aml_close(a, dev);
}

static void add_pvpanic(struct aml *a, const struct platform_dev *d)
{
	size_t dev = aml_device(a, "PEVT"), crs;

	aml_name_string(a, "_HID", "QEMU0001");
	crs = aml_resources(a);
	aml_io(a, (uint16_t)d->base, (uint8_t)d->size);
	aml_close_resources(a, crs);
	aml_close(a, dev);
}

static void add_virtio(struct aml *a, const struct platform_dev *d, unsigned int n)
{
	char name[8];
	size_t dev, crs;

	snprintf(name, sizeof(name), "VR%02X", n & 0xff);
	dev = aml_device(a, name);
	aml_name_string(a, "_HID", "LNRO0005");
	aml_name_int(a, "_UID", n);
	aml_name_int(a, "_CCA", 1);
	crs = aml_resources(a);
	aml_memory(a, (uint32_t)d->base, (uint32_t)d->size);
	aml_irq(a, d->irq);
	aml_close_resources(a, crs);
	aml_close(a, dev);
}

/* The button is a device of its own; an event device turns our interrupt into its notification. */
static void add_button(struct aml *a, const struct platform_dev *d)
{
	size_t dev, inner;

	dev = aml_device(a, "PWRB");
	aml_name_string(a, "_HID", "PNP0C0C");
	aml_close(a, dev);
	dev = aml_device(a, "GED_");
	aml_name_string(a, "_HID", "ACPI0013");
	inner = aml_resources(a);
	aml_irq(a, d->irq);
	aml_close_resources(a, inner);
	inner = aml_method(a, "_EVT", 1);
	aml_notify(a, "_SB_", "PWRB", 0x80);
	aml_close(a, inner);
	aml_close(a, dev);
}

static size_t add_dsdt(struct aml *a, const struct platform *p)
{
	size_t at = begin_table(a, "DSDT", 6), scope;
	unsigned int i, virtio = 0;

	aml_name_sleep(a, "_S5_", ACPI_SLEEP_TYPE);
	scope = aml_scope(a, "_SB_");
	for (i = 0; i < p->count; i++) {
		const struct platform_dev *d = &p->devs[i];

		if (d->kind == PLATFORM_SERIAL)
			add_serial(a, d);
		else if (d->kind == PLATFORM_VIRTIO)
			add_virtio(a, d, virtio++);
		else if (d->kind == PLATFORM_ACPI)
			add_button(a, d);
		else if (d->kind == PLATFORM_PVPANIC)
			add_pvpanic(a, d);
	}
	aml_close(a, scope);
	end_table(a, at);
	return at;
}

/* ---- the fixed tables ---- */

static void put_register(struct aml *a, size_t at, uint64_t port)
{
	aml_patch(a, at, SPACE_PORT, 1);
	aml_patch(a, at + 1, 8, 1); /* bits wide */
	aml_patch(a, at + 3, 1, 1); /* accessed by the byte */
	aml_patch(a, at + 4, port, 8);
}

static size_t add_fadt(struct aml *a, const struct platform *p, uint64_t dsdt)
{
	const struct platform_dev *regs = platform_find(p, PLATFORM_ACPI);
	size_t at = begin_table(a, "FACP", 6);
	uint32_t flags =
		FLAG_WBINVD | FLAG_NO_POWER_BUTTON | FLAG_NO_SLEEP_BUTTON | FLAG_HW_REDUCED;

	while (a->len < at + FADT_LEN && !a->failed)
		aml_int(a, 0, 1);
	aml_patch(a, at + FADT_DSDT, dsdt, 4);
	aml_patch(a, at + FADT_BOOT_ARCH, BOOT_NO_VGA | BOOT_NO_CMOS_RTC, 2);
	aml_patch(a, at + FADT_MINOR, 4, 1);
	aml_patch(a, at + FADT_X_DSDT, dsdt, 8);
	if (regs) {
		flags |= FLAG_RESET_REG;
		put_register(a, at + FADT_RESET, regs->base + ACPI_REG_RESET);
		aml_patch(a, at + FADT_RESET_VALUE, ACPI_RESET_VALUE, 1);
		put_register(a, at + FADT_SLEEP_CONTROL, regs->base + ACPI_REG_SLEEP);
		put_register(a, at + FADT_SLEEP_STATUS, regs->base + ACPI_REG_STATUS);
	}
	aml_patch(a, at + FADT_FLAGS, flags, 4);
	end_table(a, at);
	return at;
}

static void add_cpu(struct aml *a, uint32_t id)
{
	/* An APIC id of 255 means all of them: from there on only the longer form will do. */
	if (id < 255) {
		aml_int(a, MADT_LAPIC, 1);
		aml_int(a, 8, 1);
		aml_int(a, id, 1);
		aml_int(a, id, 1);
		aml_int(a, MADT_ENABLED, 4);
		return;
	}
	aml_int(a, MADT_X2APIC, 1);
	aml_int(a, 16, 1);
	aml_int(a, 0, 2);
	aml_int(a, id, 4);
	aml_int(a, MADT_ENABLED, 4);
	aml_int(a, id, 4);
}

static size_t add_madt(struct aml *a, uint32_t cpus)
{
	size_t at = begin_table(a, "APIC", 5);
	uint32_t i;

	aml_int(a, X86_LAPIC, 4);
	aml_int(a, MADT_PCAT_COMPAT, 4);
	for (i = 0; i < cpus; i++)
		add_cpu(a, i);
	aml_int(a, MADT_IOAPIC, 1);
	aml_int(a, 12, 1);
	aml_int(a, 0, 2); /* its id */
	aml_int(a, X86_IOAPIC, 4);
	aml_int(a, 0, 4); /* its first line is GSI 0 */
	end_table(a, at);
	return at;
}

/* The guest looks for it at a multiple of 16, and the zero page tells it where. */
static void put_root(struct aml *a, uint64_t xsdt)
{
	if (a->failed)
		return;
	memcpy(a->data, "RSD PTR ", 8);
	memcpy(a->data + 9, OEM_ID, 6);
	aml_patch(a, 15, 2, 1);
	aml_patch(a, 20, RSDP_LEN, 4);
	aml_patch(a, RSDP_XSDT, xsdt, 8);
	aml_patch(a, RSDP_SUM, checksum(a->data, RSDP_V1_LEN), 1);
	aml_patch(a, RSDP_SUM_ALL, checksum(a->data, RSDP_LEN), 1);
}

int x86_acpi_tables(uint32_t cpus, const struct platform *p, uint64_t at, void **out, uint64_t *len,
	struct err *e)
{
	struct aml a = { 0 };
	size_t dsdt, fadt, madt, xsdt;

	aml_int(&a, 0, RSDP_LEN);
	dsdt = add_dsdt(&a, p);
	fadt = add_fadt(&a, p, at + dsdt);
	madt = add_madt(&a, cpus);
	xsdt = begin_table(&a, "XSDT", 1);
	aml_int(&a, at + fadt, 8);
	aml_int(&a, at + madt, 8);
	end_table(&a, xsdt);
	put_root(&a, at + xsdt);
	if (a.failed) {
		free(a.data);
		return err_set(e, -ENOMEM, "ACPI tables: out of memory");
	}
	*out = a.data;
	*len = a.len;
	return 0;
}
