/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_HUGE_H
#define NACRE_HUGE_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/util/err.h"

/*
 * Huge pages for guest memory, and what the host has of them. Explicit ones (2M, 1G) come out of
 * pools that the administrator fills; transparent ones the kernel makes as it sees fit, and we can
 * only ask for them (THP), ask for none (OFF) or say nothing (AUTO).
 */
enum hugepages {
	HUGEPAGES_AUTO,
	HUGEPAGES_OFF,
	HUGEPAGES_THP,
	HUGEPAGES_2M,
	HUGEPAGES_1G,
	HUGEPAGES_KINDS
};

extern const char *const hugepages_names[HUGEPAGES_KINDS];

/* Where the kernel tells of them; tests have a folder of their own. */
#define HUGE_SYSFS "/sys/kernel/mm"

/* The bytes of one page of an explicit kind, else 0. */
uint64_t huge_page_size(enum hugepages kind);

/*
 * Says whether the pool of that page size (2 MiB or 1 GiB) can give `bytes` now: 0; -ENOMEM with
 * how many pages are there and how to add the rest; -ENOTSUP when the host has no such pages. What
 * cannot be read counts as enough: the mapping itself has the last word.
 */
int huge_pool_check(const char *sysfs, uint64_t page, uint64_t bytes, struct err *e);

/* True when the host's setting never makes transparent huge pages, whoever asks. */
bool huge_thp_never(const char *sysfs);

#endif
