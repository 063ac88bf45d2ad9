/* SPDX-License-Identifier: Apache-2.0 */

/* What this host offers, as rows for nacre doctor: the x86-64 side. */
#include <stdio.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/x86/hypercall.h"
#include "vmm/kvm.h"
#include "vmm/util/fd.h"

/* A module's switch: the kernel shows booleans as Y and N or as 1 and 0. */
static bool switched_on(const char *path)
{
	struct blob value;
	struct err ignored;
	bool on;

	if (blob_read(path, 16, &value, &ignored))
		return false;
	on = value.data[0] == 'Y' || value.data[0] == '1';
	blob_free(&value);
	return on;
}

static void add_paging(struct findings *f, const char *module, const char *what, const char *path)
{
	struct finding *row;

	if (switched_on(path)) {
		finding_add(f, "KVM", FINDING_OK, "%s, nested paging (%s)", module, what);
		return;
	}
	row = finding_add(
		f, "KVM", FINDING_WARN, "%s without nested paging (%s): slow", module, what);
	finding_hint(row, "%s", "switch it on in the machine's set-up or the module's options");
}

/* Also one that is built in. */
static bool has_module(const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return access(path, F_OK) == 0;
}

static void add_implementation(int kvm, struct findings *f)
{
	struct finding *row;

	if (kvm_is_pvm()) {
		row = finding_add(f, "KVM", FINDING_WARN,
			"kvm_pvm, which interprets the guest's kernel code: Linux guests are very "
			"slow and protected modes misbehave");
		finding_hint(row, "%s", "for real guests take a host with kvm_intel or kvm_amd");
	} else if (has_module("kvm_intel")) {
		add_paging(f, "kvm_intel", "EPT", "/sys/module/kvm_intel/parameters/ept");
	} else if (has_module("kvm_amd")) {
		add_paging(f, "kvm_amd", "NPT", "/sys/module/kvm_amd/parameters/npt");
	} else if (kvm >= 0) {
		finding_add(f, "KVM", FINDING_WARN, "of a kind that Nacre does not know");
	} else {
		row = finding_add(f, "KVM", FINDING_MISSING, "no kvm module is loaded");
		finding_hint(row, "%s",
			"modprobe kvm-intel or kvm-amd; the firmware, or on a virtual machine its "
			"host, must allow it");
	}
}

static void add_emulation(struct findings *f)
{
	struct finding *row;

	if (kvm_is_pvm()) {
		finding_add(
			f, "emulation", FINDING_WARN, "of all kernel code in a guest (kvm_pvm)");
	} else if (arch_kvm_emulates()) {
		row = finding_add(f, "emulation", FINDING_WARN,
			"KVM reads guest instructions through this process, which private memory "
			"forbids: in mode private, code must stay in shared memory");
		finding_hint(row, "%s",
			"take a CPU with the flags nrip_save and decodeassists, or Intel's");
	} else if (has_module("kvm_intel")) {
		finding_add(f, "emulation", FINDING_OK,
			"code in private memory works with port I/O; its MMIO accesses would fail");
	} else {
		finding_add(f, "emulation", FINDING_OK, "code in private memory works");
	}
}

static void add_irqchip(int vm, struct findings *f)
{
	bool ok = kvm_has(vm, KVM_CAP_IRQCHIP) && kvm_has(vm, KVM_CAP_IRQFD);
	struct finding *row = finding_add(f, "interrupts", ok ? FINDING_OK : FINDING_MISSING,
		ok ? "APICs and PIT in the kernel" : "KVM has no in-kernel interrupt controllers");

	row->required = true;
	if (!ok)
		finding_hint(row, "%s", "a kernel built with KVM_IOAPIC has them");
}

static void add_hypercall(int vm, struct findings *f)
{
	struct finding *row;

	if (kvm_has(vm, KVM_CAP_EXIT_HYPERCALL) & (1 << X86_HC_MAP_GPA_RANGE)) {
		finding_add(f, "exit-hypercall", FINDING_OK, "MAP_GPA_RANGE");
		return;
	}
	row = finding_add(f, "exit-hypercall", FINDING_MISSING,
		"KVM cannot forward the guest's sharing calls, which mode private needs");
	finding_hint(row, "%s", "Linux 5.15 or later");
}

/* On a default VM the answer about attributes is always no: the type is what offers them. */
static void add_types(int kvm, struct findings *f)
{
	bool type = arch_has_attributes(kvm);

	finding_add(f, "VM type", type ? FINDING_OK : FINDING_ABSENT, "%s",
		type ? "default and software-protected"
		     : "default only; no mode needs the software-protected one");
	finding_add(f, "attributes", type ? FINDING_OK : FINDING_ABSENT, "%s",
		type ? "pages change sides by memory attributes in mode private (--conversion)"
		     : "no per-page memory attributes; mode private swaps memory slots instead");
}

void arch_caps(int kvm, int vm, struct findings *f)
{
	add_implementation(kvm, f);
	if (vm < 0)
		return;
	add_emulation(f);
	add_irqchip(vm, f);
	add_hypercall(vm, f);
	add_types(kvm, f);
}
