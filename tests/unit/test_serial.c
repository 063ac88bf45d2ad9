/* SPDX-License-Identifier: Apache-2.0 */

/* The serial port: what its tests share, registers, and what a driver's probing finds. */
#include "tests/unit/test_serial.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/loop.h"

struct bus serial_bus;
struct serial *serial;
static struct loop *loop;
struct tty *serial_tty;
static int irq_fd;
int serial_in[2], serial_out[2];

static void add_to_bus(void)
{
	struct bus_dev d = { "serial", 0, SERIAL_SIZE, &serial_ops, serial, serial_lock(serial) };

	bus_init(&serial_bus, "test", UINT64_MAX);
	ck_assert_int_eq(bus_add(&serial_bus, &d, NULL), 0);
}

static void make_serial(struct tty *with)
{
	struct serial_config cfg = { .tty = with };

	irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	cfg.irq.fd = irq_fd;
	ck_assert_int_eq(serial_new(&serial, &cfg, NULL), 0);
	add_to_bus();
}

void serial_setup(void)
{
	make_serial(NULL);
}

void serial_setup_tty(void)
{
	struct tty_config cfg = { 0 };

	ck_assert_int_eq(pipe2(serial_in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(serial_out, O_CLOEXEC), 0);
	ck_assert_int_eq(loop_new(&loop, NULL, NULL), 0);
	ck_assert_int_eq(loop_start_thread(loop, THREAD_IO, "io", NULL), 0);
	cfg = (struct tty_config){ .loop = loop, .in_fd = serial_in[0], .out_fd = serial_out[1] };
	ck_assert_int_eq(tty_new(&serial_tty, &cfg, NULL), 0);
	make_serial(serial_tty);
}

void serial_teardown(void)
{
	serial_free(serial);
	close(irq_fd);
}

void serial_teardown_tty(void)
{
	serial_teardown();
	tty_free(serial_tty);
	loop_free(loop);
	for (int i = 0; i < 2; i++) {
		fd_close(&serial_in[i]);
		fd_close(&serial_out[i]);
	}
}

uint8_t serial_get(unsigned int reg)
{
	uint8_t v;

	bus_read(&serial_bus, reg, &v, 1);
	return v;
}

void serial_put(unsigned int reg, uint8_t v)
{
	bus_write(&serial_bus, reg, &v, 1);
}

unsigned int serial_irqs(void)
{
	uint64_t n = 0;

	return read(irq_fd, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

bool serial_wait_irq(void)
{
	struct pollfd p = { .fd = irq_fd, .events = POLLIN };

	return poll(&p, 1, 60000) == 1 && serial_irqs() > 0;
}

bool serial_wait_lsr(uint8_t bits)
{
	/* Often it is a matter of microseconds. */
	for (int i = 0; i < 50000; i++) {
		if ((serial_get(LSR) & bits) == bits)
			return true;
		if (i < 100)
			sched_yield();
		else
			usleep(100);
	}
	return false;
}

START_TEST(reset_values)
{
	static const uint8_t want[] = { 0, 0, 0x01, 0, 0, THRE, 0xb0, 0 };

	for (unsigned int i = 0; i < 8; i++)
		ck_assert_msg(serial_get(i) == want[i], "register %u", i);
}
END_TEST

/* Which bits each register keeps. LSR, MSR: none may be written. */
START_TEST(writable_bits)
{
	static const struct {
		unsigned int reg;
		uint8_t bits;
	} rows[] = { { IER, 0x0f }, { LCR, 0xff }, { MCR, 0x1f }, { SCR, 0xff } };

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		serial_put(rows[i].reg, 0xff);
		ck_assert_msg(serial_get(rows[i].reg) == rows[i].bits, "register %u", rows[i].reg);
		serial_put(rows[i].reg, 0);
		ck_assert_uint_eq(serial_get(rows[i].reg), 0);
	}
	serial_put(LSR, 0);
	ck_assert_uint_eq(serial_get(LSR), THRE);
	serial_get(MSR);
	serial_put(MSR, 0);
	ck_assert_uint_eq(serial_get(MSR), 0xb0);
}
END_TEST

START_TEST(divisor_latch)
{
	serial_put(IER, 0x05);
	serial_put(LCR, 0x83);
	serial_put(DATA, 0x34);
	serial_put(IER, 0x12);
	ck_assert_uint_eq(serial_get(DATA), 0x34);
	ck_assert_uint_eq(serial_get(IER), 0x12);
	serial_put(LCR, 0x03);
	ck_assert_uint_eq(serial_get(IER), 0x05);
	ck_assert_uint_eq(serial_get(DATA), 0);
	serial_put(LCR, 0x80);
	ck_assert_uint_eq(serial_get(DATA), 0x34);
	ck_assert_uint_eq(serial_get(IER), 0x12);
}
END_TEST

/* The steps by which Linux' 8250 driver tells a 16550A from its many relatives. */
START_TEST(linux_autoconfig)
{
	uint8_t one, two;

	/* Is there a chip: IER keeps four bits. */
	serial_put(IER, 0);
	ck_assert_uint_eq(serial_get(IER) & 0x0f, 0);
	serial_put(IER, 0x0f);
	ck_assert_uint_eq(serial_get(IER) & 0x0f, 0x0f);
	serial_put(IER, 0);
	/* Loopback: RTS and OUT2 come back as CTS and DCD. */
	serial_put(MCR, 0x1a);
	ck_assert_uint_eq(serial_get(MSR) & 0xf0, 0x90);
	serial_put(MCR, 0);
	/* No enhanced feature register behind LCR 0xbf; FIFOs show in IIR. */
	serial_put(LCR, 0xbf);
	serial_put(FCR, 0);
	serial_put(LCR, 0);
	serial_put(FCR, 0x01);
	ck_assert_uint_eq(serial_get(IIR) >> 6, 3);
	serial_put(LCR, 0x80);
	ck_assert_uint_ne(serial_get(IIR), 0); /* else: a 16650 */
	serial_put(LCR, 0xbf);
	ck_assert_uint_ne(serial_get(IIR), 0); /* the same */
	/* 64-byte FIFOs, with and without DLAB: a 16750 would show bit 5. */
	serial_put(LCR, 0);
	serial_put(FCR, 0x21);
	one = serial_get(IIR) >> 5;
	serial_put(FCR, 0x01);
	serial_put(LCR, 0x80);
	serial_put(FCR, 0x21);
	two = serial_get(IIR) >> 5;
	serial_put(FCR, 0x01);
	serial_put(LCR, 0);
	ck_assert_uint_eq(one, 6);
	ck_assert_uint_eq(two, 6);
	/* A unit enable bit in IER: an XScale. */
	serial_put(IER, 0x40);
	ck_assert_uint_eq(serial_get(IER) & 0x40, 0);
	serial_put(IER, 0);
}
END_TEST

/* At startup Linux looks for chips that lose the transmitter's interrupt. */
START_TEST(linux_startup_quirks)
{
	serial_put(FCR, 0x07);
	serial_put(FCR, 0x00);
	for (int i = 0; i < 3; i++) {
		serial_put(IER, 0x02);
		ck_assert_uint_eq(serial_get(IIR) & 0x0f, 0x02);
		ck_assert_uint_eq(serial_get(IIR) & 0x0f, 0x01); /* reading it took it back */
		serial_put(IER, 0);
	}
	ck_assert_uint_eq(serial_irqs(), 3);
	serial_put(IER, 0x02);
	ck_assert_uint_eq(serial_get(LSR) & THRE, THRE);
	ck_assert_uint_eq(serial_get(IIR) & 0x01, 0);
	serial_put(IER, 0);
	ck_assert_uint_eq(serial_get(IIR), 0x01);
}
END_TEST

START_TEST(wide_access)
{
	uint64_t v;

	for (unsigned int len = 1; len <= 8; len++) {
		v = 0xa1a2a3a4a5a6a700ULL | len;
		bus_write(&serial_bus, 0, &v, len); /* transmits one byte, touches nothing else */
		ck_assert_uint_eq(serial_get(LCR), 0);
		v = 0xffffffffffffffffULL;
		serial_put(IER, 0x05);
		serial_put(LCR, 0x80);
		serial_put(DATA, len < 4 ? 0x5a : 0xa5);
		bus_read(&serial_bus, 0, &v, len);
		if (len < 8)
			v &= BIT(8 * len) - 1;
		ck_assert_uint_eq(v, len < 4 ? 0x5a : 0xa5);
		serial_put(LCR, 0);
		ck_assert_uint_eq(serial_get(IER), 0x05);
	}
	v = 0xdead;
	bus_write(&serial_bus, SCR, &v, 2); /* across the end: nobody's */
	ck_assert_uint_eq(serial_get(SCR), 0);
	bus_write(&serial_bus, LCR, &v, 4);
	ck_assert_uint_eq(serial_get(LCR), 0xad);
	ck_assert_uint_eq(serial_get(MCR), 0);
}
END_TEST

/* Straight at the operations, which must not rely on the bus for their safety. */
START_TEST(hostile_accesses)
{
	unsigned int seed = 1;

	for (int i = 0; i < 200000; i++) {
		uint64_t v = (uint64_t)rand_r(&seed) << 20 ^ (uint64_t)rand_r(&seed);
		uint64_t off = i % 5 ? (uint64_t)rand_r(&seed) % 8 : v << 30;
		unsigned int len = (unsigned int)rand_r(&seed) % 9;
		uint8_t guard[16];

		memset(guard, 0x77, sizeof(guard));
		if (rand_r(&seed) & 1)
			serial_ops.write(serial, off, &v, len);
		else
			serial_ops.read(serial, off, guard, len);
		for (unsigned int k = len; k < sizeof(guard); k++)
			if (guard[k] != 0x77)
				ck_abort_msg("off %llu len %u", (unsigned long long)off, len);
	}
}
END_TEST

Suite *serial_suite(void)
{
	Suite *s = suite_create("serial");
	TCase *t = tcase_create("registers");

	tcase_add_checked_fixture(t, serial_setup, serial_teardown);
	tcase_add_test(t, reset_values);
	tcase_add_test(t, writable_bits);
	tcase_add_test(t, divisor_latch);
	tcase_add_test(t, linux_autoconfig);
	tcase_add_test(t, linux_startup_quirks);
	tcase_add_test(t, wide_access);
	tcase_add_test(t, hostile_accesses);
	suite_add_tcase(s, t);
	suite_add_tcase(s, serial_interrupts_case());
	suite_add_tcase(s, serial_tty_case());
	return s;
}
