/* SPDX-License-Identifier: Apache-2.0 */

/* What this host offers, as rows for nacre doctor: the arm64 side. */
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "arch/arch.h"
#include "arch/arm64/caps.h"
#include "vmm/kvm.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

/* The timer interrupts that only a kernel at EL2 uses (Arm BSA, private peripheral interrupts). */
#define INTID_TIMER_HYP		26u
#define INTID_TIMER_HYP_VIRTUAL 28u

enum el2 { EL2_UNKNOWN, EL2_VHE, EL2_NVHE, EL2_PROTECTED };

/* Does the text hold that word, with blanks or an end on either side? */
static bool has_word(const char *text, const char *word)
{
	size_t len = strlen(word);
	const char *at = text;

	while ((at = strstr(at, word)) != NULL) {
		bool starts = at == text || strchr(" \n", at[-1]);

		at += len;
		if (starts && (!*at || strchr(" \n", *at)))
			return true;
	}
	return false;
}

static bool booted_protected(void)
{
	struct blob line;
	struct err ignored;
	bool found;

	if (blob_read("/proc/cmdline", KIB(64), &line, &ignored))
		return false;
	found = has_word((char *)line.data, "kvm-arm.mode=protected");
	blob_free(&line);
	return found;
}

/*
 * No interface says at which exception level the host kernel runs. Its own timer does: at EL2 (VHE)
 * it uses one of the hypervisor's timers, at EL1 another. A line of /proc/interrupts reads
 * "number: counts... controller INTID Level arch_timer".
 */
static enum el2 timer_says(const char *interrupts)
{
	const char *name = strstr(interrupts, "arch_timer");
	const char *at = name;
	unsigned int intid;

	/* Back over the trigger's name to the number before it. */
	while (at && at > interrupts && at[-1] != '\n') {
		at--;
		if (*at == ' ' && sscanf(at, " %u %*[A-Za-z] arch_timer", &intid) == 1)
			return intid == INTID_TIMER_HYP || intid == INTID_TIMER_HYP_VIRTUAL
				       ? EL2_VHE
				       : EL2_NVHE;
	}
	return EL2_UNKNOWN;
}

static enum el2 host_mode(void)
{
	struct blob interrupts;
	struct err ignored;
	enum el2 mode;

	if (booted_protected())
		return EL2_PROTECTED;
	if (blob_read("/proc/interrupts", MIB(16), &interrupts, &ignored))
		return EL2_UNKNOWN;
	mode = timer_says((char *)interrupts.data);
	blob_free(&interrupts);
	return mode;
}

static void add_implementation(int kvm, struct findings *f)
{
	static const char *const names[] = {
		[EL2_UNKNOWN] = "arm64",
		[EL2_VHE] = "arm64 VHE: the host kernel is the hypervisor",
		[EL2_NVHE] =
			"arm64 nVHE: a small hypervisor below the host kernel, which trusts it",
		[EL2_PROTECTED] = "arm64 protected (pKVM): the hypervisor is guarded from the host",
	};
	struct finding *row;

	/* It may be there without being ours to open. */
	if (kvm >= 0 || access("/sys/class/misc/kvm", F_OK) == 0) {
		finding_add(f, "KVM", FINDING_OK, "%s", names[host_mode()]);
		return;
	}
	row = finding_add(f, "KVM", FINDING_MISSING, "this kernel offers none");
	finding_hint(row, "%s",
		"the kernel must have KVM and start at EL2; on a virtual machine nested "
		"virtualisation must be on");
}

static void add_gic(int vm, struct findings *f)
{
	struct err e = { "" };
	_close int gic = kvm_create_device(vm, KVM_DEV_TYPE_ARM_VGIC_V3, &e);
	struct finding *row;

	if (gic >= 0) {
		row = finding_add(f, "interrupts", FINDING_OK, "GICv3 in the kernel");
	} else {
		row = finding_add(f, "interrupts", FINDING_MISSING, "no GICv3: %s", e.msg);
		finding_hint(row, "%s", "the host's interrupt controller must be a GICv3 or later");
	}
	row->required = true;
}

static void add_filter(int vm, struct findings *f)
{
	struct finding *row;

	if (kvm_has_attr(vm, ABI_ARM_VM_SMCCC_CTRL, ABI_ARM_VM_SMCCC_FILTER)) {
		finding_add(f, "SMCCC filter", FINDING_OK, "forwards the guest's sharing calls");
		return;
	}
	row = finding_add(f, "SMCCC filter", FINDING_MISSING,
		"KVM cannot forward the guest's sharing calls, which modes private and "
		"soft-realm need");
	finding_hint(row, "%s", "Linux 6.4 or later; these modes want 6.18");
}

const char *arm64_no_mte(void)
{
	if (booted_protected())
		return "this host protects its guests (kvm-arm.mode=protected), and its KVM gives "
		       "none of them memory tags";
	if (getauxval(AT_HWCAP2) & HWCAP2_MTE)
		return "this host has memory tags, but its KVM has none for guests (Linux 5.13 or "
		       "later has)";
	return "this host has no memory tags: the CPU (FEAT_MTE2) or its firmware lacks them, or "
	       "the kernel was told to do without (arm64.nomte)";
}

static void add_mte(int vm, struct findings *f)
{
	bool mte = kvm_has(vm, ABI_CAP_ARM_MTE);

	finding_add(f, "MTE", mte ? FINDING_OK : FINDING_ABSENT, "%s",
		mte ? "memory tags for guests in mode none (--mte)" : arm64_no_mte());
}

void arch_caps(int kvm, int vm, struct findings *f)
{
	int bits = kvm < 0 ? 0 : kvm_has(kvm, KVM_CAP_ARM_VM_IPA_SIZE);

	add_implementation(kvm, f);
	if (vm < 0)
		return;
	finding_add(f, "emulation", FINDING_OK, "code in private memory works");
	add_gic(vm, f);
	add_filter(vm, f);
	finding_add(f, "address bits", FINDING_OK, "%d", bits ? bits : 40);
	add_mte(vm, f);
}
