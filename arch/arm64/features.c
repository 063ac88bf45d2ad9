/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/features.h"

#include <errno.h>
#include <stdio.h>

#include "vmm/util/text.h"

int arch_feature_hide(const char *name, uint64_t *hidden, struct err *e)
{
	char shown[TEXT_SHOWN];

	(void)hidden;
	return err_set(e, -ENOTSUP,
		"\"%s\": CPU features can be hidden on x86-64 only (leave it out)",
		text_show(shown, sizeof(shown), name));
}

const char *arch_feature_names(uint64_t hidden, char *buf, size_t size)
{
	(void)hidden;
	snprintf(buf, size, "none");
	return buf;
}

bool arch_has_threads(void)
{
	return false;
}

bool arch_has_mte(void)
{
	return true;
}
