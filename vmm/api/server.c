/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. evhttp has a connection for each client and tells of it when a request is
 * complete; not when it comes, or goes. But it asks for the bufferevent of each. So each is made here,
 * with a reference of ours, and what comes in is seen by a callback of its input buffer: from when on a
 * request is under way, and how large it is. One that evhttp is done with has no callbacks any more,
 * and is let go when we look the next time.
 *
 * A connection that has to go is shut down; evhttp finds it at its end.
 *
 * A stream is evhttp's chunked answer. Its next piece is asked for when the last one has left, or, where
 * there was none, in another turn of the loop. evhttp tells when the connection ends before it; the
 * request is then its to free, or ours if evhttp has let go of it. A client's time runs only while we wait
 * for it, and what it takes gives it more, never beyond what it had in the beginning: so it may pause,
 * but not be slow for long. For that, the moment that its time is counted from moves.
 */
#include "vmm/api/server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "vmm/api/sock.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

/* evhttp answers for bodies that long; see server.h. */
#define BODY_FACTOR 2u
/* How often deadlines are looked at, while there are connections. */
#define SWEEP_US 1000000u
/* No more new connections for a while after accept() failed for want of descriptors or memory. */
#define PAUSE_US 100000u

struct conn {
	struct server *server;
	struct conn *prev, *next;
	struct bufferevent *bev; /* has a reference of ours */
	bool leaving, streams;
	uint64_t since_ms; /* when the request began that is not answered yet, or 0 */
	size_t bytes;	   /* of it */
};

/* An answer that is made while it is sent. */
struct stream {
	struct server_stream what;
	struct evhttp_request *ev; /* NULL: there is none */
	void *buf;
	uint64_t seen_ms; /* up to then it is known who was waited for */
	size_t sent;	  /* bytes, which no time has been given for yet */
};

struct server {
	struct server_config cfg;
	struct stream stream;
	struct loop_event *again; /* asks the stream once more */
	struct sock sock;
	struct evhttp *http;
	struct evconnlistener *listener; /* http's */
	struct loop_event *sweep;
	bool sweeps, paused;
	struct conn *first, *last; /* the one that was heard last in front */
	unsigned int count, max;
	size_t buffered;
};

/* What server.h calls a request, and what evhttp does. */
struct request {
	struct server_request rq;
	struct evhttp_request *ev;
	struct server *server;
};

/* ---- connections ---- */

/* What is kept of a client's bytes. */
static size_t request_max(const struct server *s)
{
	return SERVER_HEAD_MAX + BODY_FACTOR * s->cfg.max_body;
}

static void unlink_conn(struct conn *c)
{
	struct server *s = c->server;

	*(c->prev ? &c->prev->next : &s->first) = c->next;
	*(c->next ? &c->next->prev : &s->last) = c->prev;
	c->prev = c->next = NULL;
}

static void link_first(struct conn *c)
{
	struct server *s = c->server;

	c->next = s->first;
	*(s->first ? &s->first->prev : &s->last) = c;
	s->first = c;
}

/* The request is over; what was sent behind it is another. */
static void end_request(struct conn *c)
{
	c->server->buffered -= c->bytes;
	c->bytes = evbuffer_get_length(bufferevent_get_input(c->bev));
	if (c->bytes > request_max(c->server))
		c->bytes = request_max(c->server);
	c->server->buffered += c->bytes;
	c->since_ms = c->bytes ? clock_ms() : 0;
	c->streams = false;
}

static void on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *ctx);

static void conn_free(struct conn *c)
{
	unlink_conn(c);
	c->server->count--;
	c->server->buffered -= c->bytes;
	evbuffer_remove_cb(bufferevent_get_input(c->bev), on_input, c);
	bufferevent_decref(c->bev);
	free(c);
}

