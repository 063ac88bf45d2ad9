/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Answers that are made while they are sent: the server's side, and nacre ctl's. The server is one of our
 * own, whose time passes only when a test has it pass, and which looks at deadlines all the time.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "vmm/util/clock.h"
#include "vmm/util/loop.h"

static atomic_ullong fake_ms;

static uint64_t fake_clock_ms(void)
{
	return atomic_load(&fake_ms);
}

static void fake_timer_set(struct loop_event *ev, uint64_t usec)
{
	loop_timer_set(ev, usec / 100);
}

/* No room for what is known of a connection; of the server's own it has been made by then. */
static atomic_bool no_room;

static void *fake_calloc(size_t n, size_t size)
{
	return atomic_load(&no_room) ? NULL : (calloc)(n, size);
}

#define calloc(n, size)	    fake_calloc(n, size)
#define clock_ms	    fake_clock_ms
#define loop_timer_set	    fake_timer_set
#define server_new	    stream_server_new
#define server_free	    stream_server_free
#define server_reply	    stream_server_reply
#define server_send_stream  stream_server_send_stream
#define server_fault	    stream_server_fault
#define server_make_bev	    stream_server_make_bev
#define server_accept_error stream_server_accept_error
#define server_sweep	    stream_server_sweep
#define server_find_conn    stream_server_find_conn
#define server_end_request  stream_server_end_request
#define server_hang_up	    stream_server_hang_up
#define server_conn_free    stream_server_conn_free
#define server_stream_again stream_server_stream_again
#define server_stream_end   stream_server_stream_end
#include "vmm/api/server.c"
#include "vmm/api/server_conn.c"
#include "vmm/api/server_stream.c"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/served.h"
#include "tests/unit/suites.h"
#include "vmm/api/server.h"
#include "vmm/ctl_http.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

#define PIECE 100000u

static struct {
	/* The largest piece, and what each call for one takes. */
	unsigned int piece, making_ms;
	/* The stream: so many bytes, of which the first have been given, and a failure behind them. */
	size_t total, given;
	unsigned int turn;
	int fails;
	bool never;
	atomic_uint running, done;
} st;

static uint8_t byte_at(size_t i)
{
	return (uint8_t)(i * 7 + i / 256);
}

/* Every third time there is nothing yet; pieces are of all sizes. */
static ssize_t on_next(void *ctx, void *buf)
{
	uint8_t *to = buf;
	size_t n = min_u64(st.total - st.given, 1 + st.turn * 7919 % st.piece), i;

	(void)ctx;
	atomic_fetch_add(&fake_ms, st.making_ms);
	if (st.making_ms)
		usleep(SWEEP_US / 1000);
	if (++st.turn % 3 == 0 || st.never)
		return -EAGAIN;
	if (!n)
		return st.fails;
	for (i = 0; i < n; i++)
		to[i] = byte_at(st.given + i);
	st.given += n;
	return (ssize_t)n;
}

static void on_done(void *ctx)
{
	(void)ctx;
	atomic_fetch_sub(&st.running, 1);
	atomic_fetch_add(&st.done, 1);
}

static void handle(void *ctx, struct server_request *rq)
{
	static const struct server_stream stream = { "application/octet-stream", PIECE, on_next,
		on_done, NULL };
	struct err e = { "" };

	(void)ctx;
	if (strcmp(rq->path, "/stream") != 0) {
		server_reply(rq, 200, "text/plain", rq->query ? rq->query : "none",
			strlen(rq->query ? rq->query : "none"));
		return;
	}
	if (server_send_stream(rq, &stream, &e)) {
		server_fault(rq, 400, e.msg);
		return;
	}
	st.given = st.turn = 0;
	atomic_fetch_add(&st.running, 1);
}

static void start(void)
{
	served_start(handle);
}

static void setup(void)
{
	memset(&st, 0, sizeof(st));
	atomic_store(&fake_ms, 1);
	st.piece = PIECE;
	served_setup();
	served.make = server_new;
	served.unmake = server_free;
}

static void end(void)
{
	served_end();
	ck_assert_uint_eq(st.running, 0);
}

/* Waits, however slow this machine is. */
static void await_done(unsigned int count)
{
	unsigned int tries;

	for (tries = 0; atomic_load(&st.done) < count && tries < 6000; tries++)
		usleep(10000);
	ck_assert_uint_eq(st.done, count);
}

/* ---- the client ---- */

struct taken {
	size_t bytes, limit;
	bool wrong;
};

