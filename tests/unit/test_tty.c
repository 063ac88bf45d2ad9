/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "devices/tty.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

Suite *tty_suite(void);

/* A device that keeps what it gets and takes `room` bytes until told otherwise. */
struct fake {
	pthread_mutex_t lock;
	uint8_t got[65536];
	size_t count, room;
	unsigned int drained;
	atomic_uint quits;
};

static struct fake dev;
static struct loop *loop;
static struct tty *tty;
static int in_pipe[2], out_pipe[2];

static size_t fake_input(void *arg, const uint8_t *data, size_t n)
{
	struct fake *f = arg;
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
	struct fake *f = arg;

	pthread_mutex_lock(&f->lock);
	f->drained++;
	pthread_mutex_unlock(&f->lock);
}

static const struct tty_user user = { .input = fake_input, .drained = fake_drained };

static void on_quit(void *arg)
{
	struct fake *f = arg;

	atomic_fetch_add(&f->quits, 1);
}

static size_t count(void)
{
	size_t n;

	pthread_mutex_lock(&dev.lock);
	n = dev.count;
	pthread_mutex_unlock(&dev.lock);
	return n;
}

static bool wait_count(size_t n)
{
	for (int i = 0; i < 5000 && count() < n; i++)
		usleep(1000);
	return count() >= n;
}

static void give_room(size_t n)
{
	pthread_mutex_lock(&dev.lock);
	dev.room = n;
	pthread_mutex_unlock(&dev.lock);
	tty_input_ready(tty);
}

static int start(int in, int out)
{
	struct tty_config cfg = { .in_fd = in, .out_fd = out, .quit = on_quit, .ctx = &dev };
	int r;

	dev.count = 0;
	dev.room = SIZE_MAX;
	dev.drained = 0;
	atomic_store(&dev.quits, 0);
	r = loop_new(&loop, NULL, NULL);
	if (!r)
		r = loop_start_thread(loop, "io", NULL);
	cfg.loop = loop;
	if (!r)
		r = tty_new(&tty, &cfg, NULL);
	return r ? r : tty_attach(tty, &user, &dev, NULL);
}

static void stop(void)
{
	tty_detach(tty);
	tty_free(tty);
	loop_free(loop);
}

static void setup(void)
{
	pthread_mutex_init(&dev.lock, NULL);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(pipe2(in_pipe, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out_pipe, O_CLOEXEC), 0);
}

static void teardown(void)
{
	for (int i = 0; i < 2; i++) {
		fd_close(&in_pipe[i]);
		fd_close(&out_pipe[i]);
	}
}

/* Processor time of the whole process in milliseconds. */
static long cpu_ms(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000 +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1000;
}

static bool loop_is_idle(void)
{
	long before;

	usleep(20000);
	before = cpu_ms();
	usleep(200000);
	return cpu_ms() - before < 100;
}

/* ---- input ---- */

START_TEST(pipe_input_and_its_end)
{
	ck_assert_int_eq(start(in_pipe[0], -1), 0);
	ck_assert_int_eq(write(in_pipe[1], "abc\001x", 5), 5);
	ck_assert(wait_count(5));
	/* Not a terminal: Ctrl-A is a byte like any other. */
	ck_assert_mem_eq(dev.got, "abc\001x", 5);
	ck_assert_uint_eq(atomic_load(&dev.quits), 0);
	fd_close(&in_pipe[1]);
	ck_assert(loop_is_idle());
	stop();
}
END_TEST

START_TEST(input_stops_when_the_device_is_full)
{
	uint8_t junk[1024];
	size_t wrote = 0;
	int n;

	memset(junk, 'j', sizeof(junk));
	ck_assert_int_eq(start(in_pipe[0], -1), 0);
	give_room(10);
	fcntl(in_pipe[1], F_SETFL, O_NONBLOCK);
	for (int idle = 0; idle < 20;) {
		n = (int)write(in_pipe[1], junk, sizeof(junk));
		wrote += n > 0 ? (size_t)n : 0;
		idle = n > 0 ? 0 : idle + 1;
		usleep(500);
	}
	/* The pipe is full, so nobody reads it; and nobody spins on it. */ ck_assert(
		wait_count(10));
	ck_assert_uint_eq(count(), 10);
	ck_assert_int_eq(ioctl(in_pipe[0], FIONREAD, &n), 0);
	ck_assert_int_ge(n, (int)wrote - 10 - 1024);
	ck_assert(loop_is_idle());
	give_room(100);
	ck_assert(wait_count(110));
	give_room(SIZE_MAX);
	ck_assert(wait_count(min_u64(wrote, sizeof(dev.got))));
	stop();
}
END_TEST

