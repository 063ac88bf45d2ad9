/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_RAM_H
#define NACRE_TEST_RAM_H

#include "arch/arch.h"
#include "mem/mem.h"
#include "tests/unit/fake_slots.h"

/* An architecture's RAM over a fake KVM: do address map, slots and our own pointers agree? */
struct test_ram {
	struct fake_kvm kvm;
	struct slot_table *table;
	struct mem *mem;
};

/* Adds every RAM region of the layout, unprotected. */
void test_ram_open(struct test_ram *t, const struct arch_layout *l);
void test_ram_close(struct test_ram *t);

/* One slot covers just that range, and its address suits large pages of every size. */
void test_ram_is(const struct test_ram *t, uint64_t base, uint64_t size);

#endif
