/* SPDX-License-Identifier: Apache-2.0 */

/* The host's side of the socket device: the socket file, programs that connect, limits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "devices/vsock_unix.h"
#include "tests/unit/test_virtio_vsock.h"
#include "vmm/util/bits.h"

static const char *const bad_lines[] = { "CONNECT \n", "CONNECT x\n", "CONNECT 12x\n",
	"CONNECT -1\n", "CONNECT +1\n", "CONNECT 4294967295\n", "CONNECT 99999999999\n",
	"CONNECT 52 \n", "CONNECT  52\n", "GET / HTTP/1.1\n", "\n", "OK 1\n",
	"CONNECT 00000000000052\n", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };

START_TEST(bad_line_is_hung_up_on)
{
	int fd = vs_connect(bad_lines[_i]);
	struct vs_conn c;

	ck_assert(vs_at_end(fd));
	vs_expect_nothing();
	close(fd);
	c = vs_from_host(1);
	close(c.fd);
}
END_TEST

START_TEST(line_with_a_nul_is_hung_up_on)
{
	int fd = vs_connect("");

	ck_assert_int_eq(send(fd, "CONNECT 5\0002\n", 12, MSG_NOSIGNAL), 12);
	ck_assert(vs_at_end(fd));
	vs_expect_nothing();
	close(fd);
}
END_TEST

static const struct {
	const char *line;
	uint32_t port;
} good_lines[] = { { "connect 52\n", 52 }, { "CONNECT 52\r\n", 52 }, { "CONNECT 0\n", 0 },
	{ "CONNECT 4294967294\n", 4294967294 }, { "CONNECT 0052\n", 52 } };

START_TEST(good_line_in_pieces)
{
	const char *p = good_lines[_i].line;
	int fd = vs_connect("");
	struct vs_packet packet;

	for (; *p; p++) {
		ck_assert_int_eq(send(fd, p, 1, MSG_NOSIGNAL), 1);
		vs_pump(1);
	}
	packet = vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(packet.h.dst_port, good_lines[_i].port);
	close(fd);
}
END_TEST

START_TEST(client_that_ends_before_its_line)
{
	int fd = vs_connect("CONN");

	vs_pump(2);
	close(fd);
	vs_expect_nothing();
}
END_TEST

START_TEST(silent_clients_are_few_and_short)
{
	int fd[VSOCK_CLIENTS_MAX + 3], extra;
	struct vs_packet p;
	unsigned int i;

	vt.cfg.line_ms = 300;
	vs_start();
	for (i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = vs_connect("");
	vs_pump(2);
	/* This one has to wait, but not for ever. */
	extra = vs_connect("CONNECT 7\n");
	ck_assert(!vs_take(&p, 20));
	p = vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(p.h.dst_port, 7);
	for (i = 0; i < ARRAY_SIZE(fd); i++) {
		ck_assert(vs_at_end(fd[i]));
		close(fd[i]);
	}
	close(extra);
}
END_TEST

/* They have a minute, but not while others wait. */
START_TEST(silent_clients_make_way)
{
	int fd[VSOCK_CLIENTS_MAX], extra;
	struct vs_packet p;
	unsigned int i;

	vt.cfg.line_ms = 60000;
	vs_start();
	for (i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = vs_connect("");
		vs_pump(2);
	}
	vs_pump(1100);
	extra = vs_connect("CONNECT 7\n");
	p = vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	ck_assert_uint_eq(p.h.dst_port, 7);
	/* The first of them went, no other. */
	ck_assert(vs_at_end(fd[0]));
	for (i = 1; i < ARRAY_SIZE(fd); i++) {
		ck_assert_int_eq(recv(fd[i], &p, 1, MSG_DONTWAIT), -1);
		close(fd[i]);
	}
	close(fd[0]);
	close(extra);
}
END_TEST

/* ---- the file ---- */

static int try_new(struct err *e)
{
	struct virtio_vsock *v;
	int r = virtio_vsock_new(&v, &vt.cfg, e);

	if (!r)
		virtio_vsock_free(v);
	return r;
}