/* Lets go of those that evhttp is done with. */
static void reap(struct server *s)
{
	struct conn *c, *next;
	bufferevent_event_cb cb;

	for (c = s->first; c; c = next) {
		next = c->next;
		bufferevent_getcb(c->bev, NULL, NULL, &cb, NULL);
		if (!cb)
			conn_free(c);
	}
}

/* seccomp control+api: shutdown -- clients that keep others waiting */
static void hang_up(struct conn *c)
{
	c->leaving = true;
	shutdown(bufferevent_getfd(c->bev), SHUT_RDWR);
}

/* The one that was silent for longest. False when all are on their way already. */
static bool hang_up_idlest(struct server *s)
{
	struct conn *c = s->last;

	while (c && c->leaving)
		c = c->prev;
	if (c)
		hang_up(c);
	return c;
}

static void start_sweep(struct server *s, uint64_t usec)
{
	if (!s->sweeps)
		loop_timer_set(s->sweep, usec);
	s->sweeps = true;
}

static void on_input(struct evbuffer *in, const struct evbuffer_cb_info *info, void *ctx)
{
	struct conn *c = ctx;
	size_t n = info->n_added;

	(void)in;
	if (!n)
		return;
	/* What is beyond that, evhttp reads and throws away. */
	if (n > request_max(c->server) - c->bytes)
		n = request_max(c->server) - c->bytes;
	c->bytes += n;
	c->server->buffered += n;
	if (c->server->buffered > SERVER_BUFFERED_MAX)
		hang_up(c);
	if (!c->since_ms)
		c->since_ms = clock_ms();
	unlink_conn(c);
	link_first(c);
}

/* seccomp control+api: accept4 readv writev ioctl:FIONREAD -- clients, by libevent */
/* evhttp has a new connection, and wants something to talk to it by. NULL: it makes that itself. */
static struct bufferevent *make_bev(struct event_base *base, void *ctx)
{
	struct server *s = ctx;
	struct bufferevent *bev = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	struct conn *c = calloc(1, sizeof(*c));

	reap(s);
	if (s->count >= s->max)
		hang_up_idlest(s);
	if (!c || !bev || !evbuffer_add_cb(bufferevent_get_input(bev), on_input, c)) {
		free(c);
		return bev;
	}
	/* evhttp takes a body when all of it is there. */
	bufferevent_setwatermark(bev, EV_READ, 0, request_max(s));
	bufferevent_incref(bev);
	*c = (struct conn){ .server = s, .bev = bev };
	s->count++;
	link_first(c);
	start_sweep(s, SWEEP_US);
	return bev;
}

/* Level-triggered, the listener would come again at once for what it cannot do now. */
static void on_accept_error(struct evconnlistener *listener, void *ctx)
{
	struct server *s = ctx;

	log_limited(LOG_WARN, "the API cannot take a connection: %s", strerror(errno));
	hang_up_idlest(s);
	evconnlistener_disable(listener);
	s->paused = true;
	start_sweep(s, PAUSE_US);
}

static void hang_up_slow(struct conn *c)
{
	if (c->streams && !c->leaving)
		log_warn("the API hangs up on a client that takes less than %u kB a second",
			SERVER_STREAM_RATE);
	hang_up(c);
}

static void on_sweep(void *arg)
{
	struct server *s = arg;
	uint64_t now = clock_ms();
	struct conn *c;

	s->sweeps = false;
	reap(s);
	if (s->paused)
		evconnlistener_enable(s->listener);
	s->paused = false;
	for (c = s->first; c; c = c->next)
		if (c->since_ms && now >= c->since_ms + s->cfg.request_ms)
			hang_up_slow(c);
	if (s->first)
		start_sweep(s, SWEEP_US);
}

/* ---- requests ---- */

/* Near the front, since it has just been heard. */
static struct conn *find_conn(const struct server *s, struct evhttp_request *ev)
{
	const struct bufferevent *bev =
		evhttp_connection_get_bufferevent(evhttp_request_get_connection(ev));
	struct conn *c = s->first;

