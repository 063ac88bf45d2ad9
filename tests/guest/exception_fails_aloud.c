/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: an exception in a test guest is reported and ends the VM; none hangs unseen. */
#include "guest.h"

void guest_main(void)
{
	cpu_undefined();
}
