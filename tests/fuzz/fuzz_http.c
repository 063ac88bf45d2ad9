/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The API's server: any bytes on a connection, in two parts, get an answer or are hung up on, and the
 * server goes on; each request that gets through is whole and of a size that is allowed.
 */
#include <event2/event.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/api/server.h"

#define BODY_MAX 1024

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sockaddr_un addr = { .sun_family = AF_UNIX };
static struct server *server;
static struct loop *loop;

static void handle(void *ctx, struct server_request *rq)
{
	size_t i, sum = strlen(rq->path) + strlen(rq->method_name);

	(void)ctx;
	if (rq->path[0] != '/' || rq->body_len > BODY_MAX)
		abort();
	for (i = 0; i < rq->body_len; i++)
		sum += (uint8_t)rq->body[i];
	if (sum % 3 == 0)
		server_reply(rq, 204, NULL, NULL, 0);
	else if (sum % 3 == 1)
		server_reply(rq, 200, "text/plain", rq->body, rq->body_len);
	else
		server_fault(rq, 400, rq->path);
}

/* The fuzzer ends by exit; there is one server for all inputs. */
static void stop(void)
{
	server_free(server);
}

static void start(void)
{
	struct server_config cfg = {
		.path = addr.sun_path, .max_body = BODY_MAX, .handle = handle
	};
	struct err e;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "/tmp/nacre-fuzz-%d", (int)getpid());
	if (loop_new(&loop, NULL, &e))
		abort();
	cfg.loop = loop;
	if (server_new(&server, &cfg, &e)) {
		fprintf(stderr, "%s\n", e.msg);
		abort();
	}
	atexit(stop);
}

static void turn(unsigned int n)
{
	while (n--)
		event_base_loop(loop_base(loop), EVLOOP_NONBLOCK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char request[] = "GET / HTTP/1.1\r\n\r\n";
	size_t half = size ? data[0] % size : 0;
	char answer[64];
	int fd;

	if (!server)
		start();
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		abort();
	send(fd, data, half, MSG_NOSIGNAL | MSG_DONTWAIT);
	turn(3);
	send(fd, data + half, size - half, MSG_NOSIGNAL | MSG_DONTWAIT);
	turn(3);
	shutdown(fd, SHUT_WR);
	turn(3);
	close(fd);
	turn(2);
	/* It still serves. */
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		abort();
	send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL);
	turn(6);
	if (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) <= 0 ||
		strncmp(answer, "HTTP/1.1 ", 9) != 0)
		abort();
	close(fd);
	turn(2);
	return 0;
}