	while (c && c->bev != bev)
		c = c->next;
	return c;
}

static void on_answered(struct evhttp_request *ev, void *ctx)
{
	struct conn *c = find_conn(ctx, ev);

	if (c)
		end_request(c);
}

void server_reply(
	struct server_request *rq, int status, const char *type, const char *body, size_t len)
{
	struct evhttp_request *ev = ((struct request *)rq)->ev;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(ev);

	evhttp_add_header(headers, "Server", "Nacre API");
	if (type)
		evhttp_add_header(headers, "Content-Type", type);
	if (len)
		evbuffer_add(evhttp_request_get_output_buffer(ev), body, len);
	evhttp_send_reply(ev, status, NULL, NULL);
}

/* ---- streams ---- */

static void stream_end(struct server *s)
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
	stream_end(s);
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

static void on_again(void *ctx)
{
	struct server *s = ctx;

	if (s->stream.ev)
		stream_step(s, excuse);
}

static void stream_finish(struct server *s)
{
	struct evhttp_request *ev = s->stream.ev;

	evhttp_connection_set_closecb(evhttp_request_get_connection(ev), NULL, NULL);
	stream_end(s);
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
		hang_up(find_conn(s, s->stream.ev));
	if (piece)
		evbuffer_free(piece);
}

static void stream_step(struct server *s, void (*account)(struct stream *st, struct conn *c))
{
	struct conn *c = find_conn(s, s->stream.ev);
	ssize_t n;

	account(&s->stream, c);
	n = s->stream.what.next(s->stream.what.ctx, s->stream.buf);
	excuse(&s->stream, c);
	if (n > 0)
		stream_send(s, (size_t)n);
	else if (n == -EAGAIN)
		loop_timer_set(s->again, 0);
	else if (n < 0)
		hang_up(c);
	else
		stream_finish(s);
}

int server_send_stream(struct server_request *rq, const struct server_stream *what, struct err *e)
{
	struct evhttp_request *ev = ((struct request *)rq)->ev;
	struct server *s = ((struct request *)rq)->server;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(ev);
	struct conn *c = find_conn(s, ev);

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

void server_fault(struct server_request *rq, int status, const char *text)
{
	json_t *o = json_pack("{s:s}", "fault_message", text);
	_free char *body = NULL;

	if (!o)
		o = json_pack("{s:s}", "fault_message", "The error cannot be told in UTF-8.");
	body = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	server_reply(rq, status, "application/json", body, body ? strlen(body) : 0);
}

static void set_method(struct server_request *rq, enum evhttp_cmd_type type)
{
	switch (type) {
	case EVHTTP_REQ_GET:
		rq->method = HTTP_GET;
		rq->method_name = "GET";
		break;
	case EVHTTP_REQ_PUT:
		rq->method = HTTP_PUT;
		rq->method_name = "PUT";
		break;
	case EVHTTP_REQ_PATCH:
		rq->method = HTTP_PATCH;
		rq->method_name = "PATCH";
		break;
	default:
		rq->method = HTTP_OTHER;
		rq->method_name = type == EVHTTP_REQ_POST     ? "POST"
				  : type == EVHTTP_REQ_DELETE ? "DELETE"
							      : "OTHER";
		break;
	}
}

/* "//x" names a host where evhttp parses it; nobody's path begins so. "*" is no path either. */
static const char *path_of(const struct evhttp_request *ev)
{
	const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(ev));

	if (!strncmp(evhttp_request_get_uri(ev), "//", 2) || (path && *path && *path != '/'))
		return "//";
	return path && *path ? path : "/";
}

/* evhttp takes the first length; whoever took the other sees another request behind it. */
static bool has_two_lengths(struct evhttp_request *ev)
{
	const char *first = NULL;
	const struct evkeyval *h;

	TAILQ_FOREACH(h, evhttp_request_get_input_headers(ev), next)
	{
		if (strcasecmp(h->key, "Content-Length") != 0)
			continue;
		if (first && strcmp(first, h->value) != 0)
			return true;
		first = h->value;
	}
	return false;
}

