/* SPDX-License-Identifier: Apache-2.0 */

/* The host end of a console: what its tests share, and the input side. */
#include "tests/unit/test_tty.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/unit/scratch.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

struct tty_dev dev;
struct loop *loop;
struct tty *tty;
int in_pipe[2], out_pipe[2];

static size_t fake_input(void *arg, const uint8_t *data, size_t n)
{
	struct tty_dev *f = arg;
	size_t took;

	pthread_mutex_lock(&f->lock);
	took = min_u64(min_u64(n, f->room), sizeof(f->got) - f->count);
	memcpy(f->got + f->count, data, took);
	f->count += took;
	f->room -= took;
	pthread_mutex_unlock(&f->lock);
	return took;
}

static void fake_drained(void *arg)
{
	struct tty_dev *f = arg;

	pthread_mutex_lock(&f->lock);
	f->drained++;
	pthread_mutex_unlock(&f->lock);
}

static const struct tty_user dev_user = { .input = fake_input, .drained = fake_drained };

static void on_quit(void *arg)
{
	struct tty_dev *f = arg;

	atomic_fetch_add(&f->quits, 1);
}

size_t dev_count(void)
{
	size_t n;

	pthread_mutex_lock(&dev.lock);
	n = dev.count;
	pthread_mutex_unlock(&dev.lock);
	return n;
}

bool dev_wait(size_t n)
{
	for (int i = 0; i < 5000 && dev_count() < n; i++)
		usleep(1000);
	return dev_count() >= n;
}

void dev_give_room(size_t n)
{
	pthread_mutex_lock(&dev.lock);
	dev.room = n;
	pthread_mutex_unlock(&dev.lock);
	tty_input_ready(tty);
}

int tty_begin(int in, int out)
{
	struct tty_config cfg = { .in_fd = in, .out_fd = out, .quit = on_quit, .ctx = &dev };
	int r;

	dev.count = 0;
	dev.room = SIZE_MAX;
	dev.drained = 0;
	atomic_store(&dev.quits, 0);
	r = loop_new(&loop, NULL, NULL);
	if (!r)
		r = loop_start_thread(loop, THREAD_IO, "io", NULL);
	cfg.loop = loop;
	if (!r)
		r = tty_new(&tty, &cfg, NULL);
	return r ? r : tty_attach(tty, &dev_user, &dev, NULL);
}

void tty_end(void)
{
	tty_detach(tty);
	tty_free(tty);
	loop_free(loop);
}

void tty_setup(void)
{
	pthread_mutex_init(&dev.lock, NULL);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe2(in_pipe, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out_pipe, O_CLOEXEC), 0);
}

void tty_teardown(void)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&in_pipe[i]);
		fd_close(&out_pipe[i]);
	}
}

long cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

bool loop_is_idle(void)
{
	long before;

	usleep(20000);
	before = cpu_ms();
	usleep(200000);
	return cpu_ms() - before < 100;
}

