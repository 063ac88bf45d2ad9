/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/vm.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <string.h>

#include "mem/alias.h"
#include "mem/convert.h"
#include "vmm/kvm.h"
#include "vmm/memlock.h"
#include "vmm/protect.h"
#include "vmm/util/bits.h"
#include "vmm/util/clock.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"
#include "vmm/vm_convert.h"

#define SLOTS_FEW 32
/* Faults in a row at shared addresses whose slots are there: then it is the host that has no page. */
#define REFAULTS_MAX 64u

/* ---- what mem/ needs of KVM ---- */

static int vm_slot_set(void *ctx, const struct slot_desc *d, struct err *e)
{
	struct vm *vm = ctx;
	struct kvm_slot s = {
		.id = d->id,
		.gpa = d->gpa.v,
		.size = d->size,
		.hva = d->hva,
		.gmem_fd = d->gmem_fd,
		.gmem_offset = d->gmem_offset,
	};

	return kvm_set_slot(vm->fd, &s, e);
}

static int vm_slot_del(void *ctx, const struct slot_desc *d, struct err *e)
{
	struct vm *vm = ctx;
	struct kvm_slot s = { .id = d->id, .gpa = d->gpa.v, .hva = d->hva, .gmem_fd = -1 };

	return kvm_set_slot(vm->fd, &s, e);
}

static int vm_new_gmem(void *ctx, uint64_t size, struct err *e)
{
	struct vm *vm = ctx;

	return kvm_create_gmem(vm->fd, size, protect_gmem_flags(&vm->config), e);
}

static int vm_discard(void *ctx, const struct backing *b, uint64_t off, uint64_t len)
{
	(void)ctx;
	return backing_discard(b, off, len);
}

static int vm_set_private(void *ctx, gpa_t a, uint64_t len, bool private, struct err *e)
{
	struct vm *vm = ctx;

	return kvm_set_private(vm->fd, a.v, len, private, e);
}

static int vm_protect(void *ctx, const struct backing *b, uint64_t off, uint64_t len, bool access)
{
	(void)ctx;
	return backing_protect(b, off, len, access);
}

static int64_t vm_copy_tags(
	void *ctx, gpa_t a, uint64_t len, uint8_t *tags, bool to_guest, struct err *e)
{
	struct vm *vm = ctx;

	return kvm_copy_tags(vm->fd, a.v, len, tags, to_guest, e);
}

static const struct mte_ops vm_mte_ops = { .copy = vm_copy_tags };

static const struct slot_ops vm_slot_ops = {
	.set = vm_slot_set,
	.del = vm_slot_del,
	.new_gmem = vm_new_gmem,
	.discard = vm_discard,
	.set_private = vm_set_private,
	.protect = vm_protect,
};

/* ---- making and unmaking ---- */

/* All of it at once: the message names what all regions together lack. */
static int check_huge_pages(const struct vm *vm, struct err *e)
{
	uint64_t page = huge_page_size(vm->config.memory.hugepages);

	if (vm->config.memory.hugepages == HUGEPAGES_THP && huge_thp_never(HUGE_SYSFS))
		log_warn("hugepages thp: this host never makes any (" HUGE_SYSFS
			 "/transparent_hugepage/enabled); the guest runs on ordinary pages");
	return page ? huge_pool_check(HUGE_SYSFS, page, vm->config.ram_bytes, e) : 0;
}

static int add_range(struct vm *vm, enum mem_kind kind, gpa_t base, uint64_t size, struct err *e)
{
	struct mem_region_desc both = { MEM_BOTH, "low ram", base,
		min_u64(size, base.v ? 0 : vm->layout.alias_both) };
	struct mem_region_desc d = { kind, "ram", gpa_add(base, both.size), size - both.size };
	int r = both.size ? mem_add(vm->mem, &both, e) : 0;

	if (!r)
		r = mem_add_ram(vm->mem, &d, &vm->config.memory, e);
	if (r == -EINVAL && vm->config.mte && huge_page_size(vm->config.memory.hugepages))
		err_hint(e, r,
			"before Linux 6.13 huge pages of the pool cannot have tags: leave "
			"hugepages or mte out");
	return r;
}

