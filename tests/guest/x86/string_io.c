/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: string port instructions move every byte, in order, and only theirs. */
#include "guest.h"

#define COUNT 64u

static uint16_t got[COUNT + 2];

static void outs(uint64_t port, const char *text, uint64_t n)
{
	__asm__ volatile("rep outsb" : "+S"(text), "+c"(n) : "d"((uint16_t)port) : "memory");
}

void guest_main(void)
{
	static const char text[] = "abcdefghijklmnopqrstuvwxyz0123456789\n";
	void *to = &got[1];
	uint64_t n = COUNT, i;

	outs(boot->serial_base + SERIAL_DATA, text, sizeof(text) - 1);
	/* The last byte wins in a register; each of them passes through it. */
	outs(boot->serial_base + SERIAL_SCR, text, 3);
	CHECK(dev_read8(boot->serial_base + SERIAL_SCR) == 'c', "scratch register");
	got[0] = got[COUNT + 1] = 0x1234;
	__asm__ volatile("rep insw" : "+D"(to), "+c"(n) : "d"((uint16_t)UNCLAIMED_DEV) : "memory");
	for (i = 1; i <= COUNT; i++)
		CHECK(got[i] == UINT16_MAX, "word %lu: 0x%x", i, got[i]);
	CHECK(got[0] == 0x1234 && got[COUNT + 1] == 0x1234, "beside the target");
	to = got;
	n = 4;
	__asm__ volatile("rep insb"
			 : "+D"(to), "+c"(n)
			 : "d"((uint16_t)(boot->serial_base + SERIAL_SCR))
			 : "memory");
	CHECK(got[0] == 0x6363 && got[1] == 0x6363 && got[2] == UINT16_MAX, "insb: 0x%x 0x%x 0x%x",
		got[0], got[1], got[2]);
}
