/* SPDX-License-Identifier: Apache-2.0 */

/*
 * For the attack suite (tests/e2e/attack): fills all RAM that it does not use with a marker, says so,
 * and sleeps. When v is typed it looks what has become of its memory, and says which words of its
 * pages are not what it wrote; when q is typed it powers off.
 */
#include "guest.h"
#include "marker.h"

#define WORDS (PAGE / 8)

static volatile uint32_t verify, quit;
static uint32_t changed[WORDS]; /* pages in which that word is another */

static void on_serial(void)
{
	while (dev_read8(boot->serial_base + SERIAL_LSR) & SERIAL_LSR_DATA) {
		char c = (char)dev_read8(boot->serial_base + SERIAL_DATA);

		verify |= c == 'v';
		quit |= c == 'q';
	}
}

static uint64_t hold(void)
{
	uint64_t gpa, i;

	for (gpa = ram_page(0); gpa < ram_end(); gpa += PAGE) {
		volatile uint64_t *page = words(gpa);

		for (i = 0; i < WORDS; i++)
			page[i] = marker_word(i);
	}
	return (ram_end() - ram_page(0)) / PAGE;
}

static void look(void)
{
	uint64_t gpa, i;

	for (i = 0; i < WORDS; i++)
		changed[i] = 0;
	for (gpa = ram_page(0); gpa < ram_end(); gpa += PAGE) {
		const volatile uint64_t *page = words(gpa);

		for (i = 0; i < WORDS; i++)
			changed[i] += page[i] != marker_word(i);
	}
	for (i = 0; i < WORDS; i++)
		if (changed[i])
			print("changed: word %lu of %u pages\n", i, changed[i]);
	print("looked\n");
}

void guest_main(void)
{
	irq_serial(on_serial);
	dev_write8(boot->serial_base + SERIAL_MCR, 0x0b); /* DTR, RTS, and OUT2 as PCs want it */
	dev_write8(boot->serial_base + SERIAL_IER, SERIAL_IER_RX);
	CHECK(boot->ram_count == 1, "%u pieces of RAM, expected one", boot->ram_count);
	print("holds %lu pages\n", hold());
	while (!quit) {
		if (verify) {
			verify = 0;
			look();
		}
		if (!verify && !quit)
			irq_wait();
	}
}
