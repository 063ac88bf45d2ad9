/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_SERVER_H
#define NACRE_API_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#include "vmm/api/http.h"
#include "vmm/util/err.h"
#include "vmm/util/loop.h"

/*
 * An HTTP/1.1 server on a Unix socket, which lives on one loop and shares it: nothing in here waits.
 * It knows nothing of what is asked for.
 *
 * What a client can cost. Each connection has at most one request in memory, HTTP_HEAD_MAX and max_body
 * large, and no more is read from it before that is answered and the answer taken; so clients that
 * pipeline are answered in their order, and those that do not read are not read from. All of them
 * together have SERVER_BUFFERED_MAX. A request must arrive within SERVER_REQUEST_MS, and so must its
 * answer be taken. Connections that wait for nothing may stay; when there are SERVER_CONNECTIONS, one
 * that has been idle for longest makes room.
 *
 * What cannot be understood is answered with an error, as {"fault_message": "..."}, and the
 * connection ends.
 */
#define SERVER_CONNECTIONS  1100u
#define SERVER_REQUEST_MS   10000u
#define SERVER_BUFFERED_MAX ((size_t)8 << 20)
#define SERVER_BODY_MAX	    51200u /* unless told otherwise */

struct server;

/* One request. Valid until it is answered. */
struct server_request {
	enum http_method method;
	const char *method_name;
	const char *path; /* begins with a slash */
	const char *body; /* body_len bytes */
	size_t body_len;
};

struct server_config {
	const char *path;
	struct loop *loop; /* borrowed */
	size_t max_body;
	unsigned int request_ms; /* 0: SERVER_REQUEST_MS */
	/* Answers the request by server_reply, at once or later. On the loop. */
	void (*handle)(void *ctx, struct server_request *rq);
	void *ctx;
};

/* Control thread, as all else here. 0, or -errno with a sentence. */
int server_new(struct server **out, const struct server_config *cfg, struct err *e);
/* Removes the socket. Requests that have not been answered must not be any more. Accepts NULL. */
void server_free(struct server *s);

/*
 * Answers; rq is gone then. type is the body's; NULL when there is none, as with status 204. The
 * body is copied.
 */
void server_reply(
	struct server_request *rq, int status, const char *type, const char *body, size_t len);
/* The same with {"fault_message": text}. */
void server_fault(struct server_request *rq, int status, const char *text);

#endif
