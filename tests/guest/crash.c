/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: a guest that reports a crash ends the VM with status 3. */
#include "guest.h"

void guest_main(void)
{
	print("goodbye\n");
	power(POWER_CRASH);
	power(POWER_OFF);
}
