/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_SLOT_RANGE_H
#define NACRE_SLOT_RANGE_H

/* What slots.c (the table), slot_swap.c (its changes) and alias.c know together. Nobody else includes
 * it. */

#include "mem/slots.h"

struct slot {
	uint32_t id;
	uint32_t first; /* page within the chunk */
	uint32_t pages;
	bool private;
};

/* Sorted by address, without gaps. */
struct slot_chunk {
	struct slot *slots;
	uint32_t count;
	uint32_t room;
};

struct slot_table {
	const struct slot_ops *ops;
	void *ctx;
	uint32_t max;
	uint32_t live;
	uint32_t next_id;
	uint32_t free_count;
	uint32_t *free_ids;
	bool forgotten; /* see slot_table_forget */
};

struct slot_range {
	struct slot_table *table;
	gpa_t base;
	uint64_t pages;
	uint64_t chunk_pages;
	uint64_t chunk_count;
	struct slot_chunk *chunks;
	const struct backing *shared;
	const struct backing *private;
};

uint32_t slot_id_take(struct slot_table *t);
void slot_id_give(struct slot_table *t, uint32_t id);
/*
 * One slot: takes an id for it and tells KVM, or deletes it (unless KVM is gone) and gives the id back;
 * *id is SLOT_NONE when there is none. On error everything is as before.
 */
#define SLOT_NONE UINT32_MAX
int slot_add(struct slot_table *t, uint32_t *id, struct slot_desc d, struct err *e);
int slot_remove(struct slot_table *t, uint32_t *id, struct slot_desc d, struct err *e);
struct slot_desc slot_describe(const struct slot_range *r, uint64_t chunk, const struct slot *s);

#endif
