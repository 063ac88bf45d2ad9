/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: console input arrives by interrupt. Reads a line, sleeping, and prints it reversed. */
#include "guest.h"

#define LINE_MAX 200u

static char text[LINE_MAX];
static volatile uint32_t used, complete;

static void on_serial(void)
{
	while (dev_read8(boot->serial_base + SERIAL_LSR) & SERIAL_LSR_DATA) {
		char c = (char)dev_read8(boot->serial_base + SERIAL_DATA);

		if (c == '\n')
			complete = 1;
		else if (used < LINE_MAX)
			text[used++] = c;
	}
}

void guest_main(void)
{
	irq_serial(on_serial);
	/* The FIFO stays off: switching it on would drop what came before we were ready. */
	dev_write8(boot->serial_base + SERIAL_MCR, 0x0b); /* DTR, RTS, and OUT2 as PCs want it */
	dev_write8(boot->serial_base + SERIAL_IER, SERIAL_IER_RX);
	while (!complete)
		irq_wait();
	while (used)
		print("%c", text[--used]);
	print("\n");
}
