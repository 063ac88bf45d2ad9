/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/virtq.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_ring.h>

#include "vmm/util/bits.h"

/* The parts of a ring (virtio 1.2, 2.7): both rings begin with flags and idx, two bytes each. */
#define RING_IDX     2u
#define RING_ENTRIES 4u
#define DESC_SIZE    sizeof(struct vring_desc)
#define AVAIL_ENTRY  2u
#define USED_ENTRY   sizeof(struct vring_used_elem)
#define EVENT_SIZE   2u

/*
 * Ordering (2.7.13, 2.7.8, 2.7.7, 2.7.10), of our accesses as the driver's CPU sees them:
 *   - avail->idx is loaded before the entries and descriptors that it tells of: acquire
 *   - used->idx is stored behind entries and data, and behind what was read of them: release
 *   - what we tell (an index, a wish for notifications) is stored before we load what the driver
 *     may have told meanwhile; it does the same the other way round, so that one of the two sees
 *     the other's: a store before a load, which only this full barrier orders
 */
static void told_before_looking(void)
{
	__sync_synchronize();
}

static gpa_t desc_at(const struct virtq *vq, uint16_t i)
{
	return gpa_add(vq->desc, DESC_SIZE * i);
}

static gpa_t avail_at(const struct virtq *vq, uint16_t idx)
{
	return gpa_add(vq->avail, RING_ENTRIES + AVAIL_ENTRY * (uint64_t)(idx % vq->size));
}

static gpa_t used_at(const struct virtq *vq, uint16_t idx)
{
	return gpa_add(vq->used, RING_ENTRIES + USED_ENTRY * (uint64_t)(idx % vq->size));
}

/* With VIRTIO_F_EVENT_IDX, behind the last entries: when the driver wants an interrupt ... */
static gpa_t used_event_at(const struct virtq *vq)
{
	return gpa_add(vq->avail, RING_ENTRIES + AVAIL_ENTRY * vq->size);
}

/* ... and when we want a notification. */
static gpa_t avail_event_at(const struct virtq *vq)
{
	return gpa_add(vq->used, RING_ENTRIES + USED_ENTRY * vq->size);
}

/* ---- start and stop ---- */

static int check_part(const struct mem *mem, const char *name, gpa_t a, uint64_t len,
	uint64_t align, struct err *e)
{
	if (!is_aligned(a.v, align))
		return err_set(e, -EINVAL, "%s at gpa 0x%" PRIx64 " is not aligned to %" PRIu64,
			name, a.v, align);
	if (!mem_host(mem, a, len))
		return err_set(e, -EFAULT, "%s at gpa 0x%" PRIx64 ", %" PRIu64 " bytes: %s", name,
			a.v, len, mem_refusal(mem, a, len));
	return 0;
}

int virtq_start(struct virtq *vq, const struct mem *mem, struct err *e)
{
	uint64_t n = vq->size;
	int r;

	if (!n || n > vq->max || n > VIRTQ_SIZE_MAX || (n & (n - 1)))
		return err_set(e, -EINVAL, "queue size %" PRIu64 " is not a power of two up to %u",
			n, vq->max);
	r = check_part(mem, "descriptor table", vq->desc, DESC_SIZE * n, 16, e);
	if (!r)
		r = check_part(mem, "available ring", vq->avail,
			RING_ENTRIES + AVAIL_ENTRY * n + EVENT_SIZE, 2, e);
	if (!r)
		r = check_part(mem, "used ring", vq->used,
			RING_ENTRIES + USED_ENTRY * n + EVENT_SIZE, 4, e);
	if (r)
		return r;
	vq->generation++;
	vq->last_avail = 0;
	vq->avail_idx = 0;
	vq->used_idx = 0;
	vq->signalled = 0;
	vq->used_flags = 0;
	vq->ready = true;
	return 0;
}

void virtq_stop(struct virtq *vq)
{
	vq->ready = false;
}

/* ---- taking chains ---- */

/* How far the driver is. */
static int look(struct virtq *vq, const struct mem *mem, struct err *e)
{
	uint16_t idx;
	int r = mem_load16(mem, gpa_add(vq->avail, RING_IDX), &idx, e);

	if (r)
		return err_prefix(e, r, "available ring");
	if ((uint16_t)(idx - vq->last_avail) > vq->size)
		return err_set(e, -EINVAL, "the available index jumps from %u to %u, queue size %u",
			vq->last_avail, idx, vq->size);
	vq->avail_idx = idx;
	return 0;
}

/* One buffer, from our copy of its descriptor. */
static int add_buffer(
	struct virtq_chain *c, const struct mem *mem, const struct vring_desc *d, struct err *e)
{
	unsigned int n = c->readable + c->writable;
	bool is_writable = d->flags & VRING_DESC_F_WRITE;