static int take(void *ctx, const void *bytes, size_t len, struct err *e)
{
	struct taken *t = ctx;
	const uint8_t *p = bytes;
	size_t i;

	for (i = 0; i < len; i++)
		t->wrong |= p[i] != byte_at(t->bytes + i);
	t->bytes += len;
	return t->bytes >= t->limit ? err_set(e, -ENOSPC, "enough") : 0;
}

static int download(struct taken *t, struct err *e)
{
	struct ctl_answer a;
	int r = ctl_download(served.path, "/stream", take, t, &a, e);

	if (!r)
		ck_assert_int_eq(a.status, 200);
	ctl_answer_free(&a);
	return r;
}

static void download_all(void)
{
	struct taken t = { .limit = SIZE_MAX };
	struct err e = { "" };

	ck_assert_msg(download(&t, &e) == 0, "%s", e.msg);
	ck_assert_uint_eq(t.bytes, st.total);
	ck_assert(!t.wrong);
}

static const size_t totals[] = { 0, 1, PIECE, 5000000 };

START_TEST(all_of_it_comes)
{
	st.total = totals[_i];
	start();
	download_all();
	/* And once more. */
	download_all();
	await_done(2);
	end();
}
END_TEST

START_TEST(what_breaks_off_is_seen)
{
	struct taken t = { .limit = SIZE_MAX };
	struct err e = { "" };

	st.total = 300000;
	st.fails = -EIO;
	start();
	ck_assert_int_eq(download(&t, &e), -EPROTO);
	ck_assert_str_eq(e.msg, "the answer was cut short");
	ck_assert(!t.wrong);
	await_done(1);
	end();
}
END_TEST

/* Not as an answer of nothing, which would look whole. */
START_TEST(who_cannot_be_looked_after_gets_none)
{
	struct taken t = { .limit = SIZE_MAX };
	struct ctl_answer a;
	struct err e = { "" };

	st.total = 1000;
	start();
	atomic_store(&no_room, true);
	ck_assert_msg(!ctl_download(served.path, "/stream", take, &t, &a, &e), "%s", e.msg);
	atomic_store(&no_room, false);
	ck_assert_int_eq(a.status, 400);
	ck_assert_str_eq(a.body, "{\"fault_message\":\"Out of memory.\"}");
	ctl_answer_free(&a);
	ck_assert_msg(!download(&t, &e), "%s", e.msg);
	ck_assert_uint_eq(t.bytes, st.total);
	await_done(1);
	end();
}
END_TEST

START_TEST(clients_may_go)
{
	struct taken t = { .limit = 200000 };
	struct err e = { "" };
	unsigned int i;

	st.total = 50000000;
	start();
	for (i = 1; i <= 3; i++) {
		t.bytes = 0;
		ck_assert_int_eq(download(&t, &e), -ENOSPC);
		await_done(i);
	}
	st.total = 1000;
	download_all();
	await_done(4);
	end();
}
END_TEST

/* So much time passes, and the server has looked at its deadlines since. */
static void pass(unsigned int ms)
{
	atomic_fetch_add(&fake_ms, ms);
	usleep(5 * SWEEP_US / 100);
}

/* Time that passes while the server is still at work is not the client's; but it will have to wait soon. */
static void pass_until_done(void)
{
	unsigned int tries;

	for (tries = 0; !atomic_load(&st.done) && tries < 600; tries++)
		pass(2000);
	ck_assert_uint_eq(st.done, 1);
}

static int open_stalled(void)
{
	static const char request[] = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = served_dial(), tries;

	/* The time of the request is not that of its answer. */
	ck_assert_int_eq(send(fd, request, 10, MSG_NOSIGNAL), 10);
	pass(0);
	pass(SERVER_REQUEST_MS - 1000);
	ck_assert_int_eq(
		send(fd, request + 10, sizeof(request) - 11, MSG_NOSIGNAL), sizeof(request) - 11);
	for (tries = 0; !atomic_load(&st.running) && tries < 6000; tries++)
		usleep(10000);
	ck_assert_uint_eq(st.running, 1);
	return fd;
}

