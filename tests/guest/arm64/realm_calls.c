/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Claim: the calls of a realm (Arm DEN0137, RSI 1.0) give the answers of the specification, also to
 * wrong arguments; what they put into private memory is all there, and nothing beside it changes,
 * nor a register that is no result, when all vCPUs call at once.
 */
#include "guest.h"

#define SUCCESS	      0
#define INPUT	      1
#define STATE	      2
#define UNKNOWN	      4
#define NOT_SUPPORTED UINT64_MAX
#define EMPTY	      0
#define RAM	      1
#define REJECT	      1

enum {
	VERSION = RSI_FIRST,
	FEATURES,
	MEASUREMENT_READ,
	MEASUREMENT_EXTEND,
	TOKEN_INIT,
	TOKEN_CONTINUE,
	REALM_CONFIG,
	IPA_STATE_SET,
	IPA_STATE_GET,
	HOST_CALL,
	NEXT,
	LAST = RSI_FIRST + 31
};

#define KEPT	  7u /* what registers hold that no call may touch */
#define CALLS	  50u
#define CANARY(i) (0x600d000000000000ULL + (i))

struct regs {
	uint64_t x[11];
};

/* x0 to x10 in and out. x11 to x17 must come back as they went. */
static void call(struct regs *r)
{
	uint64_t kept[KEPT], i;

	for (i = 0; i < KEPT; i++)
		kept[i] = CANARY(i);
	__asm__ volatile("ldp	x11, x12, [%1]\n\t"
			 "ldp	x13, x14, [%1, #16]\n\t"
			 "ldp	x15, x16, [%1, #32]\n\t"
			 "ldr	x17, [%1, #48]\n\t"
			 "ldp	x0, x1, [%0]\n\t"
			 "ldp	x2, x3, [%0, #16]\n\t"
			 "ldp	x4, x5, [%0, #32]\n\t"
			 "ldp	x6, x7, [%0, #48]\n\t"
			 "ldp	x8, x9, [%0, #64]\n\t"
			 "ldr	x10, [%0, #80]\n\t"
			 "smc	#0\n\t"
			 "stp	x0, x1, [%0]\n\t"
			 "stp	x2, x3, [%0, #16]\n\t"
			 "stp	x4, x5, [%0, #32]\n\t"
			 "stp	x6, x7, [%0, #48]\n\t"
			 "stp	x8, x9, [%0, #64]\n\t"
			 "str	x10, [%0, #80]\n\t"
			 "stp	x11, x12, [%1]\n\t"
			 "stp	x13, x14, [%1, #16]\n\t"
			 "stp	x15, x16, [%1, #32]\n\t"
			 "str	x17, [%1, #48]"
			 :
			 : "r"(r), "r"(kept)
			 : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11",
			 "x12", "x13", "x14", "x15", "x16", "x17", "memory", "cc");
	for (i = 0; i < KEPT; i++)
		CHECK(kept[i] == CANARY(i), "x%lu came back as 0x%lx", i + 11, kept[i]);
}

/* Fails unless x0 is that and, from x[results] on, nothing has changed. */
static struct regs expect(
	uint64_t status, uint32_t results, uint64_t id, uint64_t x1, uint64_t x2, uint64_t x3)
{
	struct regs r = { { id, x1, x2, x3 } };
	uint32_t i;

	for (i = 4; i < ARRAY_SIZE(r.x); i++)
		r.x[i] = CANARY(i);
	call(&r);
	CHECK(r.x[0] == status, "0x%lx(0x%lx, 0x%lx, 0x%lx): 0x%lx, not 0x%lx", id, x1, x2, x3,
		r.x[0], status);
	for (i = results > 4 ? results : 4; i < ARRAY_SIZE(r.x); i++)
		CHECK(r.x[i] == CANARY(i), "0x%lx changes x%u", id, i);
	return r;
}

static void check_versions(void)
{
	struct regs r = expect(SUCCESS, 3, VERSION, 0x10000, 0, 0);

	CHECK(r.x[1] == 0x10000 && r.x[2] == 0x10000, "versions 0x%lx to 0x%lx", r.x[1], r.x[2]);
	r = expect(INPUT, 3, VERSION, 0x20000, 0, 0);
	CHECK(r.x[1] == 0x10000 && r.x[2] == 0x10000, "versions 0x%lx to 0x%lx", r.x[1], r.x[2]);
	r = expect(SUCCESS, 2, FEATURES, 0, 0, 0);
	CHECK(r.x[1] == 0, "features 0x%lx", r.x[1]);
	expect(NOT_SUPPORTED, 1, NEXT, 0, 0, 0);
	expect(NOT_SUPPORTED, 1, LAST, 0, 0, 0);
}

