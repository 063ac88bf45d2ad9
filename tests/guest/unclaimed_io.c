/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: accesses that no device claims read all ones and write nothing, whatever their width and
 * alignment; so do those that only partly hit a device.
 */
#include "guest.h"

static void check_mmio(uint64_t at)
{
	CHECK(mmio_read8(at) == UINT8_MAX, "8 bits at 0x%lx", at);
	CHECK(mmio_read16(at) == UINT16_MAX, "16 bits at 0x%lx", at);
	CHECK(mmio_read32(at) == UINT32_MAX, "32 bits at 0x%lx", at);
	CHECK(mmio_read64(at) == UINT64_MAX, "64 bits at 0x%lx", at);
	mmio_write8(at, 0);
	mmio_write16(at, 0);
	mmio_write32(at, 0);
	mmio_write64(at, 0);
	CHECK(mmio_read64(at) == UINT64_MAX, "64 bits at 0x%lx, after writes", at);
}

static void check_dev(uint64_t at)
{
	CHECK(dev_read8(at) == UINT8_MAX, "device, 8 bits at 0x%lx", at);
	CHECK(dev_read16(at) == UINT16_MAX, "device, 16 bits at 0x%lx", at);
	CHECK(dev_read32(at) == UINT32_MAX, "device, 32 bits at 0x%lx", at);
	dev_write8(at, 0);
	dev_write16(at, 0);
	dev_write32(at, 0);
	CHECK(dev_read32(at) == UINT32_MAX, "device, 32 bits at 0x%lx, after writes", at);
}

/* The last register is a scratch register: it tells whether a write arrived. */
static void check_edges_of_serial(void)
{
	uint64_t at = boot->serial_base + MMIO_UNALIGNED;

	dev_write8(at + SERIAL_SCR, 0x5a);
	CHECK(dev_read8(at + SERIAL_SCR) == 0x5a, "scratch register");
	CHECK(dev_read16(at + SERIAL_SCR) == UINT16_MAX, "16 bits across the end");
	CHECK(dev_read32(at + SERIAL_LSR) == UINT32_MAX, "32 bits across the end");
	dev_write16(at + SERIAL_SCR, 0);
	dev_write32(at + SERIAL_SCR, 0);
	CHECK(dev_read8(at + SERIAL_SCR) == 0x5a, "a write across the end arrived");
	CHECK(dev_read32(at - 4) == UINT32_MAX, "right before");
	CHECK(dev_read16(at - 1) == UINT16_MAX, "16 bits across the start");
}

void guest_main(void)
{
	uint64_t i;

	check_mmio(UNCLAIMED_MMIO);
	for (i = 1; i < 8; i++)
		check_mmio(UNCLAIMED_MMIO + MMIO_UNALIGNED + i);
	for (i = 1; i < 8; i++)
		check_mmio(UNCLAIMED_MMIO + MMIO_UNALIGNED + PAGE - i);
	check_dev(UNCLAIMED_DEV);
	for (i = 1; i < 4; i++)
		check_dev(UNCLAIMED_DEV + MMIO_UNALIGNED + i);
	check_edges_of_serial();
}
