/* SPDX-License-Identifier: Apache-2.0 */

/* The queues of a device, as its model sees them: virtq.h with the rules of virtio.h around it. */
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio_impl.h"
#include "vmm/util/bits.h"

/* ---- chains ---- */

void virtio_queue_fail(struct virtio_dev *d, unsigned int q, int code, const struct err *e)
{
	const char *name = d->ops->queue_names ? d->ops->queue_names[q] : "virtqueue";

	if (code == -EFAULT)
		virtio_fault(d, "queue %u (%s): %s", q, name, e->msg);
	else
		virtio_fail(d, "queue %u (%s): %s", q, name, e->msg);
}

/*
 * The chain with that head now has so many bytes in our hands, where it had others before. A stale
 * chain has none: they went when its queue stopped, and there is no other of its head meanwhile.
 */
static void hold(struct virtio_queue *queue, uint16_t head, uint64_t bytes)
{
	uint64_t more = bytes - queue->held[head], now, peak;
	struct virtio_dev *d = queue->dev;

	queue->held[head] = bytes;
	d->held += more;
	d->held_peak = max_u64(d->held_peak, d->held);
	if (!d->all || !more)
		return;
	now = atomic_fetch_add_explicit(&d->all->now, more, memory_order_relaxed) + more;
	peak = atomic_load_explicit(&d->all->peak, memory_order_relaxed);
	while (peak < now && !atomic_compare_exchange_weak_explicit(&d->all->peak, &peak, now,
				     memory_order_relaxed, memory_order_relaxed))
		;
}

void virtio_queue_stop(struct virtio_queue *queue)
{
	unsigned int i;

	virtq_stop(&queue->vq);
	for (i = 0; i < queue->vq.max; i++)
		hold(queue, (uint16_t)i, 0);
}

bool virtio_pop(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct err e = { "" };
	int r;

	if (!virtio_running(d))
		return false;
	r = virtq_pop(&d->queues[q].vq, d->mem, c, &e);
	if (r < 0)
		virtio_queue_fail(d, q, r, &e);
	else if (r > 0)
		hold(&d->queues[q], c->head, (uint64_t)c->read_len + c->write_len);
	return r > 0;
}

void virtio_unpop(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c)
{
	hold(&d->queues[q], c->head, 0);
	virtq_unpop(&d->queues[q].vq, c);
	virtio_settle(d);
}

void virtio_drop(struct virtio_dev *d, unsigned int q)
{
	virtq_drop(&d->queues[q].vq);
	virtio_settle(d);
}

void virtio_push(
	struct virtio_dev *d, unsigned int q, const struct virtq_chain *c, uint32_t written)
{
	struct err e = { "" };
	int r = 0;

	/* What a broken device has is the driver's only after a reset. */
	if (!virtio_running(d)) {
		virtq_drop(&d->queues[q].vq);
	} else {
		hold(&d->queues[q], c->head, 0);
		r = virtq_push(&d->queues[q].vq, d->mem, c, written, &e);
	}
	if (r)
		virtio_queue_fail(d, q, r, &e);
	virtio_settle(d);
}

void virtio_push_all(struct virtio_dev *d, unsigned int q, uint32_t generation,
	const struct virtq_done *done, unsigned int n)
{
	bool running = virtio_running(d);
	struct err e = { "" };
	unsigned int i;
	int r = 0;

	for (i = 0; i < n; i++) {
		if (running)
			hold(&d->queues[q], done[i].head, 0);
		else
			virtq_drop(&d->queues[q].vq);
	}
	if (running)
		r = virtq_push_all(&d->queues[q].vq, d->mem, generation, done, n, &e);
	if (r)
		virtio_queue_fail(d, q, r, &e);
	virtio_settle(d);
}

void virtio_notify(struct virtio_dev *d, unsigned int q)
{
	struct err e = { "" };
	int r;

	if (!virtio_running(d))
		return;
	r = virtq_should_notify(&d->queues[q].vq, d->mem, &e);
	if (r < 0)
		virtio_queue_fail(d, q, r, &e);
	else if (r)
		virtio_raise(d, VIRTIO_ISR_QUEUE);
}

bool virtio_read(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c, uint32_t off,
	void *buf, size_t len)
{
	struct err e = { "" };
	int r = virtq_chain_read(c, d->mem, off, buf, len, &e);

	if (r)
		virtio_queue_fail(d, q, r, &e);
	return !r;
}

bool virtio_write(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c, uint32_t off,
	const void *buf, size_t len)
{
	struct err e = { "" };
	int r = virtq_chain_write(c, d->mem, off, buf, len, &e);

	if (r)
		virtio_queue_fail(d, q, r, &e);
	return !r;
}

bool virtio_want_notify(struct virtio_dev *d, unsigned int q, bool on)
{
	struct virtq *vq = &d->queues[q].vq;
	struct err e = { "" };
	int r;

	if (!virtio_running(d))
		return false;
	r = on ? virtq_notify_on(vq, d->mem, &e) : virtq_notify_off(vq, d->mem, &e);
	if (r < 0)
		virtio_queue_fail(d, q, r, &e);
	return r > 0;
}

void virtio_serve(struct virtio_dev *d, unsigned int q, virtio_chain_fn fn)
{
	unsigned int budget = d->queues[q].vq.size;
	struct virtq_chain c;

	do {
		virtio_want_notify(d, q, false);
		for (; budget && virtio_pop(d, q, &c); budget--) {
			if (fn(d, q, &c) == VIRTIO_LATER) {
				virtio_unpop(d, q, &c);
				virtio_notify(d, q);
				return;
			}
		}
		if (!budget) {
			/* The driver refills as fast as we go: let others on this loop have a turn. */
			virtio_kick(d, q);
			break;
		}
	} while (virtio_want_notify(d, q, true));
	virtio_notify(d, q);
}

/* ---- notifications of the driver ---- */

void virtio_kick(struct virtio_dev *d, unsigned int q)
{
	const uint64_t one = 1;

	/* The only failure is a counter about to overflow, and then a kick is pending already. */
	if (write(d->queues[q].kick_fd, &one, sizeof(one)) < 0)
		return;
}

void virtio_listen(struct virtio_dev *d, unsigned int q, bool on)
{
	if (d->queues[q].kick_event)
		loop_event_enable(d->queues[q].kick_event, on);
}

int virtio_kick_fd(const struct virtio_dev *d, unsigned int q)
{
	return d->queues[q].kick_fd;
}

static void on_kick(void *arg, int fd, short events)
{
	struct virtio_queue *queue = arg;
	struct virtio_dev *d = queue->dev;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) != sizeof(count))
		return;
	pthread_mutex_lock(&d->lock);
	if (virtio_running(d) && queue->vq.ready)
		d->ops->queue_notify(d, queue->index);
	pthread_mutex_unlock(&d->lock);
}

int virtio_queue_init(struct virtio_dev *d, unsigned int q, uint16_t max, struct err *e)
{
	struct virtio_queue *queue = &d->queues[q];

	*queue = (struct virtio_queue){ .dev = d, .index = q, .vq.max = max };
	queue->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (queue->kick_fd < 0)
		return err_sys(e, "eventfd for queue %u", q);
	queue->held = calloc(max, sizeof(*queue->held));
	if (!queue->held)
		return err_set(e, -ENOMEM, "queue %u: out of memory", q);
	return loop_add_fd(
		d->loop, queue->kick_fd, LOOP_READ, on_kick, queue, &queue->kick_event, e);
}
