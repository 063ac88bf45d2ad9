/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/protection.h"

const char *const protection_names[PROTECTION_MODES] = {
	[PROTECTION_NONE] = "none",
	[PROTECTION_PRIVATE] = "private",
	[PROTECTION_SOFT_REALM] = "soft-realm",
	[PROTECTION_SOFT_SEV] = "soft-sev",
	[PROTECTION_PKVM] = "pkvm",
	[PROTECTION_AUTO] = "auto",
};

const char *const conversion_names[CONVERSION_KINDS] = {
	[CONVERSION_AUTO] = "auto",
	[CONVERSION_SWAP] = "swap",
	[CONVERSION_ATTRIBUTES] = "attributes",
};

const char *const implicit_names[IMPLICIT_KINDS] = {
	[IMPLICIT_DENY] = "deny",
	[IMPLICIT_ALLOW] = "allow",
};

const char *protection_name(enum protection mode)
{
	return (unsigned int)mode < PROTECTION_MODES ? protection_names[mode] : "unknown";
}

bool protection_is_alias(enum protection mode)
{
	return mode == PROTECTION_SOFT_REALM || mode == PROTECTION_SOFT_SEV;
}

bool protection_has_gmem(enum protection mode)
{
	return mode == PROTECTION_PRIVATE || protection_is_alias(mode);
}
