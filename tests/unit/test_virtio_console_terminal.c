/* SPDX-License-Identifier: Apache-2.0 */

/* The console's surroundings: the terminal with its size, and the serial port that writes to it too. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "devices/serial.h"
#include "tests/unit/test_virtio_console.h"

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

	ct_begin(-1, slave);
	ck_assert_uint_eq(driver_features(&ct.drv) & 0xffffff, F_SIZE);
	ct_start_driver(F_SIZE);
	ck_assert_uint_eq(driver_get(&ct.drv, R_CONFIG), 30 << 16 | 100);
	ct_irqs();
	virtio_console_resized(ct.console);
	ck_assert_uint_eq(ct_irqs(), 0);
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &w), 0);
	virtio_console_resized(ct.console);
	ck_assert_uint_eq(ct_irqs(), 1);
	ck_assert_uint_eq(driver_get(&ct.drv, R_ISR), 2);
	ck_assert_uint_eq(driver_get(&ct.drv, R_CONFIG), 50 << 16 | 132);
	virtio_console_free(ct.console);
	ct.console = NULL;
	tty_free(ct.tty);
	ct.tty = NULL;
	close(slave);
	close(master);
}
END_TEST

START_TEST(terminal_without_a_size)
{
	struct winsize w = { .ws_col = 132, .ws_row = 50 };
	int slave, master = open_terminal(&slave, _i == 1 ? 100 : 0, _i == 2 ? 30 : 0);

	ct_begin(-1, slave);
	ck_assert_uint_eq(driver_features(&ct.drv) & 0xffffff, 0);
	ct_start_driver(0);
	ct_irqs();
	ck_assert_int_eq(ioctl(master, TIOCSWINSZ, &w), 0);
	virtio_console_resized(ct.console);
	ck_assert_uint_eq(ct_irqs(), 0);
	virtio_console_free(ct.console);
	ct.console = NULL;
	tty_free(ct.tty);
	ct.tty = NULL;
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
	struct console_config cfg = {
		.mem = ct.guest.mem, .loop = ct.loop, .irq.fd = ct.irq, .tty = ct.tty
	};
	uint8_t *got = malloc(0x40000);
	struct serial *serial;
	struct bus bus;
	struct err e;

	/* The port comes first in a machine. */
	virtio_console_free(ct.console);
	sc.tty = ct.tty;
	ck_assert_int_eq(serial_new(&serial, &sc, &e), 0);
	ck_assert_int_eq(virtio_console_new(&ct.console, &cfg, &e), 0);
	driver_new(&ct.drv, virtio_console_dev(ct.console));
	bus_init(&bus, "ports", UINT64_MAX);
	ck_assert_int_eq(bus_add(&bus,
				 &(struct bus_dev){ "serial", 0, SERIAL_SIZE, &serial_ops, serial,
					 serial_lock(serial) },
				 &e),
		0);
	ct_start_driver(0);
	bus_write(&bus, 0, "s", 1);
	memcpy(guest_ptr(&ct.guest, GUEST_DATA), "v", 1);
	ct_transmit(0, GUEST_DATA, 1);
	ct_read_output(got, 2);
	ck_assert(!memcmp(got, "sv", 2) || !memcmp(got, "vs", 2));
	/* Keys are not for it. */
	ck_assert_int_eq(write(ct.in_pipe[1], "k", 1), 1);
	ct_take_input(0, GUEST_DATA, 10);
	ct_expect_used(&ct.rx, 1);
	ck_assert_int_eq(lsr(&bus) & 1, 0);
	/* Full, until somebody reads. What the console left of the ring the port fills. */
	ct_pattern(guest_ptr(&ct.guest, GUEST_DATA), 0x40000, 4);
	ct_transmit(1, GUEST_DATA, 0x40000);
	ct_pump(50);
	for (int i = 0; i < 70000 && lsr(&bus) & BUSY_BITS; i++)
		bus_write(&bus, 0, "s", 1);
	ck_assert_int_eq(lsr(&bus) & BUSY_BITS, 0);
	ct_read_output(got, 0x40000);
	ct_expect_used(&ct.tx, 2);
	for (int i = 0; i < 5000 && !(lsr(&bus) & BUSY_BITS); i++)
		usleep(1000);
	ck_assert_int_eq(lsr(&bus) & BUSY_BITS, BUSY_BITS);
	virtio_console_free(ct.console);
	ct.console = NULL;
	serial_free(serial);
	free(got);
}
END_TEST

TCase *virtio_console_terminal_case(void)
{
	TCase *t = tcase_create("terminal");

	tcase_add_checked_fixture(t, ct_setup, ct_teardown);
	tcase_add_test(t, size_follows_the_terminal);
	tcase_add_loop_test(t, terminal_without_a_size, 0, 3);
	tcase_add_test(t, serial_port_may_write_too);
	tcase_set_timeout(t, 120);
	return t;
}
