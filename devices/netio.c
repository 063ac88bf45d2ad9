/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/netio.h"

#include <errno.h>

#define PAUSE_US 10000u

static void on_readable(void *arg, int fd, short events)
{
	struct netio *io = arg;

	(void)fd;
	(void)events;
	io->ready(io->arg, NETIO_READABLE);
}

static void on_writable(void *arg, int fd, short events)
{
	struct netio *io = arg;

	(void)fd;
	(void)events;
	if (io->ops->flush && io->ops->flush(io) == -EAGAIN)
		return;
	io->want_write = false;
	loop_event_enable(io->writable, false);
	io->ready(io->arg, NETIO_WRITABLE);
}

static void on_pause_end(void *arg)
{
	struct netio *io = arg;

	pthread_mutex_lock(&io->pause_lock);
	io->is_paused = false;
	if (!io->closing) {
		loop_event_enable(io->readable, io->want_read);
		loop_event_enable(io->writable, io->want_write);
	}
	pthread_mutex_unlock(&io->pause_lock);
}

void netio_pause(struct netio *io)
{
	pthread_mutex_lock(&io->pause_lock);
	if (!io->closing && !io->is_paused) {
		io->is_paused = true;
		loop_event_enable(io->readable, false);
		loop_event_enable(io->writable, false);
		loop_timer_set(io->pause_end, PAUSE_US);
	}
	pthread_mutex_unlock(&io->pause_lock);
}

int netio_attach(struct netio *io, struct loop *loop, netio_fn ready, void *arg, struct err *e)
{
	int r;

	io->ready = ready;
	io->arg = arg;
	pthread_mutex_init(&io->pause_lock, NULL);
	r = loop_add_timer(loop, on_pause_end, io, &io->pause_end, e);
	if (!r)
		r = loop_add_fd(loop, io->fd, LOOP_READ, on_readable, io, &io->readable, e);
	if (!r)
		loop_event_enable(io->readable, false);
	if (!r)
		r = loop_add_fd(loop, io->fd, LOOP_WRITE, on_writable, io, &io->writable, e);
	if (!r)
		loop_event_enable(io->writable, false);
	return r ? err_prefix(e, r, "%s", io->name) : 0;
}

void netio_detach(struct netio *io)
{
	if (!io->pause_end)
		return;
	/* From here on a pause and its end touch no event but their own. */
	pthread_mutex_lock(&io->pause_lock);
	io->closing = true;
	pthread_mutex_unlock(&io->pause_lock);
	/* In this order: serving the writable side may touch the other event, and not vice versa. */
	loop_event_free(io->writable);
	loop_event_free(io->readable);
	loop_event_free(io->pause_end);
	io->readable = io->writable = io->pause_end = NULL;
	pthread_mutex_destroy(&io->pause_lock);
}

void netio_free(struct netio *io)
{
	if (!io)
		return;
	netio_detach(io);
	io->ops->free(io);
}

void netio_want_read(struct netio *io, bool on)
{
	/* Each change costs a system call. */
	if (io->want_read == on)
		return;
	io->want_read = on;
	if (!io->is_paused)
		loop_event_enable(io->readable, on);
}

void netio_want_write(struct netio *io)
{
	if (io->want_write)
		return;
	io->want_write = true;
	if (!io->is_paused)
		loop_event_enable(io->writable, true);
}

int netio_send(
	struct netio *io, const struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count)
{
	return io->ops->send(io, h, iov, count);
}

ssize_t netio_recv(
	struct netio *io, struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count)
{
	return io->ops->recv(io, h, iov, count);
}

void netio_offload(struct netio *io, uint64_t features)
{
	if (io->ops->offload)
		io->ops->offload(io, features);
}
