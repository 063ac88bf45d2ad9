/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_DUMP_H
#define NACRE_DUMP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "mem/mem.h"
#include "mem/mte.h"
#include "vmm/util/err.h"

/*
 * A picture of a guest's memory and its tags, as a stream: made bit by bit, so that whoever sends it
 * need not wait nor have room for it, and read the same way. nacre-dump(5) is its format: a header,
 * then parts of at most DUMP_PART_MAX bytes, each with a checksum. Pages of zeros, and pages without
 * tags, are left out.
 */
#define DUMP_MAGIC	 "NACREDMP"
#define DUMP_VERSION	 1u
#define DUMP_HEADER	 64u
#define DUMP_PART_HEADER 32u
#define DUMP_PART_PAGES	 64u /* that a part is about, at most */
#define DUMP_PART_MAX	 (DUMP_PART_HEADER + DUMP_PART_PAGES * PAGE_SIZE)
#define DUMP_REGIONS_MAX 64u

enum dump_arch { DUMP_X86_64 = 1, DUMP_ARM64 = 2 };
enum dump_flag { DUMP_HAS_TAGS = 1 };
enum dump_kind { DUMP_REGION = 1, DUMP_MEMORY, DUMP_TAGS, DUMP_END };

/* ---- making one ---- */

struct dump;
/*
 * Of all RAM that is ours to read; mte: NULL for a guest without tags. -EOPNOTSUPP when there is memory
 * that is not. Both are borrowed. The memory map must not change while there is a dump, and for a
 * picture of one moment nobody may write to memory (vmm/util/park.h).
 */
int dump_new(struct dump **out, const struct mem *m, const struct mte *mte, enum dump_arch arch,
	struct err *e);
void dump_free(struct dump *d); /* accepts NULL */

/*
 * What comes next: at most size bytes, which must be DUMP_PART_MAX or more. Looks at a few MiB of memory
 * at a time and returns 0 when there was nothing in them: go on until dump_done. Or -errno.
 */
ssize_t dump_next(struct dump *d, void *buf, size_t size, struct err *e);
bool dump_done(const struct dump *d);

/* ---- reading one ---- */

struct dump_region {
	uint64_t gpa, len;
};

struct dump_summary {
	enum dump_arch arch;
	bool has_tags;
	uint64_t ram_bytes;
	unsigned int region_count;
	struct dump_region regions[DUMP_REGIONS_MAX]; /* in order of address */
	uint64_t memory_pages, tagged_pages;
	uint64_t bytes; /* of all of it */
};

/* Whether all of the range lies in one region. */
bool dump_has_ram(const struct dump_summary *s, uint64_t gpa, uint64_t len);

/*
 * Whoever looks: each may be NULL, and sees what has passed all checks so far, in order of address.
 * Pages that memory is not called for are zeros, and those that tags is not called for have none.
 */
struct dump_visitor {
	void (*memory)(void *ctx, gpa_t a, const uint8_t *bytes, uint64_t len);
	/* MTE_PAGE_PACKED bytes for each page. */
	void (*tags)(void *ctx, gpa_t a, const uint8_t *packed, uint64_t pages);
	void *ctx;
};

/* Where it comes from: up to len bytes, fewer only at the end; or -errno. */
struct dump_source {
	ssize_t (*read)(void *ctx, void *buf, size_t len);
	void *ctx;
};

/*
 * Reads and checks all of it: 0, or -errno with a sentence that says where what is wrong. What it
 * needs does not depend on what it reads.
 */
int dump_read(const struct dump_source *src, const struct dump_visitor *v, struct dump_summary *out,
	struct err *e);

/* ---- what both have in common ---- */

struct dump_part {
	uint32_t kind, payload;
	uint64_t gpa, len;
};

/* Little-endian, whatever this machine is. */
void dump_put_header(uint8_t *to, const struct dump_summary *s);
/* The payload stands behind it already. */
void dump_put_part(uint8_t *to, const struct dump_part *p);
uint32_t dump_checksum(uint32_t so_far, const void *bytes, size_t len);

#endif
