/* SPDX-License-Identifier: Apache-2.0 */

/* The host end of a console: the output side, and how what is left is written at the end. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/test_tty.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

START_TEST(closed_reader_is_no_trouble)
{
	uint8_t junk[5000] = { 0 };

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(tty_begin(-1, out_pipe[1]), 0);
	fd_close(&out_pipe[0]);
	for (int i = 0; i < 5000 && !tty_can_take(tty, 65536 + 1); i++) {
		ck_assert_uint_le(tty_write(tty, junk, sizeof(junk)), sizeof(junk));
		usleep(1000);
	}
	ck_assert_uint_eq(tty_write(tty, junk, sizeof(junk)), sizeof(junk));
	ck_assert(tty_can_take(tty, 65536));
	ck_assert(loop_is_idle());
	ck_assert_int_eq(tty_drain(tty, -1), 0);
	tty_end();
	log_set_level(LOG_WARN);
}
END_TEST

/* The reader goes away while we wait for it with a full pipe. */
START_TEST(reader_that_closes_late)
{
	ck_assert_int_eq(tty_begin(-1, out_pipe[1]), 0);
	fill_ring(out_pipe[1]);
	ck_assert(!tty_can_take(tty, 16));
	ck_assert(loop_is_idle());
	fd_close(&out_pipe[0]);
	for (int i = 0; i < 1000 && !tty_can_take(tty, 16); i++)
		usleep(1000);
	ck_assert(tty_can_take(tty, 16));
	ck_assert_uint_eq(dev.drained, 1);
	tty_end();
}
END_TEST

struct reader {
	int fd;
	size_t got;
	bool in_order;
};

static void *slow_reader(void *arg)
{
	struct reader *r = arg;
	uint8_t buf[3000];
	ssize_t n;

	r->in_order = true;
	usleep(50000);
	while ((n = read(r->fd, buf, sizeof(buf))) > 0) {
		for (ssize_t i = 0; i < n; i++)
			r->in_order &= buf[i] == (r->got + (size_t)i) % 241;
		r->got += (size_t)n;
		usleep(500);
	}
	return NULL;
}

/* `nacre run | slow-consumer` loses nothing, with the loop running or stopped already. */
START_TEST(drain_waits_for_a_slow_reader)
{
	struct reader r = { .fd = out_pipe[0] };
	pthread_t thread;
	size_t sent;

	ck_assert_int_eq(tty_begin(-1, out_pipe[1]), 0);
	sent = fill_ring(out_pipe[1]);
	pthread_create(&thread, NULL, slow_reader, &r);
	if (_i)
		tty_detach(tty);
	ck_assert_int_eq(tty_drain(tty, _i ? -1 : 30000), 0);
	if (!_i)
		tty_detach(tty);
	tty_free(tty);
	loop_free(loop);
	fd_close(&out_pipe[1]);
	pthread_join(thread, NULL);
	ck_assert(r.in_order);
	ck_assert_uint_eq(r.got, sent);
}
END_TEST

START_TEST(drain_gives_up)
{
	long before;

	ck_assert_int_eq(tty_begin(-1, out_pipe[1]), 0);
	fill_ring(out_pipe[1]);
	before = cpu_ms();
	ck_assert_int_eq(tty_drain(tty, 0), -ETIMEDOUT);
	ck_assert_int_eq(tty_drain(tty, 200), -ETIMEDOUT);
	ck_assert_int_lt(cpu_ms() - before, 100);
	tty_end();
}
END_TEST

/*
 * Without time to wait, all that can be written at once is: also what begins anew at the start of
 * the ring, and so takes a second write. A machine that ends asks for just that.
 */
