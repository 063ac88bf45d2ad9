/* SPDX-License-Identifier: Apache-2.0 */

/*
 * vsockpeer serve ADDRESS - answers connections until one of them says to quit
 * vsockpeer test ADDRESS  - is such a server's client, and says whether all went well
 * vsockpeer echo ADDRESS MIB - sends the server so much, and compares what comes back meanwhile
 * vsockpeer quit ADDRESS  - ends the server
 *
 * The same program on both sides of a vsock device, or of a network. ADDRESS is vsock:CID:PORT in the
 * guest, and with vhost on the host too; else there unix:PATH, or unix:PATH:PORT with the CONNECT line;
 * for TCP it is inet:ADDRESS:PORT. The first byte of a connection says what the server shall do with
 * it: E echo; H read to the end, then answer with the number and the sum of the bytes; S read nothing;
 * Q quit.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#define MANY	      100
#define PATIENCE_MS   60000
#define STALL_MAX     (16u << 20)
#define STALL_CALM_MS 1000

static uint8_t data[1 << 20], back[1 << 20];

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("vsockpeer: ");
	vprintf(fmt, ap);
	printf(" (%s)\n", strerror(errno));
	va_end(ap);
	exit(1);
}

/* ---- addresses ---- */

struct where {
	union {
		struct sockaddr any;
		struct sockaddr_vm vm;
		struct sockaddr_un un;
		struct sockaddr_in in;
	} a;
	socklen_t len;
	char line[32]; /* to write first, or empty */
};

static struct where parse(char *text)
{
	struct where w = { .len = 0 };
	char *rest = strchr(text, ':'), *port;

	if (!rest)
		die("%s is no address", text);
	*rest++ = '\0';
	port = strchr(rest, ':');
	if (port)
		*port++ = '\0';
	if (!strcmp(text, "vsock") && port) {
		w.a.vm.svm_family = AF_VSOCK;
		w.a.vm.svm_cid = (unsigned int)strtol(rest, NULL, 10);
		w.a.vm.svm_port = (unsigned int)strtoul(port, NULL, 10);
		w.len = sizeof(w.a.vm);
		return w;
	}
	if (!strcmp(text, "inet") && port) {
		w.a.in.sin_family = AF_INET;
		w.a.in.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
		if (inet_pton(AF_INET, rest, &w.a.in.sin_addr) != 1)
			die("%s is no address", rest);
		w.len = sizeof(w.a.in);
		return w;
	}
	w.a.un.sun_family = AF_UNIX;
	snprintf(w.a.un.sun_path, sizeof(w.a.un.sun_path), "%s", rest);
	w.len = sizeof(w.a.un);
	if (port)
		snprintf(w.line, sizeof(w.line), "CONNECT %s\n", port);
	return w;
}

/* A connection; or -1 when the other side refuses it. */
static int reach(const struct where *w)
{
	int fd = socket(w->a.any.sa_family, SOCK_STREAM, 0);
	struct timeval limit = { PATIENCE_MS / 1000, 0 };
	char byte = 0;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, &w->a.any, w->len))
		goto refused;
	if (!w->line[0])
		return fd;
	if (write(fd, w->line, strlen(w->line)) < 0)
		goto refused;
	while (byte != '\n')
		if (read(fd, &byte, 1) != 1)
			goto refused;
	return fd;
refused:
	close(fd);
	return -1;
}

static int must_reach(const struct where *w, char what)
{
	int fd = reach(w);

	if (fd < 0)
		die("connect");
	if (write(fd, &what, 1) != 1)
		die("first byte");
	return fd;
}

/* ---- the server ---- */

static void put(int fd, const void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = write(fd, (const char *)p + done, n - done);

		if (r <= 0)
			die("write");
		done += (size_t)r;
	}
}

static void get(int fd, void *p, size_t n)
{
	for (size_t done = 0; done < n;) {
		ssize_t r = read(fd, (char *)p + done, n - done);

		if (r <= 0)
			die("read: %zu of %zu", done, n);
		done += (size_t)r;
	}
}

struct summary {
	uint64_t count, sum;
};

/* In a process of its own. */
static void answer(int fd)
{
	struct summary s = { 0, 0 };
	char what = 0;
	ssize_t n;

	if (read(fd, &what, 1) != 1)
		return;
	if (what == 'Q')
		kill(getppid(), SIGTERM);
	if (what == 'S')
		sleep(PATIENCE_MS / 1000);
	while ((what == 'E' || what == 'H') && (n = read(fd, back, 65536)) > 0) {
		if (what == 'E')
			put(fd, back, (size_t)n);
		s.count += (uint64_t)n;
		for (ssize_t i = 0; i < n; i++)
			s.sum += back[i];
	}
	if (what == 'H')
		put(fd, &s, sizeof(s));
}

static int serve(const struct where *w)
{
	int fd = socket(w->a.any.sa_family, SOCK_STREAM, 0), on = 1;

	signal(SIGCHLD, SIG_IGN);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, &w->a.any, w->len) || listen(fd, 2 * MANY))
		die("listen");
	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			continue;
		if (!fork()) {
			close(fd);
			answer(c);
			_exit(0);
		}
		close(c);
	}
}

/* ---- the client ---- */

