/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Theory of operation. A connection goes round in four steps, and is in one of them at a time:
 *
 *   reading    until its buffer has a whole request; at least one read() for each turn of the loop
 *   handling   the request is with cfg.handle, and nothing is read
 *   writing    what of the answer the socket did not take at once; nothing is read either
 *   leaving    after an error: the other side is told that no more will come, and what it still sends
 *              is thrown away for a while, since closing at once could take the answer from it
 *
 * Nothing frees a connection while its own functions are on the stack: they mark it dead, and the
 * outermost (enter, leave) frees it.
 */
#include "vmm/api/server.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "vmm/api/sock.h"
#include "vmm/util/clock.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

/* Most requests fit. */
#define READ_ROOM ((size_t)4096)
/* How often deadlines are looked at, while there are any. */
#define SWEEP_US 1000000u
/* No more new connections for a while after accept() failed for want of descriptors or memory. */
#define PAUSE_US 100000u
/* How many are accepted at once before others have their turn. */
#define ACCEPT_TURN 64u

enum step { READING, HANDLING, WRITING, LEAVING };

struct conn {
	struct server_request rq; /* first: a request is its connection */
	struct server *server;
	struct conn *prev, *next; /* of all, those of which was heard last in front */
	int fd;
	enum step step;
	unsigned int depth; /* of our functions on the stack */
	bool dead;
	bool keep_alive;
	bool told_continue;
	bool is_deaf; /* not told of what comes in */
	struct loop_event *readable, *writable;
	uint64_t deadline_ms;  /* 0: none */
	struct http_head head; /* complete when its len is not 0 */
	char *in, *out;
	size_t in_len, in_room, out_len, out_off;
};

struct server {
	struct server_config cfg;
	struct sock sock;
	struct loop_event *acceptable;
	struct loop_event *sweep;
	bool sweeps, paused;
	struct conn *first, *last;
	unsigned int count, max;
	size_t buffered;
};

static void on_readable(void *arg, int fd, short events);
static void on_writable(void *arg, int fd, short events);

/* ---- connections as such ---- */

static void unlink_conn(struct conn *c)
{
	struct server *s = c->server;

	*(c->prev ? &c->prev->next : &s->first) = c->next;
	*(c->next ? &c->next->prev : &s->last) = c->prev;
	c->prev = c->next = NULL;
}

static void link_first(struct conn *c)
{
	struct server *s = c->server;

	c->next = s->first;
	*(s->first ? &s->first->prev : &s->last) = c;
	s->first = c;
}

static void drop_in(struct conn *c)
{
	c->server->buffered -= c->in_room;
	free(c->in);
	c->in = NULL;
	c->in_len = c->in_room = 0;
}

static void conn_free(struct conn *c)
{
	unlink_conn(c);
	c->server->count--;
	drop_in(c);
	free(c->out);
	loop_event_free(c->readable);
	loop_event_free(c->writable);
	fd_close(&c->fd);
	free(c);
}

static void enter(struct conn *c)
{
	c->depth++;
}

static void leave(struct conn *c)
{
	if (--c->depth == 0 && c->dead)
		conn_free(c);
}

static void start_sweep(struct server *s)
{
	if (!s->sweeps)
		loop_timer_set(s->sweep, SWEEP_US);
	s->sweeps = true;
}

static void set_deadline(struct conn *c)
{
	c->deadline_ms = clock_ms() + c->server->cfg.request_ms;
	start_sweep(c->server);
}

/* ---- answers ---- */

static void listen_to(struct conn *c, bool on)
{
	if (c->is_deaf == on)
		loop_event_enable(c->readable, on);
	c->is_deaf = !on;
}

static void set_step(struct conn *c, enum step step)
{
	if (c->step == WRITING || step == WRITING)
		loop_event_enable(c->writable, step == WRITING);
	c->step = step;
	/* Most are answered at once: handle() sees to the others. */
	if (step != HANDLING)
		listen_to(c, step != WRITING);
}

/* The request is answered, and its answer taken. */
static void end_round(struct conn *c)
{
	free(c->out);
	c->out = NULL;
	if (c->keep_alive) {
		c->deadline_ms = 0;
		if (c->in_len)
			set_deadline(c);
		set_step(c, READING);
		return;
	}
	drop_in(c);
	if (shutdown(c->fd, SHUT_WR)) {
		c->dead = true;
		return;
	}
	set_deadline(c);
	set_step(c, LEAVING);
}

