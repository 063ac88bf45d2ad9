/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: a reset by the power device ends the VM, with status 0. */
#include "guest.h"

void guest_main(void)
{
	power(POWER_RESET);
	fail("still here");
}
