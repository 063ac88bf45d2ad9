/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/inspect.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mem/dump.h"
#include "vmm/config_json_impl.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/number.h"
#include "vmm/util/text.h"

/* That it shows; all of it is held at once. */
#define LEN_MAX MIB(1)
#define ROW	16u

static const struct option_def defs[] = {
	{ .name = "json",
		OPTION_FIELD(struct inspect_options, json),
		.type = OPTION_FLAG,
		.help = "Print it as JSON" },
	{ .name = "gpa",
		OPTION_FIELD(struct inspect_options, gpa),
		.type = OPTION_STRING,
		.min = 1,
		.max = 32,
		.arg = "ADDRESS",
		.help = "Show memory and tags from this address of the guest on" },
	{ .name = "len",
		OPTION_FIELD(struct inspect_options, len),
		.type = OPTION_STRING,
		.min = 1,
		.max = 32,
		.arg = "BYTES",
		.help = "How much to show, by default 256" },
};

const struct option_table inspect_table = { defs, ARRAY_SIZE(defs) };

/* ---- what is to be shown ---- */

struct view {
	bool wanted;
	uint64_t gpa, len;
	uint8_t *bytes;
	uint8_t *tags; /* one for each MTE_GRANULE */
};

static int parse_number(const char *name, const char *text, uint64_t *out, struct err *e)
{
	char shown[TEXT_SHOWN];

	if (number_parse(text, strlen(text), out))
		return 0;
	return err_set(e, -EINVAL,
		"inspect: --%s: \"%s\" is no number (decimal, or hexadecimal with 0x)", name,
		text_show(shown, sizeof(shown), text));
}

static int parse_view(const struct inspect_options *o, struct view *v, struct err *e)
{
	int r = 0;

	*v = (struct view){ .wanted = o->gpa, .len = INSPECT_LEN };
	if (o->len && !o->gpa)
		return err_set(e, -EINVAL, "inspect: --len is for what --gpa shows (add --gpa)");
	if (o->gpa)
		r = parse_number("gpa", o->gpa, &v->gpa, e);
	if (!r && o->len)
		r = parse_number("len", o->len, &v->len, e);
	if (r)
		return r;
	if (!v->len || v->len > LEN_MAX)
		return err_set(e, -EINVAL, "inspect: --len: expected 1 to %llu bytes",
			(unsigned long long)LEN_MAX);
	if (v->gpa + v->len < v->gpa)
		return err_set(e, -EINVAL,
			"inspect: --gpa: 0x%" PRIx64 ", %" PRIu64 " bytes: no range of addresses",
			v->gpa, v->len);
	return 0;
}

int inspect_check(const struct inspect_options *o, const char *const *operands, unsigned int count,
	struct err *e)
{
	struct view v;

	if (count != 1 || !operands[0][0])
		return err_set(e, -EINVAL, "inspect: usage: nacre inspect [OPTION]... FILE");
	return parse_view(o, &v, e);
}

/* Of [a, a + len) what the view has, too: where it begins there and here. */
static uint64_t overlap(
	const struct view *v, gpa_t a, uint64_t len, uint64_t *there, uint64_t *here)
{
	uint64_t from = max_u64(v->gpa, a.v), to = min_u64(v->gpa + v->len, a.v + len);

	if (!v->wanted || from >= to)
		return 0;
	*there = from - a.v;
	*here = from - v->gpa;
	return to - from;
}

static void on_memory(void *ctx, gpa_t a, const uint8_t *bytes, uint64_t len)
{
	struct view *v = ctx;
	uint64_t there, here, n = overlap(v, a, len, &there, &here);

	if (n)
		memcpy(v->bytes + here, bytes + there, n);
}

static void on_tags(void *ctx, gpa_t a, const uint8_t *packed, uint64_t pages)
{
	struct view *v = ctx;
	uint64_t there, here, i, n = overlap(v, a, pages * PAGE_SIZE, &there, &here);

	/* The view may begin and end within a granule: each of its bytes has one. */
	for (i = 0; i < n; i++) {
		uint64_t granule = (there + i) / MTE_GRANULE;

		v->tags[(v->gpa % MTE_GRANULE + here + i) / MTE_GRANULE] =
			packed[granule / 2] >> granule % 2 * 4 & 15;
	}
}

/* ---- reading ---- */

