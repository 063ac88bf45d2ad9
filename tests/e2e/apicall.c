/* SPDX-License-Identifier: Apache-2.0 */

/*
 * apicall SOCKET METHOD PATH [BODY] - one request; prints the status and, on the next line, the body
 * apicall SOCKET load SECONDS RATE  - GET / so many times a second on one connection, 0 for as often as
 *                                     answers come; prints how many were sent, how many answers came
 *                                     back in their order, and how long they took
 * apicall SOCKET idle N SECONDS     - N connections that say nothing, and one that asks now and then
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_S 30
#define BUCKETS	   20000 /* of a microsecond each; the last takes all above */

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void die(const char *what)
{
	fprintf(stderr, "apicall: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int dial(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { PATIENCE_S, 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		die(path);
	return fd;
}

static void say(int fd, const char *p, size_t len)
{
	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			die("send");
		p += n;
		len -= (size_t)n;
	}
}

/* One answer into buf, which is left with the body; its status, 0 when the other side ended instead. */
static int hear(int fd, char *buf, size_t size)
{
	size_t len = 0, head = 0, want = 0;
	int status = 0;
	char *p;

	while (!head || len < head + want) {
		ssize_t n = recv(fd, buf + len, size - 1 - len, 0);

		if (n <= 0)
			return 0;
		len += (size_t)n;
		buf[len] = '\0';
		p = head ? NULL : strstr(buf, "\r\n\r\n");
		if (!p)
			continue;
		head = (size_t)(p - buf) + 4;
		if (sscanf(buf, "HTTP/1.1 %d ", &status) != 1)
			return 0;
		p = strstr(buf, "Content-Length: ");
		want = p && p < buf + head ? strtoul(p + 16, NULL, 10) : 0;
		if (head + want >= size)
			return 0;
	}
	memmove(buf, buf + head, len - head);
	buf[len - head] = '\0';
	return status;
}

static int call(const char *path, const char *method, const char *target, const char *body)
{
	static char buf[1 << 20], head[1024];
	int fd = dial(path), status;
	size_t len = body ? strlen(body) : 0;
	int n = snprintf(head, sizeof(head),
		body ? "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n"
		     : "%s %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
		method, target, len);

	say(fd, head, (size_t)n);
	say(fd, body ? body : "", len);
	status = hear(fd, buf, sizeof(buf));
	if (!status) {
		fprintf(stderr, "apicall: no answer\n");
		return 1;
	}
	printf("%d\n%s%s", status, buf, *buf ? "\n" : "");
	return status >= 400;
}

static void sleep_until(uint64_t when)
{
	uint64_t now = now_us();

	if (when > now)
		usleep((useconds_t)(when - now));
}

static void print_times(const uint32_t *times, uint64_t count, uint64_t longest)
{
	static const unsigned int percents[] = { 50, 90, 99 };
	uint64_t sum = 0;
	unsigned int i, us = 0;

	for (i = 0; i < 3; i++) {
		while (us < BUCKETS && (sum + times[us]) * 100 < count * percents[i])
			sum += times[us++];
		printf(" %s %u us,", i == 0 ? "median" : i == 1 ? "p90" : "p99", us);
	}
	printf(" longest %llu us\n", (unsigned long long)longest);
}

/* Each answer has to be that to this request: a path that does not exist comes back in it. */
static int load(const char *path, unsigned int seconds, unsigned int rate)
{
	static uint32_t times[BUCKETS + 1];
	uint64_t begin = now_us(), end = begin + seconds * 1000000ull, sent = 0, right = 0;
	uint64_t longest = 0, at, took;
	int fd = dial(path), n, status;
	char buf[4096], want[64];

	while ((at = now_us()) < end) {
		snprintf(want, sizeof(want), "GET r%llu.", (unsigned long long)sent);
		n = snprintf(buf, sizeof(buf), "GET /%s%llu HTTP/1.1\r\n\r\n", sent % 2 ? "" : "r",
			(unsigned long long)sent);
		if (sent % 2)
			n = snprintf(buf, sizeof(buf), "GET / HTTP/1.1\r\n\r\n");
		say(fd, buf, (size_t)n);
		status = hear(fd, buf, sizeof(buf));
		right += sent % 2 ? status == 200 && strstr(buf, "\"state\"")
				  : status == 400 && strstr(buf, want);
		sent++;
		took = now_us() - at;
		longest = took > longest ? took : longest;
		times[took < BUCKETS ? took : BUCKETS]++;
		if (rate)
			sleep_until(begin + sent * 1000000 / rate);
	}
	printf("sent %llu in %llu ms, %llu answers were right;", (unsigned long long)sent,
		(unsigned long long)(now_us() - begin) / 1000, (unsigned long long)right);
	print_times(times, sent, longest);
	return right != sent;
}

static int idle(const char *path, unsigned int n, unsigned int seconds)
{
	struct rlimit limit;
	char buf[4096];
	unsigned int i, right = 0;
	int fd;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	fd = dial(path);
	for (i = 0; i < n; i++)
		dial(path);
	for (i = 0; i < seconds; i++) {
		say(fd, "GET / HTTP/1.1\r\n\r\n", 18);
		right += hear(fd, buf, sizeof(buf)) == 200;
		sleep(1);
	}
	printf("%u connections said nothing, %u of %u requests were answered\n", n, right, seconds);
	return right != seconds;
}

int main(int argc, char **argv)
{
	if (argc == 5 && !strcmp(argv[2], "load"))
		return load(argv[1], (unsigned int)atoi(argv[3]), (unsigned int)atoi(argv[4]));
	if (argc == 5 && !strcmp(argv[2], "idle"))
		return idle(argv[1], (unsigned int)atoi(argv[3]), (unsigned int)atoi(argv[4]));
	if (argc == 4 || argc == 5)
		return call(argv[1], argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: apicall SOCKET METHOD PATH [BODY]\n");
	return 2;
}
