/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: PSCI SYSTEM_OFF ends the VM, with status 0. */
#include "guest.h"

void guest_main(void)
{
	hypercall(PSCI_SYSTEM_OFF, 0, 0, 0);
	fail("still here");
}
