/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/bootfiles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "vmm/util/bits.h"

#define KERNEL_MAX   GIB(1)
#define INITRD_MAX   GIB(2)
#define FIRMWARE_MAX MIB(64)

/* What is given as a firmware by mistake: files that some loader has to work on first. */
static const struct {
	size_t at;
	const char *magic, *what, *remedy;
} not_flat[] = {
	{ 0, "\177ELF", "an ELF file", "objcopy -O binary makes one" },
	{ 0, "\037\213\010", "compressed by gzip", "unpack it first" },
	{ 4, "zimg", "a compressed kernel", "kernels are for --kernel" },
	{ 56, "ARM\x64", "an arm64 kernel", "kernels are for --kernel" },
	{ 0x202, "HdrS", "an x86 kernel", "kernels are for --kernel" },
};

static int check_firmware(const struct boot_files *f, struct err *e)
{
	const struct blob *b = &f->firmware;
	size_t i, len;

	for (i = 0; i < ARRAY_SIZE(not_flat); i++) {
		len = strlen(not_flat[i].magic);
		if (b->len >= not_flat[i].at + len &&
			!memcmp(b->data + not_flat[i].at, not_flat[i].magic, len))
			return err_set(e, -EINVAL, "%s is %s, a flat binary is expected (%s)",
				f->firmware_path, not_flat[i].what, not_flat[i].remedy);
	}
	return 0;
}

int bootfiles_read(struct boot_files *f, const struct config *c, struct err *e)
{
	int r;

	*f = (struct boot_files){
		.kernel_path = c->kernel,
		.firmware_path = c->firmware,
	};
	r = config_params(c, &f->params, e);
	if (r)
		return r;
	if (c->kernel && (r = blob_read(c->kernel, KERNEL_MAX, &f->kernel, e)) != 0)
		r = err_prefix(e, r, "kernel");
	else if (c->initrd && (r = blob_read(c->initrd, INITRD_MAX, &f->initrd, e)) != 0)
		r = err_prefix(e, r, "initrd");
	else if (c->firmware && ((r = blob_read(c->firmware, FIRMWARE_MAX, &f->firmware, e)) != 0 ||
					(r = check_firmware(f, e)) != 0))
		r = err_prefix(e, r, "firmware");
	if (r)
		bootfiles_free(f);
	return r;
}

void bootfiles_free(struct boot_files *f)
{
	blob_free(&f->kernel);
	blob_free(&f->initrd);
	blob_free(&f->firmware);
	free(f->params);
	f->params = NULL;
}

/* What is loaded, and what is measured: the same plan. */
struct image {
	struct boot_plan plan;
	struct boot_stage stage;
	bool staged;
};

static int plan_image(const struct boot_files *f, const struct arch_config *c,
	const struct arch_layout *l, bool probe, struct image *out, struct err *e)
{
	uint64_t loader_len = (uint64_t)(arch_loader_end - arch_loader);

	*out = (struct image){ .plan = { .count = 0 } };
	out->stage = (struct boot_stage){
		.plan = &out->plan,
		.program = f->firmware.data ? f->firmware.data : arch_loader,
		.program_len = f->firmware.data ? f->firmware.len : loader_len,
		.layout = l,
		.protection = c->protection,
		.cpus = c->cpus,
		.probe = probe,
	};
	/* Private RAM is out of our reach; a program of the user's is staged in every mode. */
	out->staged = f->firmware.data || protection_has_gmem(c->protection);
	return f->kernel.data ? arch_boot_plan(c, l, f, &out->plan, e) : 0;
}

static int measure_image(const struct boot_files *f, const struct arch_config *c,
	const struct arch_layout *l, const struct image *image, struct measurement *out,
	struct err *e)
{
	const struct measure_input in = {
		.arch = arch_name(),
		.config = c,
		.layout = l,
		.files = f,
		.plan = &image->plan,
		.stage = image->staged ? &image->stage : NULL,
		.own = arch_own_pieces,
	};

	return measure(&in, out, e);
}

static int fill_stage(
	const struct boot_stage *s, struct vm *vm, struct boot_entry *entry, struct err *e)
{
	struct mem_region_desc d = { MEM_STAGING, "staging", vm->layout.staging, 0 };
	int r = boot_stage_size(s, &d.size, e);

	if (!r)
		r = mem_add(vm->mem, &d, e);
	return r ? r : boot_stage_fill(s, vm->mem, d.size, entry, e);
}

int bootfiles_load(const struct boot_files *f, struct vm *vm, bool probe, struct boot_entry *entry,
	bool *staged, struct measurement *measured, struct err *e)
{
	struct image image;
	int r = plan_image(f, &vm->config, &vm->layout, probe, &image, e);

	if (r)
		return r;
	*staged = image.staged;
	if (measured)
		r = measure_image(f, &vm->config, &vm->layout, &image, measured, e);
	if (!r && image.staged) {
		r = fill_stage(&image.stage, vm, entry, e);
	} else if (!r) {
		r = boot_load(&image.plan, vm->mem, e);
		*entry = image.plan.entry;
	}
	boot_plan_free(&image.plan);
	return r;
}

int bootfiles_measure(const struct boot_files *f, const struct arch_config *c, bool probe,
	struct measurement *out, struct err *e)
{
	struct arch_layout layout;
	struct image image;
	uint64_t size;
	int r = arch_layout(c, &layout, e);

	if (!r)
		r = plan_image(f, c, &layout, probe, &image, e);
	if (r)
		return r;
	if (image.staged)
		r = boot_stage_size(&image.stage, &size, e);
	if (!r)
		r = measure_image(f, c, &layout, &image, out, e);
	boot_plan_free(&image.plan);
	return r;
}