static void check_measurements(void)
{
	struct regs first = expect(SUCCESS, 9, MEASUREMENT_READ, 1, 0, 0), r;
	uint32_t i;

	expect(INPUT, 9, MEASUREMENT_READ, 5, 0, 0);
	expect(INPUT, 1, MEASUREMENT_EXTEND, 0, 8, 0);
	expect(INPUT, 1, MEASUREMENT_EXTEND, 5, 8, 0);
	expect(INPUT, 1, MEASUREMENT_EXTEND, 1, 65, 0);
	expect(SUCCESS, 1, MEASUREMENT_EXTEND, 1, 64, 1);
	r = expect(SUCCESS, 9, MEASUREMENT_READ, 1, 0, 0);
	for (i = 1; i < 5; i++)
		CHECK(first.x[i] == 0 && r.x[i] != 0, "measurement: word %u is 0x%lx", i, r.x[i]);
	for (i = 5; i < 9; i++)
		CHECK(r.x[i] == 0, "measurement: more than 32 bytes, 0x%lx", r.x[i]);
}

/* The initial one: SHA-256, and zeros. tests/e2e/measure compares it with what nacre says. */
static void print_measurement(void)
{
	struct regs r = expect(SUCCESS, 9, MEASUREMENT_READ, 0, 0, 0);
	char hex[65];
	uint32_t i;

	for (i = 0; i < 64; i++)
		hex[i] = "0123456789abcdef"[r.x[1 + i / 16] >> (i % 16 ^ 1) * 4 & 15];
	hex[64] = '\0';
	for (i = 5; i < 9; i++)
		CHECK(r.x[i] == 0, "initial measurement: more than 32 bytes, 0x%lx", r.x[i]);
	print("initial measurement sha256:%s\n", hex);
}

static void check_tokens(uint64_t page)
{
	expect(UNKNOWN, 2, TOKEN_INIT, 1, 2, 3);
	expect(STATE, 2, TOKEN_CONTINUE, page, 0, PAGE);
	expect(INPUT, 2, TOKEN_CONTINUE, page + 8, 0, 8);
	expect(INPUT, 2, TOKEN_CONTINUE, page, PAGE, 0);
	expect(INPUT, 2, TOKEN_CONTINUE, page, 8, PAGE);
	expect(INPUT, 2, TOKEN_CONTINUE, page | boot->alias_bit, 0, 8);
	CHECK(page_holds(page, page), "a token was written");
}

static void check_ranges(uint64_t page)
{
	struct regs r;

	expect(INPUT, 3, IPA_STATE_SET, page + 1, page + PAGE, EMPTY);
	expect(INPUT, 3, IPA_STATE_SET, page, page + PAGE + 1, EMPTY);
	expect(INPUT, 3, IPA_STATE_SET, page, page, EMPTY);
	expect(INPUT, 3, IPA_STATE_SET, page + PAGE, page, EMPTY);
	expect(INPUT, 3, IPA_STATE_SET, page, page + PAGE, 2);
	expect(INPUT, 3, IPA_STATE_SET, page, boot->alias_bit + PAGE, EMPTY);
	expect(INPUT, 3, IPA_STATE_SET, page | boot->alias_bit, (page | boot->alias_bit) + PAGE,
		RAM);
	expect(INPUT, 3, IPA_STATE_SET, -PAGE, PAGE, RAM);
	expect(INPUT, 3, IPA_STATE_GET, page + 1, page + PAGE, 0);
	expect(INPUT, 3, IPA_STATE_GET, page + PAGE, page, 0);
	expect(INPUT, 3, IPA_STATE_GET, page, boot->alias_bit + PAGE, 0);
	/* Out of RAM at either end: up to its end, and then no further. */
	r = expect(SUCCESS, 3, IPA_STATE_SET, ram_end() - PAGE, boot->alias_bit, RAM);
	CHECK(r.x[1] == ram_end() && r.x[2] == 0, "top 0x%lx, response %lu", r.x[1], r.x[2]);
	r = expect(SUCCESS, 3, IPA_STATE_SET, ram_end(), boot->alias_bit, RAM);
	CHECK(r.x[1] == ram_end() && r.x[2] == REJECT, "top 0x%lx, response %lu", r.x[1], r.x[2]);
	r = expect(SUCCESS, 3, IPA_STATE_SET, boot->serial_base, ram_end(), EMPTY);
	CHECK(r.x[1] == boot->serial_base && r.x[2] == REJECT, "top 0x%lx, response %lu", r.x[1],
		r.x[2]);
	CHECK(page_holds(page, page), "a range that was refused was converted");
}