static int temp_file(const char *text)
{
	char name[] = "/tmp/nacre-tty-XXXXXX";
	int fd = mkstemp(name);

	ck_assert_int_ge(fd, 0);
	unlink(name);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* epoll does not take regular files. And a shell may have read a part of it already. */
START_TEST(file_input_from_the_current_offset)
{
	int fd = temp_file("0123456789abcdefghij");

	lseek(fd, 5, SEEK_SET);
	ck_assert_int_eq(start(fd, -1), 0);
	ck_assert(wait_count(15));
	ck_assert_mem_eq(dev.got, "56789abcdefghij", 15);
	ck_assert(loop_is_idle());
	stop();
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
	ck_assert_int_eq(start(fd, -1), 0);
	for (int i = 0; i < 100; i++) {
		give_room(300);
		usleep(200);
	}
	give_room(0);
	ck_assert(loop_is_idle());
	give_room(SIZE_MAX);
	ck_assert(wait_count(20000));
	ck_assert_mem_eq(dev.got, text, 20000);
	stop();
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
		ck_assert_int_eq(start(rows[i].in, rows[i].out), 0);
		ck_assert_uint_eq(tty_write(tty, "hello", 5), 5);
		ck_assert(loop_is_idle());
		ck_assert_uint_eq(count(), 0);
		ck_assert_int_eq(tty_drain(tty, 1000, NULL), 0);
		ck_assert(tty_can_take(tty, 65536));
		stop();
	}
	close(null);
	close(dir);
}
END_TEST

/* ---- output ---- */

START_TEST(closed_reader_is_no_trouble)
{
	uint8_t junk[5000] = { 0 };

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(start(-1, out_pipe[1]), 0);
	fd_close(&out_pipe[0]);
	for (int i = 0; i < 5000 && !tty_can_take(tty, 65536 + 1); i++) {
		ck_assert_uint_le(tty_write(tty, junk, sizeof(junk)), sizeof(junk));
		usleep(1000);
	}
	ck_assert_uint_eq(tty_write(tty, junk, sizeof(junk)), sizeof(junk));
	ck_assert(tty_can_take(tty, 65536));
	ck_assert(loop_is_idle());
	ck_assert_int_eq(tty_drain(tty, -1, NULL), 0);
	stop();
	log_set_level(LOG_WARN);
}
END_TEST

