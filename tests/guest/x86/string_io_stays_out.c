/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: string port instructions, which KVM carries out through the VMM's mapping, bring no byte of
 * private memory out and put none in. In mode none they do both.
 */
#include "guest.h"

#define SECRET 0x42u

void guest_main(void)
{
	uint64_t scratch = boot->serial_base + SERIAL_SCR, at = ram_page(3);
	bool open = mode_is(BOOT_NONE);
	void *p = (void *)at;
	uint64_t n = 1;
	uint32_t v;

	words(at)[0] = SECRET;
	__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"((uint16_t)scratch) : "memory");
	v = dev_read8(scratch);
	CHECK((v == SECRET) == open, "outsb brought out 0x%x", v);
	dev_write8(scratch, 0x17);
	p = (void *)at;
	n = 1;
	__asm__ volatile("rep insb" : "+D"(p), "+c"(n) : "d"((uint16_t)scratch) : "memory");
	CHECK(words(at)[0] == (open ? 0x17 : SECRET), "insb left 0x%lx", words(at)[0]);
}
