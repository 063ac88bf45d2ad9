/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/served.h"

#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vmm/util/log.h"

struct served served;

void served_setup(void)
{
	served = (struct served){ .make = server_new, .unmake = server_free };
	scratch_dir(served.dir);
	snprintf(served.path, sizeof(served.path), "%s/sock", served.dir);
	log_set_level(LOG_ERROR);
}

void served_start(void (*handle)(void *ctx, struct server_request *rq))
{
	struct server_config cfg = { .path = served.path,
		.max_body = SERVER_BODY_MAX,
		.handle = handle,
		.request_ms = served.request_ms };
	struct err e = { "" };

	ck_assert_int_eq(loop_new(&served.loop, NULL, &e), 0);
	cfg.loop = served.loop;
	ck_assert_msg(served.make(&served.server, &cfg, &e) == 0, "%s", e.msg);
	ck_assert_int_eq(loop_start_thread(served.loop, THREAD_IO, "server", &e), 0);
}

void served_end(void)
{
	if (!served.server)
		return;
	loop_finish(served.loop);
	served.unmake(served.server);
	loop_free(served.loop);
	served.server = NULL;
	ck_assert_int_eq(access(served.path, F_OK), -1);
}

int served_dial(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { 60, 0 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, served.path);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return fd;
}