START_TEST(existing_file_is_not_replaced)
{
	struct err e = { "" };
	struct stat before, after;
	char path[100];
	int fd = -1;

	snprintf(path, sizeof(path), "%s_9", vt.path);
	vt.cfg.path = path;
	if (_i == 0) {
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	} else if (_i == 1) {
		fd = vs_listen(9, 1);
	} else if (_i == 2) {
		close(vs_listen(9, 1));
	} else {
		ck_assert_int_eq(symlink("/nonexistent", path), 0);
	}
	ck_assert_int_eq(lstat(path, &before), 0);
	ck_assert_int_eq(try_new(&e), -EEXIST);
	ck_assert_msg(strstr(e.msg, path) != NULL, "%s", e.msg);
	ck_assert_msg(strstr(e.msg, _i == 1   ? "a program listens there; choose another path"
				    : _i == 2 ? "remove it"
					      : "it is not a socket; choose another path") != NULL,
		"%s", e.msg);
	ck_assert_int_eq(lstat(path, &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	close(fd);
}
END_TEST

START_TEST(file_that_is_not_ours_any_more_stays)
{
	struct stat st;
	int fd;

	ck_assert_int_eq(unlink(vt.path), 0);
	fd = open(vt.path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	virtio_vsock_free(vt.dev);
	vt.dev = NULL;
	ck_assert_int_eq(lstat(vt.path, &st), 0);
	unlink(vt.path);
	close(fd);
}
END_TEST

START_TEST(bad_path_is_a_sentence)
{
	char path[200];
	struct err e = { "" };

	memset(path, 'a', sizeof(path));
	path[97] = '\0';
	vt.cfg.path = path;
	ck_assert_int_eq(try_new(&e), -ENAMETOOLONG);
	ck_assert_msg(strstr(e.msg, "97 bytes, and at most 96 fit") != NULL, "%s", e.msg);
	vt.cfg.path = "/nonexistent/socket";
	ck_assert_int_eq(try_new(&e), -ENOENT);
	ck_assert_msg(strstr(e.msg, "/nonexistent/socket") != NULL, "%s", e.msg);
	ck_assert_msg(strstr(e.msg, "mkdir /nonexistent/)") != NULL, "%s", e.msg);
	vt.cfg.path = "/proc/socket";
	ck_assert_int_lt(try_new(&e), 0);
	ck_assert_msg(strstr(e.msg, "/proc/socket: cannot make the socket") != NULL, "%s", e.msg);
}
END_TEST

START_TEST(longest_path_works)
{
	char path[VSOCK_PATH_MAX + 1], name[VSOCK_PATH_MAX + 12];
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct vs_conn c = { -1, 4294967294, 77, VS_BUF, 0 };
	int n = snprintf(path, sizeof(path), "%s/", vt.dir), fd;

	memset(path + n, 'a', sizeof(path) - (size_t)n);
	path[VSOCK_PATH_MAX] = '\0';
	vt.cfg.path = path;
	vs_start();
	snprintf(name, sizeof(name), "%s_4294967294", path);
	ck_assert_uint_lt(strlen(name), sizeof(a.sun_path));
	memcpy(a.sun_path, name, strlen(name));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	vs_send(&c, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RESPONSE);
	close(fd);
}
END_TEST

/* Wherever a link leads, to a socket even: that is not for a guest to be led to. */
START_TEST(only_sockets_are_connected_to)
{
	int listener = vs_listen(5000, 1), file;
	struct vs_conn c = { -1, 6000, 77, VS_BUF, 0 };
	char from[100], to[100];

	snprintf(from, sizeof(from), "%s_6000", vt.path);
	snprintf(to, sizeof(to), "%s_5000", vt.path);
	if (_i) {
		file = open(from, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		ck_assert_int_ge(file, 0);
		close(file);
	} else {
		ck_assert_int_eq(symlink(to, from), 0);
	}
	vs_send(&c, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	vs_expect_nothing();
	ck_assert_int_eq(accept(listener, NULL, NULL), -1);
	close(listener);
}
END_TEST

/* The folder is the one of the start, under any name. */
START_TEST(folder_may_be_moved)
{
	int listener = vs_listen(5000, 1);
	char elsewhere[80];
	struct vs_conn c;

	snprintf(elsewhere, sizeof(elsewhere), "%s-moved", vt.dir);
	ck_assert_int_eq(rename(vt.dir, elsewhere), 0);
	c = vs_from_guest(listener, 5000, 77);
	ck_assert_int_eq(rename(elsewhere, vt.dir), 0);
	close(c.fd);
	close(listener);
}
END_TEST

/* ---- limits ---- */

START_TEST(listener_without_room_is_tried_again)
{
	int listener = vs_listen(5000, 0);
	struct vs_conn first = vs_from_guest(listener, 5000, 1), second, third;
	struct vs_packet p;

	/* One place in the queue, which this takes. */
	second = (struct vs_conn){ -1, 5000, 2, VS_BUF, 0 };
	vs_send(&second, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RESPONSE);
	third = (struct vs_conn){ -1, 5000, 3, VS_BUF, 0 };
	vs_send(&third, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	ck_assert(!vs_take(&p, 100));
	second.fd = vs_accept(listener);
	p = vs_expect(VIRTIO_VSOCK_OP_RESPONSE);
	ck_assert_uint_eq(p.h.dst_port, 3);
	third.fd = vs_accept(listener);
	vs_is_alive(&third);
	vs_is_alive(&second);
	vs_is_alive(&first);
	close(first.fd);
	close(second.fd);
	close(third.fd);
	close(listener);
}
END_TEST

START_TEST(listener_without_room_is_given_up)
{
	struct vs_conn c[3];
	int listener;

	vt.cfg.dial_ms = 100;
	vs_start();
	listener = vs_listen(5000, 0);
	for (uint32_t i = 0; i < 2; i++) {
		c[i] = (struct vs_conn){ -1, 5000, i, VS_BUF, 0 };
		vs_send(&c[i], VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
		vs_expect(i ? VIRTIO_VSOCK_OP_RST : VIRTIO_VSOCK_OP_RESPONSE);
	}
	/* A guest that does not wait for the answer is told off, and another time it works. */
	c[2] = (struct vs_conn){ -1, 5000, 9, VS_BUF, 0 };
	vs_send(&c[2], VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	vs_send(&c[2], VIRTIO_VSOCK_OP_RW, "x", 1);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	close(vs_accept(listener));
	vs_expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	c[2] = vs_from_guest(listener, 5000, 9);
	vs_is_alive(&c[2]);
	close(c[2].fd);
	close(listener);
}
END_TEST

START_TEST(connections_have_a_limit)
{
	struct vs_conn c = { -1, 5000, 0, VS_BUF, 0 };
	struct rlimit old, more;
	int listener, fd;

	/* Both ends are ours here. */
	getrlimit(RLIMIT_NOFILE, &old);
	more = (struct rlimit){ old.rlim_max, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &more);
	listener = vs_listen(5000, 4096);
	for (c.guest_port = 0; c.guest_port < VSOCK_CONNS_MAX; c.guest_port++) {
		struct vs_packet p;

		vs_send(&c, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
		ck_assert(vs_take(&p, 1000));
		if (p.h.op == VIRTIO_VSOCK_OP_RST && more.rlim_max < 4096)
			break; /* this machine has no more descriptors, nor a queue for them */
		ck_assert_uint_eq(p.h.op, VIRTIO_VSOCK_OP_RESPONSE);
	}
	vs_send(&c, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	/* The first that ends makes room for another. */
	if (c.guest_port == VSOCK_CONNS_MAX) {
		fd = vs_connect("CONNECT 1\n");
		ck_assert(vs_at_end(fd));
		close(fd);
	}
	c.guest_port = 5;
	vs_shutdown(&c, 3);
	vs_expect(VIRTIO_VSOCK_OP_RST);
	vs_send(&c, VIRTIO_VSOCK_OP_REQUEST, NULL, 0);
	vs_expect(VIRTIO_VSOCK_OP_RESPONSE);
	close(listener);
	virtio_vsock_free(vt.dev);
	vt.dev = NULL;
	setrlimit(RLIMIT_NOFILE, &old);
}
END_TEST

/* Descriptors are out: programs wait, nothing spins, and later all is well. */
START_TEST(no_descriptors_for_a_while)
{
	struct rlimit old, none;
	struct vs_packet p;
	int fd;

	getrlimit(RLIMIT_NOFILE, &old);
	fd = vs_connect("CONNECT 3\n");
	none = (struct rlimit){ 3, old.rlim_max };
	setrlimit(RLIMIT_NOFILE, &none);
	ck_assert(!vs_take(&p, 50));
	setrlimit(RLIMIT_NOFILE, &old);
	vs_expect(VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
}
END_TEST

void vs_add_host_tests(Suite *s)
{
	TCase *t = tcase_create("host");

	tcase_add_checked_fixture(t, vs_setup, vs_teardown);
	tcase_set_timeout(t, 20);
	tcase_add_loop_test(t, bad_line_is_hung_up_on, 0, (int)ARRAY_SIZE(bad_lines));
	tcase_add_test(t, line_with_a_nul_is_hung_up_on);
	tcase_add_loop_test(t, good_line_in_pieces, 0, (int)ARRAY_SIZE(good_lines));
	tcase_add_test(t, client_that_ends_before_its_line);
	tcase_add_test(t, silent_clients_are_few_and_short);
	tcase_add_test(t, silent_clients_make_way);
	tcase_add_loop_test(t, existing_file_is_not_replaced, 0, 4);
	tcase_add_test(t, file_that_is_not_ours_any_more_stays);
	tcase_add_test(t, bad_path_is_a_sentence);
	tcase_add_test(t, longest_path_works);
	tcase_add_loop_test(t, only_sockets_are_connected_to, 0, 2);
	tcase_add_test(t, folder_may_be_moved);
	tcase_add_test(t, listener_without_room_is_tried_again);
	tcase_add_test(t, listener_without_room_is_given_up);
	tcase_add_test(t, connections_have_a_limit);
	tcase_add_test(t, no_descriptors_for_a_while);
	suite_add_tcase(s, t);
}
