/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_TEST_SIDES_H
#define NACRE_TEST_SIDES_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "mem/mem.h"
#include "tests/unit/fake_slots.h"
#include "vmm/util/bits.h"

/*
 * RAM with two sides, against a model that has a bit for each page: what holds however a page comes to
 * change sides. A suite fills this in when it sets up.
 */
#define RAM_BASE	GIB(1)
#define SIDES_PAGES_MAX 18000u

struct sides {
	struct fake_kvm kvm;
	struct slot_table *table;
	struct mem *mem;
	uint64_t pages;
	bool shared[SIDES_PAGES_MAX]; /* the model */
	char *private_side;	      /* where a test sees it */
	void (*check)(void);	      /* that all agrees with the model */
	uint64_t (*held)(void);	      /* bytes of memory, of both sides */
};
extern struct sides sides;

/* Converts, and has the model follow when it succeeds. */
int sides_convert(uint64_t first, uint64_t pages, bool to_private);
/* What the guest sees of a page: the first word, on the side that it is of. */
uint64_t *sides_word(uint64_t page);

/* The tests of both suites. */
void sides_add_tests(TCase *t);

#endif
