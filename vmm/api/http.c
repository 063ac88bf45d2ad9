/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/api/http.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "vmm/util/bits.h"

/* More have no reason, and would be looked at one by one. */
#define HEADERS_MAX 64u
/* Far above all that is accepted, far below an overflow. */
#define LENGTH_MAX ((size_t)1 << 40)

static const char *const method_names[] = {
	[HTTP_GET] = "GET",
	[HTTP_PUT] = "PUT",
	[HTTP_PATCH] = "PATCH",
};

static bool refuse(struct http_fault *f, int status, const char *text)
{
	*f = (struct http_fault){ status, text };
	return false;
}

/* RFC 9110, 5.6.2. */
static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static size_t token_len(const char *p, size_t len)
{
	size_t i = 0;

	while (i < len && is_token_char(p[i]))
		i++;
	return i;
}

static bool set_method(struct http_head *h, const char *name, size_t len)
{
	unsigned int i;

	if (len == 0 || len >= sizeof(h->method_name))
		return false;
	memcpy(h->method_name, name, len);
	h->method_name[len] = '\0';
	h->method = HTTP_OTHER;
	for (i = 0; i < ARRAY_SIZE(method_names); i++)
		if (!strcmp(h->method_name, method_names[i]))
			h->method = (enum http_method)i;
	return true;
}

/* The target is visible ASCII; in the absolute form the path begins after the authority. */
static char *find_path(char *target, size_t len)
{
	static const char scheme[] = "http://";
	size_t i, skip = 0;

	for (i = 0; i < len; i++)
		if (target[i] <= ' ' || target[i] > '~')
			return NULL;
	if (len >= sizeof(scheme) - 1 && !strncasecmp(target, scheme, sizeof(scheme) - 1)) {
		skip = sizeof(scheme) - 1;
		while (skip < len && target[skip] != '/')
			skip++;
	}
	return skip < len && target[skip] == '/' ? target + skip : NULL;
}

/* "METHOD TARGET HTTP/1.1" without its line end; one blank between them (RFC 9112, 3). */
static bool parse_request_line(char *line, size_t len, struct http_head *h, struct http_fault *f)
{
	static const char version[] = " HTTP/1.";
	size_t method = token_len(line, len), end = len - sizeof(version);
	char *path, *query;

	if (len <= method + sizeof(version) || !set_method(h, line, method) || line[method] != ' ')
		return refuse(f, 400, "The request line is malformed.");
	if (memcmp(line + end, version, sizeof(version) - 1) != 0)
		return refuse(f, 400, "The request line is malformed or not of HTTP/1.1.");
	if (line[len - 1] != '1' && line[len - 1] != '0')
		return refuse(f, 505, "The HTTP version is not supported (HTTP/1.1 is).");
	h->keep_alive = line[len - 1] == '1';
	path = find_path(line + method + 1, end - method - 1);
	if (!path)
		return refuse(f, 400, "The request's target is no path.");
	line[end] = '\0';
	query = strpbrk(path, "?#");
	if (query)
		*query = '\0';
	h->path = path;
	return true;
}

static bool parse_length(const char *v, size_t len, size_t *out)
{
	size_t i, n = 0;

	for (i = 0; i < len; i++) {
		if (v[i] < '0' || v[i] > '9' || n > LENGTH_MAX)
			return false;
		n = n * 10 + (size_t)(v[i] - '0');
	}
	*out = n;
	return len > 0;
}

/* Is the word one of the list's, whose items commas divide? */
static bool list_has(const char *list, size_t len, const char *word)
{
	size_t i = 0, start, end, n = strlen(word);

	while (i < len) {
		start = i;
		while (i < len && list[i] != ',')
			i++;
		end = i++;
		while (start < end && (list[start] == ' ' || list[start] == '\t'))
			start++;
		while (end > start && (list[end - 1] == ' ' || list[end - 1] == '\t'))
			end--;
		if (end - start == n && !strncasecmp(list + start, word, n))
			return true;
	}
	return false;
}

struct header {
	const char *name, *value;
	size_t name_len, value_len;
};

static bool is_named(const struct header *h, const char *name)
{
	return h->name_len == strlen(name) && !strncasecmp(h->name, name, h->name_len);
}

