/* SPDX-License-Identifier: Apache-2.0 */

/* The serial port with a tty behind it: nothing waits on the guest's side, nothing is lost. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/unit/test_serial.h"
#include "vmm/util/bits.h"
#include "vmm/util/log.h"

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
		serial_put(DATA, (uint8_t)*p);
	slurp(serial_out[0], buf, 5);
	ck_assert_mem_eq(buf, "hello", 5);
}
END_TEST

/* Nobody reads. Pipe and ring fill up, the transmitter turns busy, what is sent then is lost and
 * counted; when somebody reads at last, all that was taken is there, in order, and an interrupt
 * says that it goes on. No step may block. */
START_TEST(full_ring)
{
	struct pollfd p = { .fd = serial_out[1], .events = POLLOUT };
	uint64_t sent = 0, lost;
	uint8_t *buf;

	serial_put(FCR, 0x01);
	serial_put(IER, 0x02);
	/* The loop moves 64 KiB into the pipe meanwhile: busy for good is busy with a full pipe. */
	for (int idle = 0; idle < 200;) {
		if (serial_get(LSR) & THRE) {
			for (int i = 0; i < 16; i++)
				serial_put(DATA, (uint8_t)(sent++ % 251));
			idle = 0;
		} else {
			usleep(1000);
			if (poll(&p, 1, 0) == 0)
				idle++;
		}
	}
	ck_assert_uint_eq(serial_get(LSR) & THRE, 0);
	ck_assert_uint_eq(serial_dropped(serial), 0);
	serial_get(IIR);
	ck_assert_uint_eq(serial_get(IIR), 0xc1);
	serial_irqs();
	log_set_level(LOG_ERROR);
	for (int i = 0; i < 1000; i++)
		serial_put(DATA, (uint8_t)(sent++ % 251));
	log_set_level(LOG_WARN);
	lost = serial_dropped(serial);
	ck_assert_uint_ge(lost, 1000 - 15);
	ck_assert_uint_eq(serial_irqs(), 0);
	sent -= lost;
	buf = malloc(sent);
	slurp(serial_out[0], buf, sent);
	ck_assert(serial_wait_irq());
	ck_assert_uint_eq(serial_get(LSR), THRE);
	ck_assert_uint_eq(serial_get(IIR), 0xc2);
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
	struct reader r = { dup(serial_out[0]), malloc(400000), 400000 };
	pthread_t thread;
	size_t sent = 0;

	serial_put(FCR, 0x01);
	serial_put(IER, _i ? 0x02 : 0);
	pthread_create(&thread, NULL, slow_reader, &r);
	while (sent < r.n) {
		if (_i) {
			ck_assert(serial_wait_irq());
			if ((serial_get(IIR) & 0x0f) != 0x02)
				continue;
		} else if (!(serial_get(LSR) & 0x20)) {
			continue;
		}
		for (int i = 0; i < 16 && sent < r.n; i++)
			serial_put(DATA, (uint8_t)(sent++ % 253));
	}
	ck_assert_int_eq(tty_drain(serial_tty, 10000), 0);
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

		if (write(serial_in[1], &byte, 1) != 1)
			break;
	}
	return NULL;
}

/* More input than the FIFO, the held bytes and the pipe can take: none is lost, none overruns.
 * With FIFOs by interrupt (1) and without by polling (0). */
