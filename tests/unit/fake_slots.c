/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fake_slots.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vmm/util/bits.h"

static int may_fail(struct fake_kvm *k, const char *name, struct err *e)
{
	k->calls++;
	if (k->calls == k->fail_at || (k->fail_from && k->calls >= k->fail_from))
		return err_set(e, -EIO, "%s: injected", name);
	return 0;
}

static bool overlaps(uint64_t a, uint64_t alen, uint64_t b, uint64_t blen)
{
	return a < b + blen && b < a + alen;
}

static uint64_t file_of(const struct slot_desc *d)
{
	struct stat st;

	return d->gmem_fd >= 0 && !fstat(d->gmem_fd, &st) ? st.st_ino : 0;
}

static int fake_set(void *ctx, const struct slot_desc *d, struct err *e)
{
	struct fake_kvm *k = ctx;
	uint64_t file = file_of(d);
	uint32_t i;
	int r = may_fail(k, "set", e);

	if (r)
		return r;
	if (d->id >= k->max || k->live[d->id])
		k->mistakes++;
	for (i = 0; i < k->high; i++) {
		const struct slot_desc *o = &k->slots[i];

		if (!k->live[i])
			continue;
		if (overlaps(d->gpa.v, d->size, o->gpa.v, o->size))
			k->mistakes++;
		if (file && file == k->file[i] &&
			overlaps(d->gmem_offset, d->size, o->gmem_offset, o->size))
			k->mistakes++;
	}
	if (d->id >= k->max)
		return err_set(e, -EINVAL, "no such slot");
	k->slots[d->id] = *d;
	k->file[d->id] = file;
	if (d->id >= k->high)
		k->high = d->id + 1;
	k->live[d->id] = true;
	return 0;
}

static int fake_del(void *ctx, const struct slot_desc *d, struct err *e)
{
	struct fake_kvm *k = ctx;
	int r = may_fail(k, "del", e);

	if (r)
		return r;
	if (d->id >= k->max || !k->live[d->id] || k->slots[d->id].gpa.v != d->gpa.v)
		k->mistakes++;
	k->live[d->id % k->max] = false;
	return 0;
}

static int fake_new_gmem(void *ctx, uint64_t size, struct err *e)
{
	int fd = memfd_create("fake-gmem", MFD_CLOEXEC);

	(void)ctx;
	if (fd < 0 || ftruncate(fd, (off_t)size))
		return err_sys(e, "fake guest_memfd");
	return fd;
}

static int fake_discard(void *ctx, const struct backing *b, uint64_t off, uint64_t len)
{
	const struct fake_kvm *k = ctx;
	struct err e;
	int r = may_fail(ctx, "discard", &e);

	if (k->discard_us)
		usleep(k->discard_us);
	return r ? r : backing_discard(b, off, len);
}

/* All or nothing, as KVM does it. */
static int fake_set_private(void *ctx, gpa_t a, uint64_t len, bool private, struct err *e)
{
	struct fake_kvm *k = ctx;
	uint64_t i, first = (a.v - k->attribute_base) / PAGE_SIZE, n = len / PAGE_SIZE;
	int r = may_fail(k, "set attributes", e);

	if (r)
		return r;
	if (first + n > FAKE_PAGES_MAX || a.v < k->attribute_base || !n) {
		k->mistakes++;
		return err_set(e, -EINVAL, "no such page");
	}
	for (i = first; i < first + n; i++) {
		k->mistakes += private && k->is_open[i];
		k->is_private[i] = private;
	}
	return 0;
}

/* Before a region has its slot, it is the first one. */
static uint64_t first_page(const struct fake_kvm *k, const struct backing *b)
{
	uint32_t i;

	for (i = 0; i < k->high; i++)
		if (k->live[i] && k->slots[i].hva == b->hva)
			return (k->slots[i].gpa.v - k->attribute_base) / PAGE_SIZE;
	return 0;
}

/* What can be accessed while its attribute says private is ordinary memory behind a private page. */
static int fake_protect(void *ctx, const struct backing *b, uint64_t off, uint64_t len, bool access)
{
	struct fake_kvm *k = ctx;
	uint64_t i, first = first_page(k, b) + off / PAGE_SIZE;
	struct err e;
	int r = may_fail(k, "protect", &e);

	if (r)
		return r;
	for (i = first; access && i < first + len / PAGE_SIZE; i++)
		k->mistakes += k->is_private[i];
	for (i = first; i < first + len / PAGE_SIZE; i++)
		k->is_open[i] = access;
	/* What backing_protect does the test's host may be too old for, and it does not show in maps. */
	if (mprotect(b->hva + off, len, access ? PROT_READ | PROT_WRITE : PROT_NONE))
		return -errno;
	return !access && madvise(b->hva + off, len, MADV_DONTNEED) ? -errno : 0;
}

const struct slot_ops fake_attribute_ops = {
	.set = fake_set,
	.del = fake_del,
	.new_gmem = fake_new_gmem,
	.discard = fake_discard,
	.set_private = fake_set_private,
	.protect = fake_protect,
};

const struct slot_ops fake_slot_ops = {
	.set = fake_set,
	.del = fake_del,
	.new_gmem = fake_new_gmem,
	.discard = fake_discard,
};

const struct slot_desc *fake_find(const struct fake_kvm *k, uint64_t gpa)
{
	uint32_t i;

	for (i = 0; i < k->high; i++)
		if (k->live[i] && gpa - k->slots[i].gpa.v < k->slots[i].size)
			return &k->slots[i];
	return NULL;
}

unsigned int fake_live(const struct fake_kvm *k)
{
	unsigned int n = 0;
	uint32_t i;

	for (i = 0; i < k->high; i++)
		n += k->live[i];
	return n;
}
