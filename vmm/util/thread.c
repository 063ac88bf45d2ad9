/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#define NAME_SIZE 16

struct start {
	char name[NAME_SIZE];
	enum thread_role role;
	void (*enter)(enum thread_role role);
	void *(*fn)(void *);
	void *arg;
};

static void (*on_enter)(enum thread_role role);
static _Thread_local char own_name[NAME_SIZE] = "nacre";

/* Those that are on their way to their function. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static unsigned int entering;

static void count_entering(bool more)
{
	pthread_mutex_lock(&lock);
	entering += more ? 1u : -1u;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void thread_wait_entered(void)
{
	pthread_mutex_lock(&lock);
	while (entering)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

const char *thread_name(void)
{
	return own_name;
}

void thread_on_enter(void (*enter)(enum thread_role role))
{
	on_enter = enter;
}

static void *thread_main(void *arg)
{
	struct start s = *(struct start *)arg;

	free(arg);
	memcpy(own_name, s.name, sizeof(own_name));
	/* By itself: of another thread it is written to a file in /proc, which may be out of reach. */
	prctl(PR_SET_NAME, own_name);
	if (s.enter)
		s.enter(s.role);
	count_entering(false);
	return s.fn(s.arg);
}

static void block_signals(sigset_t *old)
{
	static const int open[] = { SIGBUS, SIGSEGV, SIGSYS, SIGABRT };
	unsigned int i;
	sigset_t set;

	sigfillset(&set);
	for (i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		sigdelset(&set, open[i]);
	pthread_sigmask(SIG_SETMASK, &set, old);
}

int thread_start(pthread_t *out, enum thread_role role, const char *name, void *(*fn)(void *),
	void *arg, struct err *e)
{
	struct start *s = malloc(sizeof(*s));
	pthread_t thread;
	sigset_t old;
	int r = ENOMEM;

	if (s) {
		*s = (struct start){ "", role, on_enter, fn, arg };
		snprintf(s->name, sizeof(s->name), "%s", name);
		count_entering(true);
		/* The new thread inherits the mask. */
		block_signals(&old);
		r = pthread_create(&thread, NULL, thread_main, s);
		pthread_sigmask(SIG_SETMASK, &old, NULL);
	}
	if (r) {
		if (s)
			count_entering(false);
		free(s);
		return err_set(e, -r, "start thread %s: %s", name, strerror(r));
	}
	*out = thread;
	return 0;
}
