/* SPDX-License-Identifier: Apache-2.0 */

/*
 * floor_convert MODE MIB CPUS PROGRAM [attributes]
 *
 * Runs the guest bench_convert in a mode with guest_memfd, and nothing around it: no sandbox, no devices
 * but what the guest needs to print. A conversion is planned by Nacre's own code, which does not reach KVM
 * meanwhile; then the other vCPUs are parked, the same slots are deleted and created and the same bytes
 * punched out, by the ioctls one after the other. Behind each line of the guest come the median times of
 * what is to be taken off its own, and of slot calls the mean for a conversion to shared:
 *
 *   ... plan SHARE UNSHARE slots DELETED CREATED
 *
 * in nanoseconds a call. With `attributes` pages change sides by KVM_SET_MEMORY_ATTRIBUTES, and those that
 * are not shared any more are given back by MADV_DONTNEED; that our mapping follows (mem/attributes.h) is
 * Nacre's own wish, so it is done, and taken off.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "mem/alias.h"
#include "mem/convert.h"
#include "mem/guard.h"
#include "tests/bench/floor_vcpus.h"
#include "vmm/kvm.h"
#include "vmm/protect.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/fd.h"

#define SAMPLES_MAX 16384u

enum call_kind { CALL_SET, CALL_DELETE, CALL_DISCARD, CALL_ATTRIBUTE, CALL_PROTECT };

struct call {
	enum call_kind kind;
	struct slot_desc slot;
	const struct backing *backing;
	uint64_t off, len;
	bool flag; /* private; access */
};

struct samples {
	uint64_t ns[SAMPLES_MAX];
	unsigned int count;
};

struct floor {
	int kvm, vm;
	struct floor_vcpus vcpus;
	struct arch_config config;
	struct arch_layout layout;
	struct arch_vm *arch;
	struct mem *mem;
	bool recording;
	struct call *calls;
	size_t count, room;
	struct samples plan[2];		   /* to shared, to private */
	uint64_t deleted, created, shares; /* of conversions to shared */
};

static _Noreturn void die(const struct err *e)
{
	fprintf(stderr, "floor_convert: %s\n", e->msg);
	exit(77);
}

/* ---- recording and doing ---- */

static int set_slot(struct floor *f, const struct slot_desc *d, bool create, struct err *e)
{
	struct kvm_slot s = { d->id, d->gpa.v, create ? d->size : 0, d->hva,
		create ? d->gmem_fd : -1, d->gmem_offset };

	return kvm_set_slot(f->vm, &s, e);
}

static int do_call(struct floor *f, const struct call *c, struct err *e)
{
	if (c->kind == CALL_DISCARD)
		return backing_discard(c->backing, c->off, c->len);
	if (c->kind == CALL_PROTECT)
		return backing_protect(c->backing, c->off, c->len, c->flag);
	if (c->kind == CALL_ATTRIBUTE)
		return kvm_set_private(f->vm, c->off, c->len, c->flag, e);
	return set_slot(f, &c->slot, c->kind == CALL_SET, e);
}

/* The part of it that is timed. */
static int do_floor(struct floor *f, const struct call *c, struct err *e)
{
	if (c->kind != CALL_PROTECT)
		return do_call(f, c, e);
	return c->flag ? 0 : backing_discard(c->backing, c->off, c->len);
}

static int record(struct floor *f, const struct call *c, struct err *e)
{
	if (!f->recording)
		return do_call(f, c, e);
	if (f->count == f->room) {
		f->room = f->room ? 2 * f->room : 64;
		f->calls = realloc(f->calls, f->room * sizeof(*c));
		if (!f->calls)
			abort();
	}
	f->calls[f->count++] = *c;
	return 0;
}

static int op_set(void *ctx, const struct slot_desc *d, struct err *e)
{
	return record(ctx, &(struct call){ .kind = CALL_SET, .slot = *d }, e);
}

static int op_del(void *ctx, const struct slot_desc *d, struct err *e)
{
	return record(ctx, &(struct call){ .kind = CALL_DELETE, .slot = *d }, e);
}

static int op_discard(void *ctx, const struct backing *b, uint64_t off, uint64_t len)
{
	struct call c = { .kind = CALL_DISCARD, .backing = b, .off = off, .len = len };
	struct err ignored;

	return record(ctx, &c, &ignored);
}

static int op_set_private(void *ctx, gpa_t a, uint64_t len, bool private, struct err *e)
{
	struct call c = { .kind = CALL_ATTRIBUTE, .off = a.v, .len = len, .flag = private };

	return record(ctx, &c, e);
}

static int op_protect(void *ctx, const struct backing *b, uint64_t off, uint64_t len, bool access)
{
	struct call c = {
		.kind = CALL_PROTECT, .backing = b, .off = off, .len = len, .flag = access
	};
	struct err ignored;

	return record(ctx, &c, &ignored);
}

