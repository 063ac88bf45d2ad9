/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/power.h"

#include <string.h>

#include "vmm/util/log.h"

#define REG_COMMAND 0
#define REG_ID	    4

/*
 * Status bits of the keyboard controller. We always claim a byte to be read, and no byte ever ends
 * that: Linux flushes, gives up after 16 tries and finds no controller, where a controller that
 * keeps silent would cost it seconds of timeouts. We never claim to be busy, because the reset
 * through this port first waits for that bit to clear.
 */
#define I8042_OUTPUT_FULL 0x01
#define I8042_CMD_RESET	  0xfe

/* Sleep control: enable in bit 5, the type in bits 2 to 4; type 5 is the only one in our tables. */
#define ACPI_REG_SLEEP	 0
#define ACPI_REG_RESET	 2
#define ACPI_SLEEP_S5	 (1u << 5 | 5u << 2)
#define ACPI_SLEEP_MASK	 0x3cu
#define ACPI_RESET_VALUE 1

#define PVPANIC_PANICKED     0x01
#define PVPANIC_CRASH_LOADED 0x02
#define PVPANIC_SHUTDOWN     0x04

static void power_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	const uint32_t id = POWER_ID;

	(void)dev;
	memset(data, 0, len);
	if (off == REG_ID && len == sizeof(id))
		memcpy(data, &id, sizeof(id));
}

static void power_write(void *dev, uint64_t off, const void *data, unsigned int len)
{
	const struct power *p = dev;
	uint32_t cmd;

	if (off != REG_COMMAND || len != sizeof(cmd))
		return;
	memcpy(&cmd, data, sizeof(cmd));
	switch (cmd) {
	case POWER_BOOT_DONE:
	case POWER_OFF:
	case POWER_RESET:
	case POWER_CRASH:
		p->ops->request(p->ctx, (enum power_cmd)cmd);
		break;
	default:
		log_limited(LOG_WARN, "power: guest wrote unknown command 0x%x", cmd);
		break;
	}
}

const struct bus_ops power_bus_ops = { .read = power_read, .write = power_write };

static void i8042_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	const uint8_t status = I8042_OUTPUT_FULL;

	(void)dev;
	(void)off;
	memset(data, 0, len);
	memcpy(data, &status, len < sizeof(status) ? len : sizeof(status));
}

static void i8042_write(void *dev, uint64_t off, const void *data, unsigned int len)
{
	const struct power *p = dev;
	uint8_t cmd;

	if (off != 0 || len != sizeof(cmd))
		return;
	memcpy(&cmd, data, sizeof(cmd));
	if (cmd == I8042_CMD_RESET)
		p->ops->request(p->ctx, POWER_RESET);
}

const struct bus_ops i8042_ops = { .read = i8042_read, .write = i8042_write };

static void acpi_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	(void)dev;
	(void)off;
	memset(data, 0, len);
}

static void acpi_write(void *dev, uint64_t off, const void *data, unsigned int len)
{
	const struct power *p = dev;
	uint8_t v;

	if (len != sizeof(v))
		return;
	memcpy(&v, data, sizeof(v));
	if (off == ACPI_REG_SLEEP && (v & ACPI_SLEEP_MASK) == ACPI_SLEEP_S5)
		p->ops->request(p->ctx, POWER_OFF);
	else if (off == ACPI_REG_RESET && v == ACPI_RESET_VALUE)
		p->ops->request(p->ctx, POWER_RESET);
}

const struct bus_ops acpi_ops = { .read = acpi_read, .write = acpi_write };

static void pvpanic_read(void *dev, uint64_t off, void *data, unsigned int len)
{
	(void)dev;
	(void)off;
	memset(data, 0, len);
	*(uint8_t *)data = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED | PVPANIC_SHUTDOWN;
}

/* The worst of the events counts; bits that we did not announce do not. */
static void pvpanic_write(void *dev, uint64_t off, const void *data, unsigned int len)
{
	const struct power *p = dev;
	uint8_t events;

	if (off != 0 || len != sizeof(events))
		return;
	memcpy(&events, data, sizeof(events));
	if (events & PVPANIC_PANICKED)
		p->ops->request(p->ctx, POWER_CRASH);
	else if (events & PVPANIC_CRASH_LOADED)
		log_limited(LOG_WARN, "the guest's kernel panicked and starts its crash kernel");
	else if (events & PVPANIC_SHUTDOWN)
		p->ops->request(p->ctx, POWER_OFF);
}

const struct bus_ops pvpanic_ops = { .read = pvpanic_read, .write = pvpanic_write };
