/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "devices/term.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

#define RING_SIZE  65536u /* a power of two: head and tail run freely */
#define HELD_SIZE  4096u
#define READ_SIZE  1024u
#define WRITES_MAX 4 /* per turn of the loop, so that a chatty guest leaves time to the disks */
#define POLL_MS	   20
#define CTRL_A	   0x01

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
	uint8_t held[HELD_SIZE];
	size_t held_count;

	pthread_mutex_t lock; /* for what follows */
	bool attached;
	bool resume;  /* tty_resume was called */
	bool writing; /* somebody writes from the ring, outside the lock */
	bool gone;    /* nobody reads our output any more */
	bool notify;  /* the device waits for drained() */
	unsigned int head, tail;
	uint8_t ring[RING_SIZE];
};

/* With the lock held. */
static void wake_locked(struct tty *t)
{
	if (t->attached)
		loop_timer_set(t->wake, 0);
}

static void wake(struct tty *t)
{
	pthread_mutex_lock(&t->lock);
	wake_locked(t);
	pthread_mutex_unlock(&t->lock);
}

static void event_enable(struct tty *t, struct loop_event *const *ev, bool on)
{
	pthread_mutex_lock(&t->lock);
	if (t->attached && *ev)
		loop_event_enable(*ev, on);
	pthread_mutex_unlock(&t->lock);
}

/* ---- output ---- */

size_t tty_write(struct tty *t, const void *data, size_t n)
{
	const uint8_t *from = data;
	unsigned int used;
	size_t took;

	pthread_mutex_lock(&t->lock);
	used = t->head - t->tail;
	took = t->gone ? 0 : min_u64(n, RING_SIZE - used);
	for (size_t i = 0; i < took; i++)
		t->ring[t->head++ % RING_SIZE] = from[i];
	/* With bytes in the ring already, someone is at it or waits for the descriptor. */
	if (used == 0 && took)
		wake_locked(t);
	if (t->gone)
		took = n;
	pthread_mutex_unlock(&t->lock);
	return took;
}

bool tty_can_take(struct tty *t, size_t n)
{
	bool ok;

	pthread_mutex_lock(&t->lock);
	ok = t->gone || RING_SIZE - (t->head - t->tail) >= n;
	if (!ok)
		t->notify = true;
	pthread_mutex_unlock(&t->lock);
	return ok;
}

static void say_ended(int code)
{
	if (code == EPIPE)
		log_info("console: the reader of our output is gone, output is dropped from here "
			 "on");
	else
		log_warn("console: write: %s; output is dropped from here on", strerror(code));
}

/* Accounts for one write(); with the lock held. Returns what flush_once returns. */
static int flush_result(struct tty *t, ssize_t n, int code)
{
	if (n > 0) {
		t->tail += (unsigned int)n;
		return 1;
	}
	if (n == 0 || code == EAGAIN)
		return -EAGAIN;
	if (code != EINTR) {
		t->gone = true;
		t->tail = t->head;
	}
	return 1;
}

/*
 * One write of what is contiguous in the ring. Returns 1 (go on), 0 (the ring is empty), -EAGAIN
 * (the descriptor is full) or -EBUSY (another thread is writing). The lock is not held during the
 * write: a slow disk under the output file must not hold up a vCPU.
 */
static int flush_once(struct tty *t)
{
	unsigned int at, len;
	bool ended, tell;
	ssize_t n;
	int r, code;

	pthread_mutex_lock(&t->lock);
	at = t->tail % RING_SIZE;
	len = (unsigned int)min_u64(t->head - t->tail, RING_SIZE - at);
	if (len == 0 || t->writing) {
		r = len ? -EBUSY : 0;
		pthread_mutex_unlock(&t->lock);
		return r;
	}
	t->writing = true;
	pthread_mutex_unlock(&t->lock);

	n = write(t->out, t->ring + at, len);
	code = errno;

	pthread_mutex_lock(&t->lock);
	t->writing = false;
	r = flush_result(t, n, code);
	ended = t->gone;
	tell = t->notify && t->head - t->tail <= RING_SIZE / 2;
	if (tell)
		t->notify = false;
	pthread_mutex_unlock(&t->lock);
	if (ended)
		say_ended(code);
	if (tell && t->user)
		t->user->drained(t->dev);
	if (tell && t->writer)
		t->writer->drained(t->writer_dev);
	return r;
}

/* On the loop's thread. */
static void output_turn(struct tty *t)
{
	int r = 1;

	for (int i = 0; i < WRITES_MAX && r > 0; i++)
		r = flush_once(t);
	if (t->out_waits)
		event_enable(t, &t->out_ev, r == -EAGAIN);
	if (r > 0)
		wake(t);
	/* -EBUSY: tty_drain is at work and wakes us if it leaves something behind. */
}

