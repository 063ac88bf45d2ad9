/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SERVED_H
#define NACRE_SERVED_H

#include "tests/unit/scratch.h"
#include "vmm/api/server.h"

/* A server on a socket of its own, with the thread of its loop: what its clients see is to be tested. */
struct served {
	char dir[SCRATCH_PATH], path[SCRATCH_PATH + 8];
	struct loop *loop;
	struct server *server; /* NULL: not started, or ended */
	unsigned int request_ms;
	/* server_new and server_free; or a test's own. */
	int (*make)(struct server **out, const struct server_config *cfg, struct err *e);
	void (*unmake)(struct server *s);
};
extern struct served served;

/* The fixture: a place for the socket; and the end of the server, if there is one. */
void served_setup(void);
void served_end(void);
/* Starts the server, with these answers. */
void served_start(void (*handle)(void *ctx, struct server_request *rq));
/* A connection of a client, to close, that waits for a minute at the most. */
int served_dial(void);

#endif