static ssize_t read_fd(void *ctx, void *buf, size_t len)
{
	const int *fd = ctx;
	ssize_t n;

	do
		n = read(*fd, buf, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int read_dump(const char *path, struct view *v, struct dump_summary *s, struct err *e)
{
	struct dump_visitor visitor = { on_memory, on_tags, v };
	_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	char shown[TEXT_SHOWN];
	int r;

	if (fd < 0)
		return err_sys(e, "%s", text_show_end(shown, sizeof(shown), path));
	r = dump_read(&(struct dump_source){ read_fd, &fd }, &visitor, s, e);
	return r ? err_prefix(e, r, "%s", text_show_end(shown, sizeof(shown), path)) : 0;
}

/* ---- printing ---- */

static const char *arch_of(const struct dump_summary *s)
{
	return s->arch == DUMP_ARM64 ? "arm64" : "x86_64";
}

static void print_row(const struct dump_summary *s, const struct view *v, uint64_t at, FILE *out)
{
	uint64_t i;

	fprintf(out, "0x%010" PRIx64, at);
	if (s->has_tags)
		fprintf(out, "  %x ", v->tags[(at - align_down(v->gpa, ROW)) / MTE_GRANULE]);
	for (i = at; i < at + ROW; i++) {
		if (i % 8 == 0)
			fputc(' ', out);
		if (i - v->gpa < v->len)
			fprintf(out, " %02x", v->bytes[i - v->gpa]);
		else
			fputs("   ", out);
	}
	fputs("  ", out);
	for (i = at; i < at + ROW; i++)
		if (i - v->gpa < v->len)
			fputc(isprint(v->bytes[i - v->gpa]) ? v->bytes[i - v->gpa] : '.', out);
		else
			fputc(' ', out);
	fputc('\n', out);
}

static void print_text(const struct dump_summary *s, const struct view *v, FILE *out)
{
	uint64_t at;
	unsigned int i;

	fprintf(out, "complete   %" PRIu64 " bytes, all checksums are right\n", s->bytes);
	fprintf(out, "guest      %s, %" PRIu64 " MiB of memory\n", arch_of(s), s->ram_bytes >> 20);
	for (i = 0; i < s->region_count; i++)
		fprintf(out, "region     0x%010" PRIx64 " to 0x%010" PRIx64 "\n", s->regions[i].gpa,
			s->regions[i].gpa + (s->regions[i].len - 1));
	fprintf(out, "not zero   %" PRIu64 " of %" PRIu64 " pages\n", s->memory_pages,
		s->ram_bytes / PAGE_SIZE);
	if (s->has_tags)
		fprintf(out, "tagged     %" PRIu64 " pages\n", s->tagged_pages);
	else
		fprintf(out, "tagged     the guest has no memory tags\n");
	if (!v->wanted)
		return;
	fputc('\n', out);
	for (at = align_down(v->gpa, ROW); at < v->gpa + v->len; at += ROW)
		print_row(s, v, at, out);
}

static json_t *hex_json(const uint8_t *bytes, uint64_t n, unsigned int digits)
{
	_free char *text = malloc(n * digits + 1);
	uint64_t i, k = 0;

	if (!text)
		return NULL;
	for (i = 0; i < n; i++) {
		if (digits == 2)
			text[k++] = "0123456789abcdef"[bytes[i] >> 4];
		text[k++] = "0123456789abcdef"[bytes[i] & 15];
	}
	text[k] = '\0';
	return json_string(text);
}

/* 0, or -1: what is missing must not look as if it were not there. */
static int add_view(json_t *o, const struct dump_summary *s, const struct view *v)
{
	uint64_t granules =
		(align_up(v->gpa + v->len, MTE_GRANULE) - align_down(v->gpa, MTE_GRANULE)) /
		MTE_GRANULE;

	if (json_object_set_new(o, "gpa", json_integer((json_int_t)v->gpa)) ||
		json_object_set_new(o, "len", json_integer((json_int_t)v->len)) ||
		json_object_set_new(o, "bytes", hex_json(v->bytes, v->len, 2)))
		return -1;
	return s->has_tags ? json_object_set_new(o, "tags", hex_json(v->tags, granules, 1)) : 0;
}

static json_t *regions_json(const struct dump_summary *s)
{
	_json json_t *all = json_array();
	unsigned int i;

	for (i = 0; i < s->region_count; i++)
		if (json_array_append_new(
			    all, json_pack("{s:I, s:I}", "gpa", (json_int_t)s->regions[i].gpa,
					 "len", (json_int_t)s->regions[i].len)))
			return NULL;
	return json_incref(all);
}

static int print_json(const struct dump_summary *s, const struct view *v, FILE *out, struct err *e)
{
	_json json_t *regions = regions_json(s);
	_json json_t *o = json_pack("{s:I, s:s, s:I, s:O, s:I, s:b, s:I}", "file_bytes",
		(json_int_t)s->bytes, "arch", arch_of(s), "ram_bytes", (json_int_t)s->ram_bytes,
		"regions", regions, "memory_pages", (json_int_t)s->memory_pages, "memory_tags",
		(int)s->has_tags, "tagged_pages", (json_int_t)s->tagged_pages);

	/* That it could not be written `out` knows, as after text. */
	if (!o || (v->wanted && add_view(o, s, v)) ||
		(json_dumpf(o, out, JSON_INDENT(2)) && !ferror(out)))
		return err_set(e, -ENOMEM, "out of memory");
	fputc('\n', out);
	return 0;
}

int inspect_run(const struct inspect_options *o, const char *path, FILE *out, struct err *e)
{
	_free uint8_t *bytes = calloc(1, LEN_MAX + LEN_MAX / MTE_GRANULE + 2);
	struct dump_summary s;
	struct view v;
	int r = parse_view(o, &v, e);

	if (!r && !bytes)
		r = err_set(e, -ENOMEM, "out of memory");
	if (r)
		return r;
	v.bytes = bytes;
	v.tags = bytes + LEN_MAX;
	r = read_dump(path, &v, &s, e);
	if (!r && v.wanted && !dump_has_ram(&s, v.gpa, v.len))
		r = err_set(e, -EFAULT,
			"gpa 0x%" PRIx64 ", %" PRIu64 " bytes: not in the guest's memory", v.gpa,
			v.len);
	if (r)
		return r;
	if (o->json)
		return print_json(&s, &v, out, e);
	print_text(&s, &v, out);
	return 0;
}
