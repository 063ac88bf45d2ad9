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
#include "arch/bounce.h"
#include "vmm/util/bits.h"

#define FDT_MAX MIB(2)
/* What Linux keeps of its parameters, the end mark included. */
#define PARAMS_ROOM 2048u

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

static int build_fdt(const struct arch_config *c, const struct arch_layout *l,
	const struct boot_files *f, const struct places *at, void **fdt, size_t *len, struct err *e)
{
	struct fdt_params p = { .config = c, .layout = l };
	char *params;
	int r;

	if (f->initrd.data) {
		p.initrd_base = at->initrd;
		p.initrd_size = f->initrd.len;
	}
	if (getrandom(p.seed, sizeof(p.seed), 0) != (ssize_t)sizeof(p.seed))
		return err_sys(e, "getrandom");
	r = bounce_params(c, f->params, PARAMS_ROOM, &params, e);
	if (r)
		return r;
	p.bootargs = params;
	r = arm64_fdt_build(&p, fdt, len, e);
	free(params);
	return r;
}

static int add_fdt(const struct arch_config *c, const struct arch_layout *l,
	const struct boot_files *f, const struct places *at, struct boot_plan *out, struct err *e)
{
	void *fdt;
	size_t len;
	int r = build_fdt(c, l, f, at, &fdt, &len, e);

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
