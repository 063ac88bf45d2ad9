/* SPDX-License-Identifier: Apache-2.0 */

/* The file of the API's socket: whose it is, and what it does not replace. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/served.h"
#include "tests/unit/test_api.h"
#include "vmm/api/sock.h"
#include "vmm/util/fd.h"

static struct sock sk;

static void not_made(int code, const char *says)
{
	struct err e = { "" };

	ck_assert_int_eq(sock_listen(&sk, served.path, &e), code);
	ck_assert_msg(strstr(e.msg, says), "%s", e.msg);
	ck_assert_msg(strstr(e.msg, "/sock") || code == -ENAMETOOLONG, "%s", e.msg);
	ck_assert_int_eq(sk.fd, -1);
	sock_close(&sk);
}

START_TEST(socket_is_its_owners_alone)
{
	mode_t old = umask(0);
	struct err e = { "" };
	struct stat s;

	ck_assert_int_eq(sock_listen(&sk, served.path, &e), 0);
	ck_assert_int_eq(lstat(served.path, &s), 0);
	ck_assert(S_ISSOCK(s.st_mode));
	ck_assert_uint_eq(s.st_mode & 07777, 0600);
	sock_close(&sk);
	ck_assert_int_eq(lstat(served.path, &s), -1);
	umask(old);
}
END_TEST

START_TEST(what_exists_is_not_replaced)
{
	struct sock first;
	struct err e = { "" };
	char other[80];
	int fd;

	ck_assert_int_eq(sock_listen(&first, served.path, &e), 0);
	not_made(-EADDRINUSE, "of a running process");
	/* Left behind: the file without its listener. */
	fd_close(&first.fd);
	not_made(-EADDRINUSE, "rm /");
	sock_close(&first);
	/* A link, though to nowhere, is not followed. */
	snprintf(other, sizeof(other), "%s/other", served.dir);
	ck_assert_int_eq(symlink(other, served.path), 0);
	not_made(-EADDRINUSE, "symbolic link");
	ck_assert_int_eq(access(other, F_OK), -1);
	unlink(served.path);
	fd = open(served.path, O_CREAT | O_WRONLY, 0600);
	close(fd);
	not_made(-EADDRINUSE, "no socket");
	ck_assert_int_eq(access(served.path, F_OK), 0);
	unlink(served.path);
}
END_TEST

START_TEST(place_must_exist)
{
	snprintf(served.path, sizeof(served.path), "%s/no/sock", served.dir);
	not_made(-ENOENT, "folder does not exist");
}
END_TEST

START_TEST(path_of_others_is_not_removed)
{
	struct sock first, second;
	struct err e = { "" };

	ck_assert_int_eq(sock_listen(&first, served.path, &e), 0);
	unlink(served.path);
	ck_assert_int_eq(sock_listen(&second, served.path, &e), 0);
	sock_close(&first);
	ck_assert_int_eq(access(served.path, F_OK), 0);
	sock_close(&second);
	ck_assert_int_eq(access(served.path, F_OK), -1);
}
END_TEST

TCase *api_sock_case(void)
{
	TCase *t = tcase_create("socket");

	tcase_add_checked_fixture(t, served_setup, NULL);
	tcase_add_test(t, socket_is_its_owners_alone);
	tcase_add_test(t, what_exists_is_not_replaced);
	tcase_add_test(t, place_must_exist);
	tcase_add_test(t, path_of_others_is_not_removed);
	return t;
}
