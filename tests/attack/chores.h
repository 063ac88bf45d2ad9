/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_CHORES_H
#define NACRE_TEST_CHORES_H

#include <semaphore.h>
#include <stdbool.h>

#include "vmm/sandbox/seccomp_impl.h"
#include "vmm/util/err.h"

/* What the parts of nacre-chores share: see chores.c. */

/* Of the calling thread. */
extern _Thread_local enum thread_role own_role;

/* These allocate, read clocks and wait with a limit of time; the other roles do one thing only. */
static inline bool does_many_things(enum thread_role role)
{
	return role == THREAD_CONTROL || role == THREAD_CONSOLE || role == THREAD_IO ||
	       role == THREAD_VCPU;
}

/* A line on standard error, which the role begins. */
void tell(const char *what);

void wait_for(sem_t *s);
/* Until it is posted or a signal is handled, but with a limit, as those waits have that are restarted. */
void wait_a_while(sem_t *s);

/* ---- chores_calm.c ---- */

/* Before any filter: seeds of what will grow. */
void calm_plant(void);
/* Behind it: the chore. Other threads than the first need one that serves them. */
void calm_do(void);
/* On the thread that has started one of that role, and is not behind a filter yet. */
void calm_serve(enum thread_role role);

/* ---- chores_stopped.c ---- */

/* Before any filter: starts the process that stops others. 0, or -errno with a sentence. */
int stopped_start(struct err *e);
/* Behind it, for who does many things: the chore, once for each role. */
void stopped_do(void);

#endif
