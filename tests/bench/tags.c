/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tags WHERE - memory tags of 64 MiB, copied by mem/mte and by nothing but the ioctl in a loop, in turns
 *
 * One line for reading, one for writing and one for finding the pages that have tags:
 * tags WHERE WHAT BARE OURS, nanoseconds of processor time: a host that
 * has just started has other things to do. arm64 only; status 77 where guests have no tags.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "mem/guard.h"
#include "mem/mte.h"
#include "vmm/kvm.h"
#include "vmm/util/bits.h"

#define BASE   GIB(1)
#define LEN    MIB(64)
#define ROUNDS 5u

static int vm;
static uint8_t tags[LEN / MTE_GRANULE];

static _Noreturn void die(const struct err *e)
{
	fprintf(stderr, "tags: %s\n", e->msg);
	exit(77);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int op_set(void *ctx, const struct slot_desc *d, struct err *e)
{
	struct kvm_slot s = { d->id, d->gpa.v, d->size, d->hva, -1, 0 };

	(void)ctx;
	return kvm_set_slot(vm, &s, e);
}

static int op_del(void *ctx, const struct slot_desc *d, struct err *e)
{
	(void)ctx;
	(void)d;
	(void)e;
	return 0;
}

static int64_t op_copy(void *ctx, gpa_t a, uint64_t len, uint8_t *to, bool to_guest, struct err *e)
{
	(void)ctx;
	return kvm_copy_tags(vm, a.v, len, to, to_guest, e);
}

static const struct slot_ops slot_ops = { .set = op_set, .del = op_del };
static const struct mte_ops mte_ops = { .copy = op_copy };

static void make_vm(struct mte *m)
{
	struct mem_region_desc d = { MEM_OPEN, "ram", { BASE }, LEN };
	struct slot_table *table = slot_table_new(&slot_ops, NULL, 8);
	struct err e = { "" };
	struct mem *mem;
	int kvm = kvm_open(&e);

	if (kvm < 0 || guard_init(&e))
		die(&e);
	vm = kvm_create_vm(kvm, 0, &e);
	if (vm < 0 || kvm_enable_cap(vm, ABI_CAP_ARM_MTE, 0, &e) || mem_new(&mem, table, &e) ||
		mem_add(mem, &d, &e))
		die(&e);
	memset(mem_host(mem, gpa(BASE), LEN), 1, LEN);
	*m = (struct mte){ .mem = mem, .ops = &mte_ops };
}

/* The floor: nothing is checked but that it comes to an end. */
static uint64_t bare(uint64_t flags)
{
	struct abi_copy_tags c = {
		.gpa = BASE, .length = LEN, .tags = (uint64_t)(uintptr_t)tags, .flags = flags
	};
	uint64_t begin = now_ns();
	int n;

	while (c.length) {
		n = ioctl(vm, ABI_MTE_COPY_TAGS, &c);
		if (n <= 0) {
			perror("tags: KVM_ARM_MTE_COPY_TAGS");
			exit(1);
		}
		c.gpa += (uint64_t)n;
		c.length -= (uint64_t)n;
		c.tags += (uint64_t)n / MTE_GRANULE;
	}
	return now_ns() - begin;
}

static uint64_t walk(const struct mte *m)
{
	static struct mte_walk w;
	uint64_t begin = now_ns(), pages = 0;
	struct err e = { "" };
	const uint8_t *page;
	gpa_t at;
	int r = mte_walk_begin(&w, m, gpa(BASE), LEN, &e);

	for (; r >= 0 && !mte_walk_done(&w); pages += r > 0)
		r = mte_walk_next(&w, &at, &page, &e);
	if (r < 0 || pages != LEN / PAGE_SIZE)
		die(&e);
	return now_ns() - begin;
}

static uint64_t ours(const struct mte *m, unsigned int what)
{
	uint64_t begin = now_ns();
	struct err e = { "" };
	int r;

	if (what == 2)
		return walk(m);
	r = what ? mte_write(m, gpa(BASE), LEN, tags, &e) : mte_read(m, gpa(BASE), LEN, tags, &e);
	if (r)
		die(&e);
	return now_ns() - begin;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "read", "write", "walk" };
	static const uint64_t flags[] = { ABI_MTE_FROM_GUEST, 0, ABI_MTE_FROM_GUEST };
	uint64_t floor_ns[ROUNDS], our_ns[ROUNDS];
	unsigned int what;
	struct mte m;
	size_t i;

	if (argc != 2)
		return 2;
	make_vm(&m);
	for (i = 0; i < sizeof(tags); i++)
		tags[i] = (uint8_t)(1 + i % 15U);
	ours(&m, 1);
	for (what = 0; what < ARRAY_SIZE(names); what++) {
		for (i = 0; i < ROUNDS; i++) {
			floor_ns[i] = bare(flags[what]);
			our_ns[i] = ours(&m, what);
		}
		qsort(floor_ns, ROUNDS, sizeof(floor_ns[0]), compare);
		qsort(our_ns, ROUNDS, sizeof(our_ns[0]), compare);
		printf("tags %s %s %llu %llu\n", argv[1], names[what],
			(unsigned long long)floor_ns[ROUNDS / 2],
			(unsigned long long)our_ns[ROUNDS / 2]);
	}
	return 0;
}
