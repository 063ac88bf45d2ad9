/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/protect.h"

#include <errno.h>
#include <stdio.h>

#include "vmm/kvm.h"
#include "vmm/memlock.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"
#include "vmm/util/log.h"

uint64_t protect_gmem_flags(const struct arch_config *c)
{
	/* Of one that can be mapped KVM would take shared pages, too. */
	if (c->conversion == CONVERSION_ATTRIBUTES)
		return 0;
	return ABI_GMEM_MMAP | (c->open_memory ? ABI_GMEM_INIT_SHARED : 0);
}

static int check_gmem(int vm, const struct arch_config *c, struct err *e)
{
	uint64_t need = protect_gmem_flags(c);
	uint64_t have = (uint64_t)kvm_has(vm, ABI_CAP_GUEST_MEMFD_FLAGS);

	if (!kvm_has(vm, ABI_CAP_GUEST_MEMFD))
		return err_set(e, -ENOTSUP,
			"mode %s: this kernel's KVM has no guest_memfd (Linux 6.18 or later has)",
			protection_name(c->protection));
	if ((have & need) != need)
		return err_set(e, -ENOTSUP,
			"mode %s: this kernel's guest_memfd cannot be mapped (Linux 6.18 or later "
			"can)",
			protection_name(c->protection));
	return 0;
}

int protect_check(int kvm, int vm, const struct arch_config *c, struct err *e)
{
	int r = arch_check(kvm, vm, c, e);

	if (!r && protection_has_gmem(c->protection))
		r = check_gmem(vm, c, e);
	return r;
}

int protect_conversion(int kvm, struct arch_config *c, struct err *e)
{
	bool suits = c->protection == PROTECTION_PRIVATE && !c->open_memory;
	bool has = suits && arch_has_attributes(kvm);

	if (c->conversion == CONVERSION_ATTRIBUTES && !suits)
		return err_set(e, -ENOTSUP,
			"conversion attributes does not fit %s %s (leave it out)",
			c->open_memory ? "private-memory" : "protection",
			c->open_memory ? "open" : protection_name(c->protection));
	if (c->conversion == CONVERSION_ATTRIBUTES && !has)
		return err_set(e, -ENOTSUP,
			"conversion attributes: this KVM has no software-protected VMs (x86-64 "
			"kernels built with KVM_SW_PROTECTED_VM do; --conversion swap needs none)");
	if (c->conversion == CONVERSION_AUTO)
		c->conversion = has ? CONVERSION_ATTRIBUTES : CONVERSION_SWAP;
	return 0;
}

int protect_explain_vm(enum protection mode, int code, struct err *e)
{
	if (mode != PROTECTION_PKVM)
		return code;
	return err_hint(
		e, code, "mode pkvm needs an arm64 host booted with kvm-arm.mode=protected");
}

/*
 * The same for a configuration of which only the mode is still open. pinned: what pKVM would have
 * to pin, as far as that is known before anything is built.
 */
static int possible(
	const struct arch_config *wish, enum protection mode, uint64_t pinned, struct err *e)
{
	struct arch_config c = *wish;
	struct arch_layout layout;
	_close int kvm = -1;
	_close int vm = -1;
	uint64_t type;
	int r;

	c.protection = mode;
	r = arch_layout(&c, &layout, e);
	if (r)
		return r;
	kvm = kvm_open(e);
	if (kvm < 0)
		return kvm;
	r = protect_conversion(kvm, &c, e);
	if (r)
		return r;
	r = arch_vm_type(kvm, &c, &layout, &type, e);
	if (r)
		return r;
	vm = kvm_create_vm(kvm, type, e);
	if (vm < 0)
		return protect_explain_vm(mode, vm, e);
	r = protect_check(kvm, vm, &c, e);
	if (!r && mode == PROTECTION_PKVM)
		r = memlock_check(pinned, e);
	return r;
}

int protect_possible(enum protection mode, bool open_memory, struct err *e)
{
	struct arch_config c = { .cpus = 1, .ram_bytes = MIB(64), .open_memory = open_memory };

	return possible(&c, mode, c.ram_bytes, e);
}

/* RAM and, since a program of the user's is staged with the boot files behind it, those. */
static uint64_t pinned_bytes(const struct arch_config *c, const struct boot_files *files)
{
	if (!files->firmware.data)
		return c->ram_bytes;
	return c->ram_bytes + files->firmware.len + files->kernel.len + files->initrd.len;
}

