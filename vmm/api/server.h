/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_SERVER_H
#define NACRE_API_SERVER_H

#include <stddef.h>
#include <sys/types.h>

#include "vmm/util/err.h"
#include "vmm/util/loop.h"

/*
 * An HTTP/1.1 server on a Unix socket, which lives on one loop and shares it: nothing in here waits.
 * It knows nothing of what is asked for. libevent's evhttp reads and writes; what it does not bound is
 * bounded here.
 *
 * What a client can cost. Of what it sends in advance no more is read than the longest request; the
 * requests of all clients together have SERVER_BUFFERED_MAX. A request must have come and its answer been
 * taken within SERVER_REQUEST_MS; of an answer that is made while it is sent, SERVER_STREAM_RATE on the
 * average, with pauses of that time at most. Connections that wait for nothing may stay for SERVER_IDLE_S;
 * beyond SERVER_CONNECTIONS, the one of which nothing was heard for longest makes room for the next.
 *
 * A body that is too long is answered with {"fault_message": "..."} like other mistakes, up to twice
 * the limit. What is longer, or no HTTP at all, gets evhttp's own page, of the right 4xx status.
 */
#define SERVER_CONNECTIONS  1100u
#define SERVER_REQUEST_MS   10000u
#define SERVER_IDLE_S	    600
#define SERVER_STREAM_RATE  1000u /* bytes a millisecond */
#define SERVER_BUFFERED_MAX ((size_t)8 << 20)
#define SERVER_HEAD_MAX	    8192u
#define SERVER_BODY_MAX	    51200u /* unless told otherwise */

struct server;

enum http_method { HTTP_GET, HTTP_PUT, HTTP_PATCH, HTTP_OTHER };

/* One request. Valid until its handler returns. */
struct server_request {
	enum http_method method;
	const char *method_name;
	const char *path;  /* begins with a slash, and has no query; "//": it was none */
	const char *query; /* what follows a question mark, or NULL */
	const char *body;  /* body_len bytes */
	size_t body_len;
};

struct server_config {
	const char *path;
	struct loop *loop; /* borrowed */
	size_t max_body;
	unsigned int request_ms; /* 0: SERVER_REQUEST_MS */
	/* Answers the request by server_reply or server_fault, once, before it returns. On the loop. */
	void (*handle)(void *ctx, struct server_request *rq);
	void *ctx;
};

/* Control thread, as all else here. 0, or -errno with a sentence. */
int server_new(struct server **out, const struct server_config *cfg, struct err *e);
/* Removes the socket. The loop is freed after it, and does not run any more. Accepts NULL. */
void server_free(struct server *s);

/*
 * Answers. type is the body's; NULL when there is none, as with status 204. The body is copied.
 */
void server_reply(
	struct server_request *rq, int status, const char *type, const char *body, size_t len);
/*
 * An answer that is made while it is sent, bit by bit: the next piece when the client has taken the one
 * before. There is one at a time; -EBUSY while another is on its way, and then nothing has happened.
 */
struct server_stream {
	const char *type;
	size_t piece; /* bytes, room for the largest */
	/*
	 * Puts up to `piece` bytes into buf and returns how many; 0: that was all; -EAGAIN: nothing yet,
	 * call again; another -errno: it cannot be finished, and the connection is cut, so that the
	 * client sees it. Others' requests are answered in between. The client's time does not run
	 * meanwhile.
	 */
	ssize_t (*next)(void *ctx, void *buf);
	/* Once, however it ended: all was sent, or the client is gone, or server_free was called. */
	void (*done)(void *ctx);
	void *ctx;
};
int server_send_stream(struct server_request *rq, const struct server_stream *s, struct err *e);

/* The same as server_reply with {"fault_message": text}. */
void server_fault(struct server_request *rq, int status, const char *text);

#endif
