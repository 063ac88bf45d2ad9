/* SPDX-License-Identifier: Apache-2.0 */

/* The virtio console between a driver and two pipes: no byte is lost, and nobody waits. */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "devices/serial.h"
#include "devices/virtio_console.h"
#include "mem/guard.h"
#include "tests/unit/fake_driver.h"
#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

#define F_SIZE 1ull

#define RX 0
#define TX 1

static struct guest guest;
static struct loop *loop;	  /* the device's; runs when told */
static struct loop *console_loop; /* the tty's; on a thread */
static struct loop_event *end;
static struct tty *tty;
static struct virtio_console *console;
static struct driver drv;
static struct ring rx, tx;
static bool early; /* chains are there before the device starts, which looks at once */
static int irq, in_pipe[2], out_pipe[2];

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

static void pump(unsigned int ms)
{
	loop_timer_set(end, ms * 1000ull);
	ck_assert_int_eq(loop_run(loop), 0);
}

static void start_driver(uint64_t features)
{
	ring_new(&rx, &guest, GUEST_RAM, 64);
	ring_new(&tx, &guest, GUEST_RAM + RING_BYTES, 64);
	ck_assert_uint_eq(
		driver_negotiate(&drv, features | F_VERSION), S_ACK | S_DRIVER | S_FEATURES_OK);
	driver_queue(&drv, RX, &rx);
	driver_queue(&drv, TX, &tx);
	if (early) {
		ring_desc(&rx, 0, GUEST_DATA, 10, DESC_WRITE, 0);
		ring_offer(&rx, 0);
		ring_desc(&tx, 0, GUEST_DATA + 0x1000, 200, 0, 0);
		ring_offer(&tx, 0);
	}
	driver_put(&drv, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

static void begin(int in, int out)
{
	struct tty_config tc = { .loop = console_loop, .in_fd = in, .out_fd = out };
	struct console_config cfg = { .mem = guest.mem, .loop = loop, .irq.fd = irq };
	struct err e = { "" };

	virtio_console_free(console);
	tty_free(tty);
	console = NULL;
	ck_assert_int_eq(tty_new(&tty, &tc, &e), 0);
	cfg.tty = tty;
	ck_assert_msg(!virtio_console_new(&console, &cfg, &e), "%s", e.msg);
	driver_new(&drv, virtio_console_dev(console));
}

static void setup(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(guard_init(&e), 0);
	guest_new(&guest);
	ck_assert_int_eq(pipe2(in_pipe, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out_pipe, O_CLOEXEC), 0);
	irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(loop_new(&loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(loop, on_end, NULL, &end, &e), 0);
	ck_assert_int_eq(loop_new(&console_loop, NULL, &e), 0);
	ck_assert_int_eq(loop_start_thread(console_loop, "console", &e), 0);
	begin(in_pipe[0], out_pipe[1]);
}

static void teardown(void)
{
	virtio_console_free(console);
	console = NULL;
	tty_free(tty);
	tty = NULL;
	loop_event_free(end);
	loop_free(loop);
	loop_free(console_loop);
	close(irq);
	for (int i = 0; i < 2; i++) {
		fd_close(&in_pipe[i]);
		fd_close(&out_pipe[i]);
	}
	guest_free(&guest);
	log_set_level(LOG_WARN);
}

static unsigned int irqs(void)
{
	uint64_t n = 0;

	return read(irq, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

static bool broken(void)
{
	return driver_get(&drv, R_STATUS) & S_NEEDS_RESET;
}

static void expect_used(const struct ring *r, unsigned int n)
{
	for (unsigned int tries = 0; ring_used_idx(r) < n && tries < 5000; tries++)
		pump(1);
	ck_assert_uint_eq(ring_used_idx(r), n);
}

/* Numbers that do not repeat soon. */
static void pattern(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

/* Reads n bytes of output, and lets the device work meanwhile. */
static void read_output(uint8_t *p, size_t n)
{
	size_t got = 0;

	for (unsigned int tries = 0; got < n && tries < 10000; tries++) {
		struct pollfd ready = { .fd = out_pipe[0], .events = POLLIN };
		ssize_t r = 0;

		pump(0);
		if (poll(&ready, 1, 1) == 1)
			r = read(out_pipe[0], p + got, n - got);
		ck_assert_int_ge(r, 0);
		got += (size_t)r;
	}
	ck_assert_uint_eq(got, n);
}

static bool output_is_empty(void)
{
	struct pollfd ready = { .fd = out_pipe[0], .events = POLLIN };

	return poll(&ready, 1, 20) == 0;
}

/* What is on its way. */
static size_t read_rest(uint8_t *p, size_t n)
{
	size_t got = 0;

	while (got < n && !output_is_empty()) {
		ssize_t r = read(out_pipe[0], p + got, n - got);

		ck_assert_int_gt(r, 0);
		got += (size_t)r;
	}
	return got;
}

static void transmit(uint16_t desc, uint64_t at, uint32_t len)
{
	ring_desc(&tx, desc, at, len, 0, 0);
	ring_offer(&tx, desc);
	driver_put(&drv, R_NOTIFY, TX);
}

static void take_input(uint16_t desc, uint64_t at, uint32_t len)
{
	ring_desc(&rx, desc, at, len, DESC_WRITE, 0);
	ring_offer(&rx, desc);
	driver_put(&drv, R_NOTIFY, RX);
}

START_TEST(is_a_console)
{
	ck_assert_uint_eq(driver_get(&drv, R_DEVICE_ID), 3);
	/* Pipes have no size. */
	ck_assert_uint_eq(driver_features(&drv) & 0xffffff, 0);
	for (unsigned int q = 0; q < 4; q++) {
		driver_put(&drv, R_QUEUE_SEL, q);
		ck_assert_uint_eq(driver_get(&drv, R_QUEUE_MAX), q < 2 ? 64 : 0);
	}
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG), 0);
}
END_TEST

START_TEST(output_arrives)
{
	uint8_t text[12];
	uint32_t head, len;

	start_driver(0);
	memcpy(guest_ptr(&guest, GUEST_DATA), "hello ", 6);
	memcpy(guest_ptr(&guest, GUEST_DATA + 0x1000), "world\n", 6);
	ring_desc(&tx, 0, GUEST_DATA, 6, DESC_NEXT, 1);
	ring_desc(&tx, 1, GUEST_DATA + 0x1000, 6, 0, 0);
	ring_offer(&tx, 0);
	driver_put(&drv, R_NOTIFY, TX);
	expect_used(&tx, 1);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert(ring_take(&tx, &head, &len));
	ck_assert_uint_eq(len, 0);
	read_output(text, sizeof(text));
	ck_assert_mem_eq(text, "hello world\n", sizeof(text));
}
END_TEST

/* The reader is slow: the driver's buffers wait, the loop does not, and nothing is lost. */
START_TEST(slow_reader_loses_nothing)
{
	const uint32_t piece = 0x10000, pieces = 7;
	const size_t size = (size_t)piece * pieces;
	uint8_t *got = malloc(size);
	clock_t before;

	start_driver(0);
	pattern(guest_ptr(&guest, GUEST_DATA), size, 1);
	for (uint16_t i = 0; i < pieces; i++)
		transmit(i, GUEST_DATA + i * piece, piece);
	pump(100);
	/* 64 KiB are in the pipe, and 64 in the tty. */
	ck_assert_uint_le(ring_used_idx(&tx), 3);
	/* And nobody spins meanwhile. */
	before = clock();
	pump(300);
	ck_assert_int_lt(clock() - before, CLOCKS_PER_SEC / 10);
	irqs();
	read_output(got, size);
	expect_used(&tx, pieces);
	ck_assert_uint_ge(irqs(), 1);
	ck_assert_mem_eq(got, guest_ptr(&guest, GUEST_DATA), size);
	ck_assert(output_is_empty());
	free(got);
}
END_TEST

static unsigned int turns;

/* Counts while the second chain is under way. */
static void on_turn(void *arg)
{
	turns += ring_used_idx(&tx) < 2;
	loop_timer_set(*(struct loop_event **)arg, 0);
}

/* A gigabyte for a reader that has gone. */
START_TEST(endless_output_leaves_time_to_others)
{
	struct loop_event *other;
	struct err e;

	start_driver(0);
	fd_close(&out_pipe[0]);
	transmit(0, GUEST_DATA, 1);
	expect_used(&tx, 1);
	/* The tty learns by writing that nobody reads. */
	usleep(100000);
	ck_assert_int_eq(loop_add_timer(loop, on_turn, &other, &other, &e), 0);
	turns = 0;
	for (uint16_t i = 0; i < 64; i++)
		ring_desc(&tx, i, GUEST_DATA, 0x80000, i < 63 ? DESC_NEXT : 0, (uint16_t)(i + 1));
	ring_offer(&tx, 0);
	loop_timer_set(other, 0);
	driver_put(&drv, R_NOTIFY, TX);
	expect_used(&tx, 2);
	/* 32 MiB, 64 KiB in a turn. */
	ck_assert_uint_ge(turns, 400);
	loop_event_free(other);
}
END_TEST

START_TEST(reset_amid_output)
{
	const uint32_t size = 0x40000;
	uint8_t *got = malloc(size), after[6];
	size_t n;

	start_driver(F_RESET);
	pattern(guest_ptr(&guest, GUEST_DATA), size, 2);
	transmit(0, GUEST_DATA, size);
	pump(50);
	ck_assert_uint_eq(ring_used_idx(&tx), 0);
	if (_i == 0) {
		driver_put(&drv, R_STATUS, 0);
		ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
		start_driver(0);
	} else {
		driver_put(&drv, R_QUEUE_SEL, TX);
		driver_put(&drv, R_QUEUE_RESET, 1);
		ck_assert_uint_eq(driver_get(&drv, R_QUEUE_RESET), 0);
		ring_new(&tx, &guest, GUEST_RAM + RING_BYTES, 64);
		ck_assert_uint_eq(driver_queue(&drv, TX, &tx), 1);
	}
	/* What is on its way arrives; what the next driver sends arrives from its beginning. */
	n = read_rest(got, size);
	ck_assert_uint_ge(n, 0x10000);
	ck_assert_uint_le(n, 0x30000);
	ck_assert_mem_eq(got, guest_ptr(&guest, GUEST_DATA), n);
	memcpy(guest_ptr(&guest, GUEST_DATA), "after\n", 6);
	transmit(0, GUEST_DATA, 6);
	read_output(after, sizeof(after));
	ck_assert_mem_eq(after, "after\n", 6);
	free(got);
}
END_TEST

/* The guest is gone, and the loop does not run. */
START_TEST(last_output_arrives)
{
	const uint32_t size = 0x60000;
	uint8_t *got = malloc(size);
	size_t n = 0;
	bool more = true;

	start_driver(0);
	pattern(guest_ptr(&guest, GUEST_DATA), size, 3);
	for (uint16_t i = 0; i < 3; i++)
		transmit(i, GUEST_DATA + i * (size / 3), size / 3);
	while (more) {
		more = virtio_console_finish(console);
		n += read_rest(got + n, size - n);
	}
	/* What was handed over is on its way. */
	for (int tries = 0; n < size && tries < 2000; tries++) {
		usleep(10000);
		n += read_rest(got + n, size - n);
	}
	ck_assert_uint_eq(n, size);
	ck_assert_uint_eq(ring_used_idx(&tx), 3);
	ck_assert_mem_eq(got, guest_ptr(&guest, GUEST_DATA), size);
	free(got);
}
END_TEST

/* 32 MiB, for a reader that takes all. */
START_TEST(last_output_has_an_end)
{
	unsigned int calls = 0;

	begin(-1, -1);
	start_driver(0);
	for (uint16_t i = 0; i < 64; i++)
		transmit(i, GUEST_DATA, 0x80000);
	while (virtio_console_finish(console) && calls < 1000)
		calls++;
	ck_assert_uint_ge(calls, 4);
	ck_assert_uint_le(calls, 20);
	ck_assert_uint_le(ring_used_idx(&tx), 3);
	ck_assert(!virtio_console_finish(console));
}
END_TEST

START_TEST(no_last_output)
{
	ck_assert(!virtio_console_finish(console));
	start_driver(0);
	ck_assert(!virtio_console_finish(console));
	/* A mistake is none of ours any more. */
	ring_desc(&tx, 0, GUEST_PRIVATE, 10, 0, 0);
	ring_offer(&tx, 0);
	ck_assert(!virtio_console_finish(console));
}
END_TEST

/* ---- input ---- */

START_TEST(input_arrives)
{
	uint32_t head, len;

	start_driver(0);
	take_input(0, GUEST_DATA, 4);
	take_input(1, GUEST_DATA + 0x1000, 100);
	pump(20);
	ck_assert_uint_eq(ring_used_idx(&rx), 0);
	irqs();
	ck_assert_int_eq(write(in_pipe[1], "abcdefg", 7), 7);
	expect_used(&rx, 2);
	ck_assert_uint_ge(irqs(), 1);
	ck_assert(ring_take(&rx, &head, &len));
	ck_assert_uint_eq(len, 4);
	ck_assert(ring_take(&rx, &head, &len));
	ck_assert_uint_eq(len, 3);
	ck_assert_mem_eq(guest_ptr(&guest, GUEST_DATA), "abcd", 4);
	ck_assert_mem_eq(guest_ptr(&guest, GUEST_DATA + 0x1000), "efg", 4);
}
END_TEST

/* Written while there is no driver, or none with buffers: it waits, and all of it arrives. */
START_TEST(input_waits_for_the_driver)
{
	const size_t size = 60000;
	uint8_t *sent = malloc(size), *got = malloc(size);
	size_t count = 0;

	pattern(sent, size, 3);
	if (_i)
		start_driver(0);
	ck_assert_int_eq(write(in_pipe[1], sent, size), (ssize_t)size);
	pump(50);
	if (!_i)
		start_driver(0);
	while (count < size) {
		uint16_t idx = rx.idx;
		uint32_t head, len;

		take_input(idx % 64, GUEST_DATA, (uint32_t)(1 + idx % 50 * 10));
		expect_used(&rx, idx + 1u);
		ck_assert(ring_take(&rx, &head, &len));
		ck_assert_uint_gt(len, 0);
		ck_assert_uint_le(count + len, size);
		memcpy(got + count, guest_ptr(&guest, GUEST_DATA), len);
		count += len;
		/* Half of the way through comes another driver. */
		if (idx == 120)
			start_driver(0);
	}
	ck_assert_mem_eq(got, sent, size);
	free(sent);
	free(got);
}
END_TEST

/* ---- mistakes ---- */

START_TEST(broken_chain_breaks_the_device)
{
	start_driver(0);
	ck_assert_int_eq(write(in_pipe[1], "x", 1), 1);
	pump(20);
	switch (_i) {
	case 0:
		ring_desc(&rx, 0, GUEST_DATA, 8, 0, 0);
		break;
	case 1:
		ring_desc(&rx, 0, GUEST_DATA, 8, DESC_NEXT, 1);
		ring_desc(&rx, 1, GUEST_DATA, 8, DESC_WRITE, 0);
		break;
	case 2:
		ring_desc(&rx, 0, GUEST_PRIVATE, 8, DESC_WRITE, 0);
		break;
	case 3:
		ring_desc(&tx, 0, GUEST_DATA, 8, DESC_WRITE, 0);
		break;
	case 4:
		ring_desc(&tx, 0, GUEST_PRIVATE, 8, 0, 0);
		break;
	default:
		break;
	}
	ring_offer(_i < 3 ? &rx : &tx, 0);
	driver_put(&drv, R_NOTIFY, _i < 3 ? RX : TX);
	pump(10);
	ck_assert(broken());
	ck_assert(output_is_empty());
	driver_put(&drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&drv, R_STATUS), 0);
	/* What was typed was not for that one. */
	start_driver(0);
	take_input(0, GUEST_DATA, 10);
	expect_used(&rx, 1);
	ck_assert_mem_eq(guest_ptr(&guest, GUEST_DATA), "x", 1);
}
END_TEST

/* ---- the terminal's size ---- */

static int open_terminal(int *slave, uint16_t cols, uint16_t rows)
{
	const struct winsize w = { .ws_col = cols, .ws_row = rows };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	ck_assert_int_ge(master, 0);
	ck_assert_int_eq(grantpt(master), 0);
	ck_assert_int_eq(unlockpt(master), 0);
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &w), 0);
	*slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_ge(*slave, 0);
	return master;
}

START_TEST(size_follows_the_terminal)
{
	struct winsize w = { .ws_col = 132, .ws_row = 50 };
	int slave, master = open_terminal(&slave, 100, 30);

	begin(-1, slave);
	ck_assert_uint_eq(driver_features(&drv) & 0xffffff, F_SIZE);
	start_driver(F_SIZE);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG), 30 << 16 | 100);
	irqs();
	virtio_console_resized(console);
	ck_assert_uint_eq(irqs(), 0);
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &w), 0);
	virtio_console_resized(console);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(driver_get(&drv, R_ISR), 2);
	ck_assert_uint_eq(driver_get(&drv, R_CONFIG), 50 << 16 | 132);
	virtio_console_free(console);
	console = NULL;
	tty_free(tty);
	tty = NULL;
	close(slave);
	close(master);
}
END_TEST