static int add_ram(struct vm *vm, struct err *e)
{
	enum mem_kind kind = MEM_OPEN;
	unsigned int i;
	int r = check_huge_pages(vm, e);

	if (protection_is_alias(vm->config.protection))
		kind = MEM_ALIAS;
	else if (vm->config.protection == PROTECTION_PRIVATE)
		kind = vm->config.conversion == CONVERSION_ATTRIBUTES ? MEM_ATTRIBUTES : MEM_SPLIT;
	else if (vm->config.protection == PROTECTION_PKVM)
		kind = MEM_NATIVE;
	for (i = 0; i < vm->layout.ram_count && !r; i++)
		r = add_range(vm, kind, vm->layout.ram[i].base, vm->layout.ram[i].size, e);
	return r;
}

/*
 * The pool starts shared: its guest would ask for that page by page before the first request to a
 * device, at some 50 us each, and is told by the device tree before it runs any code of its own that
 * this part of its RAM is for devices. Under pKVM no one but the guest can share.
 */
static int share_pool(struct vm *vm, struct err *e)
{
	int r;

	if (!vm->layout.pool.size || !protection_has_gmem(vm->config.protection))
		return 0;
	r = convert_apply(vm->mem, vm->layout.pool.base, vm->layout.pool.size, false, e);
	/* No conversion of the guest's, but shared it is. */
	stats_shared(&vm->stats, mem_shared_bytes(vm->mem));
	return r;
}

static int make_memory(struct vm *vm, struct err *e)
{
	int max = kvm_has(vm->fd, KVM_CAP_NR_MEMSLOTS);
	int r;

	vm->slots = slot_table_new(&vm_slot_ops, vm, max > 0 ? (uint32_t)max : SLOTS_FEW);
	if (!vm->slots)
		return err_set(e, -ENOMEM, "memory slots: out of memory");
	r = mem_new(&vm->mem, vm->slots, e);
	vm->mte = (struct mte){ .mem = vm->mem, .ops = &vm_mte_ops, .ctx = vm };
	if (!r && vm->layout.alias_bit)
		mem_alias_set(vm->mem, vm->layout.alias_bit, vm->layout.alias_is_private,
			vm->config.shared_limit);
	if (!r && vm->layout.alias_traps)
		mem_alias_trap(vm->mem, !arch_guest_can_share());
	if (!r)
		r = add_ram(vm, e);
	return r ? r : share_pool(vm, e);
}

static int check_cpus(const struct vm *vm, struct err *e)
{
	int max = kvm_has(vm->fd, KVM_CAP_MAX_VCPUS);

	if (max > 0 && vm->config.cpus > (uint32_t)max)
		return err_set(
			e, -EINVAL, "%u vCPUs: KVM on this host allows %d", vm->config.cpus, max);
	return 0;
}

static int create(struct vm *vm, struct err *e)
{
	uint64_t type;
	int r = arch_layout(&vm->config, &vm->layout, e);

	if (r)
		return r;
	vm->kvm = kvm_open(e);
	if (vm->kvm < 0)
		return vm->kvm;
	if (!kvm_has(vm->kvm, KVM_CAP_IMMEDIATE_EXIT))
		return err_set(e, -ENOTSUP, "this KVM lacks KVM_CAP_IMMEDIATE_EXIT (Linux 4.13)");
	r = protect_conversion(vm->kvm, &vm->config, e);
	if (r)
		return r;
	if (vm->config.conversion == CONVERSION_ATTRIBUTES)
		log_info("pages change sides by memory attributes");
	r = arch_vm_type(vm->kvm, &vm->config, &vm->layout, &type, e);
	if (r)
		return r;
	vm->fd = kvm_create_vm(vm->kvm, type, e);
	if (vm->fd < 0)
		return protect_explain_vm(vm->config.protection, vm->fd, e);
	r = protect_check(vm->kvm, vm->fd, &vm->config, e);
	if (!r)
		r = check_cpus(vm, e);
	if (!r && vm->config.protection == PROTECTION_PKVM)
		r = memlock_allow(vm->config.ram_bytes, e);
	if (!r)
		r = arch_vm_new(&vm->arch, vm->kvm, vm->fd, &vm->config, e);
	if (!r)
		r = make_memory(vm, e);
	return r ? r : arch_vm_memory(vm->arch, vm->mem, e);
}

