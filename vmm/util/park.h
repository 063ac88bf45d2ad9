/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_PARK_H
#define NACRE_PARK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/*
 * Parking: the memory map and the share map change only while nobody looks at them.
 *
 * Everyone who reads guest memory or runs the guest (vCPU threads, I/O loops) is a member. A member
 * is either running (it may read the maps without a lock) or away (blocked, idle, in its poll). Who
 * wants to change the maps stops the world: it waits until no other member runs, changes, and lets
 * the world go on.
 *
 *   member:   park_enter -> look at maps, KVM_RUN -> if (park_wanted) park_yield -> park_leave
 *   changer:  park_stop  -> change the maps                              -> park_start
 *
 * Invariants: `running` counts the members between enter and leave; while `stopped` is set it does
 * not grow; at most one changer holds the world. A changer that is itself a running member gives up
 * its own place for the duration, so two members that want to change at once do not deadlock.
 *
 * kick() is called with the park lock held for each running member but the changer: it must make
 * the member reach park_yield or park_leave soon (signal + immediate_exit for a vCPU), must not
 * block and must not take locks. A member without a kick is one that leaves by itself soon.
 */
struct park;

struct park_member {
	struct park *park;
	struct park_member *next;
	void (*kick)(void *arg);
	void *arg;
	bool running;
};

struct park {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct park_member *members;
	unsigned int running;
	unsigned int waiting; /* members held at park_enter */
	unsigned int held;    /* changes in a row that found some of them still there */
	unsigned int turn;    /* of the changer that comes next; they draw from next_turn */
	unsigned int next_turn;
	_Atomic bool stopped;
};

void park_init(struct park *p);
void park_destroy(struct park *p);

/* Members live from join to quit; both may be called while others run. */
void park_join(struct park *p, struct park_member *m, void (*kick)(void *), void *arg);
void park_quit(struct park_member *m);

void park_enter(struct park_member *m);
void park_leave(struct park_member *m);

/* True when a changer waits: the member should call park_yield before it runs on. */
static inline bool park_wanted(const struct park *p)
{
	return atomic_load_explicit(&p->stopped, memory_order_acquire);
}

void park_yield(struct park_member *m);

/* self is the caller's own running member, or NULL for a thread that is none (the control loop). */
void park_stop(struct park *p, struct park_member *self);
void park_start(struct park *p, struct park_member *self);

#endif
