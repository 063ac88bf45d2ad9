/* SPDX-License-Identifier: Apache-2.0 */
#include "devices/vsock_unix.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/vsock_dial.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

#define BACKLOG 128
/* How often we look for clients that take too long, while there are any. */
#define TICK_MS 200u
/* "CONNECT ", ten digits, and a line's end in either style. */
#define LINE_MAX_BYTES 20u

#define WORD "CONNECT "

_Static_assert(
	VSOCK_PATH_MAX + sizeof("_4294967295") <= sizeof(((struct sockaddr_un *)NULL)->sun_path),
	"PATH_PORT fits");

/* A program that has not said yet which port it wants. */
struct client {
	struct vsock_unix *owner;
	int fd; /* -1: free */
	struct loop_event *ev;
	uint64_t deadline; /* ms */
	size_t have;
	char line[LINE_MAX_BYTES + 1];
};

struct vsock_unix {
	char path[VSOCK_PATH_MAX + 1];
	bool made; /* the file exists and is this one: */
	dev_t dev;
	ino_t ino;
	int fd;
	int folder; /* of PATH and PATH_PORT, for vsock_dial */
	struct loop *loop;
	pthread_mutex_t *lock;
	void (*wanted)(void *arg, int fd, uint32_t port);
	void *arg;
	unsigned int line_ms;
	struct loop_event *accept_ev, *tick;
	bool closing; /* callbacks are to do nothing any more */
	bool paused;  /* accepting */
	unsigned int count;
	struct client clients[VSOCK_CLIENTS_MAX];
};

/* ---- clients: all on the loop's thread ---- */

static void pause_accepting(struct vsock_unix *u, bool paused)
{
	if (u->paused == paused)
		return;
	u->paused = paused;
	loop_event_enable(u->accept_ev, !paused);
}

/* Takes the place of a client; its socket is the caller's. */
static int release(struct client *c)
{
	loop_event_free(c->ev);
	c->ev = NULL;
	c->owner->count--;
	return fd_steal(&c->fd);
}

static void hang_up(struct client *c)
{
	close(release(c));
}

/* The port of a whole line without its end; false when it is not one. */
static bool parse_line(const char *line, uint32_t *port)
{
	const char *digits = line + strlen(WORD);
	unsigned long long value;
	char *end;

	if (strncasecmp(line, WORD, strlen(WORD)) != 0 || *digits < '0' || *digits > '9')
		return false;
	errno = 0;
	value = strtoull(digits, &end, 10);
	if (*end == '\r')
		end++;
	/* The last one stands for any port in the calls of Linux. */
	if (errno || *end || value >= UINT32_MAX)
		return false;
	*port = (uint32_t)value;
	return true;
}

/*
 * Takes no byte beyond the line's end: what follows is for the guest. 1: the line is whole; 0: it
 * is not yet; -1: it never will be.
 */
