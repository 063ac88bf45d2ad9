/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ATTACK_BATTERY_H
#define NACRE_ATTACK_BATTERY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Every way we know by which a process reads or writes memory that it has mapped, or the file behind
 * a descriptor that it holds, tried on each page of a target.
 */
struct target {
	uint8_t *addr;
	uint64_t len;
	int fd; /* of the same pages, or -1 */
};

enum battery_part {
	BATTERY_POINTER = 1, /* loads and stores */
	BATTERY_CALLS = 2,   /* system calls that are given an address */
	BATTERY_FILE = 4,    /* those that are given the descriptor; where there is one */
	BATTERY_ALL = 7,
	BATTERY_STRIPES = 8, /* no page is attacked twice: the attacks share the target out */
};

/* Words of a page from here on are for writing attacks, BATTERY_WORDS for each battery. */
#define BATTERY_FIRST_WORD 4u
#define BATTERY_WORDS	   16u

/*
 * Needs guard_init (mem/guard.h). One battery at a time in a process. Writes a line for each attack
 * to out (search.h), its name after prefix. Those that write forge one word of each page: from
 * `word` on, another one each. False, and a line that says so, when the tools are not to be had.
 */
bool battery_run(
	const struct target *t, unsigned int parts, unsigned int word, const char *prefix, int out);

#endif