	if (!d->len)
		return err_set(e, -EINVAL, "empty buffer at gpa 0x%" PRIx64, (uint64_t)d->addr);
	if (n == VIRTQ_SEGS_MAX)
		return err_set(e, -EINVAL, "more than %u buffers in a chain", VIRTQ_SEGS_MAX);
	if (!is_writable && c->writable)
		return err_set(e, -EINVAL,
			"device-readable buffer at gpa 0x%" PRIx64 " behind a writable one",
			(uint64_t)d->addr);
	if (d->len > UINT32_MAX - c->read_len - c->write_len)
		return err_set(e, -EINVAL, "4 GiB or more in a chain");
	c->gpa[n] = gpa(d->addr);
	c->iov[n].iov_len = d->len;
	c->iov[n].iov_base = mem_host(mem, c->gpa[n], d->len);
	if (!c->iov[n].iov_base)
		return err_set(e, -EFAULT, "buffer at gpa 0x%" PRIx64 ", %u bytes: %s",
			(uint64_t)d->addr, d->len, mem_refusal(mem, c->gpa[n], d->len));
	if (is_writable) {
		c->writable++;
		c->write_len += d->len;
	} else {
		c->readable++;
		c->read_len += d->len;
	}
	return 0;
}

/* The table that descriptor d refers to (2.7.5.3), copied as a whole. */
static int walk_indirect(const struct virtq *vq, const struct mem *mem, const struct vring_desc *d,
	struct virtq_chain *c, struct err *e)
{
	struct vring_desc table[VIRTQ_SEGS_MAX];
	size_t count = d->len / DESC_SIZE, n, i = 0;
	int r;

	if (!vq->indirect)
		return err_set(e, -EINVAL, "indirect descriptor without the feature");
	if (d->flags & VRING_DESC_F_NEXT)
		return err_set(e, -EINVAL, "indirect descriptor with a next one");
	if (!count || count > VIRTQ_SEGS_MAX || d->len % DESC_SIZE)
		return err_set(e, -EINVAL, "indirect table of %u bytes", d->len);
	r = mem_read(mem, gpa(d->addr), table, d->len, e);
	if (r)
		return err_prefix(e, r, "indirect table");
	for (n = 0; n < count; n++) {
		if (i >= count)
			return err_set(
				e, -EINVAL, "next is %zu in an indirect table of %zu", i, count);
		if (table[i].flags & VRING_DESC_F_INDIRECT)
			return err_set(e, -EINVAL, "indirect descriptor in an indirect table");
		r = add_buffer(c, mem, &table[i], e);
		if (r || !(table[i].flags & VRING_DESC_F_NEXT))
			return r;
		i = table[i].next;
	}
	return err_set(e, -EINVAL, "the chain in an indirect table loops");
}

static int walk(const struct virtq *vq, const struct mem *mem, struct virtq_chain *c, struct err *e)
{
	uint16_t i = c->head;
	unsigned int n;

	for (n = 0; n < vq->size; n++) {
		struct vring_desc d;
		int r;

		if (i >= vq->size)
			return err_set(e, -EINVAL, "descriptor %u in a queue of %u", i, vq->size);
		c->descs = n + 1;
		r = mem_read(mem, desc_at(vq, i), &d, sizeof(d), e);
		if (r)
			return err_prefix(e, r, "descriptor table");
		if (d.flags & VRING_DESC_F_INDIRECT)
			return walk_indirect(vq, mem, &d, c, e);
		r = add_buffer(c, mem, &d, e);
		if (r || !(d.flags & VRING_DESC_F_NEXT))
			return r;
		i = d.next;
	}
	return err_set(e, -EINVAL, "the chain from descriptor %u loops", c->head);
}

int virtq_pop(struct virtq *vq, const struct mem *mem, struct virtq_chain *c, struct err *e)
{
	int r = 0;

	if (!vq->ready)
		return 0;
	if (vq->avail_idx == vq->last_avail)
		r = look(vq, mem, e);
	if (r || vq->avail_idx == vq->last_avail)
		return r;
	/* Else a driver that reuses what it has not got back makes us hold requests without end. */
	if (vq->in_flight >= vq->size)
		return err_set(e, -EINVAL, "more chains under way than the queue has entries");
	c->readable = 0;
	c->writable = 0;
	c->read_len = 0;
	c->write_len = 0;
	c->generation = vq->generation;
	r = mem_read(mem, avail_at(vq, vq->last_avail), &c->head, sizeof(c->head), e);
	if (r)
		return err_prefix(e, r, "available ring");
	r = walk(vq, mem, c, e);
	if (r)
		return r;
	vq->last_avail++;
	vq->in_flight++;
	return 1;
}

/* ---- giving them back ---- */

void virtq_drop(struct virtq *vq)
{
	if (vq->in_flight)
		vq->in_flight--;
}

void virtq_unpop(struct virtq *vq, const struct virtq_chain *c)
{
	if (vq->ready && c->generation == vq->generation)
		vq->last_avail--;
	virtq_drop(vq);
}

/* The flags, or the index, of the used ring, or the event index behind it. */
static int store_used(const struct mem *mem, gpa_t at, uint16_t v, struct err *e)
{
	int r = mem_store16(mem, at, v, e);

	return r ? err_prefix(e, r, "used ring") : 0;
}

