/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/probe.h"

#include <signal.h>
#include <string.h>

#include "mem/guard.h"
#include "vmm/util/bits.h"

/*
 * The address that KVM has for the page right now, as an attacker in our process would know it. Where
 * one slot has both sides (attributes.h) that is the shared side's, and no other exists.
 */
static char *raw_host(const struct mem *m, gpa_t a, uint64_t len)
{
	struct mem_region *r = mem_find(m, a, len);
	uint64_t off;

	if (!r)
		return NULL;
	off = a.v - r->base.v;
	if (r->share && r->private.hva && !share_get(r->share, off / PAGE_SIZE))
		return r->private.hva + off;
	return r->shared.hva + off;
}

static enum probe_result outcome(bool copied, const struct guard_fault *f)
{
	if (copied)
		return PROBE_OK;
	return f->signo == SIGBUS ? PROBE_SIGBUS : PROBE_SIGSEGV;
}

static bool crosses_page(gpa_t a, uint64_t len)
{
	return a.v / PAGE_SIZE != (a.v + len - 1) / PAGE_SIZE;
}

enum probe_result probe_peek(const struct mem *m, gpa_t a, uint64_t *value)
{
	char *p = raw_host(m, a, sizeof(*value));
	struct guard_fault f = { 0 };

	*value = 0;
	if (!p || crosses_page(a, sizeof(*value)))
		return PROBE_NOT_MEMORY;
	return outcome(guard_copy(value, p, sizeof(*value), &f), &f);
}

enum probe_result probe_poke(const struct mem *m, gpa_t a, uint64_t value)
{
	char *p = raw_host(m, a, sizeof(value));
	struct guard_fault f = { 0 };

	if (!p || crosses_page(a, sizeof(value)))
		return PROBE_NOT_MEMORY;
	return outcome(guard_copy(p, &value, sizeof(value), &f), &f);
}

struct probe_count probe_scan(const struct mem *m, gpa_t a, uint64_t len)
{
	struct probe_count c = { 0 };
	uint64_t off;

	for (off = 0; off < len; off += PAGE_SIZE) {
		char *p = raw_host(m, gpa_add(a, off), 1);
		struct guard_fault f;
		char byte;

		if (p && guard_copy(&byte, p, 1, &f))
			c.readable++;
		else
			c.refused++;
	}
	return c;
}
