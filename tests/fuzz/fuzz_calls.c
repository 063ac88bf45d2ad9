/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A guest that makes hypercalls and conversions from bytes: whatever it asks for, map, slots and
 * answers agree, and injected failures leave the old state.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arm64/smccc.h"
#include "arch/x86/hypercall.h"
#include "mem/convert.h"
#include "tests/unit/fake_slots.h"
#include "vmm/util/bits.h"

#define RAM_BASE  GIB(1)
#define RAM_PAGES 1500u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct step {
	uint8_t kind;
	uint8_t fail; /* which call of the conversion fails */
	uint16_t small;
	uint64_t a, b, c;
};

static struct fake_kvm kvm;

static void check_cover(struct mem *mem)
{
	uint64_t i;

	if (kvm.mistakes)
		abort();
	for (i = 0; i < RAM_PAGES; i++) {
		const struct slot_desc *d = fake_find(&kvm, RAM_BASE + i * PAGE_SIZE);

		if (!d || (d->gmem_fd < 0) !=
				  (mem_host(mem, gpa(RAM_BASE + i * PAGE_SIZE), PAGE_SIZE) != NULL))
			abort();
	}
}

static bool decode(const struct step *s, struct arch_convert *c)
{
	static const struct arch_layout layout = {
		.ram = { { { RAM_BASE }, RAM_PAGES * PAGE_SIZE } }, .ram_count = 1
	};
	struct smccc_context ctx = { 1, &layout };
	struct smccc_regs regs = { { 0, s->a, s->b, s->c } };
	uint64_t args[3] = { s->a, s->b, s->c }, answer;

	switch (s->kind % 4) {
	case 0:
		return smccc_decode(&ctx, 0xC6000000u + s->small % 10, &regs, c);
	case 1:
		return x86_hypercall_decode(s->small % 16, args, c, &answer);
	case 2: /* plausible ones, or no conversion would ever happen */
		args[0] = RAM_BASE + s->a % (RAM_PAGES + 2) * PAGE_SIZE;
		args[1] = s->b % 600;
		args[2] = s->c & 16;
		return x86_hypercall_decode(12, args, c, &answer);
	default:
		regs.x[1] = RAM_BASE + s->a % (RAM_PAGES + 2) * PAGE_SIZE;
		regs.x[2] = regs.x[3] = 0;
		return smccc_decode(&ctx, s->b & 1 ? SMCCC_MEM_SHARE : SMCCC_MEM_UNSHARE, &regs, c);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mem_region_desc d = { MEM_SPLIT, "ram", { RAM_BASE }, RAM_PAGES * PAGE_SIZE };
	struct slot_table *table;
	struct arch_convert c;
	struct err e = { "" };
	struct mem *mem;
	struct step s;

	memset(&kvm, 0, sizeof(kvm));
	kvm.max = 64;
	table = slot_table_new(&fake_slot_ops, &kvm, kvm.max);
	if (mem_new(&mem, table, &e) || mem_add(mem, &d, &e))
		abort();
	for (; size >= sizeof(s); data += sizeof(s), size -= sizeof(s)) {
		memcpy(&s, data, sizeof(s));
		if (!decode(&s, &c))
			continue;
		kvm.fail_at = s.fail & 1 ? kvm.calls + 1 + (s.fail >> 1) % 8 : 0;
		if (!convert_check(mem, c.gpa, c.len, &e))
			convert_is_noop(mem, c.gpa, c.len, c.to_private);
		if (convert_apply(mem, c.gpa, c.len, c.to_private, &e) == -ENOTRECOVERABLE)
			abort();
		kvm.fail_at = 0;
		check_cover(mem);
	}
	mem_free(mem);
	slot_table_free(table);
	return 0;
}
