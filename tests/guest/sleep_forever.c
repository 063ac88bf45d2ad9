/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: so can a guest whose only vCPU sleeps for good. */
#include "guest.h"

void guest_main(void)
{
	print("sleeping\n");
	halt();
}