/* Beyond what the host can do: does the mode suit what shall run in it? */
static int suits(const struct arch_config *c, enum protection mode, const struct boot_files *files,
	struct err *e)
{
	int r;

	if (mode == PROTECTION_PKVM && c->open_memory)
		return err_set(e, -EINVAL, "private-memory open has no meaning in it");
	/* What these offer is for operating systems; a program of one's own has less to know. */
	if (protection_is_alias(mode) && (files->firmware.data || !files->kernel.data))
		return err_set(e, -ENOTSUP, "it is for kernels");
	r = possible(c, mode, pinned_bytes(c, files), e);
	if (!r && protection_has_gmem(mode) && !c->open_memory && files->kernel.data &&
		arch_kvm_emulates())
		r = err_set(
			e, -ENOTSUP, "KVM on this CPU cannot run a kernel whose code is private");
	return r;
}

/*
 * Strongest first; and before the mode that wants a kernel of its own kind, those of equal strength
 * that distributions' kernels know.
 */
static int resolve_auto(struct arch_config *c, const struct boot_files *files, struct err *e)
{
	static const enum protection order[] = { PROTECTION_PKVM, PROTECTION_SOFT_REALM,
		PROTECTION_SOFT_SEV, PROTECTION_PRIVATE };
	struct err why = { "" };
	char all[sizeof(e->msg)] = "";
	unsigned int i;
	size_t n = 0;

	for (i = 0; i < ARRAY_SIZE(order); i++) {
		if (!suits(c, order[i], files, &why)) {
			c->protection = order[i];
			log_write(LOG_WARN, "protection auto: mode %s", protection_name(order[i]));
			return 0;
		}
		if (n < sizeof(all))
			n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%s: %.150s",
				i ? "; " : "", protection_name(order[i]), why.msg);
	}
	return err_set(e, -ENOTSUP,
		"protection auto: no protected mode is possible here; ask for --protection none "
		"to run without (%s)",
		all);
}

/* A kernel whose code is private from its first instruction on. */
static int check_sev_kernel(const struct arch_config *c, struct err *e)
{
	if (arch_kvm_emulates())
		return err_set(e, -ENOTSUP,
			"mode soft-sev: KVM on this CPU reads guest instructions through this "
			"process, which private memory forbids (take a CPU with nrip_save and "
			"decodeassists, or Intel's; --private-memory open runs the guest without "
			"protection)");
	if (c->virtio && !arch_private_mmio())
		return err_set(e, -ENOTSUP,
			"mode soft-sev: on this CPU KVM would have to read the instructions that "
			"access virtio devices, which private memory forbids (leave the devices "
			"out, the serial console works; or take an AMD CPU with decodeassists)");
	return 0;
}

int protect_resolve(struct arch_config *c, const struct boot_files *files, struct err *e)
{
	int r = 0;

	if (c->protection == PROTECTION_AUTO)
		r = resolve_auto(c, files, e);
	if (r)
		return r;
	if (c->protection == PROTECTION_NONE || c->protection == PROTECTION_PKVM) {
		if (c->open_memory)
			return err_set(e, -EINVAL,
				"private-memory open has no meaning in mode %s (leave it out)",
				protection_name(c->protection));
		return 0;
	}
	if (c->protection == PROTECTION_SOFT_SEV && files->kernel.data && !c->open_memory)
		return check_sev_kernel(c, e);
	return 0;
}

void protect_warn(const struct arch_config *c, const struct boot_files *files)
{
	if (!protection_has_gmem(c->protection))
		return;
	if (c->open_memory)
		log_warn("private-memory open: NOTHING IS PROTECTED, this process can read all of "
			 "the guest's memory");
	else if (files->kernel.data && arch_kvm_emulates())
		log_warn("KVM on this CPU reads guest instructions through this process, which "
			 "private memory forbids: a kernel may fail (--private-memory open runs it "
			 "without protection)");
	/* Other CPUs run a program that keeps to what nacre-firmware(7) says. */
	else if (kvm_is_pvm())
		log_warn("KVM here is kvm_pvm, which reads guest instructions through this "
			 "process, and private memory forbids that: the guest may fail "
			 "(--private-memory open runs it without protection)");
}
