/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/boot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/util/bits.h"

int boot_load(const struct boot_plan *p, const struct mem *m, struct err *e)
{
	unsigned int i;
	int r;

	for (i = 0; i < p->count; i++) {
		r = mem_write(m, p->items[i].dst, p->items[i].data, p->items[i].len, e);
		if (r)
			return err_prefix(e, r, "boot");
	}
	return 0;
}

/* From here on a piece is worth moving instead of copying it, and lies on huge pages of its own. */
#define LARGE_PIECE MIB(2)

/*
 * The staging area, from its start: the information block, the program (at BOOT_IMAGE_OFFSET), its
 * zeroed room, the architecture's tables, then the pieces, each on a page of its own.
 */
struct stage_map {
	uint64_t extra;
	uint64_t items[BOOT_INFO_ITEMS];
	uint64_t size;
};

static void map_stage(const struct boot_stage *s, uint64_t extra_len, struct stage_map *map)
{
	uint64_t at = BOOT_IMAGE_OFFSET + align_up(s->program_len, PAGE_SIZE) + BOOT_IMAGE_ROOM;
	unsigned int i;

	map->extra = at;
	at += align_up(extra_len, PAGE_SIZE);
	for (i = 0; s->plan && i < s->plan->count; i++) {
		uint64_t len = s->plan->items[i].len;

		at = align_up(at, len < LARGE_PIECE ? PAGE_SIZE : LARGE_PIECE);
		map->items[i] = at;
		at += align_up(len, PAGE_SIZE);
	}
	map->size = at;
}

int boot_stage_size(const struct boot_stage *s, uint64_t *size, struct err *e)
{
	struct stage_map map;

	map_stage(s, arch_stage_extra(s->layout, s->layout->staging, NULL, 0), &map);
	*size = map.size;
	if (map.size <= s->layout->staging_max)
		return 0;
	return err_set(e, -E2BIG,
		"the boot files need a staging area of %llu MiB, the address map has %llu MiB "
		"(use a smaller initrd)",
		(unsigned long long)(map.size >> 20),
		(unsigned long long)(s->layout->staging_max >> 20));
}

static uint64_t row_base(const struct boot_stage *s, enum platform_kind kind)
{
	const struct platform_dev *d = platform_find(&s->layout->platform, kind);

	return d ? d->base : 0;
}

static enum boot_protection boot_protection(enum protection p)
{
	switch (p) {
	case PROTECTION_PRIVATE:
		return BOOT_PRIVATE;
	case PROTECTION_SOFT_REALM:
		return BOOT_SOFT_REALM;
	case PROTECTION_SOFT_SEV:
		return BOOT_SOFT_SEV;
	case PROTECTION_PKVM:
		return BOOT_PKVM;
	default:
		return BOOT_NONE;
	}
}

static void fill_info(const struct boot_stage *s, const struct stage_map *map, struct boot_info *b)
{
	const struct arch_layout *l = s->layout;
	const struct platform_dev *serial = platform_find(&l->platform, PLATFORM_SERIAL);
	unsigned int i;

	*b = (struct boot_info){
		.magic = BOOT_INFO_MAGIC,
		.version = BOOT_INFO_VERSION,
		.size = sizeof(*b),
		.protection = boot_protection(s->protection),
		.flags = serial && serial->port ? BOOT_PORT_IO : 0,
		.cpus = s->cpus,
		.ram_count = l->ram_count,
		.staging_base = l->staging.v,
		.staging_size = map->size,
		.serial_base = row_base(s, PLATFORM_SERIAL),
		.power_base = row_base(s, PLATFORM_POWER),
		.probe_base = s->probe ? row_base(s, PLATFORM_PROBE) : 0,
		.alias_bit = l->alias_bit,
	};
	for (i = 0; i < l->ram_count; i++) {
		b->ram[i].base = l->ram[i].base.v;
		b->ram[i].size = l->ram[i].size;
	}
	if (!s->plan)
		return;
	b->item_count = s->plan->count;
	b->entry = s->plan->entry.pc.v;
	b->entry_arg = s->plan->entry.arg;
	b->entry_tables = s->plan->entry.tables.v;
	b->handoff = s->plan->handoff.v;
	for (i = 0; i < s->plan->count; i++)
		b->items[i] = (struct boot_info_item){ l->staging.v + map->items[i],
			s->plan->items[i].dst.v, s->plan->items[i].len };
}

