/* SPDX-License-Identifier: Apache-2.0 */

/* The server, by clients of all kinds: each request is answered once and in order, or refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/served.h"
#include "tests/unit/test_api.h"
#include "vmm/util/bits.h"

static bool verbose; /* answers are long */

/* Tells what it got: METHOD PATH BODY. */
static void echo(void *ctx, struct server_request *rq)
{
	static char text[70000];
	int n;

	(void)ctx;
	if (rq->body_len == 1 && *rq->body == '-') {
		server_reply(rq, 204, NULL, NULL, 0);
		return;
	}
	n = snprintf(text, sizeof(text), "%s %s %.*s", rq->method_name, rq->path, (int)rq->body_len,
		rq->body);
	if (verbose) {
		memset(text + n, '.', sizeof(text) - (size_t)n);
		n = sizeof(text);
	}
	server_reply(rq, 200, "text/plain", text, (size_t)n);
}

static void start(void)
{
	served_start(echo);
}

static void say(int fd, const char *text)
{
	ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* All that comes until the other side ends. */
static size_t hear_all(int fd, char *buf, size_t size)
{
	size_t len = 0;
	ssize_t n = 0;

	while (len < size - 1 && (n = recv(fd, buf + len, size - 1 - len, 0)) > 0)
		len += (size_t)n;
	/* The end, and not the end of our patience. */
	ck_assert_int_eq(n, 0);
	buf[len] = '\0';
	return len;
}

/* One answer, as far as its length says: its status; the body is left in body. */
static int hear(int fd, char *body, size_t size)
{
	char head[512];
	size_t len = 0, want = 0;
	int status = 0;
	char *length;

	while (len < sizeof(head) - 1 && recv(fd, head + len, 1, 0) == 1) {
		head[++len] = '\0';
		if (len >= 4 && !strcmp(head + len - 4, "\r\n\r\n"))
			break;
	}
	if (sscanf(head, "HTTP/1.1 %d ", &status) != 1)
		return len ? -1 : 0;
	length = strstr(head, "Content-Length: ");
	if (length)
		want = strtoul(length + 16, NULL, 10);
	ck_assert_uint_lt(want, size);
	if (want)
		ck_assert_int_eq(recv(fd, body, want, MSG_WAITALL), (ssize_t)want);
	body[want] = '\0';
	return status;
}

static char body[80000];

START_TEST(request_is_answered)
{
	int fd;

	start();
	fd = served_dial();
	say(fd, "GET /a HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	ck_assert_str_eq(body, "GET /a ");
	/* The next one on the same connection, without an answer's body. */
	say(fd, "PUT /b HTTP/1.1\r\nContent-Length: 1\r\n\r\n-");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 204);
	say(fd, "PATCH /c HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\n\r\n12345");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	ck_assert_str_eq(body, "PATCH /c 12345");
	ck_assert_uint_eq(hear_all(fd, body, sizeof(body)), 0);
	close(fd);
}
END_TEST

START_TEST(what_is_no_path_is_nobodys)
{
	static const char *const asked[][2] = {
		{ "//version", "GET // " },
		{ "//", "GET // " },
		{ "*", "GET // " },
		{ "http://localhost//version", "GET //version " },
		{ "http://localhost/version", "GET /version " },
		{ "http://localhost", "GET / " },
		{ "/version?a//b", "GET /version " },
	};
	char text[64];
	int fd;

	start();
	fd = served_dial();
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", asked[_i][0]);
	say(fd, text);
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	ck_assert_str_eq(body, asked[_i][1]);
	close(fd);
}
END_TEST

/* A relay before us may have believed the other one. */
START_TEST(two_lengths_end_the_connection)
{
	int fd;

	start();
	fd = served_dial();
	say(fd, "PUT /a HTTP/1.1\r\nContent-Length: 2\r\nX: y\r\ncontent-length: 2\r\n\r\nab");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	say(fd, "PUT /a HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabGET /b");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 400);
	ck_assert_ptr_nonnull(strstr(body, "Content-Length is given twice"));
	hear_all(fd, body, sizeof(body));
	close(fd);
}
END_TEST

/* Byte by byte, and while another client is served. */
START_TEST(slow_client_delays_nobody)
{
	static const char text[] = "PUT /slow HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
	int slow, fd;
	size_t i;

	start();
	slow = served_dial();
	fd = served_dial();
	for (i = 0; i < sizeof(text) - 1; i++) {
		ck_assert_int_eq(send(slow, text + i, 1, MSG_NOSIGNAL), 1);
		say(fd, "GET /quick HTTP/1.1\r\n\r\n");
		if (hear(fd, body, sizeof(body)) != 200)
			ck_abort_msg("at byte %zu", i);
	}
	ck_assert_int_eq(hear(slow, body, sizeof(body)), 200);
	ck_assert_str_eq(body, "PUT /slow abc");
	close(slow);
	close(fd);
}
END_TEST

