/* SPDX-License-Identifier: Apache-2.0 */

/* The virtio console between a driver and two pipes: no byte is lost, and nobody waits. */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/suites.h"
#include "tests/unit/test_virtio_console.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

START_TEST(is_a_console)
{
	ck_assert_uint_eq(driver_get(&ct.drv, R_DEVICE_ID), 3);
	/* Pipes have no size. */
	ck_assert_uint_eq(driver_features(&ct.drv) & 0xffffff, 0);
	for (unsigned int q = 0; q < 4; q++) {
		driver_put(&ct.drv, R_QUEUE_SEL, q);
		ck_assert_uint_eq(driver_get(&ct.drv, R_QUEUE_MAX), q < 2 ? 64 : 0);
	}
	ck_assert_uint_eq(driver_get(&ct.drv, R_CONFIG), 0);
}
END_TEST

START_TEST(output_arrives)
{
	uint8_t text[12];
	uint32_t head, len;

	ct_start_driver(0);
	memcpy(guest_ptr(&ct.guest, GUEST_DATA), "hello ", 6);
	memcpy(guest_ptr(&ct.guest, GUEST_DATA + 0x1000), "world\n", 6);
	ring_desc(&ct.tx, 0, GUEST_DATA, 6, DESC_NEXT, 1);
	ring_desc(&ct.tx, 1, GUEST_DATA + 0x1000, 6, 0, 0);
	ring_offer(&ct.tx, 0);
	driver_put(&ct.drv, R_NOTIFY, TX);
	ct_expect_used(&ct.tx, 1);
	ck_assert_uint_eq(ct_irqs(), 1);
	ck_assert(ring_take(&ct.tx, &head, &len));
	ck_assert_uint_eq(len, 0);
	ct_read_output(text, sizeof(text));
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

	ct_start_driver(0);
	ct_pattern(guest_ptr(&ct.guest, GUEST_DATA), size, 1);
	for (uint16_t i = 0; i < pieces; i++)
		ct_transmit(i, GUEST_DATA + i * piece, piece);
	ct_pump(100);
	/* 64 KiB are in the pipe, and 64 in the tty. */
	ck_assert_uint_le(ring_used_idx(&ct.tx), 3);
	/* And nobody spins meanwhile. */
	before = clock();
	ct_pump(300);
	ck_assert_int_lt(clock() - before, CLOCKS_PER_SEC / 10);
	ct_irqs();
	ct_read_output(got, size);
	ct_expect_used(&ct.tx, pieces);
	ck_assert_uint_ge(ct_irqs(), 1);
	ck_assert_mem_eq(got, guest_ptr(&ct.guest, GUEST_DATA), size);
	ck_assert(ct_output_is_empty());
	free(got);
}
END_TEST

static unsigned int turns;

/* Counts while the second chain is under way. */
static void on_turn(void *arg)
{
	turns += ring_used_idx(&ct.tx) < 2;
	loop_timer_set(*(struct loop_event **)arg, 0);
}

