/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TTY_IMPL_H
#define NACRE_TTY_IMPL_H

#include <pthread.h>

#include "devices/tty.h"

/* What tty.c (events, life), tty_output.c (the ring) and tty_input.c (keys) share. */

#define TTY_RING_SIZE 65536u /* a power of two: head and tail run freely */
#define TTY_HELD_SIZE 4096u

/*
 * Events. `wake` is a timer that any thread sets to 0 to have the loop look at everything; unlike
 * loop_post it cannot fail and can be taken back. Descriptors that cannot be waited for (regular
 * files, /dev/null) have no event; wake does their work, one piece per turn.
 *
 * Events are made by attach and freed by detach, and touched in between only with the mutex held
 * and `attached` true. So a callback that comes before attach is through waits for it; and once
 * detach has cleared it no callback touches an event again, and freeing each one waits for the
 * callback that may still be in progress.
 */
struct tty {
	struct loop *loop;
	int in, out; /* ours; -1: none */
	bool in_waits, out_waits;
	bool terminal; /* input comes from one */
	bool drop_late;
	bool limits;
	void (*quit)(void *ctx);
	void *ctx;
	struct loop_event *wake, *in_ev, *out_ev;
	const struct tty_user *user;
	void *dev;
	const struct tty_user *writer; /* the second device, see tty_join_output */
	void *writer_dev;

	/* The loop's thread only. */
	bool in_ended;	/* end of file, or we are in the background */
	bool in_active; /* the event is on, or wake reads a piece in each turn */
	bool escape;	/* the last key was Ctrl-A */
	uint8_t held[TTY_HELD_SIZE];
	size_t held_count;

	pthread_mutex_t lock; /* for what follows */
	bool attached;
	bool resume;  /* tty_resume was called */
	bool writing; /* somebody writes from the ring, outside the lock */
	bool gone;    /* nobody reads our output any more */
	bool notify;  /* the device waits for drained() */
	struct ratelimit limit;
	struct tty_dropped dropped;
	unsigned int head, tail;
	uint8_t ring[TTY_RING_SIZE];
};

/* ---- tty.c: any thread ---- */

/* Has the loop look at everything. The first one with the lock held. */
void tty_wake_locked(struct tty *t);
void tty_wake(struct tty *t);
/* Switches one of the events, if there is one. Without the lock. */
void tty_event_enable(struct tty *t, struct loop_event *const *ev, bool on);

/* ---- on the loop's thread ---- */

/* Writes some of what is in the ring. */
void tty_output_turn(struct tty *t);

/* Raw mode and reading start again, if tty_resume was called. */
void tty_input_resume(struct tty *t);
/* Reads a piece, if one is wanted, and gives the device what is for it. */
void tty_input_read(struct tty *t);
/* Offers the held bytes to the device again. */
void tty_input_deliver(struct tty *t);
/* Switches the event as it is wanted by now. */
void tty_input_update(struct tty *t);

#endif