/* "Name: value" without its line end (RFC 9112, 5). */
static bool split_header(const char *line, size_t len, struct header *h)
{
	size_t n = token_len(line, len), start, end = len, i;

	if (n == 0 || n == len || line[n] != ':')
		return false;
	for (i = n; i < len; i++)
		if (((unsigned char)line[i] < ' ' && line[i] != '\t') || line[i] == 0x7f)
			return false;
	for (start = n + 1; start < end && (line[start] == ' ' || line[start] == '\t');)
		start++;
	while (end > start && (line[end - 1] == ' ' || line[end - 1] == '\t'))
		end--;
	*h = (struct header){ line, line + start, n, end - start };
	return true;
}

static bool apply_header(
	const struct header *h, struct http_head *out, bool *has_length, struct http_fault *f)
{
	size_t n;

	if (is_named(h, "Content-Length")) {
		/* A second one that says another thing is how requests are smuggled. */
		if (!parse_length(h->value, h->value_len, &n) ||
			(*has_length && n != out->body_len))
			return refuse(f, 400, "Content-Length is malformed.");
		*has_length = true;
		out->body_len = n;
	} else if (is_named(h, "Transfer-Encoding")) {
		if (!list_has(h->value, h->value_len, "identity"))
			return refuse(f, 400,
				"Transfer-Encoding is not supported (send the body with its "
				"Content-Length).");
	} else if (is_named(h, "Connection")) {
		if (list_has(h->value, h->value_len, "close"))
			out->keep_alive = false;
		else if (list_has(h->value, h->value_len, "keep-alive"))
			out->keep_alive = true;
	} else if (is_named(h, "Expect")) {
		if (!list_has(h->value, h->value_len, "100-continue"))
			return refuse(f, 417, "This expectation is not supported.");
		out->expects_continue = true;
	}
	return true;
}

/* Where the line that starts here ends: at its CR LF, which the head has at its end. */
static size_t line_len(const char *p, size_t len)
{
	return (size_t)((const char *)memmem(p, len, "\r\n", 2) - p);
}

bool http_parse(char *buf, size_t len, struct http_head *out, struct http_fault *fault)
{
	const char *end = memmem(buf, len < HTTP_HEAD_MAX ? len : HTTP_HEAD_MAX, "\r\n\r\n", 4);
	size_t at, n, head;
	bool has_length = false;
	unsigned int count = 0;

	*fault = (struct http_fault){ 0, NULL };
	*out = (struct http_head){ 0 };
	if (!end && len >= HTTP_HEAD_MAX)
		return refuse(fault, 431, "The request's headers are too long.");
	if (!end)
		return false;
	head = (size_t)(end - buf) + 4;
	out->len = head;
	n = line_len(buf, head);
	if (!parse_request_line(buf, n, out, fault))
		return false;
	for (at = n + 2; at + 2 < head; at += n + 2) {
		struct header h;

		n = line_len(buf + at, head - at);
		if (count++ == HEADERS_MAX)
			return refuse(fault, 431, "The request has too many headers.");
		if (!split_header(buf + at, n, &h))
			return refuse(fault, 400, "A header of the request is malformed.");
		if (!apply_header(&h, out, &has_length, fault))
			return false;
	}
	return true;
}

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 400:
		return "Bad Request";
	case 408:
		return "Request Timeout";
	case 413:
		return "Payload Too Large";
	case 417:
		return "Expectation Failed";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

size_t http_answer(char *buf, int status, const char *type, size_t body_len, bool keep_alive)
{
	const char *connection = keep_alive ? "keep-alive" : "close";
	int n;

	if (type)
		n = snprintf(buf, HTTP_ANSWER_MAX,
			"HTTP/1.1 %d %s\r\nServer: Nacre API\r\nConnection: %s\r\n"
			"Content-Type: %s\r\nContent-Length: %zu\r\n\r\n",
			status, reason(status), connection, type, body_len);
	else
		n = snprintf(buf, HTTP_ANSWER_MAX,
			"HTTP/1.1 %d %s\r\nServer: Nacre API\r\nConnection: %s\r\n\r\n", status,
			reason(status), connection);
	return (size_t)n;
}
