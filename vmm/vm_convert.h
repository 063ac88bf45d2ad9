/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_VM_CONVERT_H
#define NACRE_VM_CONVERT_H

#include <stdatomic.h>

#include "arch/arch.h"
#include "mem/mem.h"
#include "vmm/util/park.h"

/*
 * The middle of vm_convert, without a VM: convert_apply with the world stopped, as often as it takes
 * until no device has I/O under way in pages that shall become private. Between two tries `self`, the
 * caller's running member, is away from the park, so that neither other changers nor the end wait for
 * it. Gives up with -EBUSY after a second, or as soon as *end is not 0. Else as convert_apply.
 */
int vm_convert_unheld(struct park *p, struct park_member *self, struct mem *m,
	const struct arch_convert *c, const _Atomic int *end, struct err *e);

#endif