static void flush(struct conn *c)
{
	struct err e;
	ssize_t n = 0;

	while (c->out_off < c->out_len) {
		n = send(c->fd, c->out + c->out_off, c->out_len - c->out_off,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		c->out_off += (size_t)n;
	}
	if (c->out_off == c->out_len) {
		end_round(c);
		return;
	}
	if (errno != EAGAIN && errno != EWOULDBLOCK) {
		c->dead = true;
		return;
	}
	if (!c->writable && loop_add_fd(c->server->cfg.loop, c->fd, LOOP_WRITE, on_writable, c,
				    &c->writable, &e)) {
		c->dead = true;
		return;
	}
	set_step(c, WRITING);
}

static void answer(struct conn *c, int status, const char *type, const char *body, size_t len)
{
	size_t head;

	c->out_off = 0;
	c->out_len = 0;
	c->out = malloc(HTTP_ANSWER_MAX + len);
	if (!c->out) {
		c->dead = true;
		return;
	}
	head = http_answer(c->out, status, type, len, c->keep_alive);
	if (len)
		memcpy(c->out + head, body, len);
	c->out_len = head + len;
	set_deadline(c);
	flush(c);
}

/* {"fault_message": text}; text may be anything. */
static char *fault_text(const char *text)
{
	json_t *o = json_pack("{s:s}", "fault_message", text);
	char *s;

	if (!o)
		o = json_pack("{s:s}", "fault_message", "The error cannot be told in UTF-8.");
	s = o ? json_dumps(o, JSON_COMPACT) : NULL;
	json_decref(o);
	return s;
}

static void answer_fault(struct conn *c, int status, const char *text)
{
	_free char *body = fault_text(text);

	answer(c, status, "application/json", body, body ? strlen(body) : 0);
}

/* Nobody knows where the next request would begin, or nobody may know: the last answer. */
static void refuse(struct conn *c, int status, const char *text)
{
	c->keep_alive = false;
	answer_fault(c, status, text);
}

/* ---- requests ---- */

/* The bytes of the request that is done with go; what was sent behind it stays. */
static void consume(struct conn *c)
{
	size_t len = c->head.len + c->head.body_len;

	memmove(c->in, c->in + len, c->in_len - len);
	c->in_len -= len;
	c->head = (struct http_head){ 0 };
	c->told_continue = false;
	/* A large one leaves no large buffer behind. */
	if (c->in_len == 0)
		drop_in(c);
}

/* The whole request is there: it is taken care of. */
static void handle(struct conn *c)
{
	c->rq = (struct server_request){
		.method = c->head.method,
		.method_name = c->head.method_name,
		.path = c->head.path,
		.body = c->in + c->head.len,
		.body_len = c->head.body_len,
	};
	c->keep_alive = c->head.keep_alive;
	c->deadline_ms = 0;
	set_step(c, HANDLING);
	c->server->cfg.handle(c->server->cfg.ctx, &c->rq);
	if (c->step == HANDLING)
		listen_to(c, false);
}

static void tell_continue(struct conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	/* It is a few bytes on a socket that nothing else waits in; who is not told sends anyway. */
	if (!c->told_continue && c->in_len == c->head.len)
		send(c->fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	c->told_continue = true;
}

/* True when another request may follow in what is there already. */
static bool take_request(struct conn *c)
{
	struct http_fault fault;

	if (!c->head.len && !http_parse(c->in, c->in_len, &c->head, &fault)) {
		c->head = (struct http_head){ 0 };
		if (fault.status)
			refuse(c, fault.status, fault.text);
		return false;
	}
	if (c->head.body_len > c->server->cfg.max_body) {
		char text[128];

		snprintf(text, sizeof(text),
			"Request payload with size %zu is larger than the limit of %zu allowed by "
			"server.",
			c->head.body_len, c->server->cfg.max_body);
		refuse(c, 413, text);
		return false;
	}
	if (c->in_len < c->head.len + c->head.body_len) {
		if (c->head.expects_continue)
			tell_continue(c);
		return false;
	}
	handle(c);
	return !c->dead && c->step == READING;
}

/* As many as are there: what a buffer holds bounds it. */
static void take_requests(struct conn *c)
{
	while (c->step == READING && !c->dead && c->in_len)
		if (!take_request(c))
			break;
}

void server_reply(
	struct server_request *rq, int status, const char *type, const char *body, size_t len)
{
	struct conn *c = (struct conn *)rq;
	bool outermost = c->depth == 0;

	enter(c);
	consume(c);
	answer(c, status, type, body, len);
	/* Called by handle(), whose caller goes on with what follows. */
	if (outermost)
		take_requests(c);
	leave(c);
}

void server_fault(struct server_request *rq, int status, const char *text)
{
	_free char *body = fault_text(text);

	server_reply(rq, status, "application/json", body, body ? strlen(body) : 0);
}

/* ---- the sockets' events ---- */

/* Room for what the request lacks. False: the connection is at its end. */
static bool make_room(struct conn *c)
{
	struct server *s = c->server;
	size_t want = c->head.len ? c->head.len + c->head.body_len : READ_ROOM;
	size_t path = c->head.len ? (size_t)(c->head.path - c->in) : 0;
	char *in;

	if (!c->head.len && c->in_len >= READ_ROOM)
		want = HTTP_HEAD_MAX;
	if (want <= c->in_room)
		return true;
	if (s->buffered + (want - c->in_room) > SERVER_BUFFERED_MAX) {
		refuse(c, 503, "Too many requests are under way.");
		return false;
	}
	in = realloc(c->in, want);
	if (!in) {
		c->dead = true;
		return false;
	}
	/* The path points into the buffer. */
	if (c->head.len)
		c->head.path = in + path;
	c->in = in;
	s->buffered += want - c->in_room;
	c->in_room = want;
	return true;
}

/* Throws away what still comes. */
static void skim(struct conn *c)
{
	char buf[4096];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		c->dead = true;
}

static void read_some(struct conn *c)
{
	ssize_t n;

	if (!make_room(c))
		return;
	n = recv(c->fd, c->in + c->in_len, c->in_room - c->in_len, MSG_DONTWAIT);
	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			c->dead = true;
		return;
	}
	if (!c->deadline_ms)
		set_deadline(c);
	c->in_len += (size_t)n;
	unlink_conn(c);
	link_first(c);
	take_requests(c);
}

static void on_readable(void *arg, int fd, short events)
{
	struct conn *c = arg;

	(void)fd;
	(void)events;
	enter(c);
	if (c->step == LEAVING)
		skim(c);
	else if (c->step == READING)
		read_some(c);
	leave(c);
}

static void on_writable(void *arg, int fd, short events)
{
	struct conn *c = arg;

	(void)fd;
	(void)events;
	enter(c);
	if (c->step == WRITING) {
		flush(c);
		take_requests(c);
	}
	leave(c);
}

/* ---- new connections, and time ---- */

/* The one of which nothing was heard for longest, of those that wait for nothing. */
static bool drop_idlest(struct server *s)
{
	struct conn *c = s->last;

	while (c && (c->step != READING || c->in_len || c->depth))
		c = c->prev;
	if (c)
		conn_free(c);
	return c;
}

static void conn_new(struct server *s, int fd)
{
	struct conn *c = calloc(1, sizeof(*c));
	struct err e;

	if (!c) {
		close(fd);
		return;
	}
	c->server = s;
	c->fd = fd;
	if (loop_add_fd(s->cfg.loop, fd, LOOP_READ, on_readable, c, &c->readable, &e)) {
		close(fd);
		free(c);
		return;
	}
	link_first(c);
	s->count++;
}

/* Level-triggered, it would be called again and again for what it cannot do now. */
static void pause_accepting(struct server *s)
{
	log_limited(LOG_WARN, "the API cannot take a connection: %s", strerror(errno));
	loop_event_enable(s->acceptable, false);
	s->paused = true;
	s->sweeps = true;
	loop_timer_set(s->sweep, PAUSE_US);
}

static void on_acceptable(void *arg, int fd, short events)
{
	struct server *s = arg;
	unsigned int i;
	int got;

	(void)events;
	for (i = 0; i < ACCEPT_TURN; i++) {
		got = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (got < 0 && (errno == EMFILE || errno == ENFILE) && drop_idlest(s))
			continue;
		if (got < 0) {
			if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
				pause_accepting(s);
			return;
		}
		if (s->count >= s->max && !drop_idlest(s))
			close(got);
		else
			conn_new(s, got);
	}
}

static void late(struct conn *c)
{
	enter(c);
	if (c->step == READING)
		refuse(c, 408, "The request did not arrive in time.");
	else
		c->dead = true;
	leave(c);
}

static void on_sweep(void *arg)
{
	struct server *s = arg;
	struct conn *c, *next;
	uint64_t now = clock_ms();
	bool more = false;

	s->sweeps = false;
	if (s->paused)
		loop_event_enable(s->acceptable, true);
	s->paused = false;
	for (c = s->first; c; c = next) {
		next = c->next;
		if (c->deadline_ms && now >= c->deadline_ms)
			late(c);
		else
			more |= c->deadline_ms != 0;
	}
	if (more)
		start_sweep(s);
}

/* Guests' devices need descriptors too. */
static unsigned int max_connections(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur / 2 >= SERVER_CONNECTIONS)
		return SERVER_CONNECTIONS;
	return (unsigned int)limit.rlim_cur / 2;
}

int server_new(struct server **out, const struct server_config *cfg, struct err *e)
{
	struct server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, -ENOMEM, "API socket: out of memory");
	s->cfg = *cfg;
	if (!s->cfg.request_ms)
		s->cfg.request_ms = SERVER_REQUEST_MS;
	s->sock.fd = -1;
	s->max = max_connections();
	r = loop_add_timer(cfg->loop, on_sweep, s, &s->sweep, e);
	if (!r)
		r = sock_listen(&s->sock, cfg->path, e);
	if (!r)
		r = loop_add_fd(
			cfg->loop, s->sock.fd, LOOP_READ, on_acceptable, s, &s->acceptable, e);
	if (r) {
		server_free(s);
		return r;
	}
	*out = s;
	return 0;
}

void server_free(struct server *s)
{
	if (!s)
		return;
	while (s->first)
		conn_free(s->first);
	loop_event_free(s->acceptable);
	loop_event_free(s->sweep);
	sock_close(&s->sock);
	free(s);
}