/* With answers that are short (0), and so long that the client has to read meanwhile (1). */
START_TEST(pipelined_requests_are_answered_in_order)
{
	/* As many as the kernel takes of who does not read. */
	int fd, i, count = _i == 1 ? 150 : 500;
	char text[64];

	verbose = _i == 1;
	start();
	fd = served_dial();
	for (i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "GET /%d HTTP/1.1\r\n\r\n", i);
		say(fd, text);
	}
	for (i = 0; i < count; i++) {
		char want[32];

		snprintf(want, sizeof(want), "GET /%d ", i);
		if (hear(fd, body, sizeof(body)) != 200 || strncmp(body, want, strlen(want)) != 0)
			ck_abort_msg("answer %d: %.40s", i, body);
	}
	close(fd);
}
END_TEST

/* Who sends and does not read is not read from: what it has sent stays in the kernel. */
START_TEST(client_that_does_not_read_is_left_alone)
{
	static const char text[] = "GET /x HTTP/1.1\r\n\r\n";
	size_t sent = 0, waits = 0;
	ssize_t n;
	int fd;

	verbose = true;
	start();
	fd = served_dial();
	while (waits < 100) {
		n = send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0)
			sent += (size_t)n;
		waits = n > 0 ? 0 : waits + 1;
		if (n < 0)
			usleep(1000);
	}
	ck_assert_uint_lt(sent, MIB(4));
	/* Others are. */
	close(fd);
	fd = served_dial();
	say(fd, text);
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	close(fd);
}
END_TEST

static const struct {
	const char *text;
	int status;
} refused[] = {
	{ "GARBAGE\r\n\r\n", 400 },
	{ "GET / SPDY/3\r\n\r\n", 400 },
	{ "GET /\r\nno header\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: 0x10\r\n\r\n", 400 },
};

/* Nobody knows where the next request would begin. */
START_TEST(error_ends_the_connection)
{
	int fd;

	start();
	fd = served_dial();
	say(fd, refused[_i].text);
	shutdown(fd, SHUT_WR);
	ck_assert_int_eq(hear(fd, body, sizeof(body)), refused[_i].status);
	ck_assert_uint_eq(hear_all(fd, body, sizeof(body)), 0);
	close(fd);
}
END_TEST

START_TEST(head_has_a_largest_size)
{
	static const char line[] = "X: 12345678901234567890123456789012345678901234567890\r\n";
	char head[SERVER_HEAD_MAX + 1000] = "GET / HTTP/1.1\r\n";
	int fd;

	start();
	fd = served_dial();
	if (_i)
		memset(head, 'x', sizeof(head) - 1);
	while (strlen(head) < SERVER_HEAD_MAX + 600)
		strcat(head, line);
	say(fd, head);
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 400);
	close(fd);
}
END_TEST

START_TEST(body_may_come_in_chunks)
{
	int fd;

	start();
	fd = served_dial();
	say(fd, "PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	say(fd, "1\r\n!\r\n0\r\n\r\n");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	ck_assert_str_eq(body, "PUT /c hello!");
	close(fd);
}
END_TEST

/* The longest body there may be, and one of 10 MiB: its sender sees the answer, and nobody keeps it. */
START_TEST(body_has_a_largest_size)
{
	static char large[MIB(10)];
	char head[128];
	size_t sent = 0;
	ssize_t n;
	int fd;

	memset(large, 'x', sizeof(large));
	start();
	fd = served_dial();
	say(fd, "PUT /large HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 51200\r\n\r\n");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 100);
	ck_assert_int_eq(send(fd, large, 51200, MSG_NOSIGNAL), 51200);
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	ck_assert_uint_eq(strlen(body), strlen("PUT /large ") + 51200);
	/* A byte more is answered like other mistakes; then the connection still serves. */
	say(fd, "PUT /large HTTP/1.1\r\nContent-Length: 51201\r\n\r\n");
	ck_assert_int_eq(send(fd, large, 51201, MSG_NOSIGNAL), 51201);
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 413);
	ck_assert_str_eq(body, "{\"fault_message\":\"Request payload with size 51201 is larger "
			       "than the limit of 51200 allowed by server.\"}");
	snprintf(
		head, sizeof(head), "PUT / HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", sizeof(large));
	say(fd, head);
	while (sent < sizeof(large)) {
		n = send(fd, large + sent, sizeof(large) - sent, MSG_NOSIGNAL);
		if (n <= 0)
			break;
		sent += (size_t)n;
	}
	ck_assert_uint_eq(sent, sizeof(large));
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 413);
	close(fd);
}
END_TEST

