/* SPDX-License-Identifier: Apache-2.0 */

/* The ELF kernel that a bzImage has inside, for guests that cannot run what unpacks it. */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "arch/gunzip.h"
#include "arch/unzstd.h"
#include "arch/x86/kernel.h"
#include "vmm/util/bits.h"

/* Offsets in the setup header (Documentation/arch/x86/boot.rst); those of the payload since 2.08. */
#define SECTOR		   512u
#define OFF_SETUP_SECTS	   0x1f1u
#define OFF_MAGIC	   0x202u
#define OFF_PAYLOAD_OFFSET 0x248u
#define OFF_PAYLOAD_LENGTH 0x24cu
#define UNPACKED_MAX	   GIB(1)

static uint32_t get32(const struct blob *f, uint32_t at)
{
	uint32_t v;

	memcpy(&v, f->data + at, sizeof(v));
	return v;
}

/* The formats that Linux builds have, for the message. */
static const char *format_of(const struct blob *p)
{
	static const struct {
		const char *magic, *name;
	} formats[] = { { "\xfd"
			  "7zXZ",
				"xz" },
		{ "BZh", "bzip2" }, { "\x5d", "lzma" }, { "\x89LZO", "lzo" },
		{ "\x02!L\x18", "lz4" } };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(formats); i++)
		if (p->len > 8 && !memcmp(p->data, formats[i].magic, strlen(formats[i].magic)))
			return formats[i].name;
	return "a format of its own";
}

bool x86_is_bzimage(const struct blob *f)
{
	return f->len > 1024 && !memcmp(f->data + OFF_MAGIC, "HdrS", 4);
}

int x86_payload(const struct blob *f, const char *path, uint64_t max, struct blob *out,
	struct boot_packed *from, struct err *e)
{
	uint64_t sects = f->data[OFF_SETUP_SECTS] ? f->data[OFF_SETUP_SECTS] : 4;
	uint64_t at = (sects + 1) * SECTOR + get32(f, OFF_PAYLOAD_OFFSET);
	uint64_t len = get32(f, OFF_PAYLOAD_LENGTH);
	struct blob packed;
	int r;

	*out = (struct blob){ 0 };
	if (!len || at > f->len || len > f->len - at)
		return err_set(e, -ENOEXEC,
			"kernel %s is cut short: its payload ends at %llu of %zu", path,
			(unsigned long long)(at + len), f->len);
	packed = (struct blob){ f->data + at, len };
	*from = (struct boot_packed){ unzstd_is(&packed) ? "zstd" : "gzip", at, len };
	max = min_u64(max, UNPACKED_MAX);
	if (unzstd_is(&packed))
		r = unzstd(&packed, max, out, e);
	else if (gunzip_is(&packed))
		r = gunzip(&packed, max, out, e);
	else
		return err_set(e, -ENOEXEC,
			"kernel %s is compressed as %s, of which this mode has to unpack zstd or "
			"gzip itself (give it the vmlinux that scripts/extract-vmlinux makes)",
			path, format_of(&packed));
	if (r)
		return err_prefix(e, r, "kernel %s", path);
	if (out->len >= sizeof(Elf64_Ehdr) && !memcmp(out->data, ELFMAG, SELFMAG))
		return 0;
	blob_free(out);
	return err_set(e, -ENOEXEC,
		"kernel %s has no ELF file inside (it is no Linux bzImage, or damaged)", path);
}
