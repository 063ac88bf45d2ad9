/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/util/log_sink.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "vmm/util/fd.h"
#include "vmm/util/text.h"
#include "vmm/util/thread.h"

/* Room for some 400 lines, or for several reports of metrics. */
#define ROOM	      65536u
#define FREE_PATIENCE 1000u

struct sink {
	int fd;
	_Atomic uint64_t lost;
	pthread_mutex_t lock;
	/* A ring of what the thread shall write; without one, the rest of a line. */
	size_t first, used;
	char data[ROOM];
	/* For regular files. */
	bool threaded;
	bool ending;
	pthread_t thread;
	pthread_cond_t changed;
};

static uint64_t count_lines(const char *text, size_t len)
{
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < len; i++)
		n += text[i] == '\n';
	return n;
}

static void lose(struct sink *s, const char *text, size_t len)
{
	atomic_fetch_add_explicit(&s->lost, count_lines(text, len), memory_order_relaxed);
}

/* ---- the thread ---- */

/* What lies in one piece at the front of the ring; the lock is free while it is written. */
static void write_piece(struct sink *s)
{
	const char *piece = s->data + s->first;
	size_t len = s->used < ROOM - s->first ? s->used : ROOM - s->first;
	ssize_t n;

	pthread_mutex_unlock(&s->lock);
	do
		n = write(s->fd, piece, len);
	while (n < 0 && errno == EINTR);
	if (n <= 0) {
		/* A full disk: there is nobody to tell but who reads the counter. */
		lose(s, piece, len);
		n = (ssize_t)len;
	}
	pthread_mutex_lock(&s->lock);
	s->first = (s->first + (size_t)n) % ROOM;
	s->used -= (size_t)n;
	pthread_cond_broadcast(&s->changed);
}

static void *writer(void *arg)
{
	struct sink *s = arg;

	pthread_mutex_lock(&s->lock);
	while (s->used || !s->ending) {
		if (s->used)
			write_piece(s);
		else
			pthread_cond_wait(&s->changed, &s->lock);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

static int start_thread(struct sink *s, struct err *e)
{
	pthread_condattr_t attr;
	int r;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &attr);
	pthread_condattr_destroy(&attr);
	r = thread_start(&s->thread, THREAD_LOG, "nacre-log", writer, s, e);
	s->threaded = !r;
	return r;
}

static bool leave_to_thread(struct sink *s, const char *text, size_t len)
{
	size_t at, part;
	bool fits;

	pthread_mutex_lock(&s->lock);
	fits = len <= ROOM - s->used;
	if (fits) {
		at = (s->first + s->used) % ROOM;
		part = len < ROOM - at ? len : ROOM - at;
		memcpy(s->data + at, text, part);
		memcpy(s->data, text + part, len - part);
		s->used += len;
		pthread_cond_broadcast(&s->changed);
	}
	pthread_mutex_unlock(&s->lock);
	return fits;
}

/* ---- opening ---- */

/* A name that only the system gives, and that may be a link, such as /dev/stderr; not one in /dev/shm. */
static bool is_device_name(const char *path)
{
	return strncmp(path, "/dev/fd/", 8) == 0 ||
	       (strncmp(path, "/dev/", 5) == 0 && !strchr(path + 5, '/'));
}

static int try_open(const char *path)
{
	int flags = O_CLOEXEC | O_APPEND | O_NONBLOCK | O_NOCTTY |
		    (is_device_name(path) ? 0 : O_NOFOLLOW | O_CREAT);
	/* For reading too: a FIFO without a reader is one that we may open, and that keeps lines. */
	int fd = open(path, O_RDWR | flags, 0600);

	return fd < 0 && errno == EACCES ? open(path, O_WRONLY | flags, 0600) : fd;
}

static int open_failed(const char *path, struct err *e)
{
	char shown[TEXT_SHOWN];
	int code = errno;
	struct stat st;
	int r = err_sys(e, "open %s", text_show_end(shown, sizeof(shown), path));

	if (code == ELOOP)
		return err_hint(e, r, "it is a symbolic link; name the file itself");
	if (code == ENXIO && !stat(path, &st) && S_ISFIFO(st.st_mode))
		return err_hint(e, r,
			"nobody reads this FIFO: start its reader first, or let us read it, too, "
			"and it keeps lines until one comes");
	if (code == ENXIO)
		return err_hint(e, r, "a socket cannot be opened; name a file or a FIFO");
	return r;
}

int sink_open_path(const char *path, struct err *e)
{
	int fd = try_open(path);

	return fd < 0 ? open_failed(path, e) : fd;
}

int sink_open(struct sink **out, const char *path, struct err *e)
{
	_close int fd = sink_open_path(path, e);
	struct stat st;
	struct sink *s;
	int r = 0;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		return err_sys(e, "stat of the opened file");
	s = calloc(1, sizeof(*s));
	if (!s)
		return err_set(e, -ENOMEM, "out of memory");
	s->fd = fd_steal(&fd);
	pthread_mutex_init(&s->lock, NULL);
	if (S_ISREG(st.st_mode))
		r = start_thread(s, e);
	if (r) {
		sink_free(s);
		return r;
	}
	*out = s;
	return 0;
}

/* ---- use ---- */

/* How much of it went out; the descriptor does not block. */
static size_t write_some(struct sink *s, const char *text, size_t len)
{
	ssize_t n;

	do
		n = write(s->fd, text, len);
	while (n < 0 && errno == EINTR);
	return n > 0 ? (size_t)n : 0;
}

/*
 * Up to PIPE_BUF a FIFO takes all or nothing (pipe(7)). Of a longer line the rest is kept and goes
 * first the next time, so that readers never see half of one.
 */
static bool write_now(struct sink *s, const char *text, size_t len)
{
	bool done = false;
	size_t n;

	pthread_mutex_lock(&s->lock);
	if (s->used) {
		n = write_some(s, s->data + s->first, s->used);
		s->first += n;
		s->used -= n;
	}
	if (!s->used && len <= ROOM) {
		n = write_some(s, text, len);
		done = n > 0;
		if (done) {
			s->first = 0;
			s->used = len - n;
			memcpy(s->data, text + n, s->used);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return done;
}

bool sink_write(struct sink *s, const char *text, size_t len)
{
	bool done = s->threaded ? leave_to_thread(s, text, len) : write_now(s, text, len);

	if (!done)
		lose(s, text, len);
	return done;
}

void sink_flush(struct sink *s, unsigned int timeout_ms)
{
	struct timespec end;
	int r = 0;

	if (!s->threaded)
		return;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += timeout_ms / 1000;
	end.tv_nsec += timeout_ms % 1000 * 1000000L;
	if (end.tv_nsec >= 1000000000L) {
		end.tv_nsec -= 1000000000L;
		end.tv_sec++;
	}
	pthread_mutex_lock(&s->lock);
	while (s->used && !r)
		r = pthread_cond_timedwait(&s->changed, &s->lock, &end);
	pthread_mutex_unlock(&s->lock);
}

uint64_t sink_lost(const struct sink *s)
{
	return atomic_load_explicit(&s->lost, memory_order_relaxed);
}

void sink_free(struct sink *s)
{
	bool stuck = false;

	if (!s)
		return;
	if (s->threaded) {
		sink_flush(s, FREE_PATIENCE);
		pthread_mutex_lock(&s->lock);
		s->ending = true;
		stuck = s->used > 0;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
		/* A disk that does not answer has the thread: it keeps what it uses. */
		if (stuck) {
			pthread_detach(s->thread);
			return;
		}
		pthread_join(s->thread, NULL);
	}
	fd_close(&s->fd);
	free(s);
}