static int read_line(struct client *c)
{
	char *at = c->line + c->have, *end;
	ssize_t n = recv(c->fd, at, LINE_MAX_BYTES - c->have, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return -1;
	end = memchr(at, '\n', (size_t)n);
	if (end)
		n = end + 1 - at;
	/* What was seen is there. */
	if (recv(c->fd, at, (size_t)n, MSG_DONTWAIT) != n)
		return -1;
	c->have += (size_t)n;
	if (end) {
		*end = '\0';
		return strlen(c->line) == c->have - 1 ? 1 : -1;
	}
	return c->have < LINE_MAX_BYTES ? 0 : -1;
}

static void serve_client(struct client *c)
{
	struct vsock_unix *u = c->owner;
	int r = read_line(c);
	uint32_t port;

	if (!r)
		return;
	if (r > 0 && parse_line(c->line, &port))
		u->wanted(u->arg, release(c), port);
	else
		hang_up(c);
	pause_accepting(u, false);
}

static void on_line(void *arg, int fd, short events)
{
	struct client *c = arg;
	struct vsock_unix *u = c->owner;

	(void)fd;
	(void)events;
	pthread_mutex_lock(u->lock);
	if (!u->closing && c->fd >= 0)
		serve_client(c);
	pthread_mutex_unlock(u->lock);
}

/* In the place of c, who has to go. */
static void add_client(struct vsock_unix *u, struct client *c, int fd)
{
	struct err e;

	if (c->fd >= 0)
		hang_up(c);
	*c = (struct client){ .owner = u, .fd = fd, .deadline = clock_ms() + u->line_ms };
	if (loop_add_fd(u->loop, fd, LOOP_READ, on_line, c, &c->ev, &e)) {
		fd_close(&c->fd);
		return;
	}
	if (!u->count++)
		loop_timer_set(u->tick, TICK_MS * 1000u);
}

/* For one more: a free one, or the one that is silent for the longest time, if that is long enough. */
static struct client *find_place(struct vsock_unix *u)
{
	struct client *oldest = &u->clients[0];
	unsigned int i;

	for (i = 0; i < VSOCK_CLIENTS_MAX; i++) {
		struct client *c = &u->clients[i];

		if (c->fd < 0)
			return c;
		if (c->deadline < oldest->deadline)
			oldest = c;
	}
	return clock_ms() + u->line_ms >= oldest->deadline + VSOCK_LINE_MIN_MS ? oldest : NULL;
}

/* seccomp io+sockets: accept4 -- programs of the host */
static void on_accept(void *arg, int fd, short events)
{
	struct vsock_unix *u = arg;

	(void)events;
	pthread_mutex_lock(u->lock);
	while (!u->closing) {
		struct client *place = find_place(u);
		int client;

		if (!place) {
			pause_accepting(u, true);
			break;
		}
		client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (client >= 0) {
			add_client(u, place, client);
			continue;
		}
		if (errno == EAGAIN)
			break;
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		/* No descriptors or no memory: they wait in the kernel until there are some. */
		log_limited(LOG_WARN, "vsock %s: accept: %s", u->path, strerror(errno));
		pause_accepting(u, true);
		loop_timer_set(u->tick, TICK_MS * 1000u);
		break;
	}
	pthread_mutex_unlock(u->lock);
}

static void on_tick(void *arg)
{
	struct vsock_unix *u = arg;
	uint64_t now = clock_ms();
	unsigned int i;

	pthread_mutex_lock(u->lock);
	for (i = 0; i < VSOCK_CLIENTS_MAX && !u->closing; i++) {
		struct client *c = &u->clients[i];

		if (c->fd >= 0 && now >= c->deadline)
			hang_up(c);
	}
	if (!u->closing) {
		/* Perhaps there is a place now, or one can be made. */
		pause_accepting(u, false);
		if (u->count)
			loop_timer_set(u->tick, TICK_MS * 1000u);
	}
	pthread_mutex_unlock(u->lock);
}

/* ---- the file ---- */

static struct sockaddr_un address(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	memcpy(a.sun_path, path, strlen(path) + 1);
	return a;
}

/* What is in the way, and how to mend it. */
static int explain_exists(const struct vsock_unix *u, struct err *e)
{
	int r = err_set(e, -EEXIST, "vsock %s: exists already", u->path);
	int fd = vsock_dial(u->folder, vsock_dial_name(u->path));

	if (fd == -ELOOP || fd == -ENOTSOCK)
		return err_hint(e, r, "it is not a socket; choose another path");
	if (fd == -ECONNREFUSED)
		return err_hint(e, r,
			"nobody listens there, it is left from a program that was killed; "
			"remove it");
	if (fd < 0 && fd != -EAGAIN)
		return err_hint(e, r,
			"whether a program listens there cannot be seen: %s; choose another path",
			strerror(-fd));
	if (fd >= 0)
		close(fd);
	return err_hint(e, r, "a program listens there; choose another path");
}

static int explain_bind(const struct vsock_unix *u, int code, struct err *e)
{
	if (code == EADDRINUSE)
		return explain_exists(u, e);
	err_set(e, -code, "vsock %s: cannot make the socket: %s", u->path, strerror(code));
	if (code == EACCES || code == EPERM || code == EROFS)
		return err_hint(e, -code,
			"the user must be allowed to write to its folder; choose another path");
	return -code;
}

static int make_file(struct vsock_unix *u, struct err *e)
{
	struct sockaddr_un a = address(u->path);
	struct stat st;

	u->folder = vsock_dial_folder(u->path, e);
	if (u->folder < 0)
		return err_prefix(e, u->folder, "vsock %s", u->path);
	u->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->fd < 0)
		return err_sys(e, "vsock %s: socket", u->path);
	/* Fails if anything has that name, a dangling link too. */
	if (bind(u->fd, (struct sockaddr *)&a, sizeof(a)))
		return explain_bind(u, errno, e);
	if (!lstat(u->path, &st)) {
		u->made = true;
		u->dev = st.st_dev;
		u->ino = st.st_ino;
	}
	if (listen(u->fd, BACKLOG))
		return err_sys(e, "vsock %s: listen", u->path);
	return 0;
}

