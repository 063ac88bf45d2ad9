/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm_convert.h"

#include <errno.h>

#include "mem/convert.h"
#include "mem/hold.h"
#include "vmm/util/clock.h"

/*
 * How long a vCPU waits for I/O to leave pages that its guest wants private. Only a guest that breaks
 * the rules of virtio comes into it; what a slow disk takes longer for, it is refused.
 */
#define HELD_WAIT_MS 1000
/* How often it looks whether the run is over. */
#define HELD_LOOK_MS 20

int vm_convert_unheld(struct park *p, struct park_member *self, struct mem *m,
	const struct arch_convert *c, const _Atomic int *end, struct err *e)
{
	uint64_t give_up = 0;
	int r;

	for (;;) {
		park_stop(p, self);
		r = convert_apply(m, c->gpa, c->len, c->to_private, e);
		park_start(p, self);
		if (r != -EBUSY || atomic_load(end))
			return r;
		/* The clock is read for who has to wait only, which no common conversion does. */
		if (!give_up)
			give_up = clock_ms() + HELD_WAIT_MS;
		else if (clock_ms() >= give_up)
			return r;
		park_leave(self);
		mem_wait_unheld(m, c->gpa, c->len, HELD_LOOK_MS);
		park_enter(self);
	}
}
