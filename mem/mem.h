/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_MEM_H
#define NACRE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mem/backing.h"
#include "mem/gpa.h"
#include "mem/share.h"
#include "mem/slots.h"
#include "vmm/util/err.h"

/*
 * The guest's address space: a few regions, the state of each page, and the one gate.
 *
 *   MEM_OPEN    one backing, all of it ours to read (mode none)
 *   MEM_SPLIT   two backings: a guest_memfd for private pages, a memfd for shared ones; the share
 *               map says which of the two a page is, convert.h moves pages between them
 *   MEM_ALIAS   the same two, each at addresses of its own, which differ in one bit (alias.h)
 *   MEM_ATTRIBUTES  a guest_memfd and anonymous memory, behind one slot that stays (attributes.h)
 *   MEM_BOTH    one backing, ours to read, that such guests find at both addresses: a page's state
 *               is nothing there, and so is its conversion
 *   MEM_NATIVE  one backing that a hypervisor below us takes away page by page (pKVM); it never
 *               tells, so the gate tries each page, and the guard catches what changes after that
 *   MEM_STAGING as MEM_OPEN, but not RAM: the guest cannot give any of it back
 *
 * A device gets a host pointer only from mem_host(). mem_read and mem_write are the gate plus the
 * guard, for accesses that may meet a page which is private behind our back.
 *
 * Threads: regions and states change only while the world is stopped (vmm/util/park.h); everything
 * that only reads may be called by running members without a lock.
 */
enum mem_kind { MEM_OPEN, MEM_SPLIT, MEM_ALIAS, MEM_ATTRIBUTES, MEM_BOTH, MEM_NATIVE, MEM_STAGING };

#define MEM_REGIONS_MAX 8

struct mem_region {
	enum mem_kind kind;
	const char *name; /* for messages: "ram", "staging" */
	gpa_t base;
	uint64_t size;
	struct backing shared; /* what mem_host points into */
	/* MEM_SPLIT, MEM_ALIAS and MEM_ATTRIBUTES only. */
	struct backing private;
	struct share_map *share;
	/* One of the three; slots unless the kind says otherwise. */
	struct slot_range *slots;
	struct alias_range *alias;
	struct attribute_range *attributes;
	struct slot_range *twin; /* MEM_BOTH: those at the addresses with the bit */
	struct mem_region *next; /* of those removed */
};

/* See mem_alias_set. */
struct mem_alias {
	uint64_t bit;
	bool is_private;
	uint64_t limit;
	bool traps, keep;
	uint64_t used; /* bytes of shared addresses that have memory */
};

struct mem {
	struct slot_table *table;
	struct mem_region *regions[MEM_REGIONS_MAX]; /* sorted by base */
	unsigned int count;
	struct mem_region *removed; /* their addresses are kept, see mem_remove */
	struct mem_holds *holds;    /* see hold.h */
	gpa_t limit_base;	    /* see mem_limit_devices */
	uint64_t limit_size;
	struct mem_alias alias; /* of MEM_ALIAS regions */
};

struct mem_region_desc {
	enum mem_kind kind;
	const char *name;
	gpa_t base;
	uint64_t size;
};

/* The table of KVM slots is borrowed; it must outlive the mem. */
int mem_new(struct mem **out, struct slot_table *table, struct err *e);
/* Deletes the slots (unless the table has forgotten them), unmaps, closes. */
void mem_free(struct mem *m);

/* Makes backings and slots. A region that has two sides starts all private. Refuses empty, misaligned,
 * wrapping and overlapping ranges. */
int mem_add(struct mem *m, const struct mem_region_desc *desc, struct err *e);
/*
 * The same for RAM, as the user wants it; prefault fills the side that RAM starts on. What does not
 * suit the kind is for the caller to refuse: those two have pages of 4 KiB whatever the options say,
 * and pKVM takes no others.
 */
int mem_add_ram(struct mem *m, const struct mem_region_desc *desc, const struct backing_options *o,
	struct err *e);
/*
 * Removes a whole region by its base (the staging area after the loader is done). Its memory goes
 * back to the host. Its host addresses stay taken until mem_free: I/O that a device has under way
 * there ends with EFAULT, where an address used again would have it read and write memory of ours.
 */
int mem_remove(struct mem *m, gpa_t base, struct err *e);

/* The region that holds all of [a, a + len), or NULL. */
struct mem_region *mem_find(const struct mem *m, gpa_t a, uint64_t len);

/*
 * The gate. A pointer to len bytes of guest memory, or NULL unless all of [a, a + len) lies in one
 * region, does not wrap, is not empty, and every page of it is shared.
 *
 * Of MEM_NATIVE memory each page is read once, under the guard: who hands the pointer to a system
 * call must not have the host's kernel meet a page that is the guest's alone, which it might take
 * away from the guest by force (Documentation/virt/kvm/arm/pkvm.rst). More than 16 MiB at once is
 * refused there, since a guest may name all of its memory in each of its descriptors.
 */
void *mem_host(const struct mem *m, gpa_t a, uint64_t len);
/* Why mem_host refused, or would have: "private page", "not guest memory", ... */
const char *mem_refusal(const struct mem *m, gpa_t a, uint64_t len);

/*
 * From now on the gate lets through nothing but this range. Before anything runs; the guest is told
 * of it by its device tree.
 */
void mem_limit_devices(struct mem *m, gpa_t base, uint64_t size);

/*
 * Guarded copies through the gate. 0, -EFAULT when the gate refuses or the host kernel did; the
 * message then names address and reason ("gpa 0x...: private page", "... not guest memory", "... the
 * host has no memory for it").
 */
int mem_read(const struct mem *m, gpa_t a, void *buf, size_t len, struct err *e);
int mem_write(const struct mem *m, gpa_t a, const void *buf, size_t len, struct err *e);

/*
 * mem_write, of memory of malloc or mmap that nobody will read again: where whole pages can change
 * places they do, instead of a copy. What is at `buf` afterwards is not defined. Before the guest runs.
 */
int mem_take(const struct mem *m, gpa_t a, void *buf, size_t len, struct err *e);

/*
 * The same for two aligned bytes that the guest may access at this moment: in one piece, the load
 * with acquire semantics and the store with release semantics (guard.h), as the guest's CPUs see
 * them. -EINVAL when a is odd.
 */
int mem_load16(const struct mem *m, gpa_t a, uint16_t *v, struct err *e);
int mem_store16(const struct mem *m, gpa_t a, uint16_t v, struct err *e);

/*
 * The guest gives pages of its RAM up: the host gets back what they hold, on whichever side each
 * one is, and they read as zero until someone writes to them. Nothing else changes: they stay
 * private or shared, and can be used again at any time. Any running member, and vCPUs may be
 * running; the caller keeps the ranges small, because the world cannot stop meanwhile.
 *
 * 0; -EINVAL when the range is empty, misaligned or wraps; -EFAULT when not all of it is RAM;
 * -EOPNOTSUPP when the hypervisor has pinned it (MEM_NATIVE), or when it is out of a pool of huge
 * pages, where one that was given back is no longer reserved for the guest. Then nothing has happened. Any other
 * -errno is the host kernel's; some of the range may have been given back.
 */
int mem_discard(const struct mem *m, gpa_t a, uint64_t len, struct err *e);

/* Bytes of RAM regions that are shared now (of kinds with two sides). */
uint64_t mem_shared_bytes(const struct mem *m);

#endif