START_TEST(others_are_answered_meanwhile)
{
	struct taken t = { .limit = SIZE_MAX };
	struct ctl_answer a;
	struct err e = { "" };
	int fd;

	st.total = 50000000;
	start();
	fd = open_stalled();
	ck_assert_int_eq(ctl_request(served.path, "GET", "/x?a=1&b", NULL, &a, &e), 0);
	ck_assert_str_eq(a.body, "a=1&b");
	ctl_answer_free(&a);
	ck_assert_int_eq(ctl_request(served.path, "GET", "/x", NULL, &a, &e), 0);
	ck_assert_str_eq(a.body, "none");
	ctl_answer_free(&a);
	/* One at a time. */
	ck_assert_int_eq(ctl_download(served.path, "/stream", take, &t, &a, &e), 0);
	ck_assert_int_eq(a.status, 400);
	ck_assert_ptr_nonnull(strstr(a.body, "on its way"));
	ctl_answer_free(&a);
	ck_assert_uint_eq(st.done, 0);
	/* What has not been taken is not made. */
	ck_assert_uint_lt(st.given, 10000000);
	close(fd);
	await_done(1);
	end();
}
END_TEST

/* Reads so much and no more: 0, or the server has hung up. */
static int take_some(int fd, size_t len)
{
	static char bytes[65536];
	ssize_t n;

	for (; len; len -= (size_t)n) {
		/* With a limit of time it ends also when the process is stopped and goes on. */
		do
			n = recv(fd, bytes, min_u64(len, sizeof(bytes)), 0);
		while (n < 0 && errno == EINTR);
		if (n <= 0)
			return -1;
	}
	return 0;
}

START_TEST(who_takes_nothing_is_hung_up)
{
	int fd;

	st.total = 50000000;
	start();
	fd = open_stalled();
	pass(SERVER_REQUEST_MS - 1000);
	ck_assert_uint_eq(st.done, 0);
	pass_until_done();
	close(fd);
	end();
}
END_TEST

/* At a third of what is asked for; the pauses are short. */
START_TEST(who_takes_too_little_is_hung_up)
{
	size_t taken;
	int fd;

	st.total = 1000000000;
	start();
	fd = open_stalled();
	for (taken = 0; !take_some(fd, 300000) && taken < 100000000; taken += 300000)
		pass(900);
	ck_assert_uint_gt(taken, 3000000);
	ck_assert_uint_lt(taken, 100000000);
	await_done(1);
	close(fd);
	end();
}
END_TEST

/* For longer than one may pause; in large pieces, or in such as give no time each. */
START_TEST(who_takes_enough_may_take_long)
{
	unsigned int i;
	int fd;

	st.total = 50000000;
	st.piece = _i ? SERVER_STREAM_RATE - 1 : PIECE;
	start();
	fd = open_stalled();
	for (i = 0; i < 2 * SERVER_REQUEST_MS / 5; i++) {
		ck_assert_int_eq(take_some(fd, 6000), 0);
		atomic_fetch_add(&fake_ms, 5);
	}
	ck_assert_uint_eq(st.done, 0);
	close(fd);
	await_done(1);
	end();
}
END_TEST

START_TEST(who_was_quick_may_pause_no_longer)
{
	int fd;

	st.total = 100000000;
	start();
	fd = open_stalled();
	ck_assert_int_eq(take_some(fd, 50000000), 0);
	pass(SERVER_REQUEST_MS - 1000);
	ck_assert_uint_eq(st.done, 0);
	pass_until_done();
	close(fd);
	end();
}
END_TEST

/* Each piece takes us as long as a client may pause, and so does finding that there is none yet. */
START_TEST(our_own_slowness_is_nobodys_fault)
{
	st.total = 2000000;
	st.making_ms = SERVER_REQUEST_MS;
	start();
	download_all();
	await_done(1);
	end();
}
END_TEST

START_TEST(who_goes_while_we_search_is_noticed)
{
	int fd;

	st.total = 50000000;
	st.never = true;
	start();
	fd = open_stalled();
	ck_assert_uint_eq(st.done, 0);
	close(fd);
	await_done(1);
	end();
}
END_TEST

START_TEST(its_type_is_told)
{
	char head[4096] = "";
	size_t n = 0;
	ssize_t got;
	int fd;

	st.total = 50000000;
	start();
	fd = open_stalled();
	while (!strstr(head, "\r\n\r\n") && n < sizeof(head) - 1) {
		got = recv(fd, head + n, sizeof(head) - 1 - n, 0);
		ck_assert_int_gt(got, 0);
		n += (size_t)got;
		head[n] = '\0';
	}
	ck_assert_ptr_nonnull(strstr(head, "\r\nServer: Nacre API\r\n"));
	ck_assert_ptr_nonnull(strstr(head, "\r\nContent-Type: application/octet-stream\r\n"));
	close(fd);
	await_done(1);
	end();
}
END_TEST

