/* SPDX-License-Identifier: Apache-2.0 */

/* From the device to the descriptor, by the ring. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "devices/tty_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/log.h"

#define WRITES_MAX 4 /* per turn of the loop, so that a chatty guest leaves time to the disks */
#define POLL_MS	   20

/* ---- output ---- */

/* With the lock held. After a no, all is refused for some 10 ms, so that gaps are not single bytes. */
static bool within_limit(struct tty *t, size_t n)
{
	uint64_t wait;

	return !t->limits || !n || ratelimit_take_at(&t->limit, 0, n, clock_ns(), &wait);
}

size_t tty_write(struct tty *t, const void *data, size_t n)
{
	const uint8_t *from = data;
	unsigned int used;
	size_t took;

	pthread_mutex_lock(&t->lock);
	used = t->head - t->tail;
	took = t->gone ? 0 : min_u64(n, TTY_RING_SIZE - used);
	if (!within_limit(t, took)) {
		t->dropped.limited += n;
		pthread_mutex_unlock(&t->lock);
		return n;
	}
	for (size_t i = 0; i < took; i++)
		t->ring[t->head++ % TTY_RING_SIZE] = from[i];
	/* With bytes in the ring already, someone is at it or waits for the descriptor. */
	if (used == 0 && took)
		tty_wake_locked(t);
	if (!t->gone && t->drop_late)
		t->dropped.late += n - took;
	if (t->gone || t->drop_late)
		took = n;
	pthread_mutex_unlock(&t->lock);
	return took;
}

bool tty_can_take(struct tty *t, size_t n)
{
	bool ok;

	pthread_mutex_lock(&t->lock);
	ok = t->gone || t->drop_late || TTY_RING_SIZE - (t->head - t->tail) >= n;
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

/* seccomp console control: write -- the guest's output */
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
	at = t->tail % TTY_RING_SIZE;
	len = (unsigned int)min_u64(t->head - t->tail, TTY_RING_SIZE - at);
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
	tell = t->notify && t->head - t->tail <= TTY_RING_SIZE / 2;
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
void tty_output_turn(struct tty *t)
{
	int r = 1;

	for (int i = 0; i < WRITES_MAX && r > 0; i++)
		r = flush_once(t);
	if (t->out_waits)
		tty_event_enable(t, &t->out_ev, r == -EAGAIN);
	if (r > 0)
		tty_wake(t);
	/* -EBUSY: tty_drain is at work and wakes us if it leaves something behind. */
}

/* The time for a late reader is over. What somebody is writing may still go. */
static void drop_late(struct tty *t)
{
	pthread_mutex_lock(&t->lock);
	if (t->drop_late && !t->writing) {
		t->dropped.late += t->head - t->tail;
		t->tail = t->head;
	}
	pthread_mutex_unlock(&t->lock);
}

static bool output_pending(struct tty *t)
{
	bool pending;

	pthread_mutex_lock(&t->lock);
	pending = t->head != t->tail;
	pthread_mutex_unlock(&t->lock);
	return pending;
}

/* seccomp control: poll@x86 ppoll@arm64 -- the rest of the output */
int tty_drain(struct tty *t, int timeout_ms)
{
	int64_t end = (int64_t)clock_ms() + timeout_ms;
	struct pollfd p = { .events = POLLOUT };
	int r;

	while ((r = flush_once(t)) != 0) {
		/* Time counts only where we would wait: what can be written now is. */
		if (r > 0)
			continue;
		if (timeout_ms >= 0 && (int64_t)clock_ms() >= end)
			break;
		/* While the loop's thread writes, wait a moment rather than for the descriptor. */
		p.fd = r == -EBUSY ? -1 : t->out;
		poll(&p, 1, r == -EBUSY ? 1 : POLL_MS);
	}
	if (r == -EAGAIN)
		drop_late(t);
	if (!output_pending(t))
		return 0;
	tty_wake(t);
	return -ETIMEDOUT;
}

struct tty_dropped tty_read_dropped(struct tty *t)
{
	struct tty_dropped d;

	pthread_mutex_lock(&t->lock);
	d = t->dropped;
	pthread_mutex_unlock(&t->lock);
	return d;
}

/* seccomp control: ioctl:TIOCGWINSZ -- the size of the terminal, when it changes */
bool tty_size(const struct tty *t, uint16_t *cols, uint16_t *rows)
{
	struct winsize w = { 0 };

	if (t->out < 0 || ioctl(t->out, TIOCGWINSZ, &w) || !w.ws_col || !w.ws_row)
		return false;
	*cols = w.ws_col;
	*rows = w.ws_row;
	return true;
}
