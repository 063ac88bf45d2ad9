/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/boot.h"

#include <errno.h>
#include <stdlib.h>

#include "vmm/util/bits.h"

int boot_plan_add(
	struct boot_plan *p, const void *data, void *owned, uint64_t len, gpa_t dst, struct err *e)
{
	if (p->count == ARRAY_SIZE(p->items)) {
		free(owned);
		return err_set(e, -E2BIG, "boot: more than %d pieces to load", BOOT_INFO_ITEMS);
	}
	p->items[p->count++] = (struct boot_item){ data, owned, len, dst };
	return 0;
}

void boot_plan_free(struct boot_plan *p)
{
	while (p->count)
		free(p->items[--p->count].owned);
}
