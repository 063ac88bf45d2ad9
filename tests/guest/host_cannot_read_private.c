/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: in the protected modes the VMM can neither read nor write private memory, by raw access or
 * through the gate; a secret never comes back. In mode none all of that works, so that the probe is
 * known to work.
 */
#include "guest.h"

#define SECRET 0x7365637265742121ULL
#define FORGED 0x666f726765642121ULL
#define PAGES  16u

static void expect(const char *what, uint64_t gpa, uint32_t result, uint32_t expected)
{
	CHECK(result == expected, "%s of 0x%lx: result %u, not %u", what, gpa, result, expected);
}

static void raw(const char *what, uint64_t gpa, uint32_t result)
{
	CHECK(probe_as_promised(result), "%s of 0x%lx: result %u", what, gpa, result);
}

static void check_page(uint64_t gpa)
{
	bool open = mode_is(BOOT_NONE);
	uint64_t v = 0;

	words(gpa)[3] = SECRET;
	raw("peek", gpa, probe(PROBE_PEEK, gpa + 24, &v));
	CHECK((v == SECRET) == open, "peek of 0x%lx brought 0x%lx", gpa, v);
	v = 0;
	expect("read", gpa, probe(PROBE_READ, gpa + 24, &v), open ? PROBE_OK : PROBE_GATE);
	CHECK((v == SECRET) == open, "read of 0x%lx brought 0x%lx", gpa, v);
	v = FORGED;
	raw("poke", gpa, probe(PROBE_POKE, gpa + 24, &v));
	CHECK((words(gpa)[3] == FORGED) == open, "poke left 0x%lx", words(gpa)[3]);
	words(gpa)[3] = SECRET;
	expect("write", gpa, probe(PROBE_WRITE, gpa + 24, &v), open ? PROBE_OK : PROBE_GATE);
	CHECK((words(gpa)[3] == FORGED) == open, "write left 0x%lx", words(gpa)[3]);
}

void guest_main(void)
{
	uint64_t i, gpa = ram_page(0), last = ram_end() - PAGE;
	struct scan s;

	for (i = 0; i < PAGES; i++)
		check_page(ram_page(i));
	check_page(last);
	s = probe_scan(gpa, PAGES * PAGE);
	CHECK(s.readable == (mode_is(BOOT_NONE) ? PAGES : 0), "%u pages readable", s.readable);
	CHECK(s.readable + s.refused == PAGES, "%u pages refused", s.refused);
}
