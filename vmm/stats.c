/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/stats.h"

#include <inttypes.h>

#include "vmm/util/bits.h"

#define RELAXED memory_order_relaxed

static void add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, RELAXED);
}

static void raise_to(_Atomic uint64_t *peak, uint64_t v)
{
	uint64_t old = atomic_load_explicit(peak, RELAXED);

	while (old < v && !atomic_compare_exchange_weak_explicit(peak, &old, v, RELAXED, RELAXED))
		;
}

/* Below 4 each number has a bucket; then the top bit and the two behind it choose. */
static unsigned int time_bucket(uint64_t ns)
{
	unsigned int top, i;

	if (ns < 4)
		return (unsigned int)ns;
	top = 63u - (unsigned int)__builtin_clzll(ns);
	i = (top - 1) * 4 + (unsigned int)(ns >> (top - 2) & 3);
	return i < STATS_TIMES ? i : STATS_TIMES - 1;
}

/* The largest number in a bucket but the last. */
static uint64_t bucket_end(unsigned int i)
{
	return i < 4 ? i : ((4ULL + i % 4 + 1) << (i / 4 - 1)) - 1;
}

static unsigned int size_bucket(uint64_t bytes)
{
	uint64_t pages = bytes / PAGE_SIZE;
	unsigned int i = pages ? 63u - (unsigned int)__builtin_clzll(pages) : 0;

	return i < STATS_SIZES ? i : STATS_SIZES - 1;
}

void stats_converted(struct stats *s, bool to_private, uint64_t bytes, uint64_t ns)
{
	struct stats_convert *c = &s->convert[to_private];

	add(&c->bytes, bytes);
	add(&c->sizes[size_bucket(bytes)], 1);
	add(&c->times[time_bucket(ns)], 1);
	raise_to(&c->longest, ns);
}

void stats_refused(struct stats *s, bool to_private)
{
	add(&s->convert[to_private].refused, 1);
}

void stats_unchanged(struct stats *s, bool to_private)
{
	add(&s->convert[to_private].unchanged, 1);
}

void stats_shared(struct stats *s, uint64_t bytes)
{
	atomic_store_explicit(&s->shared_now, bytes, RELAXED);
	raise_to(&s->shared_peak, bytes);
}

/* ---- reports ---- */

/* The end of the bucket in which the percent-th of all times lies. */
static uint64_t percentile(
	const uint64_t times[STATS_TIMES], uint64_t all, unsigned int percent, uint64_t longest)
{
	uint64_t rank = (all * percent + 99) / 100, seen = 0;
	unsigned int i;

	for (i = 0; i < STATS_TIMES - 1; i++) {
		seen += times[i];
		if (seen >= rank)
			return min_u64(bucket_end(i), longest);
	}
	return longest;
}

static void read_convert(const struct stats_convert *c, struct stats_convert_report *out)
{
	uint64_t times[STATS_TIMES];
	unsigned int i;

	*out = (struct stats_convert_report){
		.refused = atomic_load_explicit(&c->refused, RELAXED),
		.unchanged = atomic_load_explicit(&c->unchanged, RELAXED),
		.bytes = atomic_load_explicit(&c->bytes, RELAXED),
		.longest = atomic_load_explicit(&c->longest, RELAXED),
	};
	for (i = 0; i < STATS_SIZES; i++)
		out->sizes[i] = atomic_load_explicit(&c->sizes[i], RELAXED);
	/* Counted from here, so that the percentiles are of just these. */
	for (i = 0; i < STATS_TIMES; i++) {
		times[i] = atomic_load_explicit(&c->times[i], RELAXED);
		out->done += times[i];
	}
	if (!out->done)
		return;
	out->median = percentile(times, out->done, 50, out->longest);
	out->p90 = percentile(times, out->done, 90, out->longest);
	out->p99 = percentile(times, out->done, 99, out->longest);
}

