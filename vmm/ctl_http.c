/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/ctl_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "vmm/util/fd.h"
#include "vmm/util/text.h"

#define PATIENCE_S 60
/* Far more than any answer has, for who points us at something else. */
#define ANSWER_MAX ((size_t)16 << 20)
#define HEAD_MAX   ((size_t)16 << 10)

/* ---- connecting ---- */

/* Why nobody is there, in words for who has typed the path. */
static int connect_failed(const char *path, struct err *e)
{
	char shown[TEXT_SHOWN];
	int code = errno;
	struct stat st;
	int r = err_sys(e, "connect to %s", text_show_end(shown, sizeof(shown), path));

	if (code == ENOENT)
		return err_hint(e, r,
			"no machine has made this socket; --api-sock names the one of nacre api");
	if (code == ECONNREFUSED && !stat(path, &st) && !S_ISSOCK(st.st_mode))
		return err_hint(e, r, "it is no socket");
	if (code == ECONNREFUSED)
		return err_hint(
			e, r, "it was left behind by a process that has ended, and may be removed");
	if (code == EAGAIN)
		return err_hint(e, r, "the machine took no connection within a minute");
	if (code == EACCES)
		return err_hint(e, r, "only its owner, and root, may command the machine");
	return r;
}

static int connect_to(const char *path, struct err *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_S };
	_close int fd = -1;
	char shown[TEXT_SHOWN];
	int r;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(e, -ENAMETOOLONG,
			"%s: longer than %zu bytes, no socket can be there",
			text_show_end(shown, sizeof(shown), path), sizeof(a.sun_path) - 1);
	strcpy(a.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(e, "make a socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	do
		r = connect(fd, (struct sockaddr *)&a, sizeof(a));
	while (r && errno == EINTR);
	if (r)
		return connect_failed(path, e);
	return fd_steal(&fd);
}

/* ---- asking ---- */

static int send_all(int fd, const char *text, size_t len, struct err *e)
{
	ssize_t n;

	for (; len; text += n, len -= (size_t)n) {
		do
			n = send(fd, text, len, MSG_NOSIGNAL);
		while (n < 0 && errno == EINTR);
		/* It may have answered already, that it will not have so much. */
		if (n < 0 && errno == EPIPE)
			return 0;
		if (n < 0)
			return err_sys(e, "send the request");
	}
	return 0;
}

static int send_request(
	int fd, const char *method, const char *path, const char *body, struct err *e)
{
	size_t body_len = body ? strlen(body) : 0;
	_free char *head = NULL;
	int len = asprintf(&head,
		"%s %s HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\nConnection: close\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		method, path, body_len);
	int r;

	if (len < 0) {
		head = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	r = send_all(fd, head, (size_t)len, e);
	return r || !body ? r : send_all(fd, body, body_len, e);
}

/* ---- the answer ---- */

static int no_http(struct err *e)
{
	return err_set(
		e, -EPROTO, "the answer is not HTTP (is this the socket of a machine's API?)");
}

/*
 * What there is, up to size bytes; 0: the peer has closed. With a time to wait, as connect_to sets it,
 * being stopped (Ctrl-Z) and continued ends the call, also without any handler: signal(7).
 */
static ssize_t receive(int fd, void *buf, size_t size, struct err *e)
{
	ssize_t n;

	do
		n = recv(fd, buf, size, 0);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return err_set(e, -ETIMEDOUT, "no answer within %d s", PATIENCE_S);
	return n < 0 ? err_sys(e, "read the answer") : n;
}

/* Reads what comes until the peer closes or len bytes are there; one NUL is put behind them. */
static int read_more(int fd, struct blob *b, size_t *room, size_t len, struct err *e)
{
	ssize_t n = 1;
	int r;

	while (n && b->len < len) {
		if (b->len == *room) {
			r = blob_extend(b, room, HEAD_MAX, ANSWER_MAX);
			if (r)
				return err_set(e, r, "the answer: %s", strerror(-r));
		}
		n = receive(fd, b->data + b->len, *room - b->len, e);
		if (n < 0)
			return (int)n;
		b->len += (size_t)n;
		b->data[b->len] = '\0';
		if (len == SIZE_MAX && strstr((char *)b->data, "\r\n\r\n"))
			return 0;
		if (len == SIZE_MAX && b->len >= HEAD_MAX)
			return no_http(e);
	}
	return 0;
}

/* The value of Content-Length in the head, or SIZE_MAX. */
static size_t length_of(const char *head)
{
	const char *p = head;

	while ((p = strstr(p, "\r\n")) != NULL) {
		p += 2;
		if (strncasecmp(p, "Content-Length:", 15) == 0)
			return strtoul(p + 15, NULL, 10);
	}
	return SIZE_MAX;
}

/* Head and status, and whatever has come behind it; *head_len: where that begins. */
static int read_head(
	int fd, struct blob *b, size_t *room, size_t *head_len, int *status, struct err *e)
{
	int r = read_more(fd, b, room, SIZE_MAX, e);
	char *end;

	if (!r && !b->len)
		r = err_set(e, -EPROTO,
			"the machine closed the connection without an answer (it may have ended; "
			"what it says of that is where nacre api runs)");
	if (!r && (!b->data || sscanf((char *)b->data, "HTTP/1.%*1d %3d", status) != 1))
		r = no_http(e);
	end = r ? NULL : strstr((char *)b->data, "\r\n\r\n");
	if (!r && !end)
		r = no_http(e);
	if (r)
		return r;
	*head_len = (size_t)(end + 4 - (char *)b->data);
	end[2] = '\0';
	return 0;
}

/* The rest of an answer of which the head is there. */
static int read_body(int fd, struct blob *b, size_t *room, size_t head_len, struct ctl_answer *out,
	struct err *e)
{
	size_t len = length_of((char *)b->data);
	int r;

	/* 204 has none (RFC 9110, 15.3.5). */
	if (len == SIZE_MAX || out->status == 204)
		len = 0;
	if (len > ANSWER_MAX)
		r = err_set(e, -EFBIG, "the answer is longer than %zu MiB", ANSWER_MAX >> 20);
	else
		r = read_more(fd, b, room, head_len + len, e);
	if (!r && b->len < head_len + len)
		r = err_set(e, -EPROTO, "the answer was cut short");
	if (r)
		return r;
	out->body = strndup((char *)b->data + head_len, len);
	out->len = out->body ? strlen(out->body) : 0;
	return out->body ? 0 : err_set(e, -ENOMEM, "out of memory");
}

static int read_answer(int fd, struct ctl_answer *out, struct err *e)
{
	struct blob b = { NULL, 0 };
	size_t room = 0, head_len;
	int r = read_head(fd, &b, &room, &head_len, &out->status, e);

	if (!r)
		r = read_body(fd, &b, &room, head_len, out, e);
	blob_free(&b);
	return r;
}

int ctl_request(const char *sock, const char *method, const char *path, const char *body,
	struct ctl_answer *out, struct err *e)
{
	_close int fd = connect_to(sock, e);
	int r;

	*out = (struct ctl_answer){ 0 };
	if (fd < 0)
		return fd;
	r = send_request(fd, method, path, body, e);
	return r ? r : read_answer(fd, out, e);
}

/* ---- answers in pieces (RFC 9112, 7.1) ---- */

struct pieces {
	int fd;
	size_t at, have; /* in buf */
	uint8_t buf[64 << 10];
};

/* At least one byte is there: 0, or -errno. */
static int need(struct pieces *p, struct err *e)
{
	ssize_t n;

	if (p->at < p->have)
		return 0;
	n = receive(p->fd, p->buf, sizeof(p->buf), e);
	if (n < 0)
		return (int)n;
	if (!n)
		return err_set(e, -EPROTO, "the answer was cut short");
	p->at = 0;
	p->have = (size_t)n;
	return 0;
}

/* A line without its end, which is short in all that we ask. */
static int read_line(struct pieces *p, char *line, size_t size, struct err *e)
{
	size_t n = 0;
	int r;

	for (;;) {
		r = need(p, e);
		if (r)
			return r;
		line[n] = (char)p->buf[p->at++];
		if (line[n] == '\n')
			break;
		if (++n == size)
			return no_http(e);
	}
	if (!n || line[n - 1] != '\r')
		return no_http(e);
	line[n - 1] = '\0';
	return 0;
}

static int take_piece(struct pieces *p, uint64_t len, ctl_take take, void *ctx, struct err *e)
{
	char line[4];
	size_t n;
	int r;

	for (; len; len -= n, p->at += n) {
		r = need(p, e);
		if (r)
			return r;
		n = p->have - p->at < len ? p->have - p->at : (size_t)len;
		r = take(ctx, p->buf + p->at, n, e);
		if (r)
			return r;
	}
	r = read_line(p, line, sizeof(line), e);
	return r || !line[0] ? r : no_http(e);
}

static int take_pieces(struct pieces *p, ctl_take take, void *ctx, struct err *e)
{
	char line[64], *end;
	uint64_t len;
	int r;

	for (;;) {
		r = read_line(p, line, sizeof(line), e);
		if (r)
			return r;
		len = strtoull(line, &end, 16);
		if (end == line || *end || line[0] == '-' || line[0] == '+')
			return no_http(e);
		if (!len)
			return 0;
		r = take_piece(p, len, take, ctx, e);
		if (r)
			return r;
	}
}

static int take_answer(int fd, ctl_take take, void *ctx, struct ctl_answer *out, struct err *e)
{
	struct blob b = { NULL, 0 };
	struct pieces p = { .fd = fd };
	size_t room = 0, head_len;
	int r = read_head(fd, &b, &room, &head_len, &out->status, e);

	if (!r && out->status != 200) {
		r = read_body(fd, &b, &room, head_len, out, e);
	} else if (!r && !strcasestr((char *)b.data, "\r\nTransfer-Encoding: chunked\r\n")) {
		r = err_set(e, -EPROTO, "the answer does not come in pieces");
	} else if (!r && b.len - head_len > sizeof(p.buf)) {
		r = no_http(e);
	} else if (!r) {
		p.have = b.len - head_len;
		memcpy(p.buf, b.data + head_len, p.have);
		r = take_pieces(&p, take, ctx, e);
	}
	blob_free(&b);
	return r;
}

int ctl_download(const char *sock, const char *path, ctl_take take, void *ctx,
	struct ctl_answer *out, struct err *e)
{
	_close int fd = connect_to(sock, e);
	int r;

	*out = (struct ctl_answer){ 0 };
	if (fd < 0)
		return fd;
	r = send_request(fd, "GET", path, NULL, e);
	return r ? r : take_answer(fd, take, ctx, out, e);
}

void ctl_answer_free(struct ctl_answer *a)
{
	free(a->body);
	*a = (struct ctl_answer){ 0 };
}
