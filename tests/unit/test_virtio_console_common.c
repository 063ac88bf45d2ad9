/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mem/guard.h"
#include "tests/unit/test_virtio_console.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

struct console_test ct;

static void on_end(void *arg)
{
	(void)arg;
	loop_stop(ct.loop);
}

void ct_pump(unsigned int ms)
{
	loop_timer_set(ct.end, ms * 1000ull);
	ck_assert_int_eq(loop_run(ct.loop), 0);
}

void ct_start_driver(uint64_t features)
{
	ring_new(&ct.rx, &ct.guest, GUEST_RAM, 64);
	ring_new(&ct.tx, &ct.guest, GUEST_RAM + RING_BYTES, 64);
	ck_assert_uint_eq(
		driver_negotiate(&ct.drv, features | F_VERSION), S_ACK | S_DRIVER | S_FEATURES_OK);
	driver_queue(&ct.drv, RX, &ct.rx);
	driver_queue(&ct.drv, TX, &ct.tx);
	if (ct.early) {
		ring_desc(&ct.rx, 0, GUEST_DATA, 10, DESC_WRITE, 0);
		ring_offer(&ct.rx, 0);
		ring_desc(&ct.tx, 0, GUEST_DATA + 0x1000, 200, 0, 0);
		ring_offer(&ct.tx, 0);
	}
	driver_put(&ct.drv, R_STATUS, S_ACK | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

void ct_begin(int in, int out)
{
	struct tty_config tc = { .loop = ct.console_loop, .in_fd = in, .out_fd = out };
	struct console_config cfg = { .mem = ct.guest.mem, .loop = ct.loop, .irq.fd = ct.irq };
	struct err e = { "" };

	virtio_console_free(ct.console);
	tty_free(ct.tty);
	ct.console = NULL;
	ck_assert_int_eq(tty_new(&ct.tty, &tc, &e), 0);
	cfg.tty = ct.tty;
	ck_assert_msg(!virtio_console_new(&ct.console, &cfg, &e), "%s", e.msg);
	driver_new(&ct.drv, virtio_console_dev(ct.console));
}

void ct_setup(void)
{
	struct err e;

	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(guard_init(&e), 0);
	guest_new(&ct.guest);
	ck_assert_int_eq(pipe2(ct.in_pipe, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(ct.out_pipe, O_CLOEXEC), 0);
	ct.irq = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ck_assert_int_eq(loop_new(&ct.loop, NULL, &e), 0);
	ck_assert_int_eq(loop_add_timer(ct.loop, on_end, NULL, &ct.end, &e), 0);
	ck_assert_int_eq(loop_new(&ct.console_loop, NULL, &e), 0);
	ck_assert_int_eq(loop_start_thread(ct.console_loop, THREAD_IO, "console", &e), 0);
	ct_begin(ct.in_pipe[0], ct.out_pipe[1]);
}

void ct_teardown(void)
{
	virtio_console_free(ct.console);
	ct.console = NULL;
	tty_free(ct.tty);
	ct.tty = NULL;
	loop_event_free(ct.end);
	loop_free(ct.loop);
	loop_free(ct.console_loop);
	close(ct.irq);
	for (int i = 0; i < 2; i++) {
		fd_close(&ct.in_pipe[i]);
		fd_close(&ct.out_pipe[i]);
	}
	guest_free(&ct.guest);
	log_set_level(LOG_WARN);
}

unsigned int ct_irqs(void)
{
	uint64_t n = 0;

	return read(ct.irq, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

bool ct_broken(void)
{
	return driver_get(&ct.drv, R_STATUS) & S_NEEDS_RESET;
}

void ct_expect_used(const struct ring *r, unsigned int n)
{
	for (unsigned int tries = 0; ring_used_idx(r) < n && tries < 5000; tries++)
		ct_pump(1);
	ck_assert_uint_eq(ring_used_idx(r), n);
}

void ct_pattern(uint8_t *p, size_t n, uint32_t seed)
{
	for (size_t i = 0; i < n; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = (uint8_t)(seed >> 24);
	}
}

void ct_read_output(uint8_t *p, size_t n)
{
	size_t got = 0;

	for (unsigned int tries = 0; got < n && tries < 10000; tries++) {
		struct pollfd ready = { .fd = ct.out_pipe[0], .events = POLLIN };
		ssize_t r = 0;

		ct_pump(0);
		if (poll(&ready, 1, 1) == 1)
			r = read(ct.out_pipe[0], p + got, n - got);
		ck_assert_int_ge(r, 0);
		got += (size_t)r;
	}
	ck_assert_uint_eq(got, n);
}

bool ct_output_is_empty(void)
{
	struct pollfd ready = { .fd = ct.out_pipe[0], .events = POLLIN };

	return poll(&ready, 1, 20) == 0;
}

size_t ct_read_rest(uint8_t *p, size_t n)
{
	size_t got = 0;
	bool last;

	do {
		/* What the tty no longer has, the pipe has. */
		last = tty_can_take(ct.tty, 65536);
		while (got < n && !ct_output_is_empty()) {
			ssize_t r = read(ct.out_pipe[0], p + got, n - got);

			ck_assert_int_gt(r, 0);
			got += (size_t)r;
		}
	} while (got < n && !last);
	return got;
}

void ct_transmit(uint16_t desc, uint64_t at, uint32_t len)
{
	ring_desc(&ct.tx, desc, at, len, 0, 0);
	ring_offer(&ct.tx, desc);
	driver_put(&ct.drv, R_NOTIFY, TX);
}

void ct_take_input(uint16_t desc, uint64_t at, uint32_t len)
{
	ring_desc(&ct.rx, desc, at, len, DESC_WRITE, 0);
	ring_offer(&ct.rx, desc);
	driver_put(&ct.drv, R_NOTIFY, RX);
}