static int op_new_gmem(void *ctx, uint64_t size, struct err *e)
{
	const struct floor *f = ctx;

	return kvm_create_gmem(f->vm, size, protect_gmem_flags(&f->config), e);
}

static const struct slot_ops ops = { op_set, op_del, op_new_gmem, op_discard, op_set_private,
	op_protect };

static void keep(struct samples *s, uint64_t ns)
{
	if (s->count < SAMPLES_MAX)
		s->ns[s->count++] = ns;
}

static void count_slots(struct floor *f)
{
	size_t i;

	f->shares++;
	for (i = 0; i < f->count; i++) {
		f->created += f->calls[i].kind == CALL_SET;
		f->deleted += f->calls[i].kind == CALL_DELETE;
	}
}

/* The bare sequence. */
static int do_all(struct floor *f, struct err *e)
{
	size_t i;
	int r = 0;

	floor_park(&f->vcpus);
	for (i = 0; i < f->count && !r; i++)
		r = do_floor(f, &f->calls[i], e);
	floor_release(&f->vcpus);
	return r;
}

/* Of ours alone. */
static int do_rest(struct floor *f, struct err *e)
{
	size_t i;
	int r = 0;

	for (i = 0; i < f->count && !r; i++)
		if (f->calls[i].kind == CALL_PROTECT)
			r = do_call(f, &f->calls[i], e);
	return r;
}

static int convert(struct floor *f, const struct arch_convert *c)
{
	uint64_t start = clock_ns(), planned, done;
	struct err e = { "" };
	int r = convert_check(f->mem, c->gpa, c->len, &e);

	if (r || convert_is_noop(f->mem, c->gpa, c->len, c->to_private))
		return r;
	f->count = 0;
	f->recording = true;
	r = convert_apply(f->mem, c->gpa, c->len, c->to_private, &e);
	f->recording = false;
	planned = clock_ns();
	if (!r)
		r = do_all(f, &e);
	done = clock_ns();
	if (!r)
		r = do_rest(f, &e);
	if (r)
		die(&e);
	keep(&f->plan[c->to_private], planned - start + (clock_ns() - done));
	if (!c->to_private)
		count_slots(f);
	return 0;
}

/* ---- exits ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static unsigned long long median(struct samples *s)
{
	unsigned long long m = 0;

	if (s->count) {
		qsort(s->ns, s->count, sizeof(s->ns[0]), compare);
		m = s->ns[s->count / 2];
	}
	s->count = 0;
	return m;
}

static void end_line(struct floor *f)
{
	double shares = f->shares ? (double)f->shares : 1;

	printf(" plan %llu", median(&f->plan[0]));
	printf(" %llu slots %.1f %.1f\n", median(&f->plan[1]), (double)f->deleted / shares,
		(double)f->created / shares);
	fflush(stdout);
	f->deleted = f->created = f->shares = 0;
}

static void print_char(struct floor *f, uint8_t c)
{
	if (c == '\n')
		end_line(f);
	else if (c != '\r')
		putchar(c);
}

/* The serial port is always ready; all other registers read as 0xff. */
static void access_device(struct floor *f, uint64_t at, bool write, uint8_t *data, unsigned int len)
{
	uint64_t serial = platform_find(&f->layout.platform, PLATFORM_SERIAL)->base;

	if (!write)
		memset(data, at == serial + 5 ? 0x60 : 0xff, len);
	else if (at == serial)
		print_char(f, data[0]);
	else if (at == platform_find(&f->layout.platform, PLATFORM_POWER)->base)
		floor_end(&f->vcpus);
}

/* Only the first vCPU's program does anything that we hear of. */
static void handle_exit(void *ctx, int vcpu, struct kvm_run *run)
{
	struct floor *f = ctx;
	struct arch_convert c;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		access_device(f, run->io.port, run->io.direction == KVM_EXIT_IO_OUT,
			(uint8_t *)run + run->io.data_offset, run->io.size);
		break;
	case KVM_EXIT_MMIO:
		access_device(
			f, run->mmio.phys_addr, run->mmio.is_write, run->mmio.data, run->mmio.len);
		break;
	case KVM_EXIT_HYPERCALL:
		if (arch_hypercall(f->arch, vcpu, run, &c))
			arch_convert_done(f->arch, vcpu, run, &c, convert(f, &c));
		break;
	default:
		fprintf(stderr, "floor_convert: exit %u\n", run->exit_reason);
		exit(1);
	}
}

/* ---- making the VM ---- */

static int make_vm(struct floor *f, struct err *e)
{
	uint64_t type;
	int r = arch_layout(&f->config, &f->layout, e);

	if (r)
		return r;
	f->kvm = kvm_open(e);
	if (f->kvm < 0)
		return f->kvm;
	r = protect_conversion(f->kvm, &f->config, e);
	if (r)
		return r;
	r = arch_vm_type(f->kvm, &f->config, &f->layout, &type, e);
	if (r)
		return r;
	f->vm = kvm_create_vm(f->kvm, type, e);
	if (f->vm < 0)
		return f->vm;
	r = arch_check(f->kvm, f->vm, &f->config, e);
	return r ? r : arch_vm_new(&f->arch, f->kvm, f->vm, &f->config, e);
}