START_TEST(drain_without_waiting_writes_all)
{
	struct tty_config cfg = { .in_fd = -1 };
	uint8_t some[40000], got[2 * sizeof(some)];

	cfg.out_fd = temp_file("");
	ck_assert_int_eq(loop_new(&loop, NULL, NULL), 0);
	cfg.loop = loop;
	ck_assert_int_eq(tty_new(&tty, &cfg, NULL), 0);
	/* Never attached, so that no loop helps. */
	for (size_t i = 0; i < 2; i++) {
		memset(some, (int)('a' + i), sizeof(some));
		ck_assert_uint_eq(tty_write(tty, some, sizeof(some)), sizeof(some));
		ck_assert_int_eq(tty_drain(tty, 0), 0);
	}
	ck_assert_int_eq(pread(cfg.out_fd, got, sizeof(got), 0), sizeof(got));
	for (size_t i = 0; i < sizeof(got); i++)
		ck_assert_uint_eq(got[i], i < sizeof(some) ? 'a' : 'b');
	tty_free(tty);
	loop_free(loop);
	close(cfg.out_fd);
}
END_TEST

/* `(echo a; nacre run; echo b) > file`: everyone's lines are there. */
START_TEST(file_output_keeps_the_offset)
{
	int fd = temp_file("");
	char text[16] = "";

	ck_assert_int_eq(write(fd, "before ", 7), 7);
	ck_assert_int_eq(tty_begin(-1, fd), 0);
	ck_assert_uint_eq(tty_write(tty, "us ", 3), 3);
	ck_assert_int_eq(tty_drain(tty, 5000), 0);
	tty_end();
	ck_assert_int_eq(write(fd, "after", 5), 5);
	ck_assert_int_eq(pread(fd, text, sizeof(text), 0), 15);
	ck_assert_str_eq(text, "before us after");
	close(fd);
}
END_TEST

