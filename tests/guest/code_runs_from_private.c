/* SPDX-License-Identifier: Apache-2.0 */

/* Claim: code in private memory runs, and the VMM cannot read it. */
#include "guest.h"

#define TURNS 90u

/* On x86 it uses port output only: that KVM carries out without reading the instruction. */
static MOVABLE uint64_t fibonacci(uint64_t serial, uint64_t n)
{
	uint64_t a = 0, b = 1, sum;

	dev_write8(serial, '<');
	while (n--) {
		sum = a + b;
		a = b;
		b = sum;
	}
	dev_write8(serial, '>');
	return a;
}

void guest_main(void)
{
	uint64_t at = ram_page(7), v = 0, r;

	move_code(at);
	r = ((uint64_t(*)(uint64_t, uint64_t))at)(boot->serial_base + SERIAL_DATA, TURNS);
	print("\n");
	CHECK(r == 2880067194370816120ULL, "it computed %lu", r);
	CHECK(fibonacci(boot->serial_base + SERIAL_DATA, TURNS) == r, "the original differs");
	print("\n");
	r = probe(PROBE_PEEK, at, &v);
	CHECK(probe_as_promised((uint32_t)r), "peek at the code: result %lu", r);
	CHECK((v == words(at)[0]) == mode_is(BOOT_NONE), "peek brought 0x%lx", v);
}
