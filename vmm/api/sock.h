/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_API_SOCK_H
#define NACRE_API_SOCK_H

#include <sys/types.h>

#include "vmm/util/err.h"

/*
 * The API's socket in the file system. Whoever may connect to it commands the machine, so it is its
 * owner's alone (0600) from the moment it exists, is never made through a symbolic link, takes the
 * place of nothing, and is removed by who made it.
 */
struct sock {
	int fd; /* listens, does not block */
	char *path;
	dev_t dev;
	ino_t ino;
};

/*
 * Makes it and listens. -EADDRINUSE when there is something at that path, with a sentence that says
 * what: a socket that somebody listens on, one that was left behind, or another file.
 */
int sock_listen(struct sock *s, const char *path, struct err *e);

/* Closes it and removes the file, if it is still ours. Accepts one that was only zeroed (fd -1). */
void sock_close(struct sock *s);

#endif
