/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: of all writes to the power device only whole commands, in their place, do anything. */
#include "guest.h"

#define TIMES 50u

static void garbage(void)
{
	static const uint32_t commands[] = { 0, 5, 6, 0x20, 0x102, 0x10002, 0x80000002, 0xfffffffe,
		0xffffffff };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		power(commands[i]);
}

static void wrong_width(uint32_t command)
{
	uint64_t at = boot->power_base;

	dev_write8(at, (uint8_t)command);
	dev_write16(at, (uint16_t)command);
	dev_write8(at + 4, (uint8_t)command);
	dev_write16(at + 2, (uint16_t)command);
}

static void wrong_place(uint32_t command)
{
	uint64_t at = boot->power_base + MMIO_UNALIGNED;

	dev_write32(at + 4, command);
	dev_write32(at + 1, command);
	dev_write32(at + 2, command << 16);
	dev_write32(at + 6, command);
	dev_write32(at + 8, command);
}

void guest_main(void)
{
	uint64_t at = boot->power_base;
	uint32_t i, command;

	for (i = 0; i < TIMES; i++)
		garbage();
	/* BOOT_DONE last: should it be heard, this code is gone and says nothing more. */
	for (command = POWER_CRASH; command >= POWER_BOOT_DONE; command--) {
		wrong_width(command);
		wrong_place(command);
	}
	CHECK(dev_read32(at + POWER_IDENT) == POWER_IDENT_VALUE, "identity");
	CHECK(dev_read32(at + POWER_COMMAND) == 0, "the command reads 0x%x", dev_read32(at));
	CHECK(dev_read8(at + POWER_IDENT) == 0, "8 bits of the identity");
	CHECK(dev_read16(at + POWER_IDENT) == 0, "16 bits of the identity");
}
