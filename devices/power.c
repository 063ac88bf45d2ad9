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
