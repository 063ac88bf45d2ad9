/* SPDX-License-Identifier: Apache-2.0 */

/* What a client sends: read strictly, and cut where it says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/test_api.h"
#include "vmm/api/http.h"
#include "vmm/util/bits.h"

/* Parsed from memory that ends where the text does, so that a look beyond it shows. */
static bool parse(
	const char *text, size_t len, struct http_head *h, struct http_fault *f, char *path)
{
	char *copy = malloc(len ? len : 1);
	bool done;

	memcpy(copy, text, len);
	done = http_parse(copy, len, h, f);
	if (done)
		snprintf(path, 64, "%s", h->path);
	free(copy);
	return done;
}

static const struct {
	const char *text;
	enum http_method method;
	const char *path;
	size_t body;
	bool keep_alive, expects;
} good[] = {
	{ "GET / HTTP/1.1\r\n\r\n", HTTP_GET, "/", 0, true, false },
	{ "GET / HTTP/1.0\r\n\r\n", HTTP_GET, "/", 0, false, false },
	{ "GET /x HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", HTTP_GET, "/x", 0, true, false },
	{ "PUT /a/b?c=d HTTP/1.1\r\nContent-Length: 12\r\n\r\n", HTTP_PUT, "/a/b", 12, true,
		false },
	{ "PATCH /a#b HTTP/1.1\r\ncontent-length:\t7 \r\nConnection: x, close\r\n\r\n", HTTP_PATCH,
		"/a", 7, false, false },
	{ "DELETE /a HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", HTTP_OTHER, "/a", 0, true,
		false },
	{ "GET http://localhost/version HTTP/1.1\r\nHost: localhost\r\n\r\n", HTTP_GET, "/version",
		0, true, false },
	{ "PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\nContent-Length: "
	  "1\r\n\r\n",
		HTTP_PUT, "/", 1, true, true },
	{ "GET / HTTP/1.1\r\nX:\r\nY: \xff\r\n\r\n", HTTP_GET, "/", 0, true, false },
};

START_TEST(request_is_understood)
{
	size_t len = strlen(good[_i].text), i;
	struct http_fault f;
	struct http_head h;
	char path[64];

	/* Never before its end. */
	for (i = 0; i < len; i++) {
		if (parse(good[_i].text, i, &h, &f, path) || f.status)
			ck_abort_msg("at %zu: %s", i, f.text);
	}
	ck_assert_msg(parse(good[_i].text, len, &h, &f, path), "%s", f.text);
	ck_assert_int_eq(h.method, good[_i].method);
	ck_assert_str_eq(path, good[_i].path);
	ck_assert_uint_eq(h.len, len);
	ck_assert_uint_eq(h.body_len, good[_i].body);
	ck_assert_int_eq(h.keep_alive, good[_i].keep_alive);
	ck_assert_int_eq(h.expects_continue, good[_i].expects);
}
END_TEST

static const struct {
	const char *text;
	int status;
} bad[] = {
	{ "\r\n\r\n", 400 },
	{ "GET\r\n\r\n", 400 },
	{ "GET /\r\n\r\n", 400 },
	{ " / HTTP/1.1\r\n\r\n", 400 },
	{ "GET  / HTTP/1.1\r\n\r\n", 400 },
	{ "GET /a b HTTP/1.1\r\n\r\n", 400 },
	{ "GET a HTTP/1.1\r\n\r\n", 400 },
	{ "GET http://localhost HTTP/1.1\r\n\r\n", 400 },
	{ "GET /\x01 HTTP/1.1\r\n\r\n", 400 },
	{ "GET /\xc3\xa9 HTTP/1.1\r\n\r\n", 400 },
	{ "G\x02T / HTTP/1.1\r\n\r\n", 400 },
	{ "GETGETGETGETGETGET / HTTP/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/2.0\r\n\r\n", 400 },
	{ "GET / HTTP/1.2\r\n\r\n", 505 },
	{ "GET / http/1.1\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\nHost: x\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\n: x\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nA: x\r\n folded\r\n\r\n", 400 },
	{ "GET / HTTP/1.1\r\nA: x\ry\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: \r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: 18446744073709551617\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400 },
	{ "PUT / HTTP/1.1\r\nExpect: gold\r\n\r\n", 417 },
};

START_TEST(request_is_refused)
{
	struct http_fault f;
	struct http_head h;
	char path[64];

	ck_assert(!parse(bad[_i].text, strlen(bad[_i].text), &h, &f, path));
	ck_assert_int_eq(f.status, bad[_i].status);
	ck_assert(f.text && *f.text);
}
END_TEST

START_TEST(head_has_a_largest_size)
{
	static char text[HTTP_HEAD_MAX + 10];
	struct http_fault f;
	struct http_head h;
	char path[64];
	int n;

	memset(text, 'x', sizeof(text));
	n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nX: ");
	text[n] = 'x';
	ck_assert(!parse(text, HTTP_HEAD_MAX - 1, &h, &f, path));
	ck_assert_int_eq(f.status, 0);
	ck_assert(!parse(text, HTTP_HEAD_MAX, &h, &f, path));
	ck_assert_int_eq(f.status, 431);
	/* One that ends there, but for a byte. */
	memcpy(text + HTTP_HEAD_MAX - 3, "\r\n\r\n", 4);
	ck_assert(!parse(text, HTTP_HEAD_MAX + 1, &h, &f, path));
	ck_assert_int_eq(f.status, 431);
	memcpy(text + HTTP_HEAD_MAX - 4, "\r\n\r\n", 5);
	ck_assert(parse(text, HTTP_HEAD_MAX, &h, &f, path));
}
END_TEST

START_TEST(headers_are_counted)
{
	char text[1024] = "GET / HTTP/1.1\r\n";
	struct http_fault f;
	struct http_head h;
	char path[64];
	unsigned int i;

	for (i = 0; i < 64u + (unsigned int)_i; i++)
		strcat(text, "A: b\r\n");
	strcat(text, "\r\n");
	ck_assert_int_eq(parse(text, strlen(text), &h, &f, path), _i == 0);
	ck_assert_int_eq(f.status, _i ? 431 : 0);
}
END_TEST

TCase *api_http_case(void)
{
	TCase *t = tcase_create("http");

	tcase_add_loop_test(t, request_is_understood, 0, (int)ARRAY_SIZE(good));
	tcase_add_loop_test(t, request_is_refused, 0, (int)ARRAY_SIZE(bad));
	tcase_add_test(t, head_has_a_largest_size);
	tcase_add_loop_test(t, headers_are_counted, 0, 2);
	return t;
}
