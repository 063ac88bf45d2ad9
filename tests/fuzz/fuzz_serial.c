/* SPDX-License-Identifier: Apache-2.0 */

/* A guest that writes and reads anything anywhere on its buses. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "devices/bus.h"
#include "devices/power.h"
#include "devices/serial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_request(void *ctx, enum power_cmd cmd)
{
	(void)ctx;
	if (cmd < POWER_BOOT_DONE || cmd > POWER_CRASH)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct power_ops ops = { on_request };
	struct serial_config cfg = { .irq = { -1 } };
	struct power power = { &ops, NULL };
	static struct bus bus;
	struct serial *serial;
	struct err e;

	if (serial_new(&serial, &cfg, &e))
		return 0;
	bus_init(&bus, "fuzz", 0xffff);
	bus_add(&bus,
		&(struct bus_dev){
			"serial", 0x3f8, SERIAL_SIZE, &serial_ops, serial, serial_lock(serial) },
		&e);
	bus_add(&bus, &(struct bus_dev){ "power", 0x600, POWER_SIZE, &power_bus_ops, &power, NULL },
		&e);
	bus_add(&bus,
		&(struct bus_dev){ "i8042", I8042_PORT, I8042_SIZE, &i8042_ops, &power, NULL }, &e);
	for (; size >= 12; data += 12, size -= 12) {
		static const uint16_t bases[] = { 0x3f8, 0x600, 0x64, 0 };
		uint64_t at =
			bases[data[0] % 4] + (uint64_t)(data[1] % 4 ? data[2] % 16 : data[2] << 8);
		unsigned int len = 1 + data[3] % 8;
		uint8_t value[8];

		memcpy(value, data + 4, 8);
		if (data[0] & 0x80)
			bus_read(&bus, at, value, len);
		else
			bus_write(&bus, at, value, len);
	}
	serial_free(serial);
	return 0;
}
