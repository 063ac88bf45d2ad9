/* SPDX-License-Identifier: Apache-2.0 */

/* Giving the guest's pages to the host: the queues for inflating, deflating and reporting. */
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/virtio_balloon.h>
#include <stdlib.h>

#include "devices/virtio_balloon_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/log.h"

/*
 * A turn on the loop, in pages: to give one back takes a fraction of a microsecond, and each call
 * into the kernel as long as CALL_COST pages. That is a guess; where the kernel takes longer, the
 * clock ends the turn, after the batch or the piece that is at hand.
 */
#define TURN_COST 32768
#define CALL_COST 16
#define TURN_NS	  2000000

#define PFN_SIZE sizeof(uint32_t)
#define PIECE	 MIB(32) /* of a reported range, given back at once */

void balloon_begin_turn(struct virtio_balloon *b)
{
	b->budget = TURN_COST;
	b->turn_end = clock_ns() + TURN_NS;
}

/* Not before something was done, however late it is. */
static bool turn_is_over(const struct virtio_balloon *b)
{
	return b->budget <= 0 || (b->budget < TURN_COST && clock_ns() >= b->turn_end);
}

/* False when the device failed. */
static bool give_back(struct virtio_balloon *b, unsigned int q, uint64_t at, uint64_t len)
{
	struct err e = { "" };
	int r = mem_discard(b->dev.mem, gpa(at), len, &e);

	b->budget -= CALL_COST + (int64_t)(len / PAGE_SIZE);
	if (r == -EFAULT) {
		virtio_fault(&b->dev, "queue %u: %s", q, e.msg);
		return false;
	}
	/* The guest did nothing wrong, and its page is as good as before; only nothing is gained. */
	if (r)
		log_limited(LOG_WARN, "virtio-balloon: %s", e.msg);
	else
		b->state.given_back += len;
	return true;
}

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Gives back the n pages of the batch, in runs as long as possible. */
static bool give_back_batch(struct virtio_balloon *b, unsigned int q, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		b->batch[i] = le32toh(b->batch[i]);
	/* seccomp io: sysinfo -- qsort, of some C libraries */
	qsort(b->batch, n, sizeof(b->batch[0]), compare);
	for (i = 0; i < n;) {
		uint64_t first = b->batch[i], end = first + 1;

		for (i++; i < n && b->batch[i] <= end; i++)
			end = max_u64(end, b->batch[i] + 1ull);
		if (!give_back(b, q, first * PAGE_SIZE, (end - first) * PAGE_SIZE))
			return false;
	}
	return true;
}

/* The turn is over in the middle of a chain: the rest of it comes with the next one. */
static enum virtio_next go_on_later(struct virtio_dev *d, unsigned int q)
{
	virtio_kick(d, q);
	return VIRTIO_LATER;
}

enum virtio_next balloon_finish(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_balloon *b = d->model;

	b->done[q] = 0;
	virtio_push(d, q, c, 0);
	return VIRTIO_NEXT;
}

/* An array of page numbers, le32 (5.5.6.1). */
static bool is_page_list(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c)
{
	if (!c->writable && c->read_len % PFN_SIZE == 0)
		return true;
	virtio_fail(d,
		"queue %u: expected an array of page numbers to read, got %" PRIu32
		" bytes to read and %" PRIu32 " to write",
		q, c->read_len, c->write_len);
	return false;
}

enum virtio_next balloon_inflate(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_balloon *b = d->model;
	uint32_t n;

	if (!is_page_list(d, q, c))
		return balloon_finish(d, q, c);
	while (b->done[q] < c->read_len) {
		if (turn_is_over(b))
			return go_on_later(d, q);
		n = min_u32(c->read_len - b->done[q], sizeof(b->batch));
		if (!virtio_read(d, q, c, b->done[q], b->batch, n) ||
			!give_back_batch(b, q, n / PFN_SIZE))
			break;
		b->done[q] += n;
	}
	b->counts.inflates++;
	return balloon_finish(d, q, c);
}

/* Nothing to do: a page comes back when it is touched. */
enum virtio_next balloon_deflate(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_balloon *b = d->model;

	b->counts.deflates += is_page_list(d, q, c);
	return balloon_finish(d, q, c);
}

/* The next piece of a reported range: from byte *off of the chain on. False when the device failed. */
static bool report_piece(
	struct virtio_balloon *b, unsigned int q, const struct virtq_chain *c, uint32_t *off)
{
	uint64_t within = *off, len, from, to;
	unsigned int i = 0;

	for (; within >= c->iov[i].iov_len; i++)
		within -= c->iov[i].iov_len;
	len = min_u64(c->iov[i].iov_len - within, PIECE);
	*off += (uint32_t)len;
	/* Whole pages only. */
	from = align_up(c->gpa[i].v + within, PAGE_SIZE);
	to = align_down(c->gpa[i].v + within + len, PAGE_SIZE);
	if (from < to) {
		b->counts.reported += to - from;
		return give_back(b, q, from, to - from);
	}
	b->budget--;
	return true;
}

/* Each buffer is a free range (5.5.6.8); it is ours until we push the chain. */
enum virtio_next balloon_report(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct virtio_balloon *b = d->model;

	if (c->readable)
		virtio_fail(d, "queue %u: reported pages that the device may only read", q);
	/* The guest will look for a pattern in its free pages, and ours are zero. */
	if (c->readable || (virtio_has(d, VIRTIO_BALLOON_F_PAGE_POISON) && b->poison))
		return balloon_finish(d, q, c);
	while (b->done[q] < c->write_len) {
		if (turn_is_over(b))
			return go_on_later(d, q);
		if (!report_piece(b, q, c, &b->done[q]))
			break;
	}
	b->counts.reports++;
	return balloon_finish(d, q, c);
}