START_TEST(terminal_without_a_size)
{
	struct winsize w = { .ws_col = 132, .ws_row = 50 };
	int slave, master = open_terminal(&slave, _i == 1 ? 100 : 0, _i == 2 ? 30 : 0);

	begin(-1, slave);
	ck_assert_uint_eq(driver_features(&drv) & 0xffffff, 0);
	start_driver(0);
	irqs();
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &w), 0);
	virtio_console_resized(console);
	ck_assert_uint_eq(irqs(), 0);
	virtio_console_free(console);
	console = NULL;
	tty_free(tty);
	tty = NULL;
	close(slave);
	close(master);
}
END_TEST

/* ---- beside the serial port ---- */

#define BUSY_BITS 0x60

static uint8_t lsr(struct bus *bus)
{
	uint8_t v;

	bus_read(bus, 5, &v, 1);
	return v;
}

/* Both write, only one reads; and when there is room again both hear of it. */
START_TEST(serial_port_may_write_too)
{
	struct serial_config sc = { .irq.fd = -1, .output_only = true };
	struct console_config cfg = { .mem = guest.mem, .loop = loop, .irq.fd = irq, .tty = tty };
	uint8_t *got = malloc(0x40000);
	struct serial *serial;
	struct bus bus;
	struct err e;

	/* The port comes first in a machine. */
	virtio_console_free(console);
	sc.tty = tty;
	ck_assert_int_eq(serial_new(&serial, &sc, &e), 0);
	ck_assert_int_eq(virtio_console_new(&console, &cfg, &e), 0);
	driver_new(&drv, virtio_console_dev(console));
	bus_init(&bus, "ports", UINT64_MAX);
	ck_assert_int_eq(bus_add(&bus,
				 &(struct bus_dev){ "serial", 0, SERIAL_SIZE, &serial_ops, serial,
					 serial_lock(serial) },
				 &e),
		0);
	start_driver(0);
	bus_write(&bus, 0, "s", 1);
	memcpy(guest_ptr(&guest, GUEST_DATA), "v", 1);
	transmit(0, GUEST_DATA, 1);
	read_output(got, 2);
	ck_assert(!memcmp(got, "sv", 2) || !memcmp(got, "vs", 2));
	/* Keys are not for it. */
	ck_assert_int_eq(write(in_pipe[1], "k", 1), 1);
	take_input(0, GUEST_DATA, 10);
	expect_used(&rx, 1);
	ck_assert_int_eq(lsr(&bus) & 1, 0);
	/* Full, until somebody reads. What the console left of the ring the port fills. */
	pattern(guest_ptr(&guest, GUEST_DATA), 0x40000, 4);
	transmit(1, GUEST_DATA, 0x40000);
	pump(50);
	for (int i = 0; i < 70000 && lsr(&bus) & BUSY_BITS; i++)
		bus_write(&bus, 0, "s", 1);
	ck_assert_int_eq(lsr(&bus) & BUSY_BITS, 0);
	read_output(got, 0x40000);
	expect_used(&tx, 2);
	for (int i = 0; i < 5000 && !(lsr(&bus) & BUSY_BITS); i++)
		usleep(1000);
	ck_assert_int_eq(lsr(&bus) & BUSY_BITS, BUSY_BITS);
	virtio_console_free(console);
	console = NULL;
	serial_free(serial);
	free(got);
}
END_TEST

