/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: the power device's command ends the VM, with status 0. */
#include "guest.h"

void guest_main(void)
{
	power(POWER_OFF);
	fail("still here");
}