static int give_extra(
	const struct boot_stage *s, gpa_t at, boot_piece_fn *fn, void *ctx, struct err *e)
{
	struct boot_item piece = { .len = arch_stage_extra(s->layout, at, NULL, 0), .dst = at };
	_free void *buf = NULL;

	if (!piece.len)
		return 0;
	buf = calloc(1, piece.len);
	if (!buf)
		return err_set(e, -ENOMEM, "boot tables: out of memory");
	arch_stage_extra(s->layout, at, buf, piece.len);
	piece.data = buf;
	return fn(ctx, &piece, e);
}

int boot_stage_each(const struct boot_stage *s, boot_piece_fn *fn, void *ctx,
	struct boot_entry *entry, struct err *e)
{
	gpa_t base = s->layout->staging, image = gpa_add(base, BOOT_IMAGE_OFFSET);
	uint64_t extra_len = arch_stage_extra(s->layout, base, NULL, 0);
	struct boot_info info;
	struct boot_item piece;
	struct stage_map map;
	unsigned int i;
	int r;

	map_stage(s, extra_len, &map);
	fill_info(s, &map, &info);
	piece = (struct boot_item){ .data = &info, .len = sizeof(info), .dst = base };
	r = fn(ctx, &piece, e);
	piece = (struct boot_item){ .data = s->program, .len = s->program_len, .dst = image };
	if (!r)
		r = fn(ctx, &piece, e);
	if (!r)
		r = give_extra(s, gpa_add(base, map.extra), fn, ctx, e);
	for (i = 0; !r && s->plan && i < s->plan->count; i++) {
		piece = s->plan->items[i];
		piece.dst = gpa_add(base, map.items[i]);
		r = fn(ctx, &piece, e);
	}
	*entry = (struct boot_entry){
		.pc = image,
		.arg = base.v,
		.tables = gpa(extra_len ? base.v + map.extra : 0),
		.is_program = true,
	};
	return r;
}

struct filling {
	const struct boot_plan *plan;
	const struct mem *mem;
};

/* A kernel file may name the same bytes twice. Those of the program and the tables are no items. */
static bool may_move(const struct boot_plan *p, const struct boot_item *piece)
{
	uintptr_t from = (uintptr_t)piece->data, other;
	unsigned int i, users = 0;

	for (i = 0; p && i < p->count; i++) {
		other = (uintptr_t)p->items[i].data;
		if (from < other + p->items[i].len && other < from + piece->len)
			users++;
	}
	return users == 1 && piece->len >= LARGE_PIECE;
}

static int write_piece(void *ctx, const struct boot_item *piece, struct err *e)
{
	const struct filling *f = ctx;

	if (may_move(f->plan, piece))
		return mem_take(f->mem, piece->dst, (void *)(uintptr_t)piece->data, piece->len, e);
	return mem_write(f->mem, piece->dst, piece->data, piece->len, e);
}

int boot_stage_fill(const struct boot_stage *s, const struct mem *m, uint64_t size,
	struct boot_entry *entry, struct err *e)
{
	struct filling f = { s->plan, m };
	struct stage_map map;
	int r;

	map_stage(s, arch_stage_extra(s->layout, s->layout->staging, NULL, 0), &map);
	if (map.size > size)
		return err_set(e, -E2BIG, "staging area too small");
	r = boot_stage_each(s, write_piece, &f, entry, e);
	return r ? err_prefix(e, r, "staging area") : 0;
}
