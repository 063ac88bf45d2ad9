/* SPDX-License-Identifier: Apache-2.0 */

/* The ACPI tables, read back as a guest does; iasl, where there is one, must find no fault either. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/x86/acpi.h"
#include "arch/x86/layout.h"
#include "devices/power.h"
#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define AT 0xE0000u

static const struct platform_dev rows[] = {
	{ PLATFORM_SERIAL, true, 0x3f8, 8, 4 },
	{ PLATFORM_ACPI, true, 0x610, 4, 9 },
	{ PLATFORM_PVPANIC, true, 0x505, 1, 0 },
	{ PLATFORM_VIRTIO, false, 0xf0000000, 0x1000, 16 },
	{ PLATFORM_VIRTIO, false, 0xf0001000, 0x1000, 17 },
};

static uint8_t *tables;
static uint64_t tables_len;

static void build(uint32_t cpus)
{
	const struct platform p = { rows, ARRAY_SIZE(rows) };
	void *out;
	struct err e;

	ck_assert_int_eq(x86_acpi_tables(cpus, &p, AT, &out, &tables_len, &e), 0);
	tables = out;
}

static uint64_t get(const uint8_t *p, size_t at, unsigned int n)
{
	uint64_t v = 0;

	memcpy(&v, p + at, n);
	return v;
}

static uint8_t sum(const uint8_t *p, size_t len)
{
	uint8_t s = 0;

	while (len--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* The table at that guest address: inside, complete, with a right checksum. */
static const uint8_t *table_at(uint64_t gpa, const char *signature)
{
	const uint8_t *t = tables + (gpa - AT);

	ck_assert_uint_ge(gpa, AT);
	ck_assert_uint_le(gpa - AT + 36, tables_len);
	ck_assert_uint_le(gpa - AT + get(t, 4, 4), tables_len);
	ck_assert_int_eq(memcmp(t, signature, 4), 0);
	ck_assert_uint_eq(sum(t, get(t, 4, 4)), 0);
	return t;
}

static const uint8_t *find(const char *signature)
{
	const uint8_t *xsdt = table_at(get(tables, 24, 8), "XSDT");
	uint64_t i, len = get(xsdt, 4, 4);

	for (i = 36; i < len; i += 8) {
		const uint8_t *t = tables + (get(xsdt, i, 8) - AT);

		if (!memcmp(t, signature, 4))
			return table_at(get(xsdt, i, 8), signature);
	}
	ck_abort_msg("no %s", signature);
	return NULL;
}

START_TEST(root_leads_to_tables)
{
	build(4);
	ck_assert_int_eq(memcmp(tables, "RSD PTR ", 8), 0);
	ck_assert_uint_eq(sum(tables, 20), 0);
	ck_assert_uint_eq(sum(tables, 36), 0);
	ck_assert_uint_eq(tables[15], 2);
	find("FACP");
	find("APIC");
	free(tables);
}
END_TEST

START_TEST(fadt_names_the_registers)
{
	const uint8_t *t;

	build(1);
	t = find("FACP");
	ck_assert_uint_eq(get(t, 4, 4), 276);
	/* Hardware-reduced, with a reset register. */
	ck_assert_uint_eq(get(t, 112, 4) & (1 << 20 | 1 << 10), 1 << 20 | 1 << 10);
	ck_assert_uint_eq(get(t, 116, 1), 1);
	ck_assert_uint_eq(get(t, 120, 8), 0x612);
	ck_assert_uint_eq(get(t, 128, 1), 1);
	ck_assert_uint_eq(get(t, 248, 8), 0x610);
	ck_assert_uint_eq(get(t, 260, 8), 0x611);
	table_at(get(t, 140, 8), "DSDT");
	ck_assert_uint_eq(get(t, 40, 4), get(t, 140, 8));
	free(tables);
}
END_TEST

static unsigned int requests[POWER_CRASH + 1];

static void on_request(void *ctx, enum power_cmd cmd)
{
	(void)ctx;
	requests[cmd]++;
}

/* A byte to the register at that address, as an operating system finds it in the FADT. */
static void write_register(const uint8_t *address, uint8_t v)
{
	static const struct power_ops ops = { .request = on_request };
	struct power power = { &ops, NULL };
	uint64_t off = get(address, 4, 8) - rows[1].base;

	ck_assert_uint_lt(off, ACPI_SIZE);
	acpi_ops.write(&power, off, &v, 1);
}

