/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. evhttp has a connection for each client and tells of it when a request is
 * complete; not when it comes, or goes. But it asks for the bufferevent of each. So each is made here,
 * with a reference of ours, and what comes in is seen by a callback of its input buffer: from when on a
 * request is under way, and how large it is. One that evhttp is done with has no callbacks any more,
 * and is let go when we look the next time.
 *
 * A connection that has to go is shut down; evhttp finds it at its end.
 */
#include "vmm/api/server_impl.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "vmm/util/clock.h"
#include "vmm/util/log.h"

/* How often deadlines are looked at, while there are connections. */
#define SWEEP_US 1000000u
/* No more new connections for a while after accept() failed for want of descriptors or memory. */
#define PAUSE_US 100000u

/* What is kept of a client's bytes. */
static size_t request_max(const struct server *s)
{
	return SERVER_HEAD_MAX + SERVER_BODY_FACTOR * s->cfg.max_body;
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

void server_end_request(struct conn *c)
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

void server_conn_free(struct conn *c)
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
			server_conn_free(c);
	}
}

/* seccomp control+api: shutdown -- clients that keep others waiting */
void server_hang_up(struct conn *c)
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
		server_hang_up(c);
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
		server_hang_up(c);
	if (!c->since_ms)
		c->since_ms = clock_ms();
	unlink_conn(c);
	link_first(c);
}

/* seccomp control+api: accept4 readv writev ioctl:FIONREAD -- clients, by libevent */
struct bufferevent *server_make_bev(struct event_base *base, void *ctx)
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
void server_accept_error(struct evconnlistener *listener, void *ctx)
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
	server_hang_up(c);
}

void server_sweep(void *arg)
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

/* Near the front, since it has just been heard. */
struct conn *server_find_conn(const struct server *s, struct evhttp_request *ev)
{
	const struct bufferevent *bev =
		evhttp_connection_get_bufferevent(evhttp_request_get_connection(ev));
	struct conn *c = s->first;

	while (c && c->bev != bev)
		c = c->next;
	return c;
}
