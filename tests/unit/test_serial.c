/* SPDX-License-Identifier: Apache-2.0 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices/serial.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"
#include "vmm/util/loop.h"

Suite *serial_suite(void);

/* Register offsets and bits, written out here as a driver would know them. */
enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR };
#define FCR IIR

#define THRE 0x60 /* with TEMT */
#define DR   0x01

static struct bus bus;
static struct serial *serial;
static struct loop *loop;
static struct tty *tty;
static int irq_fd;
static int to_guest[2], from_guest[2];

static void add_to_bus(void)
{
	struct bus_dev d = { "serial", 0, SERIAL_SIZE, &serial_ops, serial, serial_lock(serial) };

	bus_init(&bus, "test", UINT64_MAX);
	ck_assert_int_eq(bus_add(&bus, &d, NULL), 0);
}

static void make_serial(struct tty *with)
{
	struct serial_config cfg = { .tty = with };

	irq_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	cfg.irq.fd = irq_fd;
	ck_assert_int_eq(serial_new(&serial, &cfg, NULL), 0);
	add_to_bus();
}

static void setup_alone(void)
{
	make_serial(NULL);
}

static void setup_tty(void)
{
	struct tty_config cfg = { 0 };

	ck_assert_int_eq(pipe2(to_guest, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(from_guest, O_CLOEXEC), 0);
	ck_assert_int_eq(loop_new(&loop, NULL, NULL), 0);
	ck_assert_int_eq(loop_start_thread(loop, "io", NULL), 0);
	cfg = (struct tty_config){ .loop = loop, .in_fd = to_guest[0], .out_fd = from_guest[1] };
	ck_assert_int_eq(tty_new(&tty, &cfg, NULL), 0);
	make_serial(tty);
}

static void teardown(void)
{
	serial_free(serial);
	close(irq_fd);
}

static void teardown_tty(void)
{
	teardown();
	tty_free(tty);
	loop_free(loop);
	for (int i = 0; i < 2; i++) {
		fd_close(&to_guest[i]);
		fd_close(&from_guest[i]);
	}
}

static uint8_t get(unsigned int reg)
{
	uint8_t v;

	bus_read(&bus, reg, &v, 1);
	return v;
}

static void put(unsigned int reg, uint8_t v)
{
	bus_write(&bus, reg, &v, 1);
}

/* Interrupts raised since the last call. */
static unsigned int irqs(void)
{
	uint64_t n = 0;

	return read(irq_fd, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

static bool wait_irq(void)
{
	struct pollfd p = { .fd = irq_fd, .events = POLLIN };

	return poll(&p, 1, 5000) == 1 && irqs() > 0;
}

static bool wait_lsr(uint8_t bits)
{
	for (int i = 0; i < 50000; i++) {
		if ((get(LSR) & bits) == bits)
			return true;
		usleep(100);
	}
	return false;
}

/* ---- the chip alone ---- */

START_TEST(reset_values)
{
	static const uint8_t want[] = { 0, 0, 0x01, 0, 0, THRE, 0xb0, 0 };

	for (unsigned int i = 0; i < 8; i++)
		ck_assert_msg(get(i) == want[i], "register %u", i);
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
		put(rows[i].reg, 0xff);
		ck_assert_msg(get(rows[i].reg) == rows[i].bits, "register %u", rows[i].reg);
		put(rows[i].reg, 0);
		ck_assert_uint_eq(get(rows[i].reg), 0);
	}
	put(LSR, 0);
	ck_assert_uint_eq(get(LSR), THRE);
	get(MSR);
	put(MSR, 0);
	ck_assert_uint_eq(get(MSR), 0xb0);
}
END_TEST

START_TEST(divisor_latch)
{
	put(IER, 0x05);
	put(LCR, 0x83);
	put(DATA, 0x34);
	put(IER, 0x12);
	ck_assert_uint_eq(get(DATA), 0x34);
	ck_assert_uint_eq(get(IER), 0x12);
	put(LCR, 0x03);
	ck_assert_uint_eq(get(IER), 0x05);
	ck_assert_uint_eq(get(DATA), 0);
	put(LCR, 0x80);
	ck_assert_uint_eq(get(DATA), 0x34);
	ck_assert_uint_eq(get(IER), 0x12);
}
END_TEST

/* The steps by which Linux' 8250 driver tells a 16550A from its many relatives. */
START_TEST(linux_autoconfig)
{
	uint8_t one, two;

	/* Is there a chip: IER keeps four bits. */
	put(IER, 0);
	ck_assert_uint_eq(get(IER) & 0x0f, 0);
	put(IER, 0x0f);
	ck_assert_uint_eq(get(IER) & 0x0f, 0x0f);
	put(IER, 0);
	/* Loopback: RTS and OUT2 come back as CTS and DCD. */
	put(MCR, 0x1a);
	ck_assert_uint_eq(get(MSR) & 0xf0, 0x90);
	put(MCR, 0);
	/* No enhanced feature register behind LCR 0xbf; FIFOs show in IIR. */
	put(LCR, 0xbf);
	put(FCR, 0);
	put(LCR, 0);
	put(FCR, 0x01);
	ck_assert_uint_eq(get(IIR) >> 6, 3);
	put(LCR, 0x80);
	ck_assert_uint_ne(get(IIR), 0); /* else: a 16650 */
	put(LCR, 0xbf);
	ck_assert_uint_ne(get(IIR), 0); /* the same */
	/* 64-byte FIFOs, with and without DLAB: a 16750 would show bit 5. */
	put(LCR, 0);
	put(FCR, 0x21);
	one = get(IIR) >> 5;
	put(FCR, 0x01);
	put(LCR, 0x80);
	put(FCR, 0x21);
	two = get(IIR) >> 5;
	put(FCR, 0x01);
	put(LCR, 0);
	ck_assert_uint_eq(one, 6);
	ck_assert_uint_eq(two, 6);
	/* A unit enable bit in IER: an XScale. */
	put(IER, 0x40);
	ck_assert_uint_eq(get(IER) & 0x40, 0);
	put(IER, 0);
}
END_TEST

/* At startup Linux looks for chips that lose the transmitter's interrupt. */
START_TEST(linux_startup_quirks)
{
	put(FCR, 0x07);
	put(FCR, 0x00);
	for (int i = 0; i < 3; i++) {
		put(IER, 0x02);
		ck_assert_uint_eq(get(IIR) & 0x0f, 0x02);
		ck_assert_uint_eq(get(IIR) & 0x0f, 0x01); /* reading it took it back */
		put(IER, 0);
	}
	ck_assert_uint_eq(irqs(), 3);
	put(IER, 0x02);
	ck_assert_uint_eq(get(LSR) & THRE, THRE);
	ck_assert_uint_eq(get(IIR) & 0x01, 0);
	put(IER, 0);
	ck_assert_uint_eq(get(IIR), 0x01);
}
END_TEST

START_TEST(transmit_interrupts)
{
	put(IER, 0x02);
	ck_assert_uint_eq(irqs(), 1);
	/* A driver that only ever writes the next byte needs an edge for each. */
	for (int i = 0; i < 3; i++) {
		put(DATA, 'x');
		ck_assert_uint_eq(irqs(), 1);
	}
	ck_assert_uint_eq(get(IIR), 0x02);
	ck_assert_uint_eq(get(IIR), 0x01);
	put(IER, 0);
	put(DATA, 'x');
	ck_assert_uint_eq(irqs(), 0);
	put(IER, 0x02); /* enabled again: raised again */
	ck_assert_uint_eq(irqs(), 1);
	put(IER, 0x02); /* not newly enabled */
	ck_assert_uint_eq(irqs(), 0);
	get(IIR);
	put(IER, 0x02);
	ck_assert_uint_eq(irqs(), 0);
	ck_assert_uint_eq(get(IIR), 0x01);
}
END_TEST

static void loop_bytes(unsigned int n)
{
	put(MCR, 0x10);
	for (unsigned int i = 0; i < n; i++)
		put(DATA, (uint8_t)(i + 1));
}

START_TEST(loopback_returns_bytes)
{
	put(FCR, 0x01);
	loop_bytes(16);
	for (unsigned int i = 1; i <= 16; i++) {
		ck_assert_uint_eq(get(LSR), THRE | DR);
		ck_assert_uint_eq(get(DATA), i);
	}
	ck_assert_uint_eq(get(LSR), THRE);
}
END_TEST

/* The 17th byte is lost with FIFOs; without, the second takes the first one's place. */
START_TEST(overrun)
{
	put(FCR, 0x01);
	put(IER, 0x04);
	loop_bytes(17);
	ck_assert_uint_eq(irqs(), 1);
	ck_assert_uint_eq(get(IIR), 0xc6);
	ck_assert_uint_eq(get(LSR), THRE | DR | 0x02);
	ck_assert_uint_eq(get(LSR), THRE | DR);
	ck_assert_uint_eq(get(IIR), 0xc1);
	for (unsigned int i = 1; i <= 16; i++)
		ck_assert_uint_eq(get(DATA), i);
	put(FCR, 0);
	loop_bytes(2);
	ck_assert_uint_eq(get(LSR), THRE | DR | 0x02);
	ck_assert_uint_eq(get(DATA), 2);
	ck_assert_uint_eq(get(LSR), THRE);
}
END_TEST

START_TEST(fifo_control_clears)
{
	put(FCR, 0x01);
	loop_bytes(5);
	put(FCR, 0x03); /* clear */
	ck_assert_uint_eq(get(LSR), THRE);
	loop_bytes(5);
	put(FCR, 0xc1); /* another trigger level keeps the bytes */
	ck_assert_uint_eq(get(LSR), THRE | DR);
	put(FCR, 0xc0); /* disabling clears */
	ck_assert_uint_eq(get(LSR), THRE);
	loop_bytes(1);
	put(FCR, 0x02); /* disabled: the clear bit does not count */
	ck_assert_uint_eq(get(LSR), THRE | DR);
	ck_assert_uint_eq(get(IIR), 0x01);
}
END_TEST

/* A driver that handles one thing must hear of the next, or an edge line falls silent. */
START_TEST(new_condition_beside_an_old_one)
{
	put(MCR, 0x10);
	get(MSR);
	put(IER, 0x0d);
	put(DATA, 'x');
	ck_assert_uint_eq(irqs(), 1);
	put(MCR, 0x12);
	ck_assert_uint_eq(irqs(), 1);
	put(DATA, 'y'); /* overrun */
	ck_assert_uint_eq(irqs(), 1);
}
END_TEST

/* Trigger levels choose between "data available" and "timeout". */
START_TEST(trigger_levels)
{
	static const unsigned int levels[] = { 1, 4, 8, 14 };

	put(MCR, 0x10);
	for (unsigned int i = 0; i < 4; i++) {
		put(IER, 0);
		put(FCR, (uint8_t)(i << 6 | 0x03));
		put(IER, 0x01);
		irqs();
		for (unsigned int n = 1; n <= 16; n++) {
			put(DATA, 'x');
			ck_assert_uint_eq(get(IIR), n < levels[i] ? 0xcc : 0xc4);
		}
		ck_assert_uint_eq(irqs(), 1);
	}
}
END_TEST

/* Line status before data before transmitter before modem, each cleared in its own way. */
START_TEST(interrupt_priorities)
{
	put(FCR, 0x01);
	get(MSR);
	loop_bytes(17);
	put(MCR, 0x10);
	put(IER, 0x0f);
	ck_assert_uint_ge(irqs(), 1);
	ck_assert_uint_eq(get(IIR), 0xc6);
	get(LSR);
	ck_assert_uint_eq(get(IIR), 0xc4);
	for (int i = 0; i < 16; i++)
		get(DATA);
	ck_assert_uint_eq(get(IIR), 0xc2); /* reading clears */
	ck_assert_uint_eq(get(IIR), 0xc0); /* entering loopback changed the modem lines */
	get(MSR);
	ck_assert_uint_eq(get(IIR), 0xc1);
}
END_TEST

/* MCR outputs and the MSR they give in loopback, with the change bits of that step. */
static const struct {
	uint8_t mcr, msr;
} modem_steps[] = {
	{ 0x10, 0x0b },	       /* DCD, DSR, CTS go off */
	{ 0x10, 0x00 },	       /* nothing changed */
	{ 0x12, 0x11 },	       /* RTS: CTS */
	{ 0x11, 0x20 | 0x03 }, /* DTR: DSR; CTS off */
	{ 0x14, 0x40 | 0x02 }, /* OUT1: RI; its start does not count; DSR off */
	{ 0x10, 0x04 },	       /* its end does */
	{ 0x18, 0x80 | 0x08 }, /* OUT2: DCD */
	{ 0x1f, 0xf0 | 0x03 },
	{ 0x00, 0xb0 | 0x04 },
};

START_TEST(modem_status)
{
	put(IER, 0x08);
	for (size_t i = 0; i < ARRAY_SIZE(modem_steps); i++) {
		put(MCR, modem_steps[i].mcr);
		ck_assert_uint_eq(irqs(), modem_steps[i].msr & 0x0f ? 1 : 0);
		ck_assert_uint_eq(get(MSR), modem_steps[i].msr);
		ck_assert_uint_eq(get(IIR), 0x01);
	}
}
END_TEST

START_TEST(wide_access)
{
	uint64_t v;

	for (unsigned int len = 1; len <= 8; len++) {
		v = 0xa1a2a3a4a5a6a700ULL | len;
		bus_write(&bus, 0, &v, len); /* transmits one byte, touches nothing else */
		ck_assert_uint_eq(get(LCR), 0);
		v = 0xffffffffffffffffULL;
		put(IER, 0x05);
		put(LCR, 0x80);
		put(DATA, len < 4 ? 0x5a : 0xa5);
		bus_read(&bus, 0, &v, len);
		if (len < 8)
			v &= BIT(8 * len) - 1;
		ck_assert_uint_eq(v, len < 4 ? 0x5a : 0xa5);
		put(LCR, 0);
		ck_assert_uint_eq(get(IER), 0x05);
	}
	v = 0xdead;
	bus_write(&bus, SCR, &v, 2); /* across the end: nobody's */
	ck_assert_uint_eq(get(SCR), 0);
	bus_write(&bus, LCR, &v, 4);
	ck_assert_uint_eq(get(LCR), 0xad);
	ck_assert_uint_eq(get(MCR), 0);
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

/* ---- with a tty ---- */

static void slurp(int fd, uint8_t *buf, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t r = read(fd, buf + have, n - have);

		ck_assert_int_gt(r, 0);
		have += (size_t)r;
	}
}

START_TEST(output_arrives)
{
	uint8_t buf[5];

	for (const char *p = "hello"; *p; p++)
		put(DATA, (uint8_t)*p);
	slurp(from_guest[0], buf, 5);
	ck_assert_mem_eq(buf, "hello", 5);
}
END_TEST

/* Nobody reads. Pipe and ring fill up, the transmitter turns busy, what is sent then is lost and
 * counted; when somebody reads at last, all that was taken is there, in order, and an interrupt
 * says that it goes on. No step may block. */
START_TEST(full_ring)
{
	struct pollfd p = { .fd = from_guest[1], .events = POLLOUT };
	uint64_t sent = 0, lost;
	uint8_t *buf;

	put(FCR, 0x01);
	put(IER, 0x02);
	/* The loop moves 64 KiB into the pipe meanwhile: busy for good is busy with a full pipe. */
	for (int idle = 0; idle < 20;) {
		if (get(LSR) & THRE) {
			for (int i = 0; i < 16; i++)
				put(DATA, (uint8_t)(sent++ % 251));
			idle = 0;
		} else {
			usleep(1000);
			if (poll(&p, 1, 0) == 0)
				idle++;
		}
	}
	ck_assert_uint_eq(get(LSR) & THRE, 0);
	ck_assert_uint_eq(serial_dropped(serial), 0);
	get(IIR);
	ck_assert_uint_eq(get(IIR), 0xc1);
	irqs();
	log_set_level(LOG_ERROR);
	for (int i = 0; i < 1000; i++)
		put(DATA, (uint8_t)(sent++ % 251));
	log_set_level(LOG_WARN);
	lost = serial_dropped(serial);
	ck_assert_uint_ge(lost, 1000 - 15);
	ck_assert_uint_eq(irqs(), 0);
	sent -= lost;
	buf = malloc(sent);
	slurp(from_guest[0], buf, sent);
	ck_assert(wait_irq());
	ck_assert_uint_eq(get(LSR), THRE);
	ck_assert_uint_eq(get(IIR), 0xc2);
	for (uint64_t i = 0; i < sent; i++)
		if (buf[i] != i % 251)
			ck_abort_msg("byte %llu", (unsigned long long)i);
	free(buf);
}
END_TEST

struct reader {
	int fd; /* its own, closed at the end */
	uint8_t *buf;
	size_t n;
};

static void *slow_reader(void *arg)
{
	struct reader *r = arg;
	size_t have = 0;

	while (have < r->n) {
		ssize_t n = read(r->fd, r->buf + have, min_u64(r->n - have, 7000));

		if (n <= 0)
			break;
		have += (size_t)n;
		usleep(200);
	}
	close(r->fd);
	return NULL;
}

/* A guest that looks before it sends loses nothing: polling (0) and by interrupts (1). */
START_TEST(slow_reader_gets_everything)
{
	struct reader r = { dup(from_guest[0]), malloc(400000), 400000 };
	pthread_t thread;
	size_t sent = 0;

	put(FCR, 0x01);
	put(IER, _i ? 0x02 : 0);
	pthread_create(&thread, NULL, slow_reader, &r);
	while (sent < r.n) {
		if (_i) {
			ck_assert(wait_irq());
			if ((get(IIR) & 0x0f) != 0x02)
				continue;
		} else if (!(get(LSR) & 0x20)) {
			continue;
		}
		for (int i = 0; i < 16 && sent < r.n; i++)
			put(DATA, (uint8_t)(sent++ % 253));
	}
	ck_assert_int_eq(tty_drain(tty, 10000, NULL), 0);
	pthread_join(thread, NULL);
	ck_assert_uint_eq(serial_dropped(serial), 0);
	for (size_t i = 0; i < r.n; i++)
		if (r.buf[i] != i % 253)
			ck_abort_msg("byte %zu", i);
	free(r.buf);
}
END_TEST

static void *feeder(void *arg)
{
	size_t n = *(size_t *)arg;

	for (size_t i = 0; i < n; i++) {
		uint8_t byte = (uint8_t)(i % 249);

		if (write(to_guest[1], &byte, 1) != 1)
			break;
	}
	return NULL;
}

/* More input than the FIFO, the held bytes and the pipe can take: none is lost, none overruns.
 * With FIFOs by interrupt (1) and without by polling (0). */
START_TEST(input_waits_for_the_guest)
{
	size_t n = 30000;
	pthread_t thread;

	put(FCR, _i ? 0x81 : 0x00);
	put(IER, _i ? 0x05 : 0x00);
	pthread_create(&thread, NULL, feeder, &n);
	for (size_t i = 0; i < n;) {
		if (_i)
			ck_assert(wait_irq());
		else
			ck_assert(wait_lsr(DR));
		for (;;) {
			uint8_t lsr = get(LSR);

			if (lsr & 0x02)
				ck_abort_msg("overrun at byte %zu", i);
			if (!(lsr & DR))
				break;
			if (get(DATA) != i++ % 249)
				ck_abort_msg("byte %zu", i - 1);
		}
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(get(LSR) & DR, 0);
}
END_TEST

START_TEST(input_waits_during_loopback)
{
	put(FCR, 0x01);
	put(MCR, 0x10);
	ck_assert_int_eq(write(to_guest[1], "ab", 2), 2);
	usleep(50000);
	ck_assert_uint_eq(get(LSR), THRE);
	put(MCR, 0);
	ck_assert(wait_lsr(DR));
	ck_assert_uint_eq(get(DATA), 'a');
	ck_assert(wait_lsr(DR));
	ck_assert_uint_eq(get(DATA), 'b');
}
END_TEST

/* Clearing a full FIFO makes room, and the tty must hear of it. */
START_TEST(input_goes_on_after_a_clear)
{
	put(FCR, 0x01);
	ck_assert_int_eq(write(to_guest[1], "0123456789abcdefX", 17), 17);
	ck_assert(wait_lsr(DR));
	usleep(50000);
	put(FCR, 0x03);
	ck_assert(wait_lsr(DR));
	ck_assert_uint_eq(get(DATA), 'X');
}
END_TEST

static void *two_faced(void *arg)
{
	unsigned int seed = *(unsigned int *)arg;

	for (int i = 0; i < 20000; i++) {
		uint64_t v = (uint64_t)rand_r(&seed);

		if (v & 0x10000)
			bus_write(&bus, v % 8, &v, 1 + (unsigned int)(v >> 20) % 8);
		else
			bus_read(&bus, v % 8, &v, 1 + (unsigned int)(v >> 20) % 8);
	}
	return NULL;
}

/* Several vCPUs do anything at once, with input and output flowing: for the sanitizers. */
START_TEST(hostile_guest_with_traffic)
{
	unsigned int seeds[] = { 1, 2, 3 };
	struct reader r = { dup(from_guest[0]), malloc(MIB(1)), MIB(1) };
	pthread_t t[3], reader;
	uint8_t junk[4000] = { 0 };

	log_set_level(LOG_ERROR);
	pthread_create(&reader, NULL, slow_reader, &r);
	ck_assert_int_gt(write(to_guest[1], junk, sizeof(junk)), 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, two_faced, &seeds[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	teardown_tty(); /* with everything still in motion; also ends the reader */
	pthread_join(reader, NULL);
	log_set_level(LOG_WARN);
	free(r.buf);
	setup_tty();
}
END_TEST

Suite *serial_suite(void)
{
	Suite *s = suite_create("serial");
	TCase *alone = tcase_create("alone");
	TCase *with_tty = tcase_create("tty");

	tcase_add_checked_fixture(alone, setup_alone, teardown);
	tcase_add_test(alone, reset_values);
	tcase_add_test(alone, writable_bits);
	tcase_add_test(alone, divisor_latch);
	tcase_add_test(alone, linux_autoconfig);
	tcase_add_test(alone, linux_startup_quirks);
	tcase_add_test(alone, transmit_interrupts);
	tcase_add_test(alone, loopback_returns_bytes);
	tcase_add_test(alone, overrun);
	tcase_add_test(alone, fifo_control_clears);
	tcase_add_test(alone, new_condition_beside_an_old_one);
	tcase_add_test(alone, trigger_levels);
	tcase_add_test(alone, interrupt_priorities);
	tcase_add_test(alone, modem_status);
	tcase_add_test(alone, wide_access);
	tcase_add_test(alone, hostile_accesses);
	suite_add_tcase(s, alone);

	tcase_add_checked_fixture(with_tty, setup_tty, teardown_tty);
	tcase_set_timeout(with_tty, 60);
	tcase_add_test(with_tty, output_arrives);
	tcase_add_test(with_tty, full_ring);
	tcase_add_loop_test(with_tty, slow_reader_gets_everything, 0, 2);
	tcase_add_loop_test(with_tty, input_waits_for_the_guest, 0, 2);
	tcase_add_test(with_tty, input_waits_during_loopback);
	tcase_add_test(with_tty, input_goes_on_after_a_clear);
	tcase_add_test(with_tty, hostile_guest_with_traffic);
	suite_add_tcase(s, with_tty);
	return s;
}
