/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/tty_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "devices/term.h"
#include "vmm/util/clock.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

/* ---- events ---- */

/* With the lock held. */
void tty_wake_locked(struct tty *t)
{
	if (t->attached)
		loop_timer_set(t->wake, 0);
}

void tty_wake(struct tty *t)
{
	pthread_mutex_lock(&t->lock);
	tty_wake_locked(t);
	pthread_mutex_unlock(&t->lock);
}

void tty_event_enable(struct tty *t, struct loop_event *const *ev, bool on)
{
	pthread_mutex_lock(&t->lock);
	if (t->attached && *ev)
		loop_event_enable(*ev, on);
	pthread_mutex_unlock(&t->lock);
}

static void on_input(void *arg, int fd, short events)
{
	struct tty *t = arg;

	(void)fd;
	(void)events;
	tty_input_read(t);
	tty_input_update(t);
}

static void on_output(void *arg, int fd, short events)
{
	(void)fd;
	(void)events;
	tty_output_turn(arg);
}

static void on_wake(void *arg)
{
	struct tty *t = arg;

	tty_input_resume(t);
	tty_input_deliver(t);
	if (!t->in_waits)
		tty_input_read(t);
	tty_input_update(t);
	tty_output_turn(t);
}

void tty_input_ready(struct tty *t)
{
	tty_wake(t);
}

void tty_resume(struct tty *t)
{
	pthread_mutex_lock(&t->lock);
	t->resume = true;
	tty_wake_locked(t);
	pthread_mutex_unlock(&t->lock);
}

/* ---- life ---- */

/* Whether epoll takes the descriptor; libevent would find out too, but complain on stderr. */
static bool can_wait(int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };
	_close int ep = epoll_create1(EPOLL_CLOEXEC);

	return ep >= 0 && epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == 0;
}

/* Our own descriptor for the same thing, non-blocking where that means anything; or -1. */
static int open_own(int fd, int accmode)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);
	int own;

	if (flags < 0 || ((flags & O_ACCMODE) != accmode && (flags & O_ACCMODE) != O_RDWR))
		return -1;
	/* A regular file opened anew would start at another offset than the shell meant. */
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	own = fd_reopen_nonblock(fd, accmode);
	if (own >= 0 && term_nonblock(own))
		log_warn("console: cannot make descriptor %d non-blocking", fd);
	return own < 0 ? -1 : own;
}

int tty_new(struct tty **out, const struct tty_config *cfg, struct err *e)
{
	struct ratelimit_config limit = { .bandwidth = cfg->limit };
	int r = ratelimit_check(&limit, e);
	struct tty *t;

	if (r)
		return r;
	t = calloc(1, sizeof(*t));
	if (!t)
		return err_set(e, -ENOMEM, "console: out of memory");
	pthread_mutex_init(&t->lock, NULL);
	t->loop = cfg->loop;
	t->quit = cfg->quit;
	t->ctx = cfg->ctx;
	t->in = open_own(cfg->in_fd, O_RDONLY);
	t->out = open_own(cfg->out_fd, O_WRONLY);
	t->terminal = t->in >= 0 && isatty(t->in);
	t->in_waits = t->in >= 0 && can_wait(t->in);
	t->out_waits = t->out >= 0 && can_wait(t->out);
	t->gone = t->out < 0;
	t->drop_late = cfg->drop_late && t->out_waits;
	t->limits = ratelimit_limits(&limit);
	ratelimit_set_at(&t->limit, &limit, clock_ns());
	*out = t;
	return 0;
}

static void free_events(struct tty *t)
{
	loop_event_free(t->in_ev);
	loop_event_free(t->out_ev);
	loop_event_free(t->wake);
	t->in_ev = t->out_ev = t->wake = NULL;
}

/* With the lock held, so that a callback meets either no event or all of them. */
static int make_events(struct tty *t, struct err *e)
{
	int r;

	r = loop_add_timer(t->loop, on_wake, t, &t->wake, e);
	if (!r && t->in_waits)
		r = loop_add_fd(t->loop, t->in, LOOP_READ, on_input, t, &t->in_ev, e);
	if (!r && t->out_waits)
		r = loop_add_fd(t->loop, t->out, LOOP_WRITE, on_output, t, &t->out_ev, e);
	t->attached = !r;
	return r;
}

int tty_attach(struct tty *t, const struct tty_user *user, void *dev, struct err *e)
{
	int r;

	pthread_mutex_lock(&t->lock);
	t->user = user;
	t->dev = dev;
	t->in_ended = t->terminal && !term_may_read(t->in);
	t->in_active = t->in >= 0; /* events are born enabled */
	if (t->terminal)
		term_raw(t->in);
	r = make_events(t, e);
	tty_wake_locked(t);
	pthread_mutex_unlock(&t->lock);
	if (r) {
		tty_detach(t);
		return err_prefix(e, r, "console");
	}
	return 0;
}

void tty_detach(struct tty *t)
{
	pthread_mutex_lock(&t->lock);
	t->attached = false;
	pthread_mutex_unlock(&t->lock);
	free_events(t);
	pthread_mutex_lock(&t->lock);
	t->user = NULL;
	pthread_mutex_unlock(&t->lock);
}

void tty_join_output(struct tty *t, const struct tty_user *user, void *dev)
{
	t->writer_dev = dev;
	t->writer = user;
}

void tty_leave_output(struct tty *t)
{
	t->writer = NULL;
}

void tty_free(struct tty *t)
{
	if (!t)
		return;
	if (t->in >= 0)
		term_restore(t->in);
	if (t->out >= 0)
		term_restore(t->out);
	fd_close(&t->in);
	fd_close(&t->out);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

void tty_crash_restore(void)
{
	term_restore(-1);
}
