/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/arm64/image.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "arch/gunzip.h"
#include "arch/unzstd.h"
#include "vmm/util/bits.h"
#include "vmm/util/text.h"

#define IMAGE_MAGIC	0x644d5241u /* "ARM\x64" */
#define IMAGE_HEADER	64u
#define IMAGE_MAX	GIB(1)
#define FLAG_BIG_ENDIAN BIT(0)

/* Offsets in the header, little endian. */
#define OFF_TEXT_OFFSET 8
#define OFF_IMAGE_SIZE	16
#define OFF_FLAGS	24
#define OFF_MAGIC	56
#define OFF_PE		60
#define PE_SECTION	40u

/* An EFI zboot image (drivers/firmware/efi/libstub/zboot-header.S): an Image inside a program. */
#define OFF_ZBOOT_MAGIC 4
#define OFF_ZBOOT_START 8
#define OFF_ZBOOT_SIZE	12
#define OFF_ZBOOT_TYPE	24 /* the compression's name */
#define ZBOOT_TYPE_MAX	31

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* Names the file that somebody gave instead. */
static const char *what_is_it(const uint8_t *p, uint64_t len)
{
	static const uint8_t elf[] = { 0x7f, 'E', 'L', 'F' };

	if (len >= sizeof(elf) && !memcmp(p, elf, sizeof(elf)))
		return "an ELF file (give the Image that the kernel build makes from vmlinux)";
	if (len >= 0x206 && !memcmp(p + 0x202, "HdrS", 4))
		return "an x86 kernel (bzImage)";
	if (len >= 8 && !memcmp(p + 4, "zimg", 4))
		return "compressed twice (unpack it once)";
	return "no arm64 kernel Image, plain or compressed by gzip or zstd";
}

static int parse_plain(
	const uint8_t *p, uint64_t len, const char *path, struct arm64_image *out, struct err *e)
{
	if (len < IMAGE_HEADER || get32(p + OFF_MAGIC) != IMAGE_MAGIC)
		return err_set(e, -ENOEXEC, "kernel %s is %s", path, what_is_it(p, len));
	if (get64(p + OFF_FLAGS) & FLAG_BIG_ENDIAN)
		return err_set(
			e, -ENOEXEC, "kernel %s is big-endian, expected little-endian", path);
	out->data = p;
	out->file_size = len;
	out->text_offset = get64(p + OFF_TEXT_OFFSET);
	out->image_size = get64(p + OFF_IMAGE_SIZE);
	/* Before Linux 3.17 the header did not say; nobody boots those on KVM with GICv3. */
	if (!out->image_size || out->image_size > IMAGE_MAX || out->text_offset >= MIB(2))
		return err_set(e, -ENOEXEC, "kernel %s has an implausible header (image size %llu)",
			path, (unsigned long long)out->image_size);
	return 0;
}

/*
 * How many bytes the file should have. The boot header does not tell, but a kernel with an EFI stub
 * is a PE file as well (PE Format specification), whose sections do. 0: no such header.
 */
static uint64_t pe_file_size(const uint8_t *p, uint64_t len)
{
	uint64_t pe = get32(p + OFF_PE), table, end = 0;
	unsigned int i, sections;

	if (pe > len || len - pe < 24 || memcmp(p + pe, "PE\0", 4) != 0)
		return 0;
	sections = get16(p + pe + 6);
	table = pe + 24 + get16(p + pe + 20);
	if (table > len || len - table < (uint64_t)sections * PE_SECTION)
		return 0;
	for (i = 0; i < sections; i++) {
		const uint8_t *s = p + table + (uint64_t)i * PE_SECTION;

		end = max_u64(end, (uint64_t)get32(s + 16) + get32(s + 20));
	}
	return end;
}

static int check_length(const struct arm64_image *img, const char *path, struct err *e)
{
	uint64_t want = pe_file_size(img->data, img->file_size);

	if (img->file_size > img->image_size)
		return err_set(e, -ENOEXEC,
			"kernel %s is larger (%llu bytes) than its header says (%llu)", path,
			(unsigned long long)img->file_size, (unsigned long long)img->image_size);
	if (img->file_size < want)
		return err_set(e, -ENOEXEC, "kernel %s is cut short: it has %llu bytes of %llu",
			path, (unsigned long long)img->file_size, (unsigned long long)want);
	return 0;
}

static bool is_zboot(const struct blob *f)
{
	return f->len > IMAGE_HEADER && !memcmp(f->data, "MZ", 2) &&
	       !memcmp(f->data + OFF_ZBOOT_MAGIC, "zimg", 4);
}

/* The compressed image inside. Its first bytes tell the format; the name is for the message. */
static int zboot_payload(const struct blob *f, struct blob *out, struct err *e)
{
	uint64_t start = get32(f->data + OFF_ZBOOT_START), size = get32(f->data + OFF_ZBOOT_SIZE);
	char type[ZBOOT_TYPE_MAX + 1] = "", shown[TEXT_SHOWN];

	if (!size || start > f->len || size > f->len - start)
		return err_set(e, -ENOEXEC,
			"EFI zboot image is cut short: its payload ends at byte %llu of %zu",
			(unsigned long long)(start + size), f->len);
	*out = (struct blob){ f->data + start, size };
	if (gunzip_is(out) || unzstd_is(out))
		return 0;
	memcpy(type, f->data + OFF_ZBOOT_TYPE, ZBOOT_TYPE_MAX);
	return err_set(e, -ENOEXEC,
		"EFI zboot image is compressed by \"%s\", expected gzip or zstd (unpack it first)",
		text_show(shown, sizeof(shown), type));
}

/*
 * *out stays empty when the file is not compressed. A file of some KiB may unpack to as much as it
 * likes, so what the guest could not hold is refused while it grows.
 */
static int unpack(const struct blob *file, uint64_t ram_bytes, struct blob *out,
	struct boot_packed *from, struct err *e)
{
	uint64_t max = min_u64(ram_bytes, IMAGE_MAX);
	struct blob packed = *file;
	int r = is_zboot(file) ? zboot_payload(file, &packed, e) : 0;

	*from = (struct boot_packed){ NULL, (uint64_t)(packed.data - file->data), packed.len };
	if (r)
		return r;
	if (gunzip_is(&packed)) {
		from->format = "gzip";
		r = gunzip(&packed, max, out, e);
	} else if (unzstd_is(&packed)) {
		from->format = "zstd";
		r = unzstd(&packed, max, out, e);
	}
	return r == -EFBIG && max < IMAGE_MAX ? err_hint(e, r, "raise --mem") : r;
}

int arm64_image_parse(const struct blob *file, const char *path, uint64_t ram_bytes,
	struct arm64_image *out, struct err *e)
{
	struct blob plain = { 0 };
	struct boot_packed packed;
	int r = unpack(file, ram_bytes, &plain, &packed, e);

	*out = (struct arm64_image){ .owned = plain.data, .packed = packed };
	if (r)
		return err_prefix(e, r, "kernel %s", path);
	r = parse_plain(plain.data ? plain.data : file->data, plain.data ? plain.len : file->len,
		path, out, e);
	if (!r)
		r = check_length(out, path, e);
	if (r) {
		free(out->owned);
		out->owned = NULL;
	}
	return r;
}
