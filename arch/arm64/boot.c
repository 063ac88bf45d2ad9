/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The arm64 Linux boot plan (Documentation/arch/arm64/booting.rst): the image at a 2 MiB boundary,
 * device tree and initrd in the same 32 GiB, the device tree not across a 2 MiB boundary larger
 * than itself allows. From the start of RAM: the kernel; then, past its image_size, the device
 * tree, the handoff page, and the initrd.
 */
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "arch/arch.h"
#include "arch/arm64/fdt.h"
#include "arch/arm64/image.h"
#include "arch/arm64/layout.h"
#include "vmm/util/bits.h"

#define FDT_MAX MIB(2)
/* What Linux keeps of its parameters, the end mark included. */
#define PARAMS_ROOM    2048u
#define BOUNCE_SLOT    2048u
#define BOUNCE_SEGMENT 128u   /* slots; pools are made of whole segments */
#define BOUNCE_DEFAULT 32768u /* slots */

struct places {
	uint64_t kernel, fdt, handoff, initrd, end;
};

static struct places find_places(const struct arm64_image *img, uint64_t initrd_len)
{
	struct places p;

	p.kernel = ARM64_RAM + img->text_offset;
	p.fdt = align_up(p.kernel + img->image_size, MIB(2));
	p.handoff = p.fdt + FDT_MAX;
	p.initrd = p.handoff + PAGE_SIZE;
	p.end = p.initrd + align_up(initrd_len, PAGE_SIZE);
	return p;
}

/* What libfdt wrote of a seed, found again: the plan names it as random. */
static int mark_seed(const void *fdt, const char *name, struct boot_plan *out, struct err *e)
{
	int len = 0, chosen = fdt_path_offset(fdt, "/chosen");
	const void *value = chosen < 0 ? NULL : fdt_getprop(fdt, chosen, name, &len);

	if (!value)
		return 0;
	return boot_plan_random(
		out, (uint64_t)((const uint8_t *)value - (const uint8_t *)fdt), (uint64_t)len, e);
}

/*
 * All that a realm's kernel exchanges with devices goes through its bounce buffers. Linux 7.3 sizes
 * these by what an ordinary guest needs, 1 MiB for each GiB of RAM, and a disk request that does not
 * fit waits for ever. So the kernel is told a size, in slots of 2 KiB; in front of the user's own
 * parameters, which win. It rounds up to a power of two: we round down before. And who asks for just
 * its default has not asked, to Linux; a segment less becomes the same when it is rounded.
 */
static uint64_t bounce_slots(const struct arch_config *c)
{
	uint64_t slots = min_u64(c->swiotlb, c->ram_bytes / 4) / BOUNCE_SLOT;

	if (c->protection != PROTECTION_SOFT_REALM || slots < BOUNCE_SEGMENT)
		return 0;
	slots = 1ULL << (63 - __builtin_clzll(slots));
	return slots == BOUNCE_DEFAULT ? slots - BOUNCE_SEGMENT : slots;
}

static int realm_params(
	const struct arch_config *c, const char *given, char out[PARAMS_ROOM], struct err *e)
{
	uint64_t slots = bounce_slots(c);
	int n;

	if (!slots)
		n = snprintf(out, PARAMS_ROOM, "%s", given);
	else
		n = snprintf(out, PARAMS_ROOM, "swiotlb=%llu %s", (unsigned long long)slots, given);
	if (n >= (int)PARAMS_ROOM)
		return err_set(e, -E2BIG,
			"params: %d characters with swiotlb=, which mode soft-realm puts in front; "
			"the kernel takes %u (shorten params, or add --swiotlb 0)",
			n, PARAMS_ROOM - 1);
	return 0;
}

static int add_fdt(const struct arch_config *c, const struct arch_layout *l,
	const struct boot_files *f, const struct places *at, struct boot_plan *out, struct err *e)
{
	char params[PARAMS_ROOM];
	struct fdt_params p = { .config = c, .layout = l, .bootargs = params };
	void *fdt;
	size_t len;
	int r = realm_params(c, f->params, params, e);

	if (r)
		return r;
	if (f->initrd.data) {
		p.initrd_base = at->initrd;
		p.initrd_size = f->initrd.len;
	}
	if (getrandom(p.seed, sizeof(p.seed), 0) != (ssize_t)sizeof(p.seed))
		return err_sys(e, "getrandom");
	r = arm64_fdt_build(&p, &fdt, &len, e);
	if (r)
		return r;
	if (len > FDT_MAX) {
		free(fdt);
		return err_set(
			e, -E2BIG, "device tree of %zu bytes, the boot protocol allows 2 MiB", len);
	}
	r = boot_plan_add(out, fdt, fdt, len, gpa(at->fdt), e);
	if (!r)
		r = mark_seed(fdt, "kaslr-seed", out, e);
	return r ? r : mark_seed(fdt, "rng-seed", out, e);
}

int arch_boot_plan(const struct arch_config *c, const struct arch_layout *l,
	const struct boot_files *f, struct boot_plan *out, struct err *e)
{
	uint64_t end = l->pool.size ? l->pool.base.v : ARM64_RAM + c->ram_bytes;
	struct arm64_image img;
	struct places at;
	int r;

	*out = (struct boot_plan){ .count = 0 };
	r = arm64_image_parse(&f->kernel, f->kernel_path, c->ram_bytes, &img, e);
	if (r)
		return r;
	at = find_places(&img, f->initrd.len);
	if (at.end > end) {
		free(img.owned);
		return err_set(e, -E2BIG,
			"kernel and initrd need %llu MiB of RAM, the guest has %llu%s (raise "
			"--mem)",
			(unsigned long long)((at.end - ARM64_RAM + MIB(1) - 1) >> 20),
			(unsigned long long)((end - ARM64_RAM) >> 20),
			l->pool.size ? " beside its swiotlb pool" : "");
	}
	out->unpacked = (struct blob){ img.owned, img.owned ? img.file_size : 0 };
	out->packed = img.packed;
	r = boot_plan_add(out, img.data, img.owned, img.file_size, gpa(at.kernel), e);
	if (!r && f->initrd.data)
		r = boot_plan_add(out, f->initrd.data, NULL, f->initrd.len, gpa(at.initrd), e);
	if (!r)
		r = add_fdt(c, l, f, &at, out, e);
	if (r) {
		boot_plan_free(out);
		return r;
	}
	out->entry = (struct boot_entry){ .pc = { at.kernel }, .arg = at.fdt };
	out->handoff = gpa(at.handoff);
	return 0;
}
