/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <string.h>

#include "devices/power.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

#define ACPI_PORT    0x610u
#define PVPANIC_PORT 0x505u

Suite *power_suite(void);

struct fake {
	unsigned int calls;
	enum power_cmd last;
};

static void request(void *ctx, enum power_cmd cmd)
{
	struct fake *f = ctx;

	f->calls++;
	f->last = cmd;
}

static const struct power_ops ops = { .request = request };

static struct fake fake;
static struct power power = { &ops, &fake };
static struct bus bus;

static void setup(void)
{
	fake = (struct fake){ 0 };
	bus_init(&bus, "test", UINT64_MAX);
	ck_assert_int_eq(bus_add(&bus,
				 &(struct bus_dev){ "power", 0x1000, POWER_SIZE, &power_bus_ops,
					 &power, NULL },
				 NULL),
		0);
	ck_assert_int_eq(
		bus_add(&bus,
			&(struct bus_dev){ "acpi", 0x610, ACPI_SIZE, &acpi_ops, &power, NULL },
			NULL),
		0);
	ck_assert_int_eq(bus_add(&bus,
				 &(struct bus_dev){ "pvpanic", PVPANIC_PORT, PVPANIC_SIZE,
					 &pvpanic_ops, &power, NULL },
				 NULL),
		0);
	ck_assert_int_eq(bus_add(&bus,
				 &(struct bus_dev){ "i8042", I8042_PORT, I8042_SIZE, &i8042_ops,
					 &power, NULL },
				 NULL),
		0);
}

static uint64_t get(uint64_t addr, unsigned int len)
{
	uint64_t v = 0x5555555555555555;

	bus_read(&bus, addr, &v, len);
	return len == 8 ? v : v & (BIT(8 * len) - 1);
}

static void put(uint64_t addr, uint64_t v, unsigned int len)
{
	bus_write(&bus, addr, &v, len);
}

START_TEST(commands_arrive)
{
	for (uint32_t cmd = POWER_BOOT_DONE; cmd <= POWER_CRASH; cmd++) {
		put(0x1000, cmd, 4);
		ck_assert_uint_eq(fake.calls, cmd);
		ck_assert_uint_eq(fake.last, cmd);
	}
}
END_TEST

START_TEST(everything_else_is_ignored)
{
	static const uint64_t unknown[] = { 0, 5, 0x102, 0x80000002, 0xffffffff };

	log_set_level(LOG_ERROR);
	for (size_t i = 0; i < ARRAY_SIZE(unknown); i++)
		put(0x1000, unknown[i], 4);
	for (unsigned int len = 1; len <= 8; len++)
		for (uint64_t off = 0; off < 8; off++)
			if (off || len != 4)
				put(0x1000 + off, POWER_OFF, len);
	log_set_level(LOG_WARN);
	ck_assert_uint_eq(fake.calls, 0);
}
END_TEST

START_TEST(identifies_itself)
{
	ck_assert_uint_eq(get(0x1004, 4), 0x4e414352);
	ck_assert_uint_eq(get(0x1000, 4), 0);
	ck_assert_uint_eq(get(0x1000, 8), 0);
	ck_assert_uint_eq(get(0x1004, 2), 0);
	ck_assert_uint_eq(get(0x1005, 1), 0);
}
END_TEST

START_TEST(keyboard_controller_resets)
{
	put(I8042_PORT, 0xfe, 1);
	ck_assert_uint_eq(fake.calls, 1);
	ck_assert_uint_eq(fake.last, POWER_RESET);
	for (unsigned int cmd = 0; cmd < 0xfe; cmd++)
		put(I8042_PORT, cmd, 1);
	put(I8042_PORT, 0xff, 1);
	put(I8042_PORT, 0xfefe, 2);
	put(I8042_PORT - 1, 0xfefe, 2);
	ck_assert_uint_eq(fake.calls, 1);
}
END_TEST

/* As Linux does: flush at most 16 bytes, then conclude that there is no controller. And the reset
 * path waits for "input buffer full" (bit 1) to clear. */
START_TEST(keyboard_controller_is_not_found)
{
	unsigned int flushed = 0;

	while (get(I8042_PORT, 1) & 0x01 && flushed < 17) {
		get(0x60, 1);
		flushed++;
	}
	ck_assert_uint_eq(flushed, 17);
	ck_assert_uint_eq(get(I8042_PORT, 1) & 0x02, 0);
}
END_TEST

/* S5 with the enable bit, and the value that the tables name; nothing else. */
START_TEST(acpi_registers)
{
	unsigned int v;

	for (v = 0; v < 256; v++)
		if ((v & 0x3c) != 0x34)
			put(ACPI_PORT, v, 1);
	for (v = 0; v < 256; v++)
		if (v != 1)
			put(ACPI_PORT + 2, v, 1);
	put(ACPI_PORT + 1, 1, 1);
	put(ACPI_PORT + 3, 1, 1);
	put(ACPI_PORT, 0x34, 2);
	ck_assert_uint_eq(fake.calls, 0);
	ck_assert_uint_eq(get(ACPI_PORT + 1, 1), 0);
	put(ACPI_PORT, 0x34, 1);
	ck_assert_uint_eq(fake.calls, 1);
	ck_assert_uint_eq(fake.last, POWER_OFF);
	put(ACPI_PORT + 2, 1, 1);
	ck_assert_uint_eq(fake.last, POWER_RESET);
}
END_TEST

/* A crash kernel goes on running; a panic without one is the end, whatever else is said. */
START_TEST(pvpanic_events)
{
	unsigned int v, crashes = 0, ends = 0;

	log_set_level(LOG_ERROR);
	ck_assert_uint_eq(get(PVPANIC_PORT, 1), 7);
	for (v = 0; v < 256; v++) {
		put(PVPANIC_PORT, v, 1);
		crashes += v & 1;
		ends += (v & 7) == 4;
		ck_assert_uint_eq(fake.calls, crashes + ends);
		if (v & 1)
			ck_assert_uint_eq(fake.last, POWER_CRASH);
		else if ((v & 7) == 4)
			ck_assert_uint_eq(fake.last, POWER_OFF);
	}
	put(PVPANIC_PORT, 1, 2);
	put(PVPANIC_PORT - 1, 0x0101, 2);
	ck_assert_uint_eq(fake.calls, crashes + ends);
	log_set_level(LOG_WARN);
}
END_TEST

Suite *power_suite(void)
{
	Suite *s = suite_create("power");
	TCase *t = tcase_create("power");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, commands_arrive);
	tcase_add_test(t, everything_else_is_ignored);
	tcase_add_test(t, identifies_itself);
	tcase_add_test(t, acpi_registers);
	tcase_add_test(t, pvpanic_events);
	tcase_add_test(t, keyboard_controller_resets);
	tcase_add_test(t, keyboard_controller_is_not_found);
	suite_add_tcase(s, t);
	return s;
}
