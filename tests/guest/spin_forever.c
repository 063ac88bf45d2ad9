/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: a guest that never leaves its loop, with interrupts off, can be ended from outside. */
#include "guest.h"

void guest_main(void)
{
	print("spinning\n");
	for (;;)
		cpu_relax();
}
