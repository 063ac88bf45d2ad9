/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/measure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/features.h"
#include "vmm/util/fd.h"

/* Kernel, initrd, parameters, firmware, and the kernel as it was unpacked. */
#define SOURCES 5

struct measuring {
	FILE *out;
	/* What a piece may be a part of: then the text says which part, instead of one more digest. */
	struct {
		const char *name;
		const void *data;
		uint64_t len;
	} sources[SOURCES];
	unsigned int source_count;
};

static void put_machine(FILE *out, const struct measure_input *in)
{
	const struct arch_layout *l = in->layout;
	char names[400];
	unsigned int i;

	fprintf(out, "nacre-measurement %u\n", MEASURE_VERSION);
	fprintf(out, "arch %s\n", in->arch);
	fprintf(out, "mode %s\n", protection_name(in->config->protection));
	fprintf(out, "private-memory %s\n", in->config->open_memory ? "open" : "strict");
	fprintf(out, "cpus %" PRIu32 "\n", in->config->cpus);
	if (in->config->smt)
		fprintf(out, "threads-per-core 2\n");
	fprintf(out, "hidden-features %s\n",
		arch_feature_names(in->config->hidden, names, sizeof(names)));
	for (i = 0; i < l->ram_count; i++)
		fprintf(out, "ram 0x%" PRIx64 " 0x%" PRIx64 "\n", l->ram[i].base.v, l->ram[i].size);
	if (l->alias_bit)
		fprintf(out, "alias 0x%" PRIx64 " %s 0x%" PRIx64 "\n", l->alias_bit,
			l->alias_is_private ? "private" : "shared", l->alias_both);
}

static void add_source(struct measuring *m, const char *name, const void *data, uint64_t len)
{
	m->sources[m->source_count].name = name;
	m->sources[m->source_count].data = data;
	m->sources[m->source_count++].len = len;
}

static void put_input(struct measuring *m, const char *name, const void *data, uint64_t len)
{
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX];

	sha256_of(data, len, digest);
	add_source(m, name, data, len);
	fprintf(m->out, "input %s 0x%" PRIx64 " %s\n", name, len, sha256_hex(digest, hex));
}

static void put_inputs(struct measuring *m, const struct boot_files *f)
{
	if (f->kernel.data)
		put_input(m, "kernel", f->kernel.data, f->kernel.len);
	if (f->initrd.data)
		put_input(m, "initrd", f->initrd.data, f->initrd.len);
	if (f->kernel.data)
		put_input(m, "params", f->params, strlen(f->params));
	if (f->firmware.data)
		put_input(m, "firmware", f->firmware.data, f->firmware.len);
}

/* What comes of unpacking is settled by what was packed, which has been hashed with its file. */
static void put_unpacked(struct measuring *m, const struct boot_plan *p)
{
	if (!p->unpacked.data)
		return;
	add_source(m, "unpacked", p->unpacked.data, p->unpacked.len);
	fprintf(m->out, "unpacked 0x%zx %s 0x%" PRIx64 " 0x%" PRIx64 "\n", p->unpacked.len,
		p->packed.format, p->packed.at, p->packed.len);
}

/* A copy of the piece without its random bytes; NULL when out of memory. */
static void *without_random(const struct boot_item *piece)
{
	uint8_t *copy = malloc(piece->len);
	unsigned int i;

	if (!copy)
		return NULL;
	memcpy(copy, piece->data, piece->len);
	for (i = 0; i < BOOT_RANDOM_MAX; i++)
		memset(copy + piece->random[i].at, 0, piece->random[i].len);
	return copy;
}

/* Compared as numbers: the piece may be anywhere. */
static bool put_source(const struct measuring *m, const struct boot_item *piece)
{
	unsigned int i;

	for (i = 0; i < m->source_count && piece->len && !piece->random[0].len; i++) {
		uint64_t at = (uintptr_t)piece->data - (uintptr_t)m->sources[i].data;

		if (at >= m->sources[i].len || piece->len > m->sources[i].len - at)
			continue;
		fprintf(m->out, " %s 0x%" PRIx64, m->sources[i].name, at);
		return true;
	}
	return false;
}

static int put_digest(const struct measuring *m, const struct boot_item *piece, struct err *e)
{
	_free void *copy = piece->random[0].len ? without_random(piece) : NULL;
	uint8_t digest[SHA256_SIZE];
	char hex[SHA256_HEX];
	unsigned int i;

	if (piece->random[0].len && !copy)
		return err_set(e, -ENOMEM, "measurement: out of memory");
	sha256_of(copy ? copy : piece->data, piece->len, digest);
	fprintf(m->out, " %s", sha256_hex(digest, hex));
	for (i = 0; i < BOOT_RANDOM_MAX && piece->random[i].len; i++)
		fprintf(m->out, " random 0x%" PRIx64 " 0x%" PRIx64, piece->random[i].at,
			piece->random[i].len);
	return 0;
}

static int put_piece(void *ctx, const struct boot_item *piece, struct err *e)
{
	struct measuring *m = ctx;
	int r = 0;

	fprintf(m->out, "piece 0x%" PRIx64 " 0x%" PRIx64, piece->dst.v, piece->len);
	if (!put_source(m, piece))
		r = put_digest(m, piece, e);
	fputc('\n', m->out);
	return r;
}

static int put_pieces(struct measuring *m, const struct measure_input *in, struct err *e)
{
	struct boot_entry entry = in->plan->entry;
	unsigned int i;
	int r = 0;

	if (in->stage)
		r = boot_stage_each(in->stage, put_piece, m, &entry, e);
	for (i = 0; !in->stage && !r && i < in->plan->count; i++)
		r = put_piece(m, &in->plan->items[i], e);
	if (!r && in->own)
		r = in->own(in->config, in->layout, put_piece, m, e);
	fprintf(m->out, "start %s 0x%" PRIx64 " 0x%" PRIx64 " 0x%" PRIx64 "\n",
		entry.is_program ? "program"
		: entry.is_pvh	 ? "pvh"
				 : "kernel",
		entry.pc.v, entry.arg, entry.tables.v);
	return r;
}

int measure(const struct measure_input *in, struct measurement *out, struct err *e)
{
	struct measuring m = { .source_count = 0 };
	int r;

	*out = (struct measurement){ .len = 0 };
	m.out = open_memstream(&out->text, &out->len);
	if (!m.out)
		return err_set(e, -ENOMEM, "measurement: out of memory");
	put_machine(m.out, in);
	put_inputs(&m, in->files);
	put_unpacked(&m, in->plan);
	r = put_pieces(&m, in, e);
	/* Such a stream fails for want of memory only, and says so at the latest here. */
	if ((ferror(m.out) | fclose(m.out)) && !r)
		r = err_set(e, -ENOMEM, "measurement: out of memory");
	if (r) {
		measurement_free(out);
		return r;
	}
	sha256_of(out->text, out->len, out->digest);
	return 0;
}

void measurement_free(struct measurement *m)
{
	free(m->text);
	*m = (struct measurement){ .len = 0 };
}
