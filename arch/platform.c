/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/platform.h"

#include <stddef.h>

const struct platform_dev *platform_find(const struct platform *p, enum platform_kind kind)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (p->devs[i].kind == kind)
			return &p->devs[i];
	return NULL;
}
