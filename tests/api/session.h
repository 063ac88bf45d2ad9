/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_SESSION_H
#define NACRE_TEST_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* A `nacre api` of our own, and one connection to it. Everything here gives up after 20 seconds. */
struct session {
	pid_t pid;
	int fd;		/* -1: not connected */
	char dir[64];	/* it runs in here */
	char sock[108]; /* relative to dir, as its own */
};

struct answer {
	int status; /* 0: none, or none that is HTTP */
	char *body; /* owned, ends with NUL */
	size_t len;
};

/* Starts nacre (a path) with these arguments, which end with NULL; waits until it listens. */
bool session_start(struct session *s, const char *nacre, const char *const *args);

/* Sends a request as curl would, and reads the answer. body: NULL for none. */
bool session_request(struct session *s, const char *method, const char *path, const char *body,
	size_t len, struct answer *out);

/*
 * Asks it to end. NULL, or what is wrong: it does not, it crashed, it leaves its socket. Its folder
 * stays until session_free.
 */
const char *session_stop(struct session *s);
void session_free(struct session *s);

#endif
