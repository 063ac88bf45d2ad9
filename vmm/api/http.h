/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_HTTP_H
#define NACRE_API_HTTP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * HTTP/1.1 (RFC 9112) as far as an API on a local socket needs it, and strictly: what could be read
 * in two ways is refused. No chunked bodies, no upgrades, no folded lines. Nothing here allocates or
 * knows of sockets.
 */
enum http_method { HTTP_GET, HTTP_PUT, HTTP_PATCH, HTTP_OTHER };

/* The names of the first three, and what a request with another has. */
#define HTTP_METHOD_MAX 16

/* Bytes from the start of a request to the end of its blank line. */
#define HTTP_HEAD_MAX ((size_t)8192)

struct http_head {
	size_t len; /* of the head itself */
	enum http_method method;
	char method_name[HTTP_METHOD_MAX];
	char *path; /* in the caller's buffer: without the query, ends with NUL */
	size_t body_len;
	bool keep_alive;
	bool expects_continue;
};

/* What is wrong with a request: a status and a sentence, which is a literal. */
struct http_fault {
	int status;
	const char *text;
};

/*
 * Reads the head that buf begins with. True when it is complete: then *out is filled and buf has a NUL
 * behind the path. False: more is needed; or fault->status is not 0, and the connection must end, since
 * nobody knows where the next request would begin. A body is not looked at, only its length.
 */
bool http_parse(char *buf, size_t len, struct http_head *out, struct http_fault *fault);

/*
 * The head of an answer into buf, which has room for HTTP_ANSWER_MAX bytes: the number of them. type:
 * of the body; NULL where there is none, as with 204.
 */
#define HTTP_ANSWER_MAX ((size_t)256)
size_t http_answer(char *buf, int status, const char *type, size_t body_len, bool keep_alive);

#endif
