/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/x86/kernel.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#include "arch/x86/layout.h"
#include "vmm/util/bits.h"

#define SECTOR		512u
#define SETUP_START	0x1f1u
#define SETUP_END_MAX	0x290u
#define OFF_SETUP_SECTS 0x1f1u
#define OFF_SYSSIZE	0x1f4u
#define OFF_JUMP	0x201u /* its operand: length of the header behind it */
#define OFF_MAGIC	0x202u
#define OFF_VERSION	0x206u
#define OFF_INITRD_MAX	0x22cu
#define OFF_XLOADFLAGS	0x236u
#define OFF_CMDLINE_MAX 0x238u
#define OFF_PREF_ADDR	0x258u
#define OFF_INIT_SIZE	0x260u
#define VERSION_MIN	0x20cu
#define XLF_KERNEL_64	1u
#define ENTRY_64	0x200u

/* Files are little endian, and so is every host that builds this part for real use. */
static uint32_t get(const struct blob *f, uint32_t at, unsigned int bytes)
{
	uint32_t v = 0;

	memcpy(&v, f->data + at, bytes);
	return v;
}

static int parse_bzimage(
	const struct blob *f, const char *path, struct x86_kernel *k, struct err *e)
{
	uint32_t sects = f->data[OFF_SETUP_SECTS] ? f->data[OFF_SETUP_SECTS] : 4;
	uint64_t start = (sects + 1) * (uint64_t)SECTOR;
	uint64_t want = start + (uint64_t)get(f, OFF_SYSSIZE, 4) * 16;
	uint32_t version = get(f, OFF_VERSION, 2);

	if (version < VERSION_MIN || !(get(f, OFF_XLOADFLAGS, 2) & XLF_KERNEL_64))
		return err_set(e, -ENOEXEC,
			"kernel %s has no 64-bit entry (boot protocol %u.%02u): a 64-bit Linux 3.8 "
			"or later does",
			path, version >> 8, version & 0xff);
	/* The last paragraph may be short. */
	if (start + ENTRY_64 >= f->len || f->len + 16 < want)
		return err_set(e, -ENOEXEC, "kernel %s is cut short: it has %zu bytes of %llu",
			path, f->len, (unsigned long long)want);
	k->pieces[0] = (struct x86_piece){ f->data + start, f->len - start, X86_KERNEL };
	k->count = 1;
	k->start = X86_KERNEL;
	k->entry = X86_KERNEL + ENTRY_64;
	/* It unpacks itself where it prefers to be, or where it was put if that is higher. */
	k->end = max_u64(X86_KERNEL, get(f, OFF_PREF_ADDR, 4)) + get(f, OFF_INIT_SIZE, 4);
	k->end = max_u64(k->end, X86_KERNEL + k->pieces[0].len);
	k->has_setup = true;
	k->setup = f->data + SETUP_START;
	k->setup_len = min_u64(OFF_MAGIC + f->data[OFF_JUMP], SETUP_END_MAX) - SETUP_START;
	k->cmdline_max = get(f, OFF_CMDLINE_MAX, 4);
	k->initrd_max = get(f, OFF_INITRD_MAX, 4);
	return 0;
}

int x86_kernel_parse(const struct blob *f, const char *path, struct x86_kernel *out, struct err *e)
{
	*out = (struct x86_kernel){ .count = 0 };
	if (f->len >= sizeof(Elf64_Ehdr) && !memcmp(f->data, ELFMAG, SELFMAG))
		return x86_elf_parse(f, path, out, e);
	if (x86_is_bzimage(f))
		return parse_bzimage(f, path, out, e);
	if (f->len >= 60 && !memcmp(f->data + 56, "ARMd", 4))
		return err_set(e, -ENOEXEC, "kernel %s is an arm64 kernel, expected x86-64", path);
	return err_set(e, -ENOEXEC,
		"kernel %s is neither a bzImage nor a 64-bit ELF file (a program of your own is "
		"given with --firmware)",
		path);
}

int x86_kernel_unpack(const struct blob *f, const char *path, uint64_t max, struct x86_kernel *out,
	struct blob *owned, struct err *e)
{
	struct x86_kernel outer;
	struct boot_packed packed;
	int r;

	*owned = (struct blob){ 0 };
	r = x86_kernel_parse(f, path, out, e);
	if (r || !x86_is_bzimage(f))
		return r;
	outer = *out;
	r = x86_payload(f, path, max, owned, &packed, e);
	if (r)
		return r;
	*out = (struct x86_kernel){ .count = 0 };
	r = x86_elf_parse(owned, path, out, e);
	if (r) {
		blob_free(owned);
		return r;
	}
	out->packed = packed;
	out->has_setup = true;
	out->setup = outer.setup;
	out->setup_len = outer.setup_len;
	out->cmdline_max = outer.cmdline_max;
	out->initrd_max = outer.initrd_max;
	return 0;
}