static bool output_pending(struct tty *t)
{
	bool pending;

	pthread_mutex_lock(&t->lock);
	pending = t->head != t->tail;
	pthread_mutex_unlock(&t->lock);
	return pending;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int tty_drain(struct tty *t, int timeout_ms)
{
	int64_t end = now_ms() + timeout_ms;
	struct pollfd p = { .events = POLLOUT };
	int r;

	while ((r = flush_once(t)) != 0) {
		/* Time counts only where we would wait: what can be written now is. */
		if (r > 0)
			continue;
		if (timeout_ms >= 0 && now_ms() >= end)
			break;
		/* While the loop's thread writes, wait a moment rather than for the descriptor. */
		p.fd = r == -EBUSY ? -1 : t->out;
		poll(&p, 1, r == -EBUSY ? 1 : POLL_MS);
	}
	if (!output_pending(t))
		return 0;
	wake(t);
	return -ETIMEDOUT;
}

bool tty_size(const struct tty *t, uint16_t *cols, uint16_t *rows)
{
	struct winsize w = { 0 };

	if (t->out < 0 || ioctl(t->out, TIOCGWINSZ, &w) || !w.ws_col || !w.ws_row)
		return false;
	*cols = w.ws_col;
	*rows = w.ws_row;
	return true;
}

/* ---- input ---- */

static void print_help(void)
{
	static const char help[] =
		"\nnacre: Ctrl-A x quits, Ctrl-A a sends Ctrl-A, Ctrl-A h is this\n";

	log_raw(help, sizeof(help) - 1);
}

/* One key after Ctrl-A. Returns whether the guest shall have it. */
static bool escaped_key(struct tty *t, uint8_t key)
{
	switch (key) {
	case CTRL_A:
	case 'a':
		return true;
	case 'x':
		if (t->quit)
			t->quit(t->ctx);
		return false;
	case 'h':
		print_help();
		return false;
	default:
		return false;
	}
}

/* Appends what is for the guest to the held bytes; there is room for n. */
static void filter(struct tty *t, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t key = data[i];

		if (t->escape) {
			t->escape = false;
			if (!escaped_key(t, key))
				continue;
			key = CTRL_A;
		} else if (t->terminal && key == CTRL_A) {
			t->escape = true;
			continue;
		}
		t->held[t->held_count++] = key;
	}
}

static void deliver(struct tty *t)
{
	size_t took;

	if (!t->held_count)
		return;
	took = t->user->input(t->dev, t->held, t->held_count);
	t->held_count -= took;
	memmove(t->held, t->held + took, t->held_count);
}

/*
 * From a terminal we read ahead of the guest so that Ctrl-A x works while the guest hangs; anything
 * else waits in its pipe or file until the guest wants it.
 */
static bool input_wanted(const struct tty *t)
{
	size_t limit = t->terminal ? HELD_SIZE : 1;

	return t->in >= 0 && !t->in_ended && t->held_count < limit;
}

static void read_some(struct tty *t)
{
	uint8_t buf[READ_SIZE];
	ssize_t n;

	if (!input_wanted(t))
		return;
	n = read(t->in, buf, min_u64(sizeof(buf), HELD_SIZE - t->held_count));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		/* The end, or a terminal that refuses because we are in the background by now. */
		t->in_ended = true;
		return;
	}
	filter(t, buf, (size_t)n);
	deliver(t);
}

/* Reads on, or not. */
static void input_update(struct tty *t)
{
	bool active = input_wanted(t);

	if (t->in_waits && active != t->in_active)
		event_enable(t, &t->in_ev, active);
	else if (!t->in_waits && active)
		wake(t);
	t->in_active = active;
}

static void input_resume(struct tty *t)
{
	pthread_mutex_lock(&t->lock);
	if (!t->resume) {
		pthread_mutex_unlock(&t->lock);
		return;
	}
	t->resume = false;
	pthread_mutex_unlock(&t->lock);
	if (t->terminal && term_may_read(t->in)) {
		term_raw(t->in);
		t->in_ended = false;
	}
}

static void on_input(void *arg, int fd, short events)
{
	struct tty *t = arg;

	(void)fd;
	(void)events;
	read_some(t);
	input_update(t);
}

static void on_output(void *arg, int fd, short events)
{
	(void)fd;
	(void)events;
	output_turn(arg);
}

static void on_wake(void *arg)
{
	struct tty *t = arg;

	input_resume(t);
	deliver(t);
	if (!t->in_waits)
		read_some(t);
	input_update(t);
	output_turn(t);
}

void tty_input_ready(struct tty *t)
{
	wake(t);
}

void tty_resume(struct tty *t)
{
	pthread_mutex_lock(&t->lock);
	t->resume = true;
	wake_locked(t);
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
	struct tty *t = calloc(1, sizeof(*t));

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
	wake_locked(t);
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
