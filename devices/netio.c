/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/netio.h"

#include <errno.h>

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

int netio_attach(struct netio *io, struct loop *loop, netio_fn ready, void *arg, struct err *e)
{
	int r;

	io->ready = ready;
	io->arg = arg;
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
	/* In this order: serving the writable side may touch the other event, and not vice versa. */
	loop_event_free(io->writable);
	loop_event_free(io->readable);
	io->readable = io->writable = NULL;
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
	loop_event_enable(io->readable, on);
}

void netio_want_write(struct netio *io)
{
	if (io->want_write)
		return;
	io->want_write = true;
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
