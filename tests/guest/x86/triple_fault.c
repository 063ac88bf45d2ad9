/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: a triple fault ends the VM, with status 3. */
#include "guest.h"

void guest_main(void)
{
	struct {
		uint16_t limit;
		uint64_t base;
	} __attribute__((packed)) none = { 0, 0 };

	print("goodbye\n");
	__asm__ volatile("lidt %0\n\tud2" ::"m"(none));
}
