/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A realm that makes calls from bytes: whatever it asks for, a conversion stays inside RAM and within
 * its bound, nothing is copied but to private pages of RAM, and what a call says of a page's state
 * is what the gate says of it.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/rsi.h"
#include "mem/alias.h"
#include "mem/convert.h"
#include "tests/unit/fake_slots.h"
#include "vmm/util/bits.h"

#define RAM_BASE GIB(1)
#define RAM_SIZE MIB(72)
#define RAM_END	 (RAM_BASE + RAM_SIZE)
#define TOP_BIT	 GIB(4)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
	uint8_t id;
	uint8_t plausible; /* which arguments are made addresses of RAM */
	uint16_t pages;
	uint64_t x[10];
};

static struct fake_kvm kvm;
static const struct arch_layout layout = {
	.ram = { { { RAM_BASE }, RAM_SIZE } },
	.ram_count = 1,
	.alias_bit = TOP_BIT,
};

static void require(bool ok)
{
	if (!ok)
		abort();
}

static void make_regs(const struct step *s, struct rsi_regs *r)
{
	memcpy(&r->x[1], s->x, sizeof(s->x));
	if (s->plausible & 1)
		r->x[1] = RAM_BASE + s->x[0] % (RAM_SIZE / PAGE_SIZE + 2) * PAGE_SIZE;
	if (s->plausible & 2)
		r->x[2] = r->x[1] + s->pages * PAGE_SIZE;
	if (s->plausible & 4)
		r->x[3] &= 1;
	if (s->plausible & 8)
		r->x[1] += 256;
	if (s->plausible & 16)
		r->x[1] %= RSI_MEASUREMENTS + 1;
	if (s->plausible & 32)
		r->x[2] %= RSI_MEASUREMENT_SIZE + 2;
}

static void convert(struct mem *mem, const struct arch_convert *c, struct rsi_regs *r)
{
	struct err e = { "" };
	int result;

	require(c->gpa.v >= RAM_BASE && c->gpa.v < RAM_END && c->len <= RSI_CONVERT_MAX);
	require(c->len && c->len <= RAM_END - c->gpa.v);
	result = convert_check(mem, c->gpa, c->len, &e);
	require(result == 0);
	result = convert_apply(mem, c->gpa, c->len, c->to_private, &e);
	rsi_converted(c, result, r);
	require(r->x[1] == c->gpa.v + (result ? 0 : c->len));
}

/* One page of what IPA_STATE_GET describes, its last one. */
static void check_state(const struct mem *mem, uint64_t base, const struct rsi_regs *r)
{
	uint64_t last = r->x[1] - PAGE_SIZE;
	bool is_ram = base >= RAM_BASE && base < RAM_END;

	require(r->x[1] > base && (last < RAM_END || !is_ram));
	require((r->x[2] == RSI_RIPAS_RAM) == (is_ram && !mem_host(mem, gpa(last), PAGE_SIZE)));
}

static void one_call(struct mem *mem, struct rsi_realm *realm, const struct step *s)
{
	struct rsi_context ctx = { &layout, mem, realm };
	uint64_t id = RSI_FIRST + s->id % RSI_COUNT;
	struct rsi_regs r, before;
	struct arch_convert c;

	make_regs(s, &r);
	r.x[0] = id;
	before = r;
	switch (rsi_decode(&ctx, id, &r, &c)) {
	case RSI_ANSWERED:
		if (id == RSI_IPA_STATE_GET && r.x[0] == RSI_SUCCESS)
			check_state(mem, before.x[1], &r);
		break;
	case RSI_CONVERT:
		convert(mem, &c, &r);
		break;
	case RSI_COPY_CONFIG:
	case RSI_COPY_HOST_CALL:
		require(r.x[1] >= RAM_BASE && r.x[1] < RAM_END);
		require(!mem_host(mem, gpa(align_down(r.x[1], PAGE_SIZE)), PAGE_SIZE));
		require(r.x[1] % (id == RSI_HOST_CALL ? RSI_HOST_CALL_SIZE : PAGE_SIZE) == 0);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem_region_desc d = { MEM_ALIAS, "ram", { RAM_BASE }, RAM_SIZE };
	struct slot_table *table;
	struct rsi_realm realm;
	struct err e = { "" };
	struct mem *mem;
	struct step s;

	memset(&kvm, 0, sizeof(kvm));
	kvm.max = 64;
	rsi_realm_init(&realm);
	table = slot_table_new(&fake_slot_ops, &kvm, kvm.max);
	require(mem_new(&mem, table, &e) == 0);
	mem_alias_set(mem, TOP_BIT, false, RAM_SIZE / 2);
	require(mem_add(mem, &d, &e) == 0);
	for (; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
		memcpy(&s, data, sizeof(s));
		kvm.fail_at = s.plausible & 64 ? kvm.calls + 1 : 0;
		one_call(mem, &realm, &s);
		require(!kvm.mistakes);
	}
	kvm.fail_at = 0;
	mem_free(mem);
	slot_table_free(table);
	rsi_realm_destroy(&realm);
	return 0;
}
