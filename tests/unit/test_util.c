/* SPDX-License-Identifier: Apache-2.0 */

/* Errors, files and the event loop. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/util/err.h"
#include "vmm/util/fd.h"
#include "vmm/util/loop.h"
#include "vmm/util/text.h"

START_TEST(error_chain)
{
	struct err e = { "" };

	errno = ENOENT;
	ck_assert_int_eq(err_sys(&e, "open %s", "x"), -ENOENT);
	ck_assert_int_eq(err_hint(&e, -ENOENT, "make it"), -ENOENT);
	ck_assert_int_eq(err_prefix(&e, -ENOENT, "disk %d", 1), -ENOENT);
	ck_assert_str_eq(e.msg, "disk 1: open x: No such file or directory (make it)");
	ck_assert_int_eq(err_set(NULL, -EIO, "nobody listens"), -EIO);
}
END_TEST

START_TEST(error_chain_never_overflows)
{
	struct err e = { "" };
	int i;

	err_set(&e, -EIO, "%0*d", 4000, 7);
	for (i = 0; i < 100; i++) {
		err_prefix(&e, -EIO, "a prefix of some length, number %d", i);
		err_hint(&e, -EIO, "a hint of some length, number %d", i);
		ck_assert_uint_lt(strlen(e.msg), sizeof(e.msg));
	}
}
END_TEST

/* The field beside the sentence: of the last error, and never in each other's room. */
START_TEST(error_knows_its_field)
{
	struct err e = { "" };
	int i;

	err_set(&e, -EIO, "unknown");
	err_at(&e, "a/b");
	err_item(&e, -EIO, 1);
	err_prefix(&e, -EIO, "the file");
	err_key(&e, -EIO, "list\n");
	ck_assert_str_eq(e.msg, "\"list?\": the file: item 2: unknown");
	ck_assert_str_eq(err_field(&e), "list\n/1/a/b");
	for (i = 0; i < 100; i++) {
		err_key(&e, -EIO, "a key of some length");
		err_hint(&e, -EIO, "a hint of some length");
	}
	ck_assert_uint_lt(strlen(e.msg), sizeof(e.msg) - strlen(err_field(&e)));
	ck_assert_ptr_eq(strstr(err_field(&e), "a key of some length/a key of"), err_field(&e));
	err_set(&e, -EIO, "another");
	ck_assert_str_eq(err_field(&e), "");
	err_key(NULL, -EIO, "nobody listens");
	ck_assert_str_eq(err_field(NULL), "");
}
END_TEST

static void write_file(char path[SCRATCH_PATH], size_t len)
{
	int fd = scratch_file(path);

	ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
	close(fd);
}

static const struct {
	size_t len, max;
	int want;
} files[] = { { 0, 100, -ENODATA }, { 1, 100, 0 }, { 99, 100, 0 }, { 100, 100, 0 },
	{ 101, 100, -EFBIG }, { 200000, 300000, 0 } };

START_TEST(files_are_read_whole)
{
	char path[SCRATCH_PATH];
	struct err e = { "" };
	struct blob b;

	write_file(path, files[_i].len);
	ck_assert_int_eq(blob_read(path, files[_i].max, &b, &e), files[_i].want);
	if (files[_i].want)
		ck_assert_ptr_nonnull(strstr(e.msg, path));
	else
		ck_assert_uint_eq(b.len, files[_i].len);
	blob_free(&b);
}
END_TEST

START_TEST(odd_files)
{
	struct err e = { "" };
	struct blob b;

	ck_assert_int_eq(blob_read("/tmp", 10, &b, &e), -EISDIR);
	ck_assert_int_eq(blob_read("/no/such/file", 10, &b, &e), -ENOENT);
	/* Files that do not know their length. */
	ck_assert_int_eq(blob_read("/proc/self/status", 1 << 20, &b, &e), 0);
	ck_assert_ptr_nonnull(strstr((char *)b.data, "Name:"));
	blob_free(&b);
	ck_assert_int_eq(blob_read("/dev/zero", 1 << 20, &b, &e), -EFBIG);
}
END_TEST

static void *write_late(void *arg)
{
	int fd = *(int *)arg;

	usleep(50000);
	if (write(fd, "late", 4) != 4)
		return NULL;
	close(fd);
	return NULL;
}

START_TEST(slow_pipe_is_read_whole)
{
	struct err e = { "" };
	pthread_t thread;
	char path[40];
	struct blob b;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	pthread_create(&thread, NULL, write_late, &fds[1]);
	ck_assert_msg(blob_read(path, 100, &b, &e) == 0, "%s", e.msg);
	ck_assert_str_eq((char *)b.data, "late");
	pthread_join(thread, NULL);
	blob_free(&b);
	close(fds[0]);
}
END_TEST

static atomic_int calls;

static void count(void *arg)
{
	/* Posts run in the order they were made. */
	ck_assert_int_eq(atomic_fetch_add(&calls, 1), (int)(intptr_t)arg);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static int close_given(void)
{
	int early = fcntl(0, F_DUPFD, 200), later;

	fd_remember_given();
	later = fcntl(0, F_DUPFD_CLOEXEC, 300);
	if (early < 0 || later < 0 || fcntl(early, F_GETFD) != FD_CLOEXEC)
		return 1;
	if (!fd_close_given())
		return 5;
	if (fcntl(early, F_GETFD) != -1 || fcntl(later, F_GETFD) == -1 || fcntl(0, F_GETFD) == -1)
		return 2;
	/* Whoever has these numbers now is somebody else. */
	if (fcntl(0, F_DUPFD, early) != early)
		return 3;
	fd_close_given();
	if (fcntl(early, F_GETFD) == -1)
		return 4;
	/* No descriptor is left to look with. */
	if (setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 3, 3 }))
		return 6;
	fd_remember_given();
	return fd_close_given() ? 7 : 0;
}

