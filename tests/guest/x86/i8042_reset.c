/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: a reset by the keyboard controller ends the VM, with status 0; nothing else there does. */
#include "guest.h"

#define COMMAND 0x64u

void guest_main(void)
{
	unsigned int i;

	for (i = 0; i < 0xfe; i++)
		dev_write8(COMMAND, (uint8_t)i);
	dev_write16(COMMAND, 0xfe);
	dev_write8(0x60, 0xfe);
	CHECK(!(dev_read8(COMMAND) & 2), "the controller is busy");
	print("before\n");
	dev_write8(COMMAND, 0xfe);
	fail("still here");
}
