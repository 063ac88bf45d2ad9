/* SPDX-License-Identifier: Apache-2.0 */

/* The queues of a device, as its model sees them: virtq.h with the rules of virtio.h around it. */
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/virtio_impl.h"

/* ---- chains ---- */

void virtio_queue_fail(struct virtio_dev *d, unsigned int q, const struct err *e)
{
	const char *name = d->ops->queue_names ? d->ops->queue_names[q] : "virtqueue";

	virtio_fail(d, "queue %u (%s): %s", q, name, e->msg);
}

bool virtio_pop(struct virtio_dev *d, unsigned int q, struct virtq_chain *c)
{
	struct err e = { "" };
	int r;

	if (!virtio_running(d))
		return false;
	r = virtq_pop(&d->queues[q].vq, d->mem, c, &e);
	if (r < 0)
		virtio_queue_fail(d, q, &e);
	return r > 0;
}

void virtio_unpop(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c)
{
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

	if (!virtio_running(d))
		virtq_drop(&d->queues[q].vq);
	else if (virtq_push(&d->queues[q].vq, d->mem, c, written, &e))
		virtio_queue_fail(d, q, &e);
	virtio_settle(d);
}

void virtio_push_all(struct virtio_dev *d, unsigned int q, uint32_t generation,
	const struct virtq_done *done, unsigned int n)
{
	struct err e = { "" };
	unsigned int i;

	if (!virtio_running(d)) {
		for (i = 0; i < n; i++)
			virtq_drop(&d->queues[q].vq);
	} else if (virtq_push_all(&d->queues[q].vq, d->mem, generation, done, n, &e)) {
		virtio_queue_fail(d, q, &e);
	}
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
		virtio_queue_fail(d, q, &e);
	else if (r)
		virtio_raise(d, VIRTIO_ISR_QUEUE);
}

bool virtio_read(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c, uint32_t off,
	void *buf, size_t len)
{
	struct err e = { "" };

	if (!virtq_chain_read(c, d->mem, off, buf, len, &e))
		return true;
	virtio_queue_fail(d, q, &e);
	return false;
}

bool virtio_write(struct virtio_dev *d, unsigned int q, const struct virtq_chain *c, uint32_t off,
	const void *buf, size_t len)
{
	struct err e = { "" };

	if (!virtq_chain_write(c, d->mem, off, buf, len, &e))
		return true;
	virtio_queue_fail(d, q, &e);
	return false;
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
		virtio_queue_fail(d, q, &e);
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
	return loop_add_fd(
		d->loop, queue->kick_fd, LOOP_READ, on_kick, queue, &queue->kick_event, e);
}
