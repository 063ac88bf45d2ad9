/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_CTL_HTTP_H
#define NACRE_CTL_HTTP_H

#include <stddef.h>

#include "vmm/util/err.h"

/* A client's side of HTTP/1.1 on a Unix socket: one request, one answer, and the end. */
struct ctl_answer {
	int status;
	char *body; /* ends with a NUL that is not counted; free with ctl_answer_free */
	size_t len;
};

/*
 * Asks and waits for the answer, at most a minute for each step. body: JSON, or NULL. 0 whatever the
 * status; -errno and a sentence when nobody answers, or not in HTTP.
 */
int ctl_request(const char *sock, const char *method, const char *path, const char *body,
	struct ctl_answer *out, struct err *e);

/*
 * The same by GET for an answer that comes bit by bit and may be of any length: each bit goes to take(),
 * which returns 0 or ends it by -errno. Only an answer of another status than 200 is left in *out. An
 * answer that ends before its end is -EPROTO.
 */
typedef int (*ctl_take)(void *ctx, const void *bytes, size_t len, struct err *e);
int ctl_download(const char *sock, const char *path, ctl_take take, void *ctx,
	struct ctl_answer *out, struct err *e);

/* Accepts a zeroed one. */
void ctl_answer_free(struct ctl_answer *a);

#endif
