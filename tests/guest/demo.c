/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What `make demo` shows: a guest that tells a secret to nobody until it decides to. The VMM's side
 * of the story is the probe device's log.
 */
#include "guest.h"

#define SECRET 0x6e65706f20746f6eULL

/*
 * The console's loop writes what we print, whoever asks for something logs at once: before the VMM
 * tells its side, our line gets the time of many exits to come out.
 */
static void settle(void)
{
	unsigned int i;

	for (i = 0; i < 2000; i++)
		dev_read8(boot->serial_base + SERIAL_LSR);
}

static uint32_t ask(uint32_t command, uint64_t gpa, uint64_t *value)
{
	settle();
	return probe(command, gpa, value);
}

static void refused(const char *what, uint32_t result)
{
	CHECK(result != PROBE_OK, "%s succeeded", what);
	print("guest:   refused (%s)\n", result == PROBE_SIGBUS	   ? "SIGBUS"
					 : result == PROBE_SIGSEGV ? "SIGSEGV"
								   : "gate");
}

void guest_main(void)
{
	uint64_t page = ram_page(20), v = 0;
	struct scan all;

	words(page)[0] = SECRET;
	print("guest: I wrote a secret to my private memory at 0x%lx.\n", page);
	print("guest: VMM, read it past all your checks!\n");
	refused("the raw read", ask(PROBE_PEEK, page, &v));
	print("guest: VMM, overwrite it!\n");
	v = 0;
	refused("the raw write", ask(PROBE_POKE, page, &v));
	CHECK(words(page)[0] == SECRET, "my secret has changed");
	settle();
	all = probe_scan(boot->ram[0].base, boot->ram[0].size);
	print("guest: of my %u pages of RAM it can read %u.\n", all.readable + all.refused,
		all.readable);
	CHECK(!all.readable, "some of my RAM is readable");

	print("guest: now I share one page and write a greeting there.\n");
	CHECK(share(page, 1) == 0, "sharing was refused");
	words(page)[0] = 0x6f6c6c6568ULL;
	CHECK(ask(PROBE_READ, page, &v) == PROBE_OK, "the VMM cannot read what I shared");
	CHECK(v == 0x6f6c6c6568ULL, "the VMM read something else");
	print("guest: the VMM read \"%s\" there.\n", (const char *)&v);
	print("guest: I take the page back.\n");
	CHECK(unshare(page, 1) == 0, "taking back was refused");
	refused("the read of a page taken back", ask(PROBE_READ, page, &v));
	settle();
}