START_TEST(may_go_away_while_loops_run)
{
	struct err e;

	early = true;
	loop_event_free(end);
	end = NULL;
	ck_assert_int_eq(loop_start_thread(loop, "io", &e), 0);
	for (unsigned int i = 0; i < 100; i++) {
		begin(in_pipe[0], out_pipe[1]);
		start_driver(0);
		ck_assert_int_eq(write(in_pipe[1], "keys", 4), 4);
		usleep(i * 20);
	}
}
END_TEST

Suite *virtio_console_suite(void)
{
	Suite *s = suite_create("virtio_console");
	TCase *t = tcase_create("virtio_console");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, is_a_console);
	tcase_add_test(t, output_arrives);
	tcase_add_test(t, slow_reader_loses_nothing);
	tcase_add_test(t, endless_output_leaves_time_to_others);
	tcase_add_loop_test(t, reset_amid_output, 0, 2);
	tcase_add_test(t, last_output_arrives);
	tcase_add_test(t, last_output_has_an_end);
	tcase_add_test(t, no_last_output);
	tcase_add_test(t, input_arrives);
	tcase_add_loop_test(t, input_waits_for_the_driver, 0, 2);
	tcase_add_loop_test(t, broken_chain_breaks_the_device, 0, 5);
	tcase_add_test(t, size_follows_the_terminal);
	tcase_add_loop_test(t, terminal_without_a_size, 0, 3);
	tcase_add_test(t, serial_port_may_write_too);
	tcase_add_test(t, may_go_away_while_loops_run);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	return s;
}