void stats_add_vcpu(struct stats_report *r, const struct stats_vcpu *v)
{
	r->vcpu.io_in += atomic_load_explicit(&v->io_in, RELAXED);
	r->vcpu.io_out += atomic_load_explicit(&v->io_out, RELAXED);
	r->vcpu.mmio_read += atomic_load_explicit(&v->mmio_read, RELAXED);
	r->vcpu.mmio_write += atomic_load_explicit(&v->mmio_write, RELAXED);
	r->vcpu.failures += atomic_load_explicit(&v->failures, RELAXED);
}

void stats_read(const struct stats *s, struct stats_report *out)
{
	read_convert(&s->convert[0], &out->convert[0]);
	read_convert(&s->convert[1], &out->convert[1]);
	out->shared_now = atomic_load_explicit(&s->shared_now, RELAXED);
	out->shared_peak = atomic_load_explicit(&s->shared_peak, RELAXED);
}

/* A number of bytes in the largest unit that leaves it whole, or in KiB. */
static const char *bytes_text(uint64_t bytes, char buf[32])
{
	static const char *const units[] = { "KiB", "MiB", "GiB" };
	uint64_t n = (bytes + 1023) / 1024;
	unsigned int u = 0;

	while (u + 1 < ARRAY_SIZE(units) && n && n % 1024 == 0) {
		n /= 1024;
		u++;
	}
	snprintf(buf, 32, "%" PRIu64 " %s", n, units[u]);
	return buf;
}

static double us(uint64_t ns)
{
	return (double)ns / 1000;
}

static void print_convert(const char *to, const struct stats_convert_report *c, FILE *out)
{
	const char *before = " ";
	char text[32];
	unsigned int i;

	fprintf(out,
		"nacre: conversions to %s: %" PRIu64 ", %s in all; %" PRIu64
		" changed nothing, %" PRIu64 " refused\n",
		to, c->done, bytes_text(c->bytes, text), c->unchanged, c->refused);
	if (!c->done)
		return;
	fprintf(out, "nacre: conversions to %s, by size from:", to);
	for (i = 0; i < STATS_SIZES; i++) {
		if (!c->sizes[i])
			continue;
		fprintf(out, "%s%s %" PRIu64, before, bytes_text(PAGE_SIZE << i, text),
			c->sizes[i]);
		before = ", ";
	}
	fprintf(out,
		"\nnacre: conversions to %s took: median %.1f us, 90%% %.1f us, 99%% %.1f us, "
		"longest %.1f us\n",
		to, us(c->median), us(c->p90), us(c->p99), us(c->longest));
}

static void print_device(const struct stats_device *d, FILE *out)
{
	char now[32], peak[32];

	fprintf(out,
		"nacre: device %u %s: buffers %s, at most %s; failed %" PRIu64 " times, %" PRIu64
		" of them for memory that it may not touch%s\n",
		d->slot, d->name, bytes_text(d->held, now), bytes_text(d->held_peak, peak),
		d->failures, d->faults, d->is_broken ? "; waits for its reset" : "");
}

void stats_print(const struct stats_report *r, FILE *out)
{
	char now[32], peak[32], ram[32];
	unsigned int i;

	fprintf(out, "nacre: statistics after %" PRIu64 ".%03u s\n", r->uptime_ms / 1000,
		(unsigned int)(r->uptime_ms % 1000));
	if (r->is_split) {
		fprintf(out, "nacre: shared memory: %s, at most %s, of %s\n",
			bytes_text(r->shared_now, now), bytes_text(r->shared_peak, peak),
			bytes_text(r->ram_bytes, ram));
		print_convert("shared", &r->convert[0], out);
		print_convert("private", &r->convert[1], out);
	}
	if (r->device_count)
		fprintf(out, "nacre: buffers of all devices: %s, at most %s\n",
			bytes_text(r->held_now, now), bytes_text(r->held_peak, peak));
	for (i = 0; i < r->device_count; i++)
		print_device(&r->devices[i], out);
}