/* Writes until the ring is full and stays so, and the descriptor behind it, fd, as well. */
static size_t fill(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	size_t sent = 0;

	for (int idle = 0; idle < 20;) {
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

/* The reader goes away while we wait for it with a full pipe. */
START_TEST(reader_that_closes_late)
{
	ck_assert_int_eq(start(-1, out_pipe[1]), 0);
	fill(out_pipe[1]);
	ck_assert(!tty_can_take(tty, 16));
	ck_assert(loop_is_idle());
	fd_close(&out_pipe[0]);
	for (int i = 0; i < 1000 && !tty_can_take(tty, 16); i++)
		usleep(1000);
	ck_assert(tty_can_take(tty, 16));
	ck_assert_uint_eq(dev.drained, 1);
	stop();
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

	ck_assert_int_eq(start(-1, out_pipe[1]), 0);
	sent = fill(out_pipe[1]);
	pthread_create(&thread, NULL, slow_reader, &r);
	if (_i)
		tty_detach(tty);
	ck_assert_int_eq(tty_drain(tty, _i ? -1 : 30000, NULL), 0);
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

static void *cancel_soon(void *arg)
{
	usleep(100000);
	atomic_store((atomic_bool *)arg, true);
	return NULL;
}

START_TEST(drain_gives_up)
{
	atomic_bool cancel = false;
	pthread_t thread;
	long before;

	ck_assert_int_eq(start(-1, out_pipe[1]), 0);
	fill(out_pipe[1]);
	before = cpu_ms();
	ck_assert_int_eq(tty_drain(tty, 0, NULL), -ETIMEDOUT);
	ck_assert_int_eq(tty_drain(tty, 200, NULL), -ETIMEDOUT);
	pthread_create(&thread, NULL, cancel_soon, &cancel);
	ck_assert_int_eq(tty_drain(tty, -1, &cancel), -ECANCELED);
	pthread_join(thread, NULL);
	ck_assert_int_lt(cpu_ms() - before, 100);
	stop();
}
END_TEST

/* `(echo a; nacre run; echo b) > file`: everyone's lines are there. */
START_TEST(file_output_keeps_the_offset)
{
	int fd = temp_file("");
	char text[16] = "";

	ck_assert_int_eq(write(fd, "before ", 7), 7);
	ck_assert_int_eq(start(-1, fd), 0);
	ck_assert_uint_eq(tty_write(tty, "us ", 3), 3);
	ck_assert_int_eq(tty_drain(tty, 5000, NULL), 0);
	stop();
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
	ck_assert_int_eq(start(sv[0], sv[0]), 0);
	ck_assert(fcntl(sv[0], F_GETFL) & O_NONBLOCK);
	ck_assert_int_eq(write(sv[1], "in", 2), 2);
	ck_assert(wait_count(2));
	fill(sv[0]);
	ck_assert_int_eq(tty_drain(tty, 50, NULL), -ETIMEDOUT);
	stop();
	ck_assert(!(fcntl(sv[0], F_GETFL) & O_NONBLOCK));
	close(sv[0]);
	close(sv[1]);
}
END_TEST

/* ---- terminals ---- */

/*
 * Runs fn in a session of its own that is controlled by a new terminal, and returns the master. fn
 * returns 0 or the line at which it failed; it cannot use ck_assert, which belongs to the parent.
 */
#define MUST(cond)                                                  \
	do {                                                        \
		if (!(cond))                                        \
			return __LINE__ % 256 ? __LINE__ % 256 : 1; \
	} while (0)

static int spawn(int (*fn)(int fd), pid_t *pid)
{
	int master, slave;

	ck_assert_int_eq(openpty(&master, &slave, NULL, NULL, NULL), 0);
	*pid = fork();
	ck_assert_int_ge(*pid, 0);
	if (*pid == 0) {
		int r = 255;

		close(master);
		signal(SIGHUP, SIG_DFL);
		alarm(20);
		if (setsid() >= 0 && ioctl(slave, TIOCSCTTY, 0) == 0)
			r = fn(slave);
		/* Runs the atexit hooks but the parent's test framework has none in a child. */
		exit(r);
	}
	close(slave);
	return master;
}

static void reap(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
	ck_assert_msg(
		WEXITSTATUS(status) == 0, "failed at line %d (modulo 256)", WEXITSTATUS(status));
}

static bool is_raw(int fd)
{
	struct termios t;

	if (tcgetattr(fd, &t))
		return false;
	return !(t.c_lflag & (ICANON | ECHO | ISIG)) && !(t.c_iflag & (ICRNL | IXON));
}

static bool is_cooked(int fd)
{
	struct termios t;

	return tcgetattr(fd, &t) == 0 && t.c_lflag & ICANON && t.c_lflag & ECHO &&
	       t.c_lflag & ISIG && t.c_iflag & ICRNL;
}

/* How a run can end; after each of them the terminal must be as it was. */
static int ends_by_free(int fd)
{
	struct termios t;

	MUST(is_cooked(fd));
	MUST(start(fd, fd) == 0);
	MUST(is_raw(fd));
	MUST(tcgetattr(fd, &t) == 0 && t.c_oflag & OPOST);
	stop();
	MUST(is_cooked(fd));
	return 0;
}

static int ends_by_exit(int fd)
{
	MUST(start(fd, fd) == 0);
	MUST(is_raw(fd));
	return 0;
}

static void on_fatal(int signo)
{
	(void)signo;
	tty_crash_restore();
	_exit(0);
}

static int ends_by_crash(int fd)
{
	signal(SIGSEGV, on_fatal);
	MUST(start(fd, fd) == 0);
	MUST(is_raw(fd));
	raise(SIGSEGV);
	return 1;
}

static int (*const endings[])(int fd) = { ends_by_free, ends_by_exit, ends_by_crash };

START_TEST(terminal_is_restored)
{
	pid_t pid;
	int master = spawn(endings[_i], &pid);

	reap(pid);
	ck_assert(is_cooked(master));
	close(master);
}
END_TEST

static bool wait_quits(unsigned int n)
{
	for (int i = 0; i < 5000 && atomic_load(&dev.quits) < n; i++)
		usleep(1000);
	return atomic_load(&dev.quits) == n;
}

/* The child says R when it is ready for keys; see the parents below. */
static int takes_keys(int fd)
{
	MUST(start(fd, -1) == 0);
	MUST(write(fd, "R", 1) == 1);
	MUST(wait_quits(1));
	MUST(wait_count(6));
	MUST(count() == 6);
	/* Ctrl-C and Ctrl-Z are for the guest; Ctrl-A a and twice Ctrl-A are one Ctrl-A. */
	MUST(!memcmp(dev.got, "\003\032\r\001\001z", 6));
	stop();
	return 0;
}

static void wait_ready(int master)
{
	char c = 0;

	while (c != 'R')
		ck_assert_int_eq(read(master, &c, 1), 1);
}

START_TEST(keys)
{
	/* Also split over writes, so that the Ctrl-A arrives alone. */
	static const char *const pieces[] = { "\003\032\r\001", "a\001\001", "\001q", "z\001",
		"x" };
	pid_t pid;
	int master = spawn(takes_keys, &pid);

	wait_ready(master);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		size_t n = strlen(pieces[i]);

		ck_assert_int_eq(write(master, pieces[i], n), (ssize_t)n);
		usleep(10000);
	}
	reap(pid);
	close(master);
}
END_TEST

static int hangs(int fd)
{
	MUST(start(fd, -1) == 0);
	give_room(0);
	MUST(write(fd, "R", 1) == 1);
	MUST(wait_quits(1));
	MUST(count() == 0);
	stop();
	return 0;
}

START_TEST(quit_key_works_when_the_guest_hangs)
{
	pid_t pid;
	int master = spawn(hangs, &pid);

	wait_ready(master);
	ck_assert_int_eq(write(master, "is anybody there? hello? hello?", 31), 31);
	usleep(20000);
	ck_assert_int_eq(write(master, "\001x", 2), 2);
	reap(pid);
	close(master);
}
END_TEST

static int prints_help(int fd)
{
	int p[2];
	char text[200] = "";

	MUST(pipe(p) == 0 && dup2(p[1], STDERR_FILENO) == STDERR_FILENO);
	MUST(start(fd, -1) == 0);
	MUST(write(fd, "R", 1) == 1);
	MUST(read(p[0], text, sizeof(text) - 1) > 0);
	MUST(strstr(text, "Ctrl-A x"));
	MUST(count() == 0);
	stop();
	return 0;
}

START_TEST(help_key)
{
	pid_t pid;
	int master = spawn(prints_help, &pid);

	wait_ready(master);
	ck_assert_int_eq(write(master, "\001h", 2), 2);
	reap(pid);
	close(master);
}
END_TEST

/* In the background the terminal is not ours: no raw mode, no reading, no SIGTTOU at the end. */
static int background_job(int fd, int tell, int go)
{
	char c;

	MUST(start(fd, -1) == 0);
	MUST(is_cooked(fd));
	MUST(loop_is_idle());
	MUST(write(tell, "b", 1) == 1 && read(go, &c, 1) == 1);
	/* Now we are in the foreground. */
	tty_resume(tty);
	for (int i = 0; i < 5000 && !is_raw(fd); i++)
		usleep(1000);
	MUST(is_raw(fd));
	MUST(write(fd, "R", 1) == 1);
	MUST(wait_count(2));
	MUST(write(tell, "f", 1) == 1 && read(go, &c, 1) == 1);
	/* And in the background again, where the shell has its own settings. */
	stop();
	MUST(is_raw(fd));
	return 0;
}

static int shell_with_a_job(int fd)
{
	int to[2], from[2], status;
	pid_t pid;
	char c;

	signal(SIGTTOU, SIG_IGN);
	MUST(pipe(to) == 0 && pipe(from) == 0);
	pid = fork();
	if (pid == 0) {
		signal(SIGTTOU, SIG_DFL);
		setpgid(0, 0);
		_exit(background_job(fd, from[1], to[0]));
	}
	setpgid(pid, pid);
	close(from[1]);
	if (read(from[0], &c, 1) == 1) {
		MUST(tcsetpgrp(fd, pid) == 0);
		MUST(write(to[1], "g", 1) == 1);
	}
	if (read(from[0], &c, 1) == 1) {
		MUST(tcsetpgrp(fd, getpgrp()) == 0);
		MUST(write(to[1], "g", 1) == 1);
	}
	MUST(waitpid(pid, &status, WUNTRACED) == pid);
	if (WIFSTOPPED(status))
		kill(pid, SIGKILL);
	MUST(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(background_and_foreground)
{
	pid_t pid;
	int master = spawn(shell_with_a_job, &pid);

	wait_ready(master);
	ck_assert_int_eq(write(master, "ok", 2), 2);
	reap(pid);
	close(master);
}
END_TEST

/* The terminal goes away under us. */
static int loses_terminal(int fd)
{
	signal(SIGHUP, SIG_IGN);
	log_set_level(LOG_ERROR);
	MUST(start(fd, fd) == 0);
	MUST(write(fd, "R", 1) == 1);
	usleep(100000);
	MUST(loop_is_idle());
	for (int i = 0; i < 50; i++) {
		tty_write(tty, "hello", 5);
		usleep(100);
	}
	MUST(loop_is_idle());
	MUST(tty_drain(tty, 1000, NULL) == 0);
	stop();
	return 0;
}

START_TEST(terminal_hangup)
{
	pid_t pid;
	int master = spawn(loses_terminal, &pid);

	wait_ready(master);
	close(master);
	reap(pid);
}
END_TEST

/* A terminal that is stopped, as by a user who scrolls back: nobody waits for it. */
static int fills_terminal(int fd)
{
	MUST(start(fd, fd) == 0);
	MUST(write(fd, "R", 1) == 1);
	/* A terminal's poll says "writable" when its write does not; so wait a little only. */
	fill(-1);
	MUST(!tty_can_take(tty, 1));
	MUST(loop_is_idle());
	MUST(wait_quits(1));
	MUST(tty_drain(tty, 50, NULL) == -ETIMEDOUT);
	/* The user is back. */
	MUST(kill(getppid(), SIGUSR1) == 0);
	for (int i = 0; i < 10000 && !tty_can_take(tty, 65536); i++)
		usleep(1000);
	MUST(tty_can_take(tty, 65536));
	stop();
	return 0;
}

static volatile sig_atomic_t user_is_back;

static void on_back(int signo)
{
	(void)signo;
	user_is_back = 1;
}

START_TEST(stopped_terminal)
{
	char buf[4096];
	pid_t pid;
	int master;

	user_is_back = 0;
	signal(SIGUSR1, on_back);
	master = spawn(fills_terminal, &pid);

	wait_ready(master);
	usleep(100000);
	ck_assert_int_eq(write(master, "\001x", 2), 2);
	while (!user_is_back)
		usleep(1000);
	while (read(master, buf, sizeof(buf)) > 0)
		;
	reap(pid);
	close(master);
}
END_TEST

Suite *tty_suite(void)
{
	Suite *s = suite_create("tty");
	TCase *t = tcase_create("streams");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, pipe_input_and_its_end);
	tcase_add_test(t, input_stops_when_the_device_is_full);
	tcase_add_test(t, file_input_from_the_current_offset);
	tcase_add_test(t, file_input_waits_for_the_device);
	tcase_add_test(t, useless_descriptors);
	tcase_add_test(t, closed_reader_is_no_trouble);
	tcase_add_test(t, reader_that_closes_late);
	tcase_add_loop_test(t, drain_waits_for_a_slow_reader, 0, 2);
	tcase_add_test(t, drain_gives_up);
	tcase_add_test(t, file_output_keeps_the_offset);
	tcase_add_test(t, shared_description_gets_its_flags_back);
	suite_add_tcase(s, t);

	t = tcase_create("terminals");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, terminal_is_restored, 0, (int)ARRAY_SIZE(endings));
	tcase_add_test(t, keys);
	tcase_add_test(t, quit_key_works_when_the_guest_hangs);
	tcase_add_test(t, help_key);
	tcase_add_test(t, background_and_foreground);
	tcase_add_test(t, terminal_hangup);
	tcase_add_test(t, stopped_terminal);
	suite_add_tcase(s, t);
	return s;
}