START_TEST(the_server_may_end_first)
{
	int fd;

	st.total = 50000000;
	start();
	fd = open_stalled();
	end();
	ck_assert_uint_eq(st.done, 1);
	close(fd);
}
END_TEST

/* ---- a server that does not speak as it should ---- */

static const struct {
	const char *answer;
	int code;
	const char *says;
} strange[] = {
#define HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	{ HEAD "3\r\nabc\r\n0\r\n\r\n", 0, "" },
	{ HEAD "3\r\nabc\r\n", -EPROTO, "cut short" },
	{ HEAD "3\r\nab", -EPROTO, "cut short" },
	{ HEAD "3\r\nabcd\r\n0\r\n\r\n", -EPROTO, "not HTTP" },
	{ HEAD "x\r\n", -EPROTO, "not HTTP" },
	{ HEAD "\r\n", -EPROTO, "not HTTP" },
	{ HEAD "3x\r\nabc\r\n0\r\n\r\n", -EPROTO, "not HTTP" },
	{ HEAD "+3\r\nabc\r\n0\r\n\r\n", -EPROTO, "not HTTP" },
	{ HEAD "31\nabc\r\n0\r\n\r\n", -EPROTO, "not HTTP" },
	{ "HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n", 0, "" },
	{ HEAD "-1\r\nabc\r\n", -EPROTO, "not HTTP" },
	{ HEAD "ffffffffffffffffff\r\nabc", -EPROTO, "cut short" },
	{ HEAD "3\nabc\n0\n\n", -EPROTO, "not HTTP" },
	{ HEAD "000000000000000000000000000000000000000000000000000000000000000000003\r\n", -EPROTO,
		"not HTTP" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", -EPROTO, "in pieces" },
	{ "nonsense\r\n\r\n", -EPROTO, "not HTTP" },
	{ "", -EPROTO, "without an answer" },
};

static int forget(void *ctx, const void *bytes, size_t len, struct err *e)
{
	(void)ctx;
	(void)bytes;
	(void)len;
	(void)e;
	return 0;
}

static void *serve_strangely(void *arg)
{
	const char *answer = arg;
	int fd = accept(st.given ? (int)st.given : -1, NULL, NULL);
	char request[1024];

	ck_assert_int_gt(recv(fd, request, sizeof(request), 0), 0);
	(void)!send(fd, answer, strlen(answer), MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	while (recv(fd, request, sizeof(request), 0) > 0)
		;
	close(fd);
	return NULL;
}

START_TEST(strange_answers_end)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ctl_answer a;
	struct err e = { "" };
	pthread_t thread;

	strcpy(addr.sun_path, served.path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	st.given = (size_t)fd;
	pthread_create(&thread, NULL, serve_strangely, (void *)(uintptr_t)strange[_i].answer);
	ck_assert_int_eq(
		ctl_download(served.path, "/stream", forget, NULL, &a, &e), strange[_i].code);
	ck_assert_msg(strstr(e.msg, strange[_i].says) != NULL, "%s", e.msg);
	ctl_answer_free(&a);
	pthread_join(thread, NULL);
	close(fd);
	unlink(served.path);
}
END_TEST

Suite *api_stream_suite(void)
{
	Suite *s = suite_create("api-stream");
	TCase *t = tcase_create("stream");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, all_of_it_comes, 0, ARRAY_SIZE(totals));
	tcase_add_test(t, what_breaks_off_is_seen);
	tcase_add_test(t, who_cannot_be_looked_after_gets_none);
	tcase_add_test(t, clients_may_go);
	tcase_add_test(t, others_are_answered_meanwhile);
	tcase_add_test(t, who_takes_nothing_is_hung_up);
	tcase_add_test(t, who_takes_too_little_is_hung_up);
	tcase_add_loop_test(t, who_takes_enough_may_take_long, 0, 2);
	tcase_add_test(t, who_was_quick_may_pause_no_longer);
	tcase_add_test(t, our_own_slowness_is_nobodys_fault);
	tcase_add_test(t, who_goes_while_we_search_is_noticed);
	tcase_add_test(t, its_type_is_told);
	tcase_add_test(t, the_server_may_end_first);
	tcase_add_loop_test(t, strange_answers_end, 0, ARRAY_SIZE(strange));
	suite_add_tcase(s, t);
	return s;
}
