/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "devices/netio.h"
#include "mem/guard.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

/*
 * A stream has no frames of its own: what a read returns may end within one, and a write may take a
 * part. So frames come in through a buffer, many in a read, and the rest of a frame that the socket
 * did not take stays in another, until flush.
 */
#define LENGTH	 4u
#define IN_SIZE	 KIB(256)
#define OUT_SIZE (LENGTH + NETIO_FRAME_MAX)
/* passt ends the connection over longer ones: it counts them as 16 bits. */
#define STREAM_FRAME_MAX 65535u

struct stream {
	struct netio io;
	size_t in_at, in_end;	/* what was read and not taken */
	size_t out_at, out_end; /* what the socket did not take */
	uint8_t in[IN_SIZE];
	uint8_t out[OUT_SIZE];
};

static bool is_gone(int code)
{
	return code == EPIPE || code == ECONNRESET || code == ENOTCONN;
}

/* All else passes, a lack of memory too. */
static int gone_or_later(struct netio *io, int code)
{
	if (is_gone(code))
		return -ENODEV;
	if (code != EAGAIN && code != EINTR) {
		log_limited(LOG_WARN, "%s: %s", io->name, strerror(code));
		netio_pause(io);
	}
	return -EAGAIN;
}

/* seccomp io: sendto sendmsg recvfrom -- frames, through the socket of passt */
/* ---- to the other side ---- */

static int stream_flush(struct netio *io)
{
	struct stream *s = (struct stream *)io;

	while (s->out_at < s->out_end) {
		ssize_t n = send(io->fd, s->out + s->out_at, s->out_end - s->out_at,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0)
			return gone_or_later(io, errno);
		s->out_at += (size_t)n;
	}
	return 0;
}

/*
 * Keeps what the socket did not take of a frame. Zeroes stand for what could not be read, so that
 * the stream stays in step.
 */
static int keep_rest(struct stream *s, const struct iovec *iov, unsigned int count, size_t sent)
{
	struct guard_fault fault;
	unsigned int i;
	int r = 0;

	s->out_at = s->out_end = 0;
	for (i = 0; i < count; i++) {
		size_t skip = min_u64(sent, iov[i].iov_len), n = iov[i].iov_len - skip;

		sent -= skip;
		if (!guard_copy(
			    s->out + s->out_end, (uint8_t *)iov[i].iov_base + skip, n, &fault)) {
			memset(s->out + s->out_end, 0, n);
			r = -EFAULT;
		}
		s->out_end += n;
	}
	netio_want_write(&s->io);
	return r;
}

/* Nothing of the frame was sent. */
static int send_error(const struct netio *io, int code)
{
	if (is_gone(code))
		return -ENODEV;
	if (code == EAGAIN || code == EINTR)
		return -EAGAIN;
	if (code == EFAULT)
		return -EFAULT;
	log_limited(LOG_WARN, "%s: frame dropped: %s", io->name, strerror(code));
	return 0;
}

static int stream_send(
	struct netio *io, const struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count)
{
	struct stream *s = (struct stream *)io;
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
	size_t len = 0;
	uint32_t prefix;
	unsigned int i;
	ssize_t n;
	int r = stream_flush(io);

	(void)h; /* no feature that would need it was offered */
	if (r)
		return r;
	for (i = 1; i < count; i++)
		len += iov[i].iov_len;
	if (len > STREAM_FRAME_MAX) {
		log_limited(LOG_WARN, "%s: frame of %zu bytes dropped", io->name, len);
		return 0;
	}
	prefix = htonl((uint32_t)len);
	iov[0] = (struct iovec){ &prefix, LENGTH };
	n = sendmsg(io->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return send_error(io, errno);
	return (size_t)n < LENGTH + len ? keep_rest(s, iov, count, (size_t)n) : 0;
}

/* ---- from the other side ---- */

/* The length of the first frame in the buffer, or 0 when it is not complete; -ENODEV for nonsense. */
static ssize_t complete_frame(struct stream *s)
{
	size_t have = s->in_end - s->in_at;
	uint32_t len;

	if (have < LENGTH)
		return 0;
	memcpy(&len, s->in + s->in_at, LENGTH);
	len = ntohl(len);
	if (len < NETIO_FRAME_MIN || len > NETIO_FRAME_MAX) {
		log_limited(LOG_WARN, "%s: a frame of %u bytes comes, which cannot be", s->io.name,
			len);
		return -ENODEV;
	}
	return have - LENGTH < len ? 0 : (ssize_t)len;
}

/* More bytes. What is there begins at the front then, so there is room for the longest frame. */
static int read_more(struct stream *s)
{
	ssize_t n;

	memmove(s->in, s->in + s->in_at, s->in_end - s->in_at);
	s->in_end -= s->in_at;
	s->in_at = 0;
	n = recv(s->io.fd, s->in + s->in_end, IN_SIZE - s->in_end, MSG_DONTWAIT);
	if (n <= 0)
		return n ? gone_or_later(&s->io, errno) : -ENODEV;
	s->in_end += (size_t)n;
	return 0;
}

static int scatter(const uint8_t *from, size_t len, const struct iovec *iov, unsigned int count)
{
	struct guard_fault fault;
	unsigned int i;

	for (i = 0; i < count && len; i++) {
		size_t n = min_u64(len, iov[i].iov_len);

		if (!guard_copy(iov[i].iov_base, from, n, &fault))
			return -EFAULT;
		from += n;
		len -= n;
	}
	return 0;
}

static ssize_t stream_recv(
	struct netio *io, struct virtio_net_hdr_v1 *h, struct iovec *iov, unsigned int count)
{
	struct stream *s = (struct stream *)io;
	ssize_t len = complete_frame(s);
	int r;

	if (!len) {
		r = read_more(s);
		if (r)
			return r;
		len = complete_frame(s);
	}
	if (len <= 0)
		return len ? len : -EAGAIN;
	memset(h, 0, sizeof(*h));
	r = scatter(s->in + s->in_at + LENGTH, (size_t)len, iov + 1, count - 1);
	s->in_at += LENGTH + (size_t)len;
	return r ? r : len;
}

static void stream_free(struct netio *io)
{
	fd_close(&io->fd);
	free(io);
}

static const struct netio_ops stream_ops = {
	.send = stream_send,
	.recv = stream_recv,
	.flush = stream_flush,
	.free = stream_free,
};

int netio_stream_new(struct netio **out, int fd, const char *name, struct err *e)
{
	struct stream *s = malloc(sizeof(*s));

	if (!s) {
		close(fd);
		return err_set(e, -ENOMEM, "%s: out of memory", name);
	}
	s->io = (struct netio){ .ops = &stream_ops, .fd = fd };
	s->in_at = s->in_end = s->out_at = s->out_end = 0;
	snprintf(s->io.name, sizeof(s->io.name), "%s", name);
	*out = &s->io;
	return 0;
}
