/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_SERVER_IMPL_H
#define NACRE_API_SERVER_IMPL_H

/* What server.c (requests and life), server_conn.c and server_stream.c share. Control thread. */

#include <stdbool.h>
#include <stdint.h>

#include "vmm/api/server.h"
#include "vmm/api/sock.h"

struct bufferevent;
struct event_base;
struct evconnlistener;
struct evhttp;
struct evhttp_request;

/* evhttp answers for bodies that long; see server.h. */
#define SERVER_BODY_FACTOR 2u

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

/* ---- server_conn.c ---- */

/* evhttp has a new connection, and wants something to talk to it by. NULL: it makes that itself. */
struct bufferevent *server_make_bev(struct event_base *base, void *server);
/* The listener's. */
void server_accept_error(struct evconnlistener *listener, void *server);
/* Looks at deadlines. */
void server_sweep(void *server);
/* Whose request it is; NULL when there was no memory for it. */
struct conn *server_find_conn(const struct server *s, struct evhttp_request *ev);
/* The request is over; what was sent behind it is another. */
void server_end_request(struct conn *c);
void server_hang_up(struct conn *c);
void server_conn_free(struct conn *c);

/* ---- server_stream.c ---- */

/* The timer's: asks the stream once more. */
void server_stream_again(void *server);
/* Tells who makes it that it has ended, however. */
void server_stream_end(struct server *s);

#endif
