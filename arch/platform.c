/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/platform.h"

#include <errno.h>
#include <stddef.h>

const struct platform_dev *platform_find(const struct platform *p, enum platform_kind kind)
{
	unsigned int i;

	for (i = 0; i < p->count; i++)
		if (p->devs[i].kind == kind)
			return &p->devs[i];
	return NULL;
}

int platform_cut(struct platform *out, const struct platform_dev *rows, unsigned int n,
	uint32_t virtio, struct err *e)
{
	unsigned int i, slots = 0;

	for (i = 0; i < n; i++)
		slots += rows[i].kind == PLATFORM_VIRTIO;
	if (virtio > slots)
		return err_set(e, -E2BIG,
			"%u virtio devices are asked for, this machine has room for %u", virtio,
			slots);
	*out = (struct platform){ rows, n - slots + virtio };
	return 0;
}
