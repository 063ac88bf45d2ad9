/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A dump of memory that somebody made up. The first byte says whether checksums are put right before it
 * is read, so that what is behind them is reached; the second how many bytes come at a time.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "mem/dump.h"
#include "vmm/util/bits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left, step;
};

static ssize_t take(void *ctx, void *buf, size_t len)
{
	struct input *in = ctx;
	size_t n = len < in->step ? len : in->step;

	n = n < in->left ? n : in->left;
	memcpy(buf, in->at, n);
	in->at += n;
	in->left -= n;
	return (ssize_t)n;
}

struct seen {
	uint64_t next[2], pages[2];
	uint8_t sum;
};

static void see(
	struct seen *s, unsigned int which, gpa_t a, const uint8_t *p, uint64_t pages, size_t each)
{
	size_t i;

	if (!pages || pages > DUMP_PART_PAGES || a.v % PAGE_SIZE || a.v < s->next[which])
		abort();
	s->next[which] = a.v + pages * PAGE_SIZE;
	s->pages[which] += pages;
	for (i = 0; i < pages * each; i++)
		s->sum ^= p[i];
}

static void on_memory(void *ctx, gpa_t a, const uint8_t *bytes, uint64_t len)
{
	if (len % PAGE_SIZE)
		abort();
	see(ctx, 0, a, bytes, len / PAGE_SIZE, PAGE_SIZE);
}

static void on_tags(void *ctx, gpa_t a, const uint8_t *packed, uint64_t pages)
{
	see(ctx, 1, a, packed, pages, MTE_PAGE_PACKED);
}

static void put_checksums(uint8_t *p, size_t size)
{
	uint32_t sum, payload;
	size_t at = DUMP_HEADER;

	if (size < DUMP_HEADER)
		return;
	sum = dump_checksum(0, p, DUMP_HEADER - 4);
	memcpy(p + DUMP_HEADER - 4, &sum, 4);
	while (size - at >= DUMP_PART_HEADER) {
		memcpy(&payload, p + at + 4, 4);
		if (payload > size - at - DUMP_PART_HEADER)
			return;
		sum = dump_checksum(0, p + at, DUMP_PART_HEADER - 4);
		sum = dump_checksum(sum, p + at + DUMP_PART_HEADER, payload);
		memcpy(p + at + DUMP_PART_HEADER - 4, &sum, 4);
		at += DUMP_PART_HEADER + payload;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen seen = { { 0 } };
	struct dump_visitor visitor = { on_memory, on_tags, &seen };
	struct dump_summary s;
	struct err e = { "" };
	struct input in;
	uint8_t *copy;

	if (size < 2)
		return 0;
	copy = malloc(size - 1);
	memcpy(copy, data + 2, size - 2);
	if (data[0] & 1)
		put_checksums(copy, size - 2);
	in = (struct input){ copy, size - 2, 1 + (size_t)data[1] * 16 };
	if (dump_read(&(struct dump_source){ take, &in }, data[0] & 2 ? NULL : &visitor, &s, &e)) {
		if (!e.msg[0])
			abort();
	} else if (s.bytes != size - 2 || in.left || !s.region_count ||
		   (!(data[0] & 2) &&
			   (s.memory_pages != seen.pages[0] || s.tagged_pages != seen.pages[1]))) {
		abort();
	}
	free(copy);
	return 0;
}