static void check_states(uint64_t page)
{
	struct regs r = expect(SUCCESS, 3, IPA_STATE_GET, boot->ram[0].base, boot->alias_bit, 0);

	CHECK(r.x[1] == ram_end() && r.x[2] == RAM, "up to 0x%lx state %lu", r.x[1], r.x[2]);
	CHECK(share(page, 1) == 0, "share");
	r = expect(SUCCESS, 3, IPA_STATE_GET, page, ram_end(), 0);
	CHECK(r.x[1] == page + PAGE && r.x[2] == EMPTY, "up to 0x%lx state %lu", r.x[1], r.x[2]);
	/* Nothing goes to where the host could read it. */
	expect(INPUT, 1, REALM_CONFIG, page, 0, 0);
	expect(INPUT, 1, HOST_CALL, page, 0, 0);
	expect(INPUT, 2, TOKEN_CONTINUE, page, 0, 8);
	CHECK(page_is_zero(page), "the shared copy was written to");
	CHECK(unshare(page, 1) == 0, "unshare");
	r = expect(SUCCESS, 3, IPA_STATE_GET, boot->serial_base, boot->serial_base + PAGE, 0);
	CHECK(r.x[1] == boot->serial_base + PAGE && r.x[2] == EMPTY, "device: state %lu", r.x[2]);
}

static void check_config(uint64_t page)
{
	volatile uint64_t *config = words(page);
	uint32_t i;

	page_fill(page, 1);
	expect(SUCCESS, 1, REALM_CONFIG, page, 0, 0);
	CHECK(1ULL << (config[0] - 1) == boot->alias_bit, "%lu address bits", config[0]);
	for (i = 1; i < PAGE / 8; i++)
		CHECK(config[i] == 0, "configuration: word %u is 0x%lx", i, config[i]);
}

/* Only the first register of the structure is answered in. */
static void check_host_call(uint64_t page)
{
	volatile uint64_t *at = words(page + 256);
	uint64_t i;

	for (i = 0; i < 32; i++)
		at[i] = CANARY(i);
	expect(SUCCESS, 1, HOST_CALL, page + 256, 0, 0);
	CHECK(at[1] == NOT_SUPPORTED, "the host answers 0x%lx", at[1]);
	for (i = 0; i < 32; i++)
		CHECK(i == 1 || at[i] == CANARY(i), "host call: word %lu is 0x%lx", i, at[i]);
	expect(INPUT, 1, HOST_CALL, page + 8, 0, 0);
	expect(INPUT, 1, HOST_CALL, ram_end(), 0, 0);
	expect(INPUT, 1, REALM_CONFIG, page + 256, 0, 0);
	expect(INPUT, 1, REALM_CONFIG, page | boot->alias_bit, 0, 0);
	expect(INPUT, 1, REALM_CONFIG, boot->staging_base, 0, 0);
}

/* Each vCPU has three pages, and looks at the outer two as well. */
static void copies(uint32_t cpu)
{
	uint64_t page = ram_page(100 + 3 * cpu);
	uint32_t i;

	page_fill(page, page);
	page_fill(page + 2 * PAGE, page + 2);
	for (i = 0; i < CALLS; i++) {
		check_config(page + PAGE);
		check_host_call(page + PAGE);
	}
	CHECK(page_holds(page, page) && page_holds(page + 2 * PAGE, page + 2),
		"vCPU %u: a page beside has changed", cpu);
}

void guest_main(void)
{
	uint64_t page = ram_page(0);

	CHECK(boot->alias_bit, "no realm");
	page_fill(page, page);
	/* As a kernel does that cannot be a realm: the user is told. */
	CHECK(mmio_read32(IRQ_CHIP) == UINT32_MAX, "an interrupt controller at a private address");
	check_versions();
	check_measurements();
	print_measurement();
	check_tokens(page);
	check_ranges(page);
	check_states(page);
	smp_run(copies);
}
