/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A stream is evhttp's chunked answer. Its next piece is asked for when the last one
 * has left, or, where there was none, in another turn of the loop. evhttp tells when the connection ends
 * before it; the request is then its to free, or ours if evhttp has let go of it. A client's time runs
 * only while we wait for it, and what it takes gives it more, never beyond what it had in the beginning:
 * so it may pause, but not be slow for long. For that, the moment that its time is counted from moves.
 */
#include "vmm/api/server_impl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>

#include "vmm/util/bits.h"
#include "vmm/util/clock.h"

void server_stream_end(struct server *s)
{
	struct stream ended = s->stream;

	s->stream = (struct stream){ .ev = NULL };
	free(ended.buf);
	ended.what.done(ended.what.ctx);
}

static void on_stream_closed(struct evhttp_connection *evcon, void *ctx)
{
	struct server *s = ctx;

	(void)evcon;
	if (!evhttp_request_get_connection(s->stream.ev))
		evhttp_request_free(s->stream.ev);
	server_stream_end(s);
}

/* It is we who were slow. */
static void excuse(struct stream *st, struct conn *c)
{
	uint64_t now = clock_ms();

	c->since_ms += now - st->seen_ms;
	st->seen_ms = now;
}

/* The client was waited for, and has taken all that there was. */
static void credit(struct stream *st, struct conn *c)
{
	uint64_t now = clock_ms();

	c->since_ms = min_u64(now, c->since_ms + st->sent / SERVER_STREAM_RATE);
	st->sent %= SERVER_STREAM_RATE;
	st->seen_ms = now;
}

static void stream_step(struct server *s, void (*account)(struct stream *st, struct conn *c));

static void on_taken(struct evhttp_connection *evcon, void *ctx)
{
	(void)evcon;
	stream_step(ctx, credit);
}

void server_stream_again(void *ctx)
{
	struct server *s = ctx;

	if (s->stream.ev)
		stream_step(s, excuse);
}

static void stream_finish(struct server *s)
{
	struct evhttp_request *ev = s->stream.ev;

	evhttp_connection_set_closecb(evhttp_request_get_connection(ev), NULL, NULL);
	server_stream_end(s);
	evhttp_send_reply_end(ev);
}

static void stream_send(struct server *s, size_t len)
{
	struct evbuffer *piece = evbuffer_new();
	bool copied = piece && !evbuffer_add(piece, s->stream.buf, len);

	s->stream.sent += len;
	if (copied)
		evhttp_send_reply_chunk_with_cb(s->stream.ev, piece, on_taken, s);
	else
		server_hang_up(server_find_conn(s, s->stream.ev));
	if (piece)
		evbuffer_free(piece);
}

static void stream_step(struct server *s, void (*account)(struct stream *st, struct conn *c))
{
	struct conn *c = server_find_conn(s, s->stream.ev);
	ssize_t n;

	account(&s->stream, c);
	n = s->stream.what.next(s->stream.what.ctx, s->stream.buf);
	excuse(&s->stream, c);
	if (n > 0)
		stream_send(s, (size_t)n);
	else if (n == -EAGAIN)
		loop_timer_set(s->again, 0);
	else if (n < 0)
		server_hang_up(c);
	else
		stream_finish(s);
}

int server_send_stream(struct server_request *rq, const struct server_stream *what, struct err *e)
{
	struct evhttp_request *ev = ((struct request *)rq)->ev;
	struct server *s = ((struct request *)rq)->server;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(ev);
	struct conn *c = server_find_conn(s, ev);

	if (s->stream.ev)
		return err_set(e, -EBUSY, "Another long answer is on its way: wait for its end.");
	s->stream = (struct stream){ .what = *what, .seen_ms = clock_ms() };
	/* Evhttp makes a connection without us for want of memory; nobody would look after its client. */
	if (c)
		s->stream.buf = malloc(what->piece);
	if (!s->stream.buf)
		return err_set(e, -ENOMEM, "Out of memory.");
	s->stream.ev = ev;
	c->streams = true;
	c->since_ms = s->stream.seen_ms;
	evhttp_add_header(headers, "Server", "Nacre API");
	evhttp_add_header(headers, "Content-Type", what->type);
	evhttp_connection_set_closecb(evhttp_request_get_connection(ev), on_stream_closed, s);
	evhttp_send_reply_start(ev, 200, NULL);
	loop_timer_set(s->again, 0);
	return 0;
}
