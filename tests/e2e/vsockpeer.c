/* SPDX-License-Identifier: Apache-2.0 */

/*
 * vsockpeer serve ADDRESS - answers connections until one of them says to quit
 * vsockpeer test ADDRESS  - is such a server's client, and says whether all went well
 * vsockpeer quit ADDRESS  - ends the server
 *
 * The same program on both sides of a vsock device. ADDRESS is vsock:CID:PORT in the guest, and with
 * vhost on the host too; else there unix:PATH, or unix:PATH:PORT with the CONNECT line. The first
 * byte of a connection says what the server shall do with it: E echo; H read to the end, then answer
 * with the number and the sum of the bytes; S read nothing; Q quit.
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
	int fd = socket(w->a.any.sa_family, SOCK_STREAM, 0);

	signal(SIGCHLD, SIG_IGN);
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

static void echo(int fd, size_t n)
{
	size_t sent = 0, got = 0;

	while (got < n) {
		struct pollfd p = { fd, (short)(POLLIN | (sent < n ? POLLOUT : 0)), 0 };
		ssize_t r;

		if (poll(&p, 1, PATIENCE_MS) != 1)
			die("echo of %zu: %zu sent, %zu back", n, sent, got);
		if (p.revents & POLLOUT && sent < n) {
			r = send(fd, data + sent, n - sent, MSG_DONTWAIT);
			sent += r > 0 ? (size_t)r : 0;
		}
		if (p.revents & (POLLIN | POLLHUP)) {
			r = recv(fd, back + got, n - got, MSG_DONTWAIT);
			if (!r)
				die("echo of %zu ends after %zu", n, got);
			got += r > 0 ? (size_t)r : 0;
		}
	}
	if (memcmp(data, back, n))
		die("echo of %zu differs", n);
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

static int test(const struct where *w)
{
	int fd = -1;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + (i >> 8));
	/* The other side may not be there yet. */
	for (int tries = 0; fd < 0 && tries < PATIENCE_MS / 200; tries++) {
		fd = reach(w);
		if (fd < 0)
			usleep(200000);
	}
	close(fd);
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
	if (argc != 3) {
		fprintf(stderr, "usage: vsockpeer serve|test|quit ADDRESS\n");
		return 2;
	}
	w = parse(argv[2]);
	if (!strcmp(argv[1], "serve"))
		return serve(&w);
	if (!strcmp(argv[1], "test"))
		return test(&w);
	close(must_reach(&w, 'Q'));
	return 0;
}