START_TEST(what_was_given_is_closed)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(close_given());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(loop_posts_in_order)
{
	struct err e = { "" };
	struct loop *l;
	intptr_t i;

	atomic_store(&calls, 0);
	ck_assert_int_eq(loop_new(&l, NULL, &e), 0);
	for (i = 0; i < 1000; i++)
		ck_assert_int_eq(loop_post(l, count, (void *)i), 0);
	loop_post(l, stop, l);
	ck_assert_int_eq(loop_run(l), 0);
	ck_assert_int_eq(atomic_load(&calls), 1000);
	/* What nobody runs any more is freed, not leaked. */
	loop_post(l, count, NULL);
	loop_free(l);
}
END_TEST

static void ignore(void *arg, int fd, short events)
{
	(void)arg;
	(void)fd;
	(void)events;
}

START_TEST(loop_tells_of_what_it_cannot_watch)
{
	int log = memfd_create("log", MFD_CLOEXEC), err = dup(STDERR_FILENO), fds[2];
	char text[256] = "";
	struct loop_event *ev;
	struct loop *l;
	struct err e;

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(loop_new(&l, NULL, &e), 0);
	ck_assert_int_eq(loop_add_fd(l, fds[0], LOOP_READ, ignore, NULL, &ev, &e), 0);
	loop_event_enable(ev, false);
	close(fds[0]);
	dup2(log, STDERR_FILENO);
	loop_event_enable(ev, true);
	dup2(err, STDERR_FILENO);
	ck_assert_int_gt(pread(log, text, sizeof(text) - 1, 0), 0);
	ck_assert_msg(strstr(text, "event loop refuses descriptor") != NULL, "%s", text);
	loop_event_free(ev);
	loop_free(l);
	close(fds[1]);
	close(err);
	close(log);
}
END_TEST

START_TEST(loop_stop_before_run_is_kept)
{
	struct err e = { "" };
	struct loop *l;

	ck_assert_int_eq(loop_new(&l, NULL, &e), 0);
	loop_stop(l);
	ck_assert_int_eq(loop_run(l), 0);
	/* And it can run again. */
	loop_post(l, stop, l);
	ck_assert_int_eq(loop_run(l), 0);
	loop_free(l);
	loop_free(NULL);
}
END_TEST

static void on_fd(void *arg, int fd, short events)
{
	char byte;

	ck_assert_int_eq(events, LOOP_READ);
	ck_assert_int_eq((int)read(fd, &byte, 1), 1);
	loop_stop(arg);
}

START_TEST(loop_refuses_a_file)
{
	char path[SCRATCH_PATH];
	struct loop_event *ev = NULL;
	struct err e = { "" };
	struct loop *l;
	int fd = scratch_file(path);

	/* epoll takes no regular files: an error, and nothing that somebody frees again. */
	ck_assert_int_eq(loop_new(&l, NULL, &e), 0);
	ck_assert_int_eq(loop_add_fd(l, fd, LOOP_READ, on_fd, l, &ev, &e), -EPERM);
	ck_assert_ptr_null(ev);
	ck_assert_ptr_nonnull(strstr(e.msg, "not permitted"));
	loop_event_free(ev);
	loop_free(l);
	close(fd);
}
END_TEST

START_TEST(text_for_terminals)
{
	char s[] = "a\x1b[31m\nb\x7f\xc2\x9b\xc3\xa4";

	text_defuse(s, strlen(s));
	ck_assert_str_eq(s, "a?[31m\nb???\xc3\xa4");
}
END_TEST

START_TEST(loop_fd_and_thread)
{
	struct err e = { "" };
	struct loop_event *ev;
	struct loop *l;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(loop_new(&l, NULL, &e), 0);
	ck_assert_int_eq(loop_add_fd(l, fds[0], LOOP_READ, on_fd, l, &ev, &e), 0);
	ck_assert_int_eq((int)write(fds[1], "x", 1), 1);
	ck_assert_int_eq(loop_run(l), 0);
	loop_event_free(ev);
	ck_assert_int_eq(loop_start_thread(l, THREAD_IO, "test", &e), 0);
	loop_free(l);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

Suite *util_suite(void)
{
	Suite *s = suite_create("util");
	TCase *t = tcase_create("util");

	tcase_add_test(t, error_chain);
	tcase_add_test(t, error_chain_never_overflows);
	tcase_add_test(t, error_knows_its_field);
	tcase_add_loop_test(t, files_are_read_whole, 0, (int)(sizeof(files) / sizeof(files[0])));
	tcase_add_test(t, odd_files);
	tcase_add_test(t, slow_pipe_is_read_whole);
	tcase_add_test(t, what_was_given_is_closed);
	tcase_add_test(t, loop_posts_in_order);
	tcase_add_test(t, loop_tells_of_what_it_cannot_watch);
	tcase_add_test(t, loop_stop_before_run_is_kept);
	tcase_add_test(t, loop_refuses_a_file);
	tcase_add_test(t, text_for_terminals);
	tcase_add_test(t, loop_fd_and_thread);
	suite_add_tcase(s, t);
	return s;
}
