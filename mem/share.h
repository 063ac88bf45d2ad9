/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SHARE_H
#define NACRE_SHARE_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The share map of one region: for each page, is it private or shared? Pages are numbered from the
 * start of the region. A block of 512 pages that is all in one state costs 16 bytes, a mixed one 64
 * more; a lookup is O(1), a range query touches one block per 2 MiB and skips uniform ones.
 *
 * Changed only while the world is stopped; read by running members without a lock.
 */
struct share_map;

/* All pages start private. NULL when out of memory; share_free accepts NULL. */
struct share_map *share_new(uint64_t pages);
void share_free(struct share_map *m);

/*
 * A change is made in two steps, so that the second cannot fail: share_reserve allocates what
 * share_set of that range will need (0 or -ENOMEM); it changes no state.
 */
int share_reserve(struct share_map *m, uint64_t first, uint64_t pages);
void share_set(struct share_map *m, uint64_t first, uint64_t pages, bool shared);

bool share_get(const struct share_map *m, uint64_t page);
/* True if every page of the range is in that state. */
bool share_all(const struct share_map *m, uint64_t first, uint64_t pages, bool shared);
/* The length of the run of equal state that starts at first, cut at first + pages. */
uint64_t share_run(const struct share_map *m, uint64_t first, uint64_t pages, bool *shared);
/* Number of shared pages. */
uint64_t share_count(const struct share_map *m);

#endif
