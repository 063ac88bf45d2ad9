/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_ATTACK_SEARCH_H
#define NACRE_ATTACK_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How many copies of the marker lie in len bytes, at any alignment. */
uint64_t marker_count(const void *p, size_t len);

/*
 * What became of one attack, page by page, and the line for it:
 *
 *   NAME KIND PAGES THROUGH MARKED REASONS
 *
 * KIND read or search: pages asked for, pages that came, pages (search: copies) with the marker.
 * KIND write: MARKED is the word of each page that was to be forged. KIND once: all or nothing.
 * KIND broken: the attack could not be made, which is no refusal.
 * REASONS: how the others were refused, errors and signals by name, or -.
 */
struct tally {
	uint64_t pages, through, marked;
	int reasons[6];
	unsigned int reason_count;
};

/* Attacks return what they got, a negative errno, or this. */
#define BY_SIGNAL(signo) (-1000 - (signo))

void tally_refusal(struct tally *t, long why);
void tally_print(
	int out, const char *prefix, const char *name, const char *kind, const struct tally *t);

/* A way to bytes of memory: like pread. */
typedef long reader(void *ctx, void *buf, size_t len, uint64_t at);

/* Searches [at, at + len). */
void search_range(struct tally *t, reader *r, void *ctx, uint64_t at, uint64_t len);
/* Searches all mappings of a process, ours by pid 0. False when its list cannot be had. */
bool search_maps(struct tally *t, reader *r, void *ctx, pid_t pid);

#endif