START_TEST(half_a_request_is_not_waited_for)
{
	int fd;

	served.request_ms = 200;
	start();
	fd = served_dial();
	say(fd, _i ? "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1234" : "GET / HT");
	ck_assert_uint_eq(hear_all(fd, body, sizeof(body)), 0);
	close(fd);
	/* One that is complete was in time, and its connection may stay. */
	fd = served_dial();
	say(fd, "GET / HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	usleep(1500000);
	say(fd, "GET / HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	close(fd);
}
END_TEST

/* More than there may be: those that were idle for longest go, and those that just came are served. */
START_TEST(connections_are_bounded)
{
	struct rlimit few = { 128, 128 }, many;
	int fds[90];
	char byte;
	size_t i;

	getrlimit(RLIMIT_NOFILE, &many);
	few.rlim_max = many.rlim_max;
	setrlimit(RLIMIT_NOFILE, &few);
	start();
	/* Ours are 90 of them; the server's share is 64. */
	few.rlim_cur = many.rlim_cur;
	setrlimit(RLIMIT_NOFILE, &few);
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = served_dial();
	for (i = 0; i < ARRAY_SIZE(fds) - 64; i++)
		if (recv(fds[i], &byte, 1, 0) != 0)
			ck_abort_msg("%zu is still there", i);
	for (; i < ARRAY_SIZE(fds); i++) {
		say(fds[i], "GET / HTTP/1.1\r\n\r\n");
		if (hear(fds[i], body, sizeof(body)) != 200)
			ck_abort_msg("%zu is gone", i);
	}
	for (i = 0; i < ARRAY_SIZE(fds); i++)
		close(fds[i]);
}
END_TEST

/* A thousand that say nothing harm nobody. */
START_TEST(idle_connections_stay)
{
	struct rlimit limit;
	unsigned int n, i;
	int *fds;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	n = limit.rlim_cur < 4096 ? 100 : 1000;
	fds = calloc(n, sizeof(*fds));
	start();
	for (i = 0; i < n; i++)
		fds[i] = served_dial();
	for (i = 0; i < n; i += 37) {
		say(fds[i], "GET / HTTP/1.1\r\n\r\n");
		if (hear(fds[i], body, sizeof(body)) != 200)
			ck_abort_msg("%u is gone", i);
	}
	for (i = 0; i < n; i++)
		close(fds[i]);
	free(fds);
}
END_TEST

/* Clients that leave in the middle of it. */
START_TEST(clients_may_go_at_any_time)
{
	static const char text[] = "PUT /slow HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
	size_t i;
	int fd;

	start();
	for (i = 0; i < sizeof(text); i++) {
		fd = served_dial();
		send(fd, text, i, MSG_NOSIGNAL);
		close(fd);
	}
	fd = served_dial();
	say(fd, "GET / HTTP/1.1\r\n\r\n");
	ck_assert_int_eq(hear(fd, body, sizeof(body)), 200);
	close(fd);
}
END_TEST

TCase *api_server_case(void)
{
	TCase *t = tcase_create("server");

	tcase_add_checked_fixture(t, served_setup, served_end);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, request_is_answered);
	tcase_add_loop_test(t, what_is_no_path_is_nobodys, 0, 7);
	tcase_add_test(t, two_lengths_end_the_connection);
	tcase_add_test(t, slow_client_delays_nobody);
	tcase_add_loop_test(t, pipelined_requests_are_answered_in_order, 0, 2);
	tcase_add_test(t, client_that_does_not_read_is_left_alone);
	tcase_add_loop_test(t, error_ends_the_connection, 0, (int)ARRAY_SIZE(refused));
	tcase_add_loop_test(t, head_has_a_largest_size, 0, 2);
	tcase_add_test(t, body_may_come_in_chunks);
	tcase_add_test(t, body_has_a_largest_size);
	tcase_add_loop_test(t, half_a_request_is_not_waited_for, 0, 2);
	tcase_add_test(t, connections_are_bounded);
	tcase_add_test(t, idle_connections_stay);
	tcase_add_test(t, clients_may_go_at_any_time);
	return t;
}