/* A socket cannot be opened anew: its flags are changed for the time being and put back. */
START_TEST(shared_description_gets_its_flags_back)
{
	int sv[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv), 0);
	ck_assert_int_eq(tty_begin(sv[0], sv[0]), 0);
	ck_assert(fcntl(sv[0], F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(write(sv[1], "in", 2), 2);
	ck_assert(dev_wait(2));
	fill_ring(sv[0]);
	ck_assert_int_eq(tty_drain(tty, 50), -ETIMEDOUT);
	tty_end();
	ck_assert(!(fcntl(sv[0], F_GETFL) & O_NONBLOCK));
	close(sv[0]);
	close(sv[1]);
}
END_TEST

/* A tty that no loop serves. */
static void begin_alone(struct tty_config cfg)
{
	struct err e = { "" };

	ck_assert_int_eq(loop_new(&loop, NULL, NULL), 0);
	cfg.loop = loop;
	cfg.in_fd = -1;
	ck_assert_msg(tty_new(&tty, &cfg, &e) == 0, "%s", e.msg);
}

static void end_alone(void)
{
	tty_free(tty);
	loop_free(loop);
}

/* All of a write or nothing; the bucket does not fill while we look. */
START_TEST(beyond_the_limit_is_dropped)
{
	struct tty_config cfg = { .out_fd = temp_file(""), .limit = { 100, 50, 3600000 } };
	uint8_t some[240], got[sizeof(some)];
	static const size_t sizes[] = { 50, 60, 60, 1 };

	begin_alone(cfg);
	memset(some, 'a', sizeof(some));
	for (size_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(tty_write(tty, some, sizes[i]), sizes[i]);
		ck_assert(tty_can_take(tty, 65536 - 150));
	}
	ck_assert_int_eq(tty_drain(tty, 0), 0);
	ck_assert_int_eq(pread(cfg.out_fd, got, sizeof(got), 0), 110);
	ck_assert_uint_eq(tty_read_dropped(tty).limited, 61);
	ck_assert_uint_eq(tty_read_dropped(tty).late, 0);
	end_alone();
	close(cfg.out_fd);
}
END_TEST

/* What finds no room in the ring takes no tokens, since it is offered again. */
START_TEST(what_does_not_fit_costs_nothing)
{
	struct tty_config cfg = { .out_fd = temp_file(""), .limit = { 65536 + 10, 0, 864000000 } };
	static const uint8_t some[65536];

	begin_alone(cfg);
	ck_assert_uint_eq(tty_write(tty, some, 65536), 65536);
	for (size_t i = 0; i < 20; i++)
		ck_assert_uint_eq(tty_write(tty, some, 1), 0);
	ck_assert_int_eq(tty_drain(tty, 0), 0);
	ck_assert_uint_eq(tty_write(tty, some, 10), 10);
	ck_assert_uint_eq(tty_read_dropped(tty).limited, 0);
	ck_assert_uint_eq(tty_write(tty, some, 1), 1);
	ck_assert_uint_eq(tty_read_dropped(tty).limited, 1);
	end_alone();
	close(cfg.out_fd);
}
END_TEST

START_TEST(limit_that_cannot_be_counted)
{
	struct tty_config cfg = { .in_fd = -1, .out_fd = -1, .limit = { 1, 0, UINT64_MAX } };
	struct err e = { "" };

	ck_assert_int_eq(tty_new(&tty, &cfg, &e), -EINVAL);
	ck_assert_msg(strstr(e.msg, "refill time") != NULL, "%s", e.msg);
}
END_TEST

/* Nobody is asked to wait for a reader, not at the end either; what came in time is not touched. */
START_TEST(late_output_is_dropped)
{
	struct tty_config cfg = { .out_fd = out_pipe[1], .drop_late = true };
	size_t sent = 0, got = 0;
	uint8_t some[4096];
	ssize_t n;

	memset(some, 'a', sizeof(some));
	begin_alone(cfg);
	for (; sent < 100 * sizeof(some); sent += sizeof(some)) {
		ck_assert_uint_eq(tty_write(tty, some, sizeof(some)), sizeof(some));
		ck_assert(tty_can_take(tty, 65536));
		/* As far as the descriptor takes it, which empties the ring each time. */
		ck_assert_int_eq(tty_drain(tty, 0), 0);
	}
	fcntl(out_pipe[0], F_SETFL, O_NONBLOCK);
	while ((n = read(out_pipe[0], some, sizeof(some))) > 0)
		got += (size_t)n;
	ck_assert_uint_gt(got, 0);
	ck_assert_uint_gt(tty_read_dropped(tty).late, 0);
	ck_assert_uint_eq(got + tty_read_dropped(tty).late, sent);
	for (sent = 0; sent < 65536; sent += sizeof(some))
		ck_assert_uint_eq(tty_write(tty, some, sizeof(some)), sizeof(some));
	got = tty_read_dropped(tty).late;
	ck_assert_uint_eq(tty_write(tty, some, 9), 9);
	ck_assert_uint_eq(tty_read_dropped(tty).late, got + 9);
	end_alone();
}
END_TEST

/* A disk goes on in the end: nothing of a file's is dropped. */
START_TEST(files_are_never_late)
{
	struct tty_config cfg = { .out_fd = temp_file(""), .drop_late = true };
	static const uint8_t some[65537];

	begin_alone(cfg);
	ck_assert_uint_eq(tty_write(tty, some, sizeof(some)), 65536);
	ck_assert(!tty_can_take(tty, 1));
	ck_assert_uint_eq(tty_read_dropped(tty).late, 0);
	end_alone();
	close(cfg.out_fd);
}
END_TEST

TCase *tty_output_case(void)
{
	TCase *t = tcase_create("output");

	tcase_add_checked_fixture(t, tty_setup, tty_teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, closed_reader_is_no_trouble);
	tcase_add_test(t, reader_that_closes_late);
	tcase_add_loop_test(t, drain_waits_for_a_slow_reader, 0, 2);
	tcase_add_test(t, drain_gives_up);
	tcase_add_test(t, drain_without_waiting_writes_all);
	tcase_add_test(t, file_output_keeps_the_offset);
	tcase_add_test(t, shared_description_gets_its_flags_back);
	tcase_add_test(t, beyond_the_limit_is_dropped);
	tcase_add_test(t, what_does_not_fit_costs_nothing);
	tcase_add_test(t, limit_that_cannot_be_counted);
	tcase_add_test(t, late_output_is_dropped);
	tcase_add_test(t, files_are_never_late);
	return t;
}
