/* SPDX-License-Identifier: Apache-2.0 */
#include "mem/attributes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mem/slot_range.h"
#include "vmm/util/bits.h"

/* KVM counts the pages of a slot in 31 bits. */
#define SIZE_MAX_SLOT GIB(4096)

struct attribute_range {
	struct slot_table *table;
	gpa_t base;
	uint64_t size;
	uint32_t id;
	const struct backing *shared, *private;
};

static int set_attribute(const struct attribute_range *a, uint64_t first, uint64_t pages,
	bool private, struct err *e)
{
	const struct slot_table *t = a->table;

	return t->ops->set_private(
		t->ctx, gpa_add(a->base, first * PAGE_SIZE), pages * PAGE_SIZE, private, e);
}

/* Lets KVM and us access the shared side of these pages; or nobody, and then it is given back. */
static int allow(
	const struct attribute_range *a, uint64_t first, uint64_t pages, bool access, struct err *e)
{
	const struct slot_table *t = a->table;
	int r = t->ops->protect(t->ctx, a->shared, first * PAGE_SIZE, pages * PAGE_SIZE, access);

	if (r == -EINVAL)
		return err_set(e, -ENOTSUP,
			"conversion attributes: this kernel cannot guard shared memory (Linux 6.13 "
			"or later can; --conversion swap does without)");
	return r < 0 ? err_set(e, r, "guard guest memory: %s", strerror(-r)) : 0;
}

/* In this order nothing can be accessed that the guest does not share. */
static int turn(const struct attribute_range *a, uint64_t first, uint64_t pages, bool private,
	struct err *e)
{
	int r = private ? allow(a, first, pages, false, e)
			: set_attribute(a, first, pages, false, e);

	if (r < 0)
		return r;
	return private ? set_attribute(a, first, pages, true, e) : allow(a, first, pages, true, e);
}

static struct slot_desc describe(const struct attribute_range *a)
{
	return (struct slot_desc){
		.id = a->id,
		.gpa = a->base,
		.size = a->size,
		.hva = a->shared->hva,
		.gmem_fd = a->private->fd,
	};
}

int attribute_range_new(struct attribute_range **out, struct slot_table *t, gpa_t base,
	const struct backing *shared, const struct backing *private, struct err *e)
{
	struct attribute_range *a;
	int r;

	if (!t->ops->set_private || !t->ops->protect)
		return err_set(e, -ENOTSUP, "this KVM has no memory attributes");
	if (shared->size > SIZE_MAX_SLOT)
		return err_set(e, -EINVAL, "%llu MiB are too many for a memory slot",
			(unsigned long long)(shared->size >> 20));
	a = malloc(sizeof(*a));
	if (!a)
		return err_set(e, -ENOMEM, "memory slots: out of memory");
	*a = (struct attribute_range){
		.table = t,
		.id = SLOT_NONE,
		.base = base,
		.size = shared->size,
		.shared = shared,
		.private = private,
	};
	/* The slot last: there is no moment at which KVM could take a page from the shared side. */
	r = turn(a, 0, a->size / PAGE_SIZE, true, e);
	if (r >= 0)
		r = slot_add(t, &a->id, describe(a), e);
	if (r < 0) {
		attribute_range_free(a);
		return r;
	}
	*out = a;
	return 0;
}

int attribute_range_clear(struct attribute_range *a, struct err *e)
{
	return a->id == SLOT_NONE ? 0 : slot_remove(a->table, &a->id, describe(a), e);
}

void attribute_range_free(struct attribute_range *a)
{
	free(a);
}

int attribute_undo(struct attribute_range *a, const struct share_map *share, uint64_t first,
	uint64_t pages, bool to_private, struct err *e)
{
	uint64_t page = first, end = first + pages;
	struct err why = { "" };

	while (page < end) {
		bool shared;
		uint64_t run = share_run(share, page, end - page, &shared);

		if (shared == to_private && turn(a, page, run, !shared, &why) < 0)
			return err_set(e, -ENOTRECOVERABLE,
				"a conversion failed and cannot be undone: %s", why.msg);
		page += run;
	}
	return 0;
}

int attribute_set(struct attribute_range *a, const struct share_map *share, uint64_t first,
	uint64_t pages, bool to_private, struct err *e)
{
	int r;

	if (share_all(share, first, pages, !to_private))
		return 0;
	/* Else one call for all of it, though some of its pages may be there already. */
	r = turn(a, first, pages, to_private, e);
	if (r >= 0)
		return 0;
	return attribute_undo(a, share, first, pages, to_private, e) ? -ENOTRECOVERABLE : r;
}
