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
	p->items[p->count++] =
		(struct boot_item){ .data = data, .owned = owned, .len = len, .dst = dst };
	return 0;
}

int boot_plan_random(struct boot_plan *p, uint64_t at, uint64_t len, struct err *e)
{
	struct boot_item *item = p->count ? &p->items[p->count - 1] : NULL;
	unsigned int i;

	for (i = 0; item && i < BOOT_RANDOM_MAX; i++) {
		if (item->random[i].len)
			continue;
		if (at > item->len || len > item->len - at)
			break;
		item->random[i].at = at;
		item->random[i].len = len;
		return 0;
	}
	return err_set(e, -E2BIG, "boot: no room to mark random bytes");
}

void boot_plan_free(struct boot_plan *p)
{
	while (p->count)
		free(p->items[--p->count].owned);
}