static void on_request(struct evhttp_request *ev, void *ctx)
{
	struct server *s = ctx;
	struct evbuffer *in = evhttp_request_get_input_buffer(ev);
	struct request r = { .ev = ev, .server = s };
	char text[128];

	evhttp_request_set_on_complete_cb(ev, on_answered, s);
	set_method(&r.rq, evhttp_request_get_command(ev));
	r.rq.path = path_of(ev);
	r.rq.query = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(ev));
	if (has_two_lengths(ev)) {
		evhttp_add_header(evhttp_request_get_output_headers(ev), "Connection", "close");
		server_fault(&r.rq, 400, "Content-Length is given twice, with different values.");
		return;
	}
	r.rq.body_len = evbuffer_get_length(in);
	r.rq.body = r.rq.body_len ? (const char *)evbuffer_pullup(in, -1) : "";
	if (r.rq.body_len > s->cfg.max_body) {
		snprintf(text, sizeof(text),
			"Request payload with size %zu is larger than the limit of %zu allowed by "
			"server.",
			r.rq.body_len, s->cfg.max_body);
		server_fault(&r.rq, 413, text);
		return;
	}
	s->cfg.handle(s->cfg.ctx, &r.rq);
}

/* ---- life ---- */

/* Guests' devices need descriptors too. */
static unsigned int max_connections(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur / 2 >= SERVER_CONNECTIONS)
		return SERVER_CONNECTIONS;
	return (unsigned int)limit.rlim_cur / 2;
}

static int start_http(struct server *s, struct err *e)
{
	struct evhttp_bound_socket *bound;

	s->http = evhttp_new(loop_base(s->cfg.loop));
	if (!s->http)
		return err_set(e, -ENOMEM, "API socket: out of memory");
	/* All methods, so that those we do not have are answered like other mistakes. */
	evhttp_set_allowed_methods(s->http, 0xffff);
	evhttp_set_max_headers_size(s->http, SERVER_HEAD_MAX);
	evhttp_set_max_body_size(s->http, (ev_ssize_t)(BODY_FACTOR * s->cfg.max_body));
	evhttp_set_timeout(s->http, SERVER_IDLE_S);
	evhttp_set_flags(s->http, EVHTTP_SERVER_LINGERING_CLOSE);
	evhttp_set_default_content_type(s->http, NULL);
	evhttp_set_bevcb(s->http, make_bev, s);
	evhttp_set_gencb(s->http, on_request, s);
	bound = evhttp_accept_socket_with_handle(s->http, s->sock.fd);
	if (!bound)
		return err_set(e, -ENOMEM, "API socket: out of memory");
	/* From here on it is closed by its new owner. */
	fd_steal(&s->sock.fd);
	s->listener = evhttp_bound_socket_get_listener(bound);
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	return 0;
}

int server_new(struct server **out, const struct server_config *cfg, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "API socket: out of memory");
	s->cfg = *cfg;
	if (!s->cfg.request_ms)
		s->cfg.request_ms = SERVER_REQUEST_MS;
	s->sock.fd = -1;
	s->max = max_connections();
	r = loop_add_timer(cfg->loop, on_sweep, s, &s->sweep, e);
	if (!r)
		r = loop_add_timer(cfg->loop, on_again, s, &s->again, e);
	if (!r)
		r = sock_listen(&s->sock, cfg->path, e);
	if (!r)
		r = start_http(s, e);
	if (r) {
		server_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	if (s->http)
		evhttp_free(s->http);
	while (s->first)
		conn_free(s->first);
	/* A connection that evhttp does not think alive ends without a word. */
	if (s->stream.ev)
		stream_end(s);
	loop_event_free(s->sweep);
	loop_event_free(s->again);
	sock_close(&s->sock);
	free(s);
}