int vm_new(struct vm **out, const struct arch_config *config, struct err *e)
{
	struct vm *vm = calloc(1, sizeof(*vm));
	int r;

	if (!vm)
		return err_set(e, -ENOMEM, "VM: out of memory");
	vm->config = *config;
	vm->kvm = vm->fd = -1;
	park_init(&vm->park);
	bus_init(&vm->mmio, "mmio", UINT64_MAX);
	bus_init(&vm->port, "port", 0xffff);
	r = create(vm, e);
	if (r) {
		vm_free(vm);
		return r;
	}
	*out = vm;
	return 0;
}

int vm_add_vcpus(struct vm *vm, struct err *e)
{
	uint32_t i;
	int r;

	vm->vcpus = calloc(vm->config.cpus, sizeof(*vm->vcpus));
	if (!vm->vcpus)
		return err_set(e, -ENOMEM, "vCPUs: out of memory");
	for (i = 0; i < vm->config.cpus; i++) {
		/* Counted first: a half-made one is freed like the others. */
		vm->vcpu_count = i + 1;
		r = vcpu_new(&vm->vcpus[i], vm, i, e);
		if (!r)
			r = arch_vcpu_init(vm->arch, vm->vcpus[i].fd, i, e);
		if (r < 0)
			return err_prefix(e, r, "vCPU %u", i);
	}
	return arch_vm_ready(vm->arch, e);
}

int vm_add_irq(struct vm *vm, uint32_t gsi, struct irq_line *irq, struct err *e)
{
	irq->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (irq->fd < 0)
		return err_sys(e, "eventfd for interrupt %u", gsi);
	return kvm_irqfd(vm->fd, irq->fd, gsi, e);
}

void vm_free(struct vm *vm)
{
	uint32_t i;

	if (!vm)
		return;
	for (i = 0; i < vm->vcpu_count; i++)
		vcpu_free(&vm->vcpus[i]);
	free(vm->vcpus);
	arch_vm_free(vm->arch);
	/* The VM first: then its slots need not go one by one. */
	fd_close(&vm->fd);
	if (vm->slots)
		slot_table_forget(vm->slots);
	mem_free(vm->mem);
	slot_table_free(vm->slots);
	fd_close(&vm->kvm);
	park_destroy(&vm->park);
	free(vm);
}

/* ---- running and ending ---- */

int vm_start(struct vm *vm, const struct boot_entry *entry, struct err *e)
{
	uint32_t i;
	int r;

	r = vcpu_init_signal(e);
	for (i = 0; i < vm->vcpu_count && !r; i++)
		r = arch_vcpu_start(vm->arch, vm->vcpus[i].fd, i, entry, e);
	/* Waiting ones first, so that the guest finds them when the boot vCPU runs. */
	for (i = vm->vcpu_count; i-- > 0 && !r;)
		r = vcpu_start(&vm->vcpus[i], e);
	return r;
}

void vm_end(struct vm *vm, enum vm_end why, const char *fmt, ...)
{
	va_list ap;
	uint32_t i;

	/* The first one alone goes past this, and publishes its text with `end`. */
	if (atomic_exchange(&vm->ending, true))
		return;
	va_start(ap, fmt);
	vsnprintf(vm->end_text, sizeof(vm->end_text), fmt, ap);
	va_end(ap);
	atomic_store(&vm->end, (int)why);
	for (i = 0; i < vm->vcpu_count; i++)
		vcpu_kick(&vm->vcpus[i]);
	if (vm->control)
		loop_stop(vm->control);
	atomic_store(&vm->end_told, true);
}

