/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/util/log.h"

/* Work posted from any thread: a stack that producers push to and the loop takes as a whole. */
struct posted {
	struct posted *next;
	loop_fn fn;
	void *arg;
};

struct loop {
	struct event_base *base;
	struct event *wake;
	struct posted *_Atomic posted;
	atomic_bool stop;
	struct park_member member;
	bool parks;
	bool threaded;
	pthread_t thread;
};

struct loop_event {
	struct loop *loop;
	struct event *event;
	loop_fd_fn fd_fn;
	loop_fn fn;
	void *arg;
};

static void on_wake(evutil_socket_t fd, short events, void *arg);

/* From then on it waits by epoll_pwait2, which no rule here allows. */
_Static_assert(LIBEVENT_VERSION_NUMBER < 0x02020000, "libevent 2.2 needs another rule");

static void ignore_libevent(int severity, const char *text)
{
	(void)severity;
	(void)text;
}

/*
 * seccomp control console io: epoll_wait@x86 epoll_pwait@arm64 epoll_ctl -- libevent, waiting
 * seccomp vcpu: epoll_ctl -- libevent, events that others add and remove
 * seccomp control console io: read write -- libevent, being woken by its eventfd
 */
int loop_new(struct loop **out, struct park *park, struct err *e)
{
	struct event_config *config;
	struct loop *l;

	/* libevent would print its own lines about what we report as an error. */
	event_set_log_callback(ignore_libevent);
	if (evthread_use_pthreads())
		return err_set(e, -ENOMEM, "libevent: no thread support");
	l = calloc(1, sizeof(*l));
	config = event_config_new();
	if (l && config) {
		/* Which poll method is used is not for the environment to say. */
		event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
		l->base = event_base_new_with_config(config);
	}
	if (config)
		event_config_free(config);
	if (l && l->base)
		l->wake = event_new(l->base, -1, EV_PERSIST, on_wake, l);
	if (!l || !l->wake) {
		loop_free(l);
		return err_set(e, -ENOMEM, "libevent: cannot make an event base");
	}
	if (park) {
		park_join(park, &l->member, NULL, NULL);
		l->parks = true;
	}
	*out = l;
	return 0;
}

static void free_posted(struct posted *p)
{
	while (p) {
		struct posted *next = p->next;

		free(p);
		p = next;
	}
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	if (l->threaded) {
		loop_stop(l);
		pthread_join(l->thread, NULL);
	}
	if (l->parks)
		park_quit(&l->member);
	free_posted(atomic_exchange(&l->posted, NULL));
	if (l->wake)
		event_free(l->wake);
	if (l->base)
		event_base_free(l->base);
	free(l);
}

struct event_base *loop_base(struct loop *l)
{
	return l->base;
}