int virtq_push_all(struct virtq *vq, const struct mem *mem, uint32_t generation,
	const struct virtq_done *done, unsigned int n, struct err *e)
{
	unsigned int i;
	int r;

	for (i = 0; i < n; i++)
		virtq_drop(vq);
	if (!vq->ready || generation != vq->generation)
		return 0;
	for (i = 0; i < n; i++) {
		struct vring_used_elem elem = { done[i].head, done[i].written };

		r = mem_write(
			mem, used_at(vq, (uint16_t)(vq->used_idx + i)), &elem, sizeof(elem), e);
		if (r)
			return err_prefix(e, r, "used ring");
	}
	vq->used_idx = (uint16_t)(vq->used_idx + n);
	/* With release semantics: the entries, and the data before them, are there when it is. */
	return store_used(mem, gpa_add(vq->used, RING_IDX), vq->used_idx, e);
}

int virtq_push(struct virtq *vq, const struct mem *mem, const struct virtq_chain *c,
	uint32_t written, struct err *e)
{
	const struct virtq_done done = { c->head, written };

	return virtq_push_all(vq, mem, c->generation, &done, 1, e);
}

/* ---- notifications ---- */

int virtq_should_notify(struct virtq *vq, const struct mem *mem, struct err *e)
{
	uint16_t old = vq->signalled, now = vq->used_idx, word;
	int r;

	if (!vq->ready || old == now)
		return 0;
	/* The driver writes its wish, then looks at our index; we the other way round. */
	told_before_looking();
	vq->signalled = now;
	r = mem_load16(mem, vq->event_idx ? used_event_at(vq) : vq->avail, &word, e);
	if (r)
		return err_prefix(e, r, "available ring");
	if (!vq->event_idx)
		return !(word & VRING_AVAIL_F_NO_INTERRUPT);
	/* Did one of the entries old .. now - 1 have the index that the driver waits for? */
	return (uint16_t)(now - word - 1) < (uint16_t)(now - old);
}

int virtq_notify_off(struct virtq *vq, const struct mem *mem, struct err *e)
{
	/* With event indices the one we left behind is passed by now, and nothing need be said. */
	if (!vq->ready || vq->event_idx || vq->used_flags & VRING_USED_F_NO_NOTIFY)
		return 0;
	vq->used_flags |= VRING_USED_F_NO_NOTIFY;
	return store_used(mem, vq->used, vq->used_flags, e);
}

int virtq_notify_on(struct virtq *vq, const struct mem *mem, struct err *e)
{
	int r = 0;

	if (!vq->ready)
		return 0;
	if (vq->event_idx) {
		r = store_used(mem, avail_event_at(vq), vq->last_avail, e);
	} else if (vq->used_flags & VRING_USED_F_NO_NOTIFY) {
		vq->used_flags &= (uint16_t)~VRING_USED_F_NO_NOTIFY;
		r = store_used(mem, vq->used, vq->used_flags, e);
	}
	if (r)
		return r;
	/* A driver that moved its index before it could see our wish sends no notification. */
	told_before_looking();
	r = look(vq, mem, e);
	return r ? r : vq->avail_idx != vq->last_avail;
}

/* ---- the data ---- */

static int chain_copy(const struct virtq_chain *c, const struct mem *mem, bool is_write,
	uint32_t off, void *buf, size_t len, struct err *e)
{
	unsigned int i = is_write ? c->readable : 0;
	uint32_t total = is_write ? c->write_len : c->read_len;
	uint8_t *p = buf;

	if (off > total || len > total - off)
		return err_set(e, -EINVAL, "%u %s bytes where %zu are needed", total,
			is_write ? "writable" : "readable", off + len);
	for (; len; i++) {
		size_t n = c->iov[i].iov_len;
		int r;

		if (off >= n) {
			off -= (uint32_t)n;
			continue;
		}
		n = min_u64(n - off, len);
		r = is_write ? mem_write(mem, gpa_add(c->gpa[i], off), p, n, e)
			     : mem_read(mem, gpa_add(c->gpa[i], off), p, n, e);
		if (r)
			return err_prefix(e, r, "buffer");
		off = 0;
		p += n;
		len -= n;
	}
	return 0;
}

int virtq_chain_read(const struct virtq_chain *c, const struct mem *mem, uint32_t off, void *buf,
	size_t len, struct err *e)
{
	return chain_copy(c, mem, false, off, buf, len, e);
}

int virtq_chain_write(const struct virtq_chain *c, const struct mem *mem, uint32_t off,
	const void *buf, size_t len, struct err *e)
{
	return chain_copy(c, mem, true, off, (void *)(uintptr_t)buf, len, e);
}

int virtq_chain_map(struct virtq_chain *c, const struct mem *mem, struct err *e)
{
	unsigned int i;

	for (i = 0; i < c->readable + c->writable; i++) {
		c->iov[i].iov_base = mem_host(mem, c->gpa[i], c->iov[i].iov_len);
		if (!c->iov[i].iov_base)
			return err_set(e, -EFAULT, "buffer at gpa 0x%" PRIx64 ": %s", c->gpa[i].v,
				mem_refusal(mem, c->gpa[i], c->iov[i].iov_len));
	}
	return 0;
}
