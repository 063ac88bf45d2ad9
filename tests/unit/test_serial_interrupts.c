/* SPDX-License-Identifier: Apache-2.0 */

/* The serial port: interrupts, FIFOs and modem lines, mostly in loopback. */
#include "tests/unit/test_serial.h"

#include "vmm/util/bits.h"

START_TEST(transmit_interrupts)
{
	serial_put(IER, 0x02);
	ck_assert_uint_eq(serial_irqs(), 1);
	/* A driver that only ever writes the next byte needs an edge for each. */
	for (int i = 0; i < 3; i++) {
		serial_put(DATA, 'x');
		ck_assert_uint_eq(serial_irqs(), 1);
	}
	ck_assert_uint_eq(serial_get(IIR), 0x02);
	ck_assert_uint_eq(serial_get(IIR), 0x01);
	serial_put(IER, 0);
	serial_put(DATA, 'x');
	ck_assert_uint_eq(serial_irqs(), 0);
	serial_put(IER, 0x02); /* enabled again: raised again */
	ck_assert_uint_eq(serial_irqs(), 1);
	serial_put(IER, 0x02); /* not newly enabled */
	ck_assert_uint_eq(serial_irqs(), 0);
	serial_get(IIR);
	serial_put(IER, 0x02);
	ck_assert_uint_eq(serial_irqs(), 0);
	ck_assert_uint_eq(serial_get(IIR), 0x01);
}
END_TEST

static void loop_bytes(unsigned int n)
{
	serial_put(MCR, 0x10);
	for (unsigned int i = 0; i < n; i++)
		serial_put(DATA, (uint8_t)(i + 1));
}

START_TEST(loopback_returns_bytes)
{
	serial_put(FCR, 0x01);
	loop_bytes(16);
	for (unsigned int i = 1; i <= 16; i++) {
		ck_assert_uint_eq(serial_get(LSR), THRE | DR);
		ck_assert_uint_eq(serial_get(DATA), i);
	}
	ck_assert_uint_eq(serial_get(LSR), THRE);
}
END_TEST

/* The 17th byte is lost with FIFOs; without, the second takes the first one's place. */
START_TEST(overrun)
{
	serial_put(FCR, 0x01);
	serial_put(IER, 0x04);
	loop_bytes(17);
	ck_assert_uint_eq(serial_irqs(), 1);
	ck_assert_uint_eq(serial_get(IIR), 0xc6);
	ck_assert_uint_eq(serial_get(LSR), THRE | DR | 0x02);
	ck_assert_uint_eq(serial_get(LSR), THRE | DR);
	ck_assert_uint_eq(serial_get(IIR), 0xc1);
	for (unsigned int i = 1; i <= 16; i++)
		ck_assert_uint_eq(serial_get(DATA), i);
	serial_put(FCR, 0);
	loop_bytes(2);
	ck_assert_uint_eq(serial_get(LSR), THRE | DR | 0x02);
	ck_assert_uint_eq(serial_get(DATA), 2);
	ck_assert_uint_eq(serial_get(LSR), THRE);
}
END_TEST

START_TEST(fifo_control_clears)
{
	serial_put(FCR, 0x01);
	loop_bytes(5);
	serial_put(FCR, 0x03); /* clear */
	ck_assert_uint_eq(serial_get(LSR), THRE);
	loop_bytes(5);
	serial_put(FCR, 0xc1); /* another trigger level keeps the bytes */
	ck_assert_uint_eq(serial_get(LSR), THRE | DR);
	serial_put(FCR, 0xc0); /* disabling clears */
	ck_assert_uint_eq(serial_get(LSR), THRE);
	loop_bytes(1);
	serial_put(FCR, 0x02); /* disabled: the clear bit does not count */
	ck_assert_uint_eq(serial_get(LSR), THRE | DR);
	ck_assert_uint_eq(serial_get(IIR), 0x01);
}
END_TEST

/* A driver that handles one thing must hear of the next, or an edge line falls silent. */
START_TEST(new_condition_beside_an_old_one)
{
	serial_put(MCR, 0x10);
	serial_get(MSR);
	serial_put(IER, 0x0d);
	serial_put(DATA, 'x');
	ck_assert_uint_eq(serial_irqs(), 1);
	serial_put(MCR, 0x12);
	ck_assert_uint_eq(serial_irqs(), 1);
	serial_put(DATA, 'y'); /* overrun */
	ck_assert_uint_eq(serial_irqs(), 1);
}
END_TEST

/* Trigger levels choose between "data available" and "timeout". */
START_TEST(trigger_levels)
{
	static const unsigned int levels[] = { 1, 4, 8, 14 };

	serial_put(MCR, 0x10);
	for (unsigned int i = 0; i < 4; i++) {
		serial_put(IER, 0);
		serial_put(FCR, (uint8_t)(i << 6 | 0x03));
		serial_put(IER, 0x01);
		serial_irqs();
		for (unsigned int n = 1; n <= 16; n++) {
			serial_put(DATA, 'x');
			ck_assert_uint_eq(serial_get(IIR), n < levels[i] ? 0xcc : 0xc4);
		}
		ck_assert_uint_eq(serial_irqs(), 1);
	}
}
END_TEST

/* Line status before data before transmitter before modem, each cleared in its own way. */
START_TEST(interrupt_priorities)
{
	serial_put(FCR, 0x01);
	serial_get(MSR);
	loop_bytes(17);
	serial_put(MCR, 0x10);
	serial_put(IER, 0x0f);
	ck_assert_uint_ge(serial_irqs(), 1);
	ck_assert_uint_eq(serial_get(IIR), 0xc6);
	serial_get(LSR);
	ck_assert_uint_eq(serial_get(IIR), 0xc4);
	for (int i = 0; i < 16; i++)
		serial_get(DATA);
	ck_assert_uint_eq(serial_get(IIR), 0xc2); /* reading clears */
	ck_assert_uint_eq(serial_get(IIR), 0xc0); /* entering loopback changed the modem lines */
	serial_get(MSR);
	ck_assert_uint_eq(serial_get(IIR), 0xc1);
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
	serial_put(IER, 0x08);
	for (size_t i = 0; i < ARRAY_SIZE(modem_steps); i++) {
		serial_put(MCR, modem_steps[i].mcr);
		ck_assert_uint_eq(serial_irqs(), modem_steps[i].msr & 0x0f ? 1 : 0);
		ck_assert_uint_eq(serial_get(MSR), modem_steps[i].msr);
		ck_assert_uint_eq(serial_get(IIR), 0x01);
	}
}
END_TEST

TCase *serial_interrupts_case(void)
{
	TCase *t = tcase_create("interrupts");

	tcase_add_checked_fixture(t, serial_setup, serial_teardown);
	tcase_add_test(t, transmit_interrupts);
	tcase_add_test(t, loopback_returns_bytes);
	tcase_add_test(t, overrun);
	tcase_add_test(t, fifo_control_clears);
	tcase_add_test(t, new_condition_beside_an_old_one);
	tcase_add_test(t, trigger_levels);
	tcase_add_test(t, interrupt_priorities);
	tcase_add_test(t, modem_status);
	return t;
}