START_TEST(input_waits_for_the_guest)
{
	int room = fcntl(serial_in[1], F_SETPIPE_SZ, 4096), waiting = 0;
	size_t n = (size_t)room + 16384;
	pthread_t thread;

	ck_assert_int_ge(room, 4096);
	serial_put(FCR, _i ? 0x81 : 0x00);
	serial_put(IER, _i ? 0x05 : 0x00);
	pthread_create(&thread, NULL, feeder, &n);
	/* All is full before the guest looks; of the pipe's page a part may have been read already. */
	for (int tries = 0; waiting < room / 2 && tries < 10000; tries++) {
		usleep(1000);
		ck_assert_int_eq(ioctl(serial_in[0], FIONREAD, &waiting), 0);
	}
	ck_assert_int_ge(waiting, room / 2);
	for (size_t i = 0; i < n;) {
		if (_i)
			ck_assert(serial_wait_irq());
		else
			ck_assert(serial_wait_lsr(DR));
		for (;;) {
			uint8_t lsr = serial_get(LSR);

			if (lsr & 0x02)
				ck_abort_msg("overrun at byte %zu", i);
			if (!(lsr & DR))
				break;
			if (serial_get(DATA) != i++ % 249)
				ck_abort_msg("byte %zu", i - 1);
		}
	}
	pthread_join(thread, NULL);
	ck_assert_uint_eq(serial_get(LSR) & DR, 0);
}
END_TEST

START_TEST(input_waits_during_loopback)
{
	serial_put(FCR, 0x01);
	serial_put(MCR, 0x10);
	ck_assert_int_eq(write(serial_in[1], "ab", 2), 2);
	usleep(50000);
	ck_assert_uint_eq(serial_get(LSR), THRE);
	serial_put(MCR, 0);
	ck_assert(serial_wait_lsr(DR));
	ck_assert_uint_eq(serial_get(DATA), 'a');
	ck_assert(serial_wait_lsr(DR));
	ck_assert_uint_eq(serial_get(DATA), 'b');
}
END_TEST

/* Clearing a full FIFO makes room, and the tty must hear of it. */
START_TEST(input_goes_on_after_a_clear)
{
	serial_put(FCR, 0x01);
	ck_assert_int_eq(write(serial_in[1], "0123456789abcdefX", 17), 17);
	ck_assert(serial_wait_lsr(DR));
	usleep(50000);
	serial_put(FCR, 0x03);
	ck_assert(serial_wait_lsr(DR));
	ck_assert_uint_eq(serial_get(DATA), 'X');
}
END_TEST

static void *two_faced(void *arg)
{
	unsigned int seed = *(unsigned int *)arg;

	for (int i = 0; i < 20000; i++) {
		uint64_t v = (uint64_t)rand_r(&seed);

		if (v & 0x10000)
			bus_write(&serial_bus, v % 8, &v, 1 + (unsigned int)(v >> 20) % 8);
		else
			bus_read(&serial_bus, v % 8, &v, 1 + (unsigned int)(v >> 20) % 8);
	}
	return NULL;
}

/* Several vCPUs do anything at once, with input and output flowing: for the sanitizers. */
START_TEST(hostile_guest_with_traffic)
{
	unsigned int seeds[] = { 1, 2, 3 };
	struct reader r = { dup(serial_out[0]), malloc(MIB(1)), MIB(1) };
	pthread_t t[3], reader;
	uint8_t junk[4000] = { 0 };

	log_set_level(LOG_ERROR);
	pthread_create(&reader, NULL, slow_reader, &r);
	ck_assert_int_gt(write(serial_in[1], junk, sizeof(junk)), 0);
	for (int i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, two_faced, &seeds[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	serial_teardown_tty(); /* with everything still in motion; also ends the reader */
	pthread_join(reader, NULL);
	log_set_level(LOG_WARN);
	free(r.buf);
	serial_setup_tty();
}
END_TEST

TCase *serial_tty_case(void)
{
	TCase *t = tcase_create("tty");

	tcase_add_checked_fixture(t, serial_setup_tty, serial_teardown_tty);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, output_arrives);
	tcase_add_test(t, full_ring);
	tcase_add_loop_test(t, slow_reader_gets_everything, 0, 2);
	tcase_add_loop_test(t, input_waits_for_the_guest, 0, 2);
	tcase_add_test(t, input_waits_during_loopback);
	tcase_add_test(t, input_goes_on_after_a_clear);
	tcase_add_test(t, hostile_guest_with_traffic);
	return t;
}
