/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All that a kernel of the alias modes exchanges with devices goes through its bounce buffers, and it
 * does not know how large these should be here. A realm's kernel (Linux 7.3) sizes them as an ordinary
 * guest needs them, 1 MiB for each GiB of RAM, and a disk request that does not fit waits for ever; a
 * SEV guest's takes 64 MiB, which it clears twice and shares, also where no device would ever use it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/bounce.h"
#include "vmm/util/bits.h"

/* What the parameter counts in. */
#define SLOT 2048u
/* Pools are made of whole segments, of which Linux takes as many as it has processors, at least. */
#define SEGMENT 128u
/* Linux's own size: who asks for just that has not asked, to Linux. */
#define DEFAULT_SLOTS 32768u
/* Without a device: enough for a driver that tries it, and next to nothing to clear and share. */
#define IDLE_SLOTS 512u

/* 0: the kernel is told nothing. It rounds up to a power of two: we round down before. */
static uint64_t wanted_slots(const struct arch_config *c)
{
	uint64_t slots = min_u64(c->swiotlb, c->ram_bytes / 4) / SLOT;

	if (!protection_is_alias(c->protection) || slots < SEGMENT)
		return 0;
	if (!c->virtio)
		return IDLE_SLOTS;
	slots = 1ULL << (63 - __builtin_clzll(slots));
	/* A segment less becomes the same when it is rounded. */
	return slots == DEFAULT_SLOTS ? slots - SEGMENT : slots;
}

int bounce_params(
	const struct arch_config *c, const char *given, uint64_t room, char **out, struct err *e)
{
	uint64_t slots = wanted_slots(c);
	char told[40] = "";

	if (slots)
		snprintf(told, sizeof(told), "swiotlb=%llu ", (unsigned long long)slots);
	if (strlen(told) + strlen(given) >= room)
		return err_set(e, -E2BIG, "params: %zu characters%s, this kernel takes %llu%s",
			strlen(told) + strlen(given),
			slots ? " with swiotlb=, which goes in front in this mode" : "",
			(unsigned long long)room - 1,
			slots ? " (shorten params, or add --swiotlb 0)" : "");
	if (asprintf(out, "%s%s", told, given) < 0)
		return err_set(e, -ENOMEM, "kernel parameters: out of memory");
	return 0;
}