int temp_file(const char *text)
{
	char name[SCRATCH_PATH];
	int fd = scratch_file(name);

	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

size_t fill_ring(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t sent = 0;

	for (int idle = 0; idle < 200;) {
		uint8_t byte = (uint8_t)(sent % 241);

		if (tty_write(tty, &byte, 1)) {
			sent++;
			idle = 0;
			continue;
		}
		usleep(1000);
		/* On a busy machine the loop may not have come to its turn yet. */
		if (poll(&p, 1, 0) == 0)
			idle++;
	}
	return sent;
}

START_TEST(pipe_input_and_its_end)
{
	ck_assert_int_eq(tty_begin(in_pipe[0], -1), 0);
	ck_assert_int_eq(write(in_pipe[1], "abc\001x", 5), 5);
	ck_assert(dev_wait(5));
	/* Not a terminal: Ctrl-A is a byte like any other. */
	ck_assert_mem_eq(dev.got, "abc\001x", 5);
	ck_assert_uint_eq(atomic_load(&dev.quits), 0);
	fd_close(&in_pipe[1]);
	ck_assert(loop_is_idle());
	tty_end();
}
END_TEST

START_TEST(input_stops_when_the_device_is_full)
{
	uint8_t junk[1024];
	size_t wrote = 0;
	int n;

	memset(junk, 'j', sizeof(junk));
	ck_assert_int_eq(tty_begin(in_pipe[0], -1), 0);
	dev_give_room(10);
	fcntl(in_pipe[1], F_SETFL, O_NONBLOCK);
	for (int idle = 0; idle < 20;) {
		n = (int)write(in_pipe[1], junk, sizeof(junk));
		wrote += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		usleep(500);
	}
	/* The pipe is full, so nobody reads it; and nobody spins on it. */
	ck_assert(dev_wait(10));
	ck_assert_uint_eq(dev_count(), 10);
	ck_assert_int_eq(ioctl(in_pipe[0], FIONREAD, &n), 0);
	ck_assert_int_ge(n, (int)wrote - 10 - 1024);
	ck_assert(loop_is_idle());
	dev_give_room(100);
	ck_assert(dev_wait(110));
	dev_give_room(SIZE_MAX);
	ck_assert(dev_wait(min_u64(wrote, sizeof(dev.got))));
	tty_end();
}
END_TEST

/* epoll does not take regular files. And a shell may have read a part of it already. */
START_TEST(file_input_from_the_current_offset)
{
	int fd = temp_file("0123456789abcdefghij");

	lseek(fd, 5, SEEK_SET);
	ck_assert_int_eq(tty_begin(fd, -1), 0);
	ck_assert(dev_wait(15));
	ck_assert_mem_eq(dev.got, "56789abcdefghij", 15);
	ck_assert(loop_is_idle());
	tty_end();
	close(fd);
}
END_TEST

START_TEST(file_input_waits_for_the_device)
{
	_free char *text = calloc(1, 20001);
	int fd;

	for (int i = 0; i < 20000; i++)
		text[i] = (char)('a' + i % 23);
	fd = temp_file(text);
	ck_assert_int_eq(tty_begin(fd, -1), 0);
	for (int i = 0; i < 100; i++) {
		dev_give_room(300);
		usleep(200);
	}
	dev_give_room(0);
	ck_assert(loop_is_idle());
	dev_give_room(SIZE_MAX);
	ck_assert(dev_wait(20000));
	ck_assert_mem_eq(dev.got, text, 20000);
	tty_end();
	close(fd);
}
END_TEST

/* Descriptors that are of no use: none of them is an error, none makes the loop spin. */
START_TEST(useless_descriptors)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int dir = open("/tmp", O_RDONLY | O_CLOEXEC);
	int closed = 900; /* far from what the loop opens */
	struct {
		int in, out;
	} rows[] = { { null, null }, { -1, -1 }, { closed, closed }, { in_pipe[1], out_pipe[0] },
		{ dir, dir } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		ck_assert_int_eq(tty_begin(rows[i].in, rows[i].out), 0);
		ck_assert_uint_eq(tty_write(tty, "hello", 5), 5);
		ck_assert(loop_is_idle());
		ck_assert_uint_eq(dev_count(), 0);
		ck_assert_int_eq(tty_drain(tty, 1000), 0);
		ck_assert(tty_can_take(tty, 65536));
		tty_end();
	}
	close(null);
	close(dir);
}
END_TEST

Suite *tty_suite(void)
{
	Suite *s = suite_create("tty");
	TCase *t = tcase_create("input");

	tcase_add_checked_fixture(t, tty_setup, tty_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, pipe_input_and_its_end);
	tcase_add_test(t, input_stops_when_the_device_is_full);
	tcase_add_test(t, file_input_from_the_current_offset);
	tcase_add_test(t, file_input_waits_for_the_device);
	tcase_add_test(t, useless_descriptors);
	suite_add_tcase(s, t);
	suite_add_tcase(s, tty_output_case());
	suite_add_tcase(s, tty_terminal_case());
	return s;
}
