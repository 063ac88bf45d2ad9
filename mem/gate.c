/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/mem.h"

#include <errno.h>
#include <signal.h>

#include "mem/guard.h"
#include "vmm/util/bits.h"

/* The one way from a guest address to memory of ours, for devices and for us. */

/* What a device may be handed at once of memory that has to be tried. */
#define NATIVE_MAX MIB(16)

static bool range_is_shared(const struct mem_region *r, uint64_t off, uint64_t len)
{
	uint64_t first = off / PAGE_SIZE, last = (off + len - 1) / PAGE_SIZE;

	return !r->share || share_all(r->share, first, last - first + 1, true);
}

/* Where shared copies have addresses of their own, drivers hand those to devices. */
static gpa_t plain(const struct mem *m, gpa_t a)
{
	return m->alias.is_private ? a : gpa(a.v & ~m->alias.bit);
}

void mem_limit_devices(struct mem *m, gpa_t base, uint64_t size)
{
	m->limit_base = base;
	m->limit_size = size;
}

static bool in_limit(const struct mem *m, gpa_t a, uint64_t len)
{
	uint64_t off = a.v - m->limit_base.v;

	return !m->limit_size || (off < m->limit_size && len <= m->limit_size - off);
}

/* The region that lets the range through, or NULL. a: plain. */
static struct mem_region *gate(const struct mem *m, gpa_t a, uint64_t len)
{
	struct mem_region *r = mem_find(m, a, len);

	if (!r || !in_limit(m, a, len) || !range_is_shared(r, a.v - r->base.v, len))
		return NULL;
	return r;
}

/* For accesses of ours, which are guarded. */
static void *mem_guarded(const struct mem *m, gpa_t a, uint64_t len)
{
	struct mem_region *r;

	a = plain(m, a);
	r = gate(m, a, len);
	return r ? r->shared.hva + (a.v - r->base.v) : NULL;
}

/* Each page is tried, so a guest must not choose how long that takes; no driver has such buffers. */
static bool too_long(const struct mem_region *r, uint64_t len)
{
	return r->kind == MEM_NATIVE && len > NATIVE_MAX;
}

void *mem_host(const struct mem *m, gpa_t a, uint64_t len)
{
	struct guard_fault f;
	struct mem_region *r;
	void *p;

	a = plain(m, a);
	r = gate(m, a, len);
	if (!r || too_long(r, len))
		return NULL;
	p = r->shared.hva + (a.v - r->base.v);
	return r->kind != MEM_NATIVE || guard_touch(p, len, &f) ? p : NULL;
}

const char *mem_refusal(const struct mem *m, gpa_t a, uint64_t len)
{
	const struct mem_region *r;

	a = plain(m, a);
	r = mem_find(m, a, len);
	if (!r)
		return "not guest memory";
	if (too_long(r, len))
		return "a buffer of more than 16 MiB";
	return in_limit(m, a, len) ? "private page" : "outside the pool that devices may use";
}

static int refused(const struct mem *m, gpa_t a, size_t len, struct err *e)
{
	return err_set(e, -EFAULT, "gpa 0x%llx, %zu bytes: %s", (unsigned long long)a.v, len,
		mem_refusal(m, a, len));
}

/* Of memory that is all ours only the host can fall short. */
static int faulted(const struct mem *m, gpa_t a, const struct guard_fault *f, struct err *e)
{
	enum mem_kind kind = mem_find(m, plain(m, a), 1)->kind;
	bool is_open = kind == MEM_OPEN || kind == MEM_BOTH || kind == MEM_STAGING;

	return err_set(e, -EFAULT, "gpa 0x%llx: %s (%s at host address 0x%llx)",
		(unsigned long long)a.v, is_open ? "the host has no memory for it" : "private page",
		f->signo == SIGBUS ? "SIGBUS" : "SIGSEGV", (unsigned long long)f->addr);
}

int mem_read(const struct mem *m, gpa_t a, void *buf, size_t len, struct err *e)
{
	struct guard_fault f;
	const void *p = mem_guarded(m, a, len);

	if (!p)
		return refused(m, a, len, e);
	return guard_copy(buf, p, len, &f) ? 0 : faulted(m, a, &f, e);
}

int mem_write(const struct mem *m, gpa_t a, const void *buf, size_t len, struct err *e)
{
	struct guard_fault f;
	void *p = mem_guarded(m, a, len);

	if (!p)
		return refused(m, a, len, e);
	return guard_copy(p, buf, len, &f) ? 0 : faulted(m, a, &f, e);
}

int mem_take(const struct mem *m, gpa_t a, void *buf, size_t len, struct err *e)
{
	const struct mem_region *r = mem_find(m, a, len);
	size_t whole = len & ~(size_t)(PAGE_SIZE - 1);

	if (!r || r->kind != MEM_STAGING || !whole ||
		backing_take(&r->shared, a.v - r->base.v, buf, whole))
		whole = 0;
	if (whole == len)
		return 0;
	return mem_write(m, gpa_add(a, whole), (uint8_t *)buf + whole, len - whole, e);
}

static int misaligned(gpa_t a, struct err *e)
{
	return err_set(e, -EINVAL, "gpa 0x%llx is odd, expected two aligned bytes",
		(unsigned long long)a.v);
}

int mem_load16(const struct mem *m, gpa_t a, uint16_t *v, struct err *e)
{
	struct guard_fault f;
	const void *p = mem_guarded(m, a, sizeof(*v));

	if (!is_aligned(a.v, sizeof(*v)))
		return misaligned(a, e);
	if (!p)
		return refused(m, a, sizeof(*v), e);
	return guard_load16(v, p, &f) ? 0 : faulted(m, a, &f, e);
}

int mem_store16(const struct mem *m, gpa_t a, uint16_t v, struct err *e)
{
	struct guard_fault f;
	void *p = mem_guarded(m, a, sizeof(v));

	if (!is_aligned(a.v, sizeof(v)))
		return misaligned(a, e);
	if (!p)
		return refused(m, a, sizeof(v), e);
	return guard_store16(p, v, &f) ? 0 : faulted(m, a, &f, e);
}