void vm_pause(struct vm *vm)
{
	park_stop(&vm->park, NULL);
}

void vm_resume(struct vm *vm)
{
	uint32_t i;

	for (i = 0; i < vm->vcpu_count; i++)
		arch_vcpu_resumed(vm->vcpus[i].fd);
	park_start(&vm->park, NULL);
}

/* seccomp control: sched_yield -- somebody is still kicking, for a moment */
void vm_join(struct vm *vm)
{
	uint32_t i;

	/* Whoever ends the run may still be kicking; a joined thread must not be kicked. */
	while (!atomic_load(&vm->end_told))
		sched_yield();
	for (i = 0; i < vm->vcpu_count; i++) {
		if (vm->vcpus[i].threaded)
			pthread_join(vm->vcpus[i].joinable, NULL);
		vm->vcpus[i].threaded = false;
	}
}

/* ---- changes of the memory map ---- */

int vm_convert(struct vm *vm, struct vcpu *self, const struct arch_convert *c)
{
	uint64_t begin = clock_ns();
	struct err e = { "" };
	int r = convert_check(vm->mem, c->gpa, c->len, &e);

	if (!r && convert_is_noop(vm->mem, c->gpa, c->len, c->to_private)) {
		stats_unchanged(&vm->stats, c->to_private);
		return 0;
	}
	if (!r)
		r = vm_convert_unheld(&vm->park, &self->member, vm->mem, c, &vm->end, &e);
	if (!r) {
		/* We are a running member: nothing changes between this look and its note. */
		stats_shared(&vm->stats, mem_shared_bytes(vm->mem));
		stats_converted(&vm->stats, c->to_private, c->len, clock_ns() - begin);
		return 0;
	}
	stats_refused(&vm->stats, c->to_private);
	if (r == -ENOTRECOVERABLE) {
		vm_end(vm, VM_FAILED, "%s", e.msg);
		return r;
	}
	log_limited(LOG_WARN, "guest's conversion to %s refused: %s",
		c->to_private ? "private" : "shared", e.msg);
	return r;
}

bool vm_fault_shared(struct vm *vm, struct vcpu *self, gpa_t a)
{
	struct err e = { "" };
	int r;

	if (!mem_alias_is_shared_address(vm->mem, a))
		return false;
	park_stop(&vm->park, &self->member);
	r = mem_alias_touch(vm->mem, a, 1, &e);
	park_start(&vm->park, &self->member);
	/* The guest cannot be told, and would fault again for ever. */
	if (r < 0)
		vm_end(vm, VM_FAILED, "vCPU %u uses shared memory that it cannot have: %s",
			self->index, e.msg);
	/* Another vCPU may have been faster; but not each time. */
	self->refaults = r ? self->refaults + 1 : 0;
	return r <= 0 || self->refaults < REFAULTS_MAX;
}

bool vm_access_shared(
	struct vm *vm, struct vcpu *self, gpa_t a, void *data, unsigned int len, bool is_write)
{
	struct err e = { "" };
	int r;

	if (!mem_alias_is_shared_address(vm->mem, a))
		return false;
	park_stop(&vm->park, &self->member);
	r = mem_alias_touch(vm->mem, a, len, &e);
	if (r >= 0)
		r = mem_alias_access(vm->mem, a, data, len, is_write, &e);
	park_start(&vm->park, &self->member);
	if (!r)
		return true;
	log_limited(LOG_WARN, "guest's access to shared memory it has not asked for: %s", e.msg);
	if (!is_write)
		memset(data, 0xff, len);
	return true;
}

int vm_remove_memory(struct vm *vm, struct vcpu *self, gpa_t base, struct err *e)
{
	int r;

	park_stop(&vm->park, self ? &self->member : NULL);
	r = mem_remove(vm->mem, base, e);
	park_start(&vm->park, self ? &self->member : NULL);
	return r;
}
