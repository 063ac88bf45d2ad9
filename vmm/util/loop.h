/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_LOOP_H
#define NACRE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/util/err.h"
#include "vmm/util/park.h"
#include "vmm/util/thread.h"

/*
 * An event loop over one libevent base. The program has a control loop (signals, timers, the API)
 * on its main thread and further ones (the console's) on threads of their own, so that a busy API
 * never delays a device. A loop that is a member of a park runs its callbacks as a running member:
 * they may use guest memory, and must not block, because they hold up whoever stops the world. Events belong to the loop that made them and live until loop_event_free.
 */
struct loop;
struct loop_event;
struct event_base;

typedef void (*loop_fd_fn)(void *arg, int fd, short events);
typedef void (*loop_fn)(void *arg);

enum { LOOP_READ = 1, LOOP_WRITE = 2 };

/* park may be NULL (the control loop, the console's). Returns 0 or -errno; loop_free accepts NULL. */
int loop_new(struct loop **out, struct park *park, struct err *e);
void loop_free(struct loop *l);

/* Runs callbacks on the calling thread until loop_stop. */
int loop_run(struct loop *l);
/* Any thread. The loop returns after the callback it is in. */
void loop_stop(struct loop *l);
/* Of a loop that was stopped: runs, on the calling thread, once what is there to be done now. */
void loop_turn(struct loop *l);

/* Runs the loop on a thread of its own with that name and role (thread.h); joined by loop_free. */
int loop_start_thread(struct loop *l, enum thread_role role, const char *name, struct err *e);

/*
 * Ends that thread, after a turn for all that is there to be done at this moment, and waits for it.
 * From then on the caller has what belongs to the loop for itself. Does nothing without a thread.
 */
void loop_finish(struct loop *l);

/*
 * Persistent events. Enabled when made; loop_event_enable switches one off and on from any thread.
 * loop_event_free waits for a running callback of that event unless it is called from it.
 */
int loop_add_fd(struct loop *l, int fd, short events, loop_fd_fn fn, void *arg,
	struct loop_event **out, struct err *e);
int loop_add_signal(struct loop *l, int signo, loop_fd_fn fn, void *arg, struct loop_event **out,
	struct err *e);
/*
 * The signals that ask a program to end, SIGINT for one, but for those that it was told to ignore, as
 * by nohup, or in the background of a script; SIGTERM always. They are not blocked any more. out has
 * room for LOOP_END_SIGNALS, of which some stay as they are.
 */
#define LOOP_END_SIGNALS 4
extern const int loop_end_signals[LOOP_END_SIGNALS];
int loop_add_end_signals(
	struct loop *l, loop_fd_fn fn, void *arg, struct loop_event **out, struct err *e);
/* A timer that is armed with loop_timer_set: once, after that many microseconds. */
int loop_add_timer(struct loop *l, loop_fn fn, void *arg, struct loop_event **out, struct err *e);
void loop_timer_set(struct loop_event *ev, uint64_t usec);
void loop_event_enable(struct loop_event *ev, bool on);
void loop_event_free(struct loop_event *ev);

/* libevent's base under it, for a server of libevent's own (vmm/api/server.c), and for nothing else. */
struct event_base *loop_base(struct loop *l);

/* Runs fn(arg) soon on the loop's thread. Any thread. One that finds no memory returns -ENOMEM. */
int loop_post(struct loop *l, loop_fn fn, void *arg);

#endif