/* More than there is data is sent as the same over again. */
static void echo(int fd, uint64_t n)
{
	uint64_t sent = 0, got = 0;

	while (got < n) {
		struct pollfd p = { fd, (short)(POLLIN | (sent < n ? POLLOUT : 0)), 0 };
		size_t from = sent % sizeof(data), to = got % sizeof(data), some;
		ssize_t r;

		if (poll(&p, 1, PATIENCE_MS) != 1)
			die("echo of %llu: %llu sent, %llu back", (unsigned long long)n,
				(unsigned long long)sent, (unsigned long long)got);
		if (p.revents & POLLOUT && sent < n) {
			some = n - sent < sizeof(data) - from ? n - sent : sizeof(data) - from;
			r = send(fd, data + from, some, MSG_DONTWAIT);
			sent += r > 0 ? (size_t)r : 0;
		}
		if (p.revents & (POLLIN | POLLHUP)) {
			r = recv(fd, back, sizeof(data) - to, MSG_DONTWAIT);
			if (!r)
				die("echo of %llu ends after %llu", (unsigned long long)n,
					(unsigned long long)got);
			if (r > 0 && memcmp(data + to, back, (size_t)r))
				die("echo of %llu differs after %llu", (unsigned long long)n,
					(unsigned long long)got);
			got += r > 0 ? (size_t)r : 0;
		}
	}
}

static void test_echo(const struct where *w)
{
	static const size_t sizes[] = { 1, 43, 4051, 4052, 4053, 65536, 65537, 1 << 20 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = must_reach(w, 'E');

		echo(fd, sizes[i]);
		close(fd);
	}
	printf("echo ok\n");
}

static void test_many(const struct where *w)
{
	int fd[MANY];

	for (int i = 0; i < MANY; i++)
		fd[i] = must_reach(w, 'E');
	for (int i = 0; i < MANY; i++)
		put(fd[i], data + i, 1000);
	for (int i = MANY; i-- > 0;) {
		get(fd[i], back, 1000);
		if (memcmp(data + i, back, 1000))
			die("connection %d: its data differs", i);
	}
	for (int i = 0; i < MANY; i++)
		close(fd[i]);
	printf("%d connections ok\n", MANY);
}

static void test_half_close(const struct where *w)
{
	struct summary s, want = { 200000, 0 };
	int fd = must_reach(w, 'H');
	char byte;

	for (size_t i = 0; i < want.count; i++)
		want.sum += data[i];
	put(fd, data, want.count);
	shutdown(fd, SHUT_WR);
	get(fd, &s, sizeof(s));
	if (s.count != want.count || s.sum != want.sum)
		die("half-close: %llu bytes", (unsigned long long)s.count);
	if (read(fd, &byte, 1) != 0)
		die("half-close: no end");
	close(fd);
	printf("half-close ok\n");
}

/* Fills the way to a reader that does not read; others are not to notice. */
static void test_stalled(const struct where *w)
{
	int stalled = must_reach(w, 'S'), live;
	struct pollfd p = { stalled, POLLOUT, 0 };
	size_t sent = 0;

	while (sent < STALL_MAX && poll(&p, 1, STALL_CALM_MS) == 1) {
		ssize_t n = send(stalled, data, sizeof(data), MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			die("stalled: send");
		sent += n > 0 ? (size_t)n : 0;
	}
	if (sent >= STALL_MAX)
		die("stalled: it took %zu bytes", sent);
	live = must_reach(w, 'E');
	echo(live, 300000);
	close(live);
	close(stalled);
	printf("stalled ok\n");
}

/* On the next port nobody listens. */
static void test_refused(struct where w)
{
	if (w.a.any.sa_family == AF_VSOCK)
		w.a.vm.svm_port++;
	else
		snprintf(w.line, sizeof(w.line), "CONNECT 4999\n");
	if (reach(&w) >= 0)
		die("nobody listens, and yet somebody answers");
	printf("refused ok\n");
}

/* The other side may not be there yet. */
static void wait_for(const struct where *w)
{
	int fd = -1;

	for (int tries = 0; fd < 0 && tries < PATIENCE_MS / 200; tries++) {
		fd = reach(w);
		if (fd < 0)
			usleep(200000);
	}
	close(fd);
}

static int echo_mib(const struct where *w, unsigned int mib)
{
	int fd;

	wait_for(w);
	fd = must_reach(w, 'E');
	echo(fd, (uint64_t)mib << 20);
	close(fd);
	printf("%u MiB each way ok\n", mib);
	return 0;
}

static int test(const struct where *w)
{
	wait_for(w);
	test_echo(w);
	test_half_close(w);
	test_many(w);
	test_stalled(w);
	test_refused(*w);
	return 0;
}

int main(int argc, char **argv)
{
	struct where w;

	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	if (argc != 3 && argc != 4) {
		fprintf(stderr, "usage: vsockpeer serve|test|quit|echo ADDRESS [MIB]\n");
		return 2;
	}
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + (i >> 8));
	w = parse(argv[2]);
	if (!strcmp(argv[1], "serve"))
		return serve(&w);
	if (!strcmp(argv[1], "test"))
		return test(&w);
	if (!strcmp(argv[1], "echo") && argc == 4)
		return echo_mib(&w, (unsigned int)strtoul(argv[3], NULL, 10));
	close(must_reach(&w, 'Q'));
	return 0;
}
