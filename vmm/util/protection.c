/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/protection.h"

const char *const protection_names[PROTECTION_MODES] = {
	[PROTECTION_NONE] = "none",
	[PROTECTION_PRIVATE] = "private",
	[PROTECTION_PKVM] = "pkvm",
	[PROTECTION_AUTO] = "auto",
};

const char *protection_name(enum protection mode)
{
	return (unsigned int)mode < PROTECTION_MODES ? protection_names[mode] : "unknown";
}
