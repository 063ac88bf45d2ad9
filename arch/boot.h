/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NACRE_BOOT_H
#define NACRE_BOOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/boot_info.h"
#include "mem/gpa.h"
#include "mem/mem.h"
#include "vmm/util/err.h"
#include "vmm/util/fd.h"
#include "vmm/util/protection.h"

/*
 * Booting. An architecture turns the boot files into a plan: pieces, each with its place in RAM, and
 * the state the first vCPU starts in. Where we may write RAM (modes none and pkvm) boot_load copies
 * the pieces there. Where we may not (private), boot_stage puts them into the staging area behind
 * the loader, which copies them from inside the guest. A program given with --firmware takes the
 * loader's place and is staged in every mode.
 */
struct boot_files {
	struct blob kernel; /* data NULL: none */
	struct blob initrd;
	struct blob firmware;
	const char *kernel_path; /* for messages */
	const char *firmware_path;
	char *params; /* owned, never NULL */
};

/* Where in its file a compressed kernel lies. */
struct boot_packed {
	const char *format; /* "gzip" or "zstd"; NULL: not compressed */
	uint64_t at, len;
};

#define BOOT_RANDOM_MAX 2

struct boot_item {
	const void *data;
	void *owned; /* freed by boot_plan_free; NULL when data is borrowed */
	uint64_t len;
	gpa_t dst;
	/* Bytes drawn anew for each start, such as seeds: measured as zeros. len 0: none. */
	struct {
		uint64_t at, len;
	} random[BOOT_RANDOM_MAX];
};

/* What the first vCPU starts with. Architectures use the fields that they have. */
struct boot_entry {
	gpa_t pc;
	uint64_t arg;	 /* arm64: x0; x86-64: rsi (kernel) or rdi (program in the staging area) */
	gpa_t tables;	 /* x86-64: CR3 */
	bool is_program; /* starts in the staging area */
	bool is_pvh;	 /* x86-64: in 32-bit mode, arg in ebx */
};

struct boot_plan {
	struct boot_item items[BOOT_INFO_ITEMS];
	unsigned int count;
	struct boot_entry entry; /* of the kernel */
	gpa_t handoff;		 /* a page of RAM that no item uses */
	/* A kernel that had to be unpacked, which items borrow from; data NULL: it had not. */
	struct blob unpacked;
	struct boot_packed packed;
};

/* Adds a piece; takes over `owned` also on failure. */
int boot_plan_add(
	struct boot_plan *p, const void *data, void *owned, uint64_t len, gpa_t dst, struct err *e);
/*
 * Marks `len` bytes at offset `at` of the piece that was added last as random, so that they are left
 * out of the measurement. -E2BIG when it has two such ranges already, or they do not lie in it.
 */
int boot_plan_random(struct boot_plan *p, uint64_t at, uint64_t len, struct err *e);
void boot_plan_free(struct boot_plan *p);

/* Writes the pieces to their places, through the gate. */
int boot_load(const struct boot_plan *p, const struct mem *m, struct err *e);

struct arch_layout;
struct boot_stage {
	const struct boot_plan *plan; /* pieces to offer; may be empty */
	const void *program;	      /* the loader or the firmware */
	uint64_t program_len;
	const char *program_name;
	const struct arch_layout *layout;
	enum protection protection;
	uint32_t cpus;
	bool probe;
};

/* Bytes the staging area needs, a page multiple; -E2BIG with a sentence when there is no room. */
int boot_stage_size(const struct boot_stage *s, uint64_t *size, struct err *e);

/*
 * Hands over the staging area piece by piece, in the order of addresses, each with its place in the
 * staging area as dst: what is written and what is measured are the same pieces. *entry is where the
 * first vCPU starts. An error of fn ends it and is returned.
 */
typedef int boot_piece_fn(void *ctx, const struct boot_item *piece, struct err *e);
int boot_stage_each(const struct boot_stage *s, boot_piece_fn *fn, void *ctx,
	struct boot_entry *entry, struct err *e);

/*
 * Fills the staging area, which must have been added to m with that size; *entry is where the first
 * vCPU starts. The memory of large pieces, boot files among them, may become that of the staging area:
 * what the plan has as data, which must come from malloc, is not defined afterwards.
 */
int boot_stage_fill(const struct boot_stage *s, const struct mem *m, uint64_t size,
	struct boot_entry *entry, struct err *e);

#endif
