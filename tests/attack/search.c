/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/attack/search.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/guest/lib/marker.h"

#define PAGE  4096u
#define CHUNK (16 * PAGE)

static bool is_marker(const char *p)
{
	unsigned int i;

	for (i = 0; i < MARKER_WORDS; i++) {
		uint64_t word = marker_word(i);

		if (memcmp(p + 8 * i, &word, 8) != 0)
			return false;
	}
	return true;
}

uint64_t marker_count(const void *p, size_t len)
{
	const char *at = p, *end = at + len;
	uint64_t first = marker_word(0), n = 0;

	while ((at = memmem(at, (size_t)(end - at), &first, sizeof(first)))) {
		bool found = end - at >= MARKER_BYTES && is_marker(at);

		n += found;
		at += found ? MARKER_BYTES : 1;
	}
	return n;
}

void tally_refusal(struct tally *t, long why)
{
	unsigned int i;

	for (i = 0; i < t->reason_count; i++)
		if (t->reasons[i] == why)
			return;
	if (i < sizeof(t->reasons) / sizeof(t->reasons[0]))
		t->reasons[t->reason_count++] = (int)why;
}

static const char *reason_name(int why)
{
	const char *name;

	if (why == 0)
		return "nothing";
	if (why <= BY_SIGNAL(0))
		return sigabbrev_np(-1000 - why);
	name = strerrorname_np(-why);
	return name ? name : "unknown";
}

void tally_print(
	int out, const char *prefix, const char *name, const char *kind, const struct tally *t)
{
	char text[160] = "-";
	size_t used = 0;
	unsigned int i;

	for (i = 0; i < t->reason_count; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s%s", i ? "," : "",
			t->reasons[i] <= BY_SIGNAL(0) ? "SIG" : "", reason_name(t->reasons[i]));
	dprintf(out, "%s%s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n", prefix, name, kind,
		t->pages, t->through, t->marked, text);
}

/* In large pieces; where one does not come whole, page by page. */
void search_range(struct tally *t, reader *r, void *ctx, uint64_t at, uint64_t len)
{
	static char buf[CHUNK] __attribute__((aligned(PAGE)));
	uint64_t step, end = at + len, p;
	long got;

	for (; at < end; at += step) {
		step = end - at < CHUNK ? end - at : CHUNK;
		t->pages += (step + PAGE - 1) / PAGE;
		if (r(ctx, buf, step, at) == (long)step) {
			t->through += (step + PAGE - 1) / PAGE;
			t->marked += marker_count(buf, step);
			continue;
		}
		for (p = at; p < at + step; p += PAGE) {
			got = r(ctx, buf, at + step - p < PAGE ? at + step - p : PAGE, p);
			if (got <= 0) {
				tally_refusal(t, got);
				continue;
			}
			t->through++;
			t->marked += marker_count(buf, (size_t)got);
		}
	}
}

bool search_maps(struct tally *t, reader *r, void *ctx, pid_t pid)
{
	char path[64], line[512];
	uint64_t from, to;
	FILE *maps;

	snprintf(path, sizeof(path), pid ? "/proc/%d/maps" : "/proc/self/maps", (int)pid);
	maps = fopen(path, "re");
	if (!maps)
		return false;
	while (fgets(line, sizeof(line), maps))
		/* Nobody can read [vsyscall], which is no memory of the process. */
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " r", &from, &to) == 2 && to > from &&
			(int64_t)from > 0)
			search_range(t, r, ctx, from, to - from);
	fclose(maps);
	return true;
}