static int add_range(struct floor *f, gpa_t base, uint64_t size, struct err *e)
{
	enum mem_kind split =
		f->config.conversion == CONVERSION_ATTRIBUTES ? MEM_ATTRIBUTES : MEM_SPLIT;
	enum mem_kind kind = f->layout.alias_bit ? MEM_ALIAS : split;
	struct mem_region_desc both = { MEM_BOTH, "low ram", base,
		min_u64(size, base.v ? 0 : f->layout.alias_both) };
	struct mem_region_desc d = { kind, "ram", gpa_add(base, both.size), size - both.size };
	int r = both.size ? mem_add(f->mem, &both, e) : 0;

	return r ? r : mem_add(f->mem, &d, e);
}

static int make_memory(struct floor *f, struct err *e)
{
	struct slot_table *table;
	unsigned int i;
	int r;

	table = slot_table_new(&ops, f, (uint32_t)kvm_has(f->vm, KVM_CAP_NR_MEMSLOTS));
	if (!table)
		return err_set(e, -1, "out of memory");
	r = mem_new(&f->mem, table, e);
	if (!r && f->layout.alias_bit)
		mem_alias_set(f->mem, f->layout.alias_bit, f->layout.alias_is_private,
			f->config.ram_bytes);
	if (f->layout.alias_traps)
		mem_alias_trap(f->mem, !arch_guest_can_share());
	for (i = 0; i < f->layout.ram_count && !r; i++)
		r = add_range(f, f->layout.ram[i].base, f->layout.ram[i].size, e);
	return r ? r : arch_vm_memory(f->arch, f->mem, e);
}

static int make_vcpus(struct floor *f, struct err *e)
{
	unsigned int i;
	int r = floor_vcpus_make(&f->vcpus, f->kvm, f->vm, f->config.cpus, e);

	for (i = 0; i < f->config.cpus && r >= 0; i++)
		r = arch_vcpu_init(f->arch, f->vcpus.vcpu[i].fd, i, e);
	return r < 0 ? r : arch_vm_ready(f->arch, e);
}

static int load(struct floor *f, const char *path, struct err *e)
{
	struct boot_stage s = {
		.layout = &f->layout, .protection = f->config.protection, .cpus = f->config.cpus
	};
	struct mem_region_desc d = { MEM_STAGING, "staging", f->layout.staging, 0 };
	struct boot_entry entry;
	struct blob program;
	unsigned int i;
	int r = blob_read(path, MIB(1), &program, e);

	if (r)
		return r;
	s.program = program.data;
	s.program_len = program.len;
	r = boot_stage_size(&s, &d.size, e);
	if (!r)
		r = mem_add(f->mem, &d, e);
	if (!r)
		r = boot_stage_fill(&s, f->mem, d.size, &entry, e);
	blob_free(&program);
	for (i = 0; i < f->config.cpus && r >= 0; i++)
		r = arch_vcpu_start(f->arch, f->vcpus.vcpu[i].fd, i, &entry, e);
	return r;
}

static enum protection find_mode(const char *name)
{
	unsigned int i;

	for (i = 0; i < PROTECTION_MODES && strcmp(name, protection_names[i]) != 0; i++)
		continue;
	if (i < PROTECTION_MODES && protection_has_gmem((enum protection)i))
		return (enum protection)i;
	fprintf(stderr, "floor_convert: %s is no mode with guest_memfd\n", name);
	exit(2);
}

int main(int argc, char **argv)
{
	static struct floor f;
	struct err e = { "" };

	if (argc != 5 && (argc != 6 || strcmp(argv[5], "attributes") != 0)) {
		fprintf(stderr, "usage: floor_convert MODE MIB CPUS PROGRAM [attributes]\n");
		return 2;
	}
	f.config = (struct arch_config){
		.protection = find_mode(argv[1]),
		.conversion = argc == 6 ? CONVERSION_ATTRIBUTES : CONVERSION_SWAP,
		.cpus = (uint32_t)strtoul(argv[3], NULL, 10),
		.ram_bytes = strtoull(argv[2], NULL, 10) << 20,
	};
	/* As `nacre run --private-memory open`: where KVM reads the guest's page tables. */
	f.config.open_memory = f.config.protection == PROTECTION_SOFT_SEV && arch_kvm_emulates();
	if (guard_init(&e) || make_vm(&f, &e) || make_memory(&f, &e) || make_vcpus(&f, &e) ||
		load(&f, argv[4], &e) < 0 || floor_vcpus_run(&f.vcpus, handle_exit, &f, &e))
		die(&e);
	return 0;
}