/* A gigabyte for a reader that has gone. */
START_TEST(endless_output_leaves_time_to_others)
{
	struct loop_event *other;
	struct err e;

	ct_start_driver(0);
	fd_close(&ct.out_pipe[0]);
	ct_transmit(0, GUEST_DATA, 1);
	ct_expect_used(&ct.tx, 1);
	/* The tty learns by writing that nobody reads. */
	usleep(100000);
	ck_assert_int_eq(loop_add_timer(ct.loop, on_turn, &other, &other, &e), 0);
	turns = 0;
	for (uint16_t i = 0; i < 64; i++)
		ring_desc(
			&ct.tx, i, GUEST_DATA, 0x80000, i < 63 ? DESC_NEXT : 0, (uint16_t)(i + 1));
	ring_offer(&ct.tx, 0);
	loop_timer_set(other, 0);
	driver_put(&ct.drv, R_NOTIFY, TX);
	ct_expect_used(&ct.tx, 2);
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

	ct_start_driver(F_RESET);
	ct_pattern(guest_ptr(&ct.guest, GUEST_DATA), size, 2);
	ct_transmit(0, GUEST_DATA, size);
	ct_pump(50);
	ck_assert_uint_eq(ring_used_idx(&ct.tx), 0);
	if (_i == 0) {
		driver_put(&ct.drv, R_STATUS, 0);
		ck_assert_uint_eq(driver_get(&ct.drv, R_STATUS), 0);
		ct_start_driver(0);
	} else {
		driver_put(&ct.drv, R_QUEUE_SEL, TX);
		driver_put(&ct.drv, R_QUEUE_RESET, 1);
		ck_assert_uint_eq(driver_get(&ct.drv, R_QUEUE_RESET), 0);
		ring_new(&ct.tx, &ct.guest, GUEST_RAM + RING_BYTES, 64);
		ck_assert_uint_eq(driver_queue(&ct.drv, TX, &ct.tx), 1);
	}
	/* What is on its way arrives; what the next driver sends arrives from its beginning. */
	n = ct_read_rest(got, size);
	ck_assert_uint_ge(n, 0x10000);
	ck_assert_uint_le(n, 0x30000);
	ck_assert_mem_eq(got, guest_ptr(&ct.guest, GUEST_DATA), n);
	memcpy(guest_ptr(&ct.guest, GUEST_DATA), "after\n", 6);
	ct_transmit(0, GUEST_DATA, 6);
	ct_read_output(after, sizeof(after));
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

	ct_start_driver(0);
	ct_pattern(guest_ptr(&ct.guest, GUEST_DATA), size, 3);
	for (uint16_t i = 0; i < 3; i++)
		ct_transmit(i, GUEST_DATA + i * (size / 3), size / 3);
	while (more) {
		more = virtio_console_finish(ct.console);
		n += ct_read_rest(got + n, size - n);
	}
	/* What was handed over is on its way. */
	for (int tries = 0; n < size && tries < 2000; tries++) {
		usleep(10000);
		n += ct_read_rest(got + n, size - n);
	}
	ck_assert_uint_eq(n, size);
	ck_assert_uint_eq(ring_used_idx(&ct.tx), 3);
	ck_assert_mem_eq(got, guest_ptr(&ct.guest, GUEST_DATA), size);
	free(got);
}
END_TEST

/* 32 MiB, for a reader that takes all. */
START_TEST(last_output_has_an_end)
{
	unsigned int calls = 0;

	ct_begin(-1, -1);
	ct_start_driver(0);
	for (uint16_t i = 0; i < 64; i++)
		ct_transmit(i, GUEST_DATA, 0x80000);
	while (virtio_console_finish(ct.console) && calls < 1000)
		calls++;
	ck_assert_uint_ge(calls, 4);
	ck_assert_uint_le(calls, 20);
	ck_assert_uint_le(ring_used_idx(&ct.tx), 3);
	ck_assert(!virtio_console_finish(ct.console));
}
END_TEST

START_TEST(no_last_output)
{
	ck_assert(!virtio_console_finish(ct.console));
	ct_start_driver(0);
	ck_assert(!virtio_console_finish(ct.console));
	/* A mistake is none of ours any more. */
	ring_desc(&ct.tx, 0, GUEST_PRIVATE, 10, 0, 0);
	ring_offer(&ct.tx, 0);
	ck_assert(!virtio_console_finish(ct.console));
}
END_TEST

/* ---- input ---- */

START_TEST(input_arrives)
{
	uint32_t head, len;

	ct_start_driver(0);
	ct_take_input(0, GUEST_DATA, 4);
	ct_take_input(1, GUEST_DATA + 0x1000, 100);
	ct_pump(20);
	ck_assert_uint_eq(ring_used_idx(&ct.rx), 0);
	ct_irqs();
	ck_assert_int_eq(write(ct.in_pipe[1], "abcdefg", 7), 7);
	ct_expect_used(&ct.rx, 2);
	ck_assert_uint_ge(ct_irqs(), 1);
	ck_assert(ring_take(&ct.rx, &head, &len));
	ck_assert_uint_eq(len, 4);
	ck_assert(ring_take(&ct.rx, &head, &len));
	ck_assert_uint_eq(len, 3);
	ck_assert_mem_eq(guest_ptr(&ct.guest, GUEST_DATA), "abcd", 4);
	ck_assert_mem_eq(guest_ptr(&ct.guest, GUEST_DATA + 0x1000), "efg", 4);
}
END_TEST