/* seccomp control+sockets: newfstatat unlink@x86 unlinkat@arm64 -- the socket goes with us */
/* Only if it is the one we made: somebody may have put another in its place. */
static void remove_file(struct vsock_unix *u)
{
	struct stat st;

	if (u->made && !lstat(u->path, &st) && st.st_dev == u->dev && st.st_ino == u->ino)
		unlink(u->path);
	u->made = false;
}

int vsock_unix_dial(const struct vsock_unix *u, uint32_t port)
{
	char name[VSOCK_PATH_MAX + sizeof("_4294967295")];

	snprintf(name, sizeof(name), "%s_%u", vsock_dial_name(u->path), port);
	return vsock_dial(u->folder, name);
}

/* ---- life ---- */

int vsock_unix_new(struct vsock_unix **out, const struct vsock_unix_config *cfg, struct err *e)
{
	size_t len = strlen(cfg->path);
	struct vsock_unix *u;
	unsigned int i;
	int r;

	if (len > VSOCK_PATH_MAX)
		return err_set(e, -ENAMETOOLONG,
			"vsock: the path of the socket has %zu bytes, and at most %u fit (choose a "
			"shorter one)",
			len, VSOCK_PATH_MAX);
	u = calloc(1, sizeof(*u));
	if (!u)
		return err_set(e, -ENOMEM, "vsock: out of memory");
	memcpy(u->path, cfg->path, len + 1);
	u->loop = cfg->loop;
	u->lock = cfg->lock;
	u->wanted = cfg->wanted;
	u->arg = cfg->arg;
	u->line_ms = cfg->line_ms ? cfg->line_ms : VSOCK_LINE_MS;
	u->fd = u->folder = -1;
	for (i = 0; i < VSOCK_CLIENTS_MAX; i++)
		u->clients[i].fd = -1;
	r = make_file(u, e);
	if (!r)
		r = loop_add_timer(u->loop, on_tick, u, &u->tick, e);
	/* Last: programs may connect at once. */
	if (!r)
		r = loop_add_fd(u->loop, u->fd, LOOP_READ, on_accept, u, &u->accept_ev, e);
	if (r) {
		vsock_unix_free(u);
		return r;
	}
	*out = u;
	return 0;
}

void vsock_unix_free(struct vsock_unix *u)
{
	unsigned int i;

	if (!u)
		return;
	remove_file(u);
	pthread_mutex_lock(u->lock);
	u->closing = true;
	pthread_mutex_unlock(u->lock);
	/* Each waits for a callback in progress; from here on none does anything. */
	loop_event_free(u->accept_ev);
	loop_event_free(u->tick);
	for (i = 0; i < VSOCK_CLIENTS_MAX; i++) {
		loop_event_free(u->clients[i].ev);
		fd_close(&u->clients[i].fd);
	}
	fd_close(&u->fd);
	fd_close(&u->folder);
	free(u);
}