int loop_run(struct loop *l)
{
	return event_base_loop(l->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? -EIO : 0;
}

void loop_turn(struct loop *l)
{
	event_base_loop(l->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

void loop_stop(struct loop *l)
{
	/* An activation that comes before the loop runs is kept; a plain break would be lost. */
	atomic_store(&l->stop, true);
	event_active(l->wake, EV_TIMEOUT, 0);
}

int loop_post(struct loop *l, loop_fn fn, void *arg)
{
	struct posted *p = malloc(sizeof(*p));

	if (!p)
		return -ENOMEM;
	*p = (struct posted){ atomic_load(&l->posted), fn, arg };
	while (!atomic_compare_exchange_weak(&l->posted, &p->next, p))
		continue;
	event_active(l->wake, EV_TIMEOUT, 0);
	return 0;
}

/* In the order of posting: the stack has the newest on top. */
static void run_posted(struct loop *l)
{
	struct posted *p = atomic_exchange(&l->posted, NULL), *in_order = NULL, *next;

	for (; p; p = next) {
		next = p->next;
		p->next = in_order;
		in_order = p;
	}
	for (p = in_order; p; p = next) {
		next = p->next;
		p->fn(p->arg);
		free(p);
	}
}

static void on_wake(evutil_socket_t fd, short events, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)events;
	if (l->parks)
		park_enter(&l->member);
	run_posted(l);
	if (l->parks)
		park_leave(&l->member);
	if (atomic_exchange(&l->stop, false))
		event_base_loopbreak(l->base);
}

static void *loop_main(void *arg)
{
	loop_run(arg);
	return NULL;
}

int loop_start_thread(struct loop *l, enum thread_role role, const char *name, struct err *e)
{
	int r = thread_start(&l->thread, role, name, loop_main, l, e);

	l->threaded = !r;
	return r;
}

static void on_last(evutil_socket_t fd, short events, void *arg)
{
	struct loop *l = arg;

	(void)fd;
	(void)events;
	event_base_loopbreak(l->base);
}

void loop_finish(struct loop *l)
{
	/* Not 0: only a time to wait puts it behind the descriptors that are ready now. */
	static const struct timeval soon = { 0, 1 };

	if (!l->threaded)
		return;
	if (event_base_once(l->base, -1, EV_TIMEOUT, on_last, l, &soon))
		loop_stop(l);
	pthread_join(l->thread, NULL);
	l->threaded = false;
}

static void dispatch(evutil_socket_t fd, short events, void *arg)
{
	struct loop_event *ev = arg;
	struct loop *l = ev->loop;
	int seen = (events & EV_READ ? LOOP_READ : 0) | (events & EV_WRITE ? LOOP_WRITE : 0);

	if (l->parks)
		park_enter(&l->member);
	if (ev->fd_fn)
		ev->fd_fn(ev->arg, (int)fd, (short)seen);
	else
		ev->fn(ev->arg);
	if (l->parks)
		park_leave(&l->member);
}

static int add(struct loop *l, int fd, short what, struct loop_event want, struct loop_event **out,
	struct err *e)
{
	struct loop_event *ev = malloc(sizeof(*ev));

	if (!ev)
		return err_set(e, -ENOMEM, "event: out of memory");
	*ev = want;
	ev->loop = l;
	/* Before the event is armed: its callback may run on the loop's thread at once. */
	*out = ev;
	ev->event = event_new(l->base, fd, what, dispatch, ev);
	if (!ev->event ||
		((what & (EV_READ | EV_WRITE | EV_SIGNAL)) && event_add(ev->event, NULL))) {
		int code = errno ? -errno : -EINVAL;

		if (ev->event)
			event_free(ev->event);
		free(ev);
		*out = NULL;
		return err_set(
			e, code, "event loop refuses descriptor %d: %s", fd, strerror(-code));
	}
	return 0;
}

int loop_add_fd(struct loop *l, int fd, short events, loop_fd_fn fn, void *arg,
	struct loop_event **out, struct err *e)
{
	short what = EV_PERSIST;

	what = (short)(what | (events & LOOP_READ ? EV_READ : 0));
	what = (short)(what | (events & LOOP_WRITE ? EV_WRITE : 0));
	return add(l, fd, what, (struct loop_event){ .fd_fn = fn, .arg = arg }, out, e);
}

/*
 * At the end they are no longer caught. One by one: SIGSYS is nobody's to touch (seccomp_report.c).
 *
 * seccomp control: rt_sigaction[0=SIGTERM] rt_sigaction[0=SIGINT] -- who uses loop_add_signal
 * seccomp control: rt_sigaction[0=SIGHUP] rt_sigaction[0=SIGQUIT] -- who uses loop_add_signal
 * seccomp control: rt_sigaction[0=SIGUSR1] rt_sigaction[0=SIGUSR2] -- who uses loop_add_signal
 * seccomp control: rt_sigaction[0=SIGCONT] rt_sigaction[0=SIGWINCH] -- who uses loop_add_signal
 */
int loop_add_signal(
	struct loop *l, int signo, loop_fd_fn fn, void *arg, struct loop_event **out, struct err *e)
{
	struct loop_event want = { .fd_fn = fn, .arg = arg };

	return add(l, signo, EV_SIGNAL | EV_PERSIST, want, out, e);
}

const int loop_end_signals[LOOP_END_SIGNALS] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

/* Who starts us with nohup, or in the background of a script, means these to be ignored. */
static bool is_ignored(int signo)
{
	struct sigaction sa;

	return signo != SIGTERM && !sigaction(signo, NULL, &sa) && sa.sa_handler == SIG_IGN;
}

int loop_add_end_signals(
	struct loop *l, loop_fd_fn fn, void *arg, struct loop_event **out, struct err *e)
{
	sigset_t set;
	int i, r = 0;

	sigemptyset(&set);
	for (i = 0; i < LOOP_END_SIGNALS && !r; i++) {
		sigaddset(&set, loop_end_signals[i]);
		if (!is_ignored(loop_end_signals[i]))
			r = loop_add_signal(l, loop_end_signals[i], fn, arg, &out[i], e);
	}
	/* Whoever starts us may have blocked them. */
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	return r;
}

int loop_add_timer(struct loop *l, loop_fn fn, void *arg, struct loop_event **out, struct err *e)
{
	return add(l, -1, 0, (struct loop_event){ .fn = fn, .arg = arg }, out, e);
}

/* There is nobody to return it to; what waits for that event may stall. */
static void arm(struct loop_event *ev, const struct timeval *tv)
{
	if (event_add(ev->event, tv))
		log_limited(LOG_ERROR, "event loop refuses descriptor %d: %s",
			(int)event_get_fd(ev->event), strerror(errno));
}

void loop_timer_set(struct loop_event *ev, uint64_t usec)
{
	struct timeval tv = { (time_t)(usec / 1000000), (suseconds_t)(usec % 1000000) };

	arm(ev, &tv);
}

void loop_event_enable(struct loop_event *ev, bool on)
{
	if (on)
		arm(ev, NULL);
	else
		event_del_noblock(ev->event);
}

void loop_event_free(struct loop_event *ev)
{
	if (!ev)
		return;
	/* event_free waits for a callback that runs on another thread (evthread). */
	event_free(ev->event);
	free(ev);
}