/* Written while there is no driver, or none with buffers: it waits, and all of it arrives. */
START_TEST(input_waits_for_the_driver)
{
	const size_t size = 60000;
	uint8_t *sent = malloc(size), *got = malloc(size);
	size_t count = 0;

	ct_pattern(sent, size, 3);
	if (_i)
		ct_start_driver(0);
	ck_assert_int_eq(write(ct.in_pipe[1], sent, size), (ssize_t)size);
	ct_pump(50);
	if (!_i)
		ct_start_driver(0);
	while (count < size) {
		uint16_t idx = ct.rx.idx;
		uint32_t head, len;

		ct_take_input(idx % 64, GUEST_DATA, (uint32_t)(1 + idx % 50 * 10));
		ct_expect_used(&ct.rx, idx + 1u);
		ck_assert(ring_take(&ct.rx, &head, &len));
		ck_assert_uint_gt(len, 0);
		ck_assert_uint_le(count + len, size);
		memcpy(got + count, guest_ptr(&ct.guest, GUEST_DATA), len);
		count += len;
		/* Half of the way through comes another driver. */
		if (idx == 120)
			ct_start_driver(0);
	}
	ck_assert_mem_eq(got, sent, size);
	free(sent);
	free(got);
}
END_TEST

/* ---- mistakes ---- */

START_TEST(broken_chain_breaks_the_device)
{
	ct_start_driver(0);
	ck_assert_int_eq(write(ct.in_pipe[1], "x", 1), 1);
	ct_pump(20);
	switch (_i) {
	case 0:
		ring_desc(&ct.rx, 0, GUEST_DATA, 8, 0, 0);
		break;
	case 1:
		ring_desc(&ct.rx, 0, GUEST_DATA, 8, DESC_NEXT, 1);
		ring_desc(&ct.rx, 1, GUEST_DATA, 8, DESC_WRITE, 0);
		break;
	case 2:
		ring_desc(&ct.rx, 0, GUEST_PRIVATE, 8, DESC_WRITE, 0);
		break;
	case 3:
		ring_desc(&ct.tx, 0, GUEST_DATA, 8, DESC_WRITE, 0);
		break;
	case 4:
		ring_desc(&ct.tx, 0, GUEST_PRIVATE, 8, 0, 0);
		break;
	default:
		break;
	}
	ring_offer(_i < 3 ? &ct.rx : &ct.tx, 0);
	driver_put(&ct.drv, R_NOTIFY, _i < 3 ? RX : TX);
	ct_pump(10);
	ck_assert(ct_broken());
	ck_assert(ct_output_is_empty());
	driver_put(&ct.drv, R_STATUS, 0);
	ck_assert_uint_eq(driver_get(&ct.drv, R_STATUS), 0);
	/* What was typed was not for that one. */
	ct_start_driver(0);
	ct_take_input(0, GUEST_DATA, 10);
	ct_expect_used(&ct.rx, 1);
	ck_assert_mem_eq(guest_ptr(&ct.guest, GUEST_DATA), "x", 1);
}
END_TEST

START_TEST(may_go_away_while_loops_run)
{
	struct err e;

	ct.early = true;
	loop_event_free(ct.end);
	ct.end = NULL;
	ck_assert_int_eq(loop_start_thread(ct.loop, THREAD_IO, "io", &e), 0);
	for (unsigned int i = 0; i < 100; i++) {
		ct_begin(ct.in_pipe[0], ct.out_pipe[1]);
		ct_start_driver(0);
		ck_assert_int_eq(write(ct.in_pipe[1], "keys", 4), 4);
		usleep(i * 20);
	}
}
END_TEST

Suite *virtio_console_suite(void)
{
	Suite *s = suite_create("virtio_console");
	TCase *t = tcase_create("virtio_console");

	tcase_add_checked_fixture(t, ct_setup, ct_teardown);
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
	tcase_add_test(t, may_go_away_while_loops_run);
	tcase_set_timeout(t, 120);
	suite_add_tcase(s, t);
	suite_add_tcase(s, virtio_console_terminal_case());
	return s;
}