/* The tables are arch's and the registers devices': neither may include the other. */
START_TEST(tables_drive_the_registers)
{
	static const uint8_t s5_head[] = { '_', 'S', '5', '_', 0x12 };
	const uint8_t *fadt, *dsdt, *s5;

	memset(requests, 0, sizeof(requests));
	build(1);
	fadt = find("FACP");
	dsdt = table_at(get(fadt, 140, 8), "DSDT");
	s5 = memmem(dsdt, get(dsdt, 4, 4), s5_head, sizeof(s5_head));
	ck_assert_ptr_nonnull(s5);
	/* Behind the head: the length in one to four bytes, the count, the first element. */
	s5 += sizeof(s5_head) + 1 + (s5[sizeof(s5_head)] >> 6) + 1;
	ck_assert_uint_eq(s5[0], 0x0a);
	write_register(fadt + 244, (uint8_t)(s5[1] << 2 | 1 << 5));
	ck_assert_uint_eq(requests[POWER_OFF], 1);
	ck_assert_uint_eq(requests[POWER_RESET], 0);
	write_register(fadt + 116, fadt[128]);
	ck_assert_uint_eq(requests[POWER_OFF], 1);
	ck_assert_uint_eq(requests[POWER_RESET], 1);
	free(tables);
}
END_TEST

static const uint32_t cpu_counts[] = { 1, 4, 255, 300, 512 };

START_TEST(madt_lists_every_vcpu_once)
{
	uint32_t cpus = cpu_counts[_i], seen = 0, ioapics = 0;
	const uint8_t *t, *p;

	build(cpus);
	t = find("APIC");
	ck_assert_uint_eq(get(t, 36, 4), X86_LAPIC);
	for (p = t + 44; p < t + get(t, 4, 4); p += p[1]) {
		ck_assert_uint_ge(p[1], 8);
		if (p[0] == 0)
			ck_assert_uint_eq(p[3], seen++);
		else if (p[0] == 9)
			ck_assert_uint_eq(get(p, 4, 4), seen++);
		else
			ioapics++;
	}
	ck_assert_uint_eq(seen, cpus);
	ck_assert_uint_eq(ioapics, 1);
	ck_assert_uint_le(tables_len, X86_BIOS_ENTRY - X86_ACPI_TABLES);
	free(tables);
}
END_TEST

static bool holds(const uint8_t *t, const void *bytes, size_t len)
{
	return memmem(t, get(t, 4, 4), bytes, len) != NULL;
}

START_TEST(dsdt_describes_the_rows)
{
	/* Memory32Fixed, writable, and the extended interrupt behind it. */
	const uint8_t second[] = { 0x86, 9, 0, 1, 0, 0x10, 0, 0xf0, 0, 0x10, 0, 0, 0x89, 6, 0, 3, 1,
		17, 0, 0, 0 };
	const uint8_t serial[] = { 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8, 0x89, 6, 0, 3, 1, 4, 0, 0, 0 };
	/* One port, and behind it the end of the template. */
	const uint8_t pvpanic[] = { 0x47, 1, 5, 5, 5, 5, 1, 1, 0x79 };
	const uint8_t *t;

	build(1);
	t = table_at(get(find("FACP"), 140, 8), "DSDT");
	ck_assert(holds(t, "LNRO0005", 9));
	ck_assert(holds(t, "VR01", 4));
	ck_assert(!holds(t, "VR02", 4));
	ck_assert(holds(t, second, sizeof(second)));
	ck_assert(holds(t, serial, sizeof(serial)));
	ck_assert(holds(t, "_S5_", 4));
	ck_assert(holds(t, "QEMU0001", 9));
	ck_assert(holds(t, pvpanic, sizeof(pvpanic)));
	free(tables);
}
END_TEST

START_TEST(iasl_finds_no_fault)
{
	char dir[SCRATCH_PATH], command[256];
	const uint8_t *t;
	FILE *f;

	if (system("command -v iasl >/dev/null")) {
		fprintf(stderr, "iasl is not installed: DSDT not compiled\n");
		return;
	}
	build(2);
	t = table_at(get(find("FACP"), 140, 8), "DSDT");
	scratch_dir(dir);
	snprintf(command, sizeof(command), "%s/dsdt.aml", dir);
	f = fopen(command, "w");
	ck_assert_uint_eq(fwrite(t, 1, get(t, 4, 4), f), get(t, 4, 4));
	fclose(f);
	/* Taken apart and put together again, with warnings as errors. */
	snprintf(command, sizeof(command),
		"cd %s && iasl -d dsdt.aml >log 2>&1 && iasl -we dsdt.dsl >>log 2>&1 || "
		"{ cat log; false; }",
		dir);
	ck_assert_int_eq(system(command), 0);
	free(tables);
}
END_TEST

Suite *acpi_suite(void)
{
	Suite *s = suite_create("acpi");
	TCase *t = tcase_create("acpi");

	tcase_add_test(t, root_leads_to_tables);
	tcase_add_test(t, fadt_names_the_registers);
	tcase_add_test(t, tables_drive_the_registers);
	tcase_add_loop_test(t, madt_lists_every_vcpu_once, 0, (int)ARRAY_SIZE(cpu_counts));
	tcase_add_test(t, dsdt_describes_the_rows);
	tcase_add_test(t, iasl_finds_no_fault);
	suite_add_tcase(s, t);
	return s;
}
