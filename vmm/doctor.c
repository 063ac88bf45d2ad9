/* SPDX-License-Identifier: Apache-2.0 */
#include "vmm/doctor.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/kvm.h"
#include "vmm/memlock.h"
#include "vmm/protect.h"
#include "vmm/sandbox/landlock.h"
#include "vmm/sandbox/seccomp.h"
#include "vmm/util/bits.h"
#include "vmm/util/fd.h"

/* The first kernel whose guest_memfd can be mapped on every type of VM. */
#define PRIVATE_MAJOR 6
#define PRIVATE_MINOR 18

/* The smallest guest worth asking for; memlock is the only thing that depends on it. */
#define GUEST_BYTES MIB(64)

/* ---- looking ---- */

static int open_kvm(struct findings *f)
{
	struct err e = { "" };
	int kvm = kvm_open(&e);
	struct finding *row = finding_add(f, "/dev/kvm", kvm < 0 ? FINDING_MISSING : FINDING_OK,
		"%s", kvm < 0 ? e.msg : "opens");

	row->required = true;
	return kvm;
}

static void look_at_kernel(struct findings *f)
{
	int major = 0, minor = 0;
	struct finding *row;
	struct utsname u;
	bool old;

	if (uname(&u)) {
		finding_add(f, "kernel", FINDING_WARN, "uname: %s", strerror(errno));
		return;
	}
	/* A version that does not look like one is shown and not judged. */
	old = sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
	      (major < PRIVATE_MAJOR || (major == PRIVATE_MAJOR && minor < PRIVATE_MINOR));
	row = finding_add(f, "kernel", old ? FINDING_WARN : FINDING_OK, "Linux %s", u.release);
	if (old)
		finding_hint(
			row, "mode private needs %d.%d or later", PRIVATE_MAJOR, PRIVATE_MINOR);
}

/* An ordinary VM, made to ask it: some capabilities are known for a VM only. */
static int try_vm(int kvm, struct findings *f)
{
	struct arch_config c = { .cpus = 1, .ram_bytes = GUEST_BYTES };
	struct arch_layout layout;
	struct err e = { "" };
	struct finding *row;
	uint64_t type;
	int vm = arch_layout(&c, &layout, &e);

	if (!vm)
		vm = arch_vm_type(kvm, &c, &layout, &type, &e);
	if (!vm)
		vm = kvm_create_vm(kvm, type, &e);
	row = finding_add(f, "VM", vm < 0 ? FINDING_MISSING : FINDING_OK, "%s",
		vm < 0 ? e.msg : "can be created");
	row->required = true;
	if (vm == -EBUSY)
		finding_hint(row, "%s", "another hypervisor holds the CPU: stop it");
	return vm;
}

static void look_at_gmem(int vm, struct findings *f)
{
	unsigned int flags = (unsigned int)kvm_has(vm, ABI_CAP_GUEST_MEMFD_FLAGS);
	struct finding *row;

	if (kvm_has(vm, ABI_CAP_GUEST_MEMFD) && (flags & ABI_GMEM_MMAP)) {
		finding_add(f, "guest_memfd", FINDING_OK, "flags %u (mmap%s)", flags,
			flags & ABI_GMEM_INIT_SHARED ? ", init-shared" : "");
		return;
	}
	row = finding_add(f, "guest_memfd", FINDING_MISSING, "%s",
		kvm_has(vm, ABI_CAP_GUEST_MEMFD) ? "there, but it cannot be mapped"
						 : "KVM has none; mode private needs it");
	finding_hint(row, "Linux %d.%d or later", PRIVATE_MAJOR, PRIVATE_MINOR);
}

static void look_at_limits(int vm, struct findings *f)
{
	int slots = kvm_has(vm, KVM_CAP_NR_MEMSLOTS);
	int most = kvm_has(vm, KVM_CAP_MAX_VCPUS);
	bool exits = kvm_has(vm, KVM_CAP_IMMEDIATE_EXIT) > 0;
	struct finding *row;

	finding_add(f, "memory slots", FINDING_OK, "%d", slots);
	finding_add(f, "vCPUs", FINDING_OK, "at most %d in a guest, %d recommended", most,
		kvm_has(vm, KVM_CAP_NR_VCPUS));
	row = finding_add(f, "immediate_exit", exits ? FINDING_OK : FINDING_MISSING, "%s",
		exits ? "stops a vCPU without a race" : "KVM lacks it");
	row->required = true;
	if (!exits)
		finding_hint(row, "%s", "Linux 4.13 or later");
}

/* blocks: the limit is all that mode pkvm lacks on this host. */
static void look_at_memlock(bool blocks, struct findings *f)
{
	struct rlimit lim;
	char limit[32] = "unlimited";
	struct finding *row;

	if (getrlimit(RLIMIT_MEMLOCK, &lim)) {
		finding_add(f, "memlock", FINDING_WARN, "getrlimit: %s", strerror(errno));
		return;
	}
	if (lim.rlim_max != RLIM_INFINITY)
		snprintf(limit, sizeof(limit), "%llu KiB", (unsigned long long)lim.rlim_max >> 10);
	row = finding_add(f, "memlock", blocks ? FINDING_WARN : FINDING_OK,
		"hard limit %s; only mode pkvm pins memory", limit);
	if (blocks)
		finding_hint(row, "%s", "raise it with LimitMEMLOCK= or /etc/security/limits.conf");
}

static void look_at_landlock(struct findings *f)
{
	int abi = landlock_abi();
	struct finding *row;

	if (abi) {
		finding_add(f, "Landlock", FINDING_OK, "ABI %d", abi);
		return;
	}
	row = finding_add(f, "Landlock", FINDING_WARN, "%s",
		"none: files stay within reach of a guest that breaks out of a device");
	finding_hint(row, "%s",
		"Linux 5.13 or later, with CONFIG_SECURITY_LANDLOCK, and landlock among the lsm= "
		"of its parameters");
}

/* What will stand between a guest that breaks out of a device and the host. */
static void look_at_walls(struct findings *f)
{
	struct err e = { "" };
	int r = seccomp_check(&e);

	finding_add(f, "privileges", FINDING_OK, "%s",
		geteuid() ? "an ordinary user's, of which a running guest's process keeps none"
			  : "root's, of which a running guest's process keeps none; it needs no "
			    "more than a user in group kvm has");
	finding_add(f, "seccomp", r ? FINDING_WARN : FINDING_OK, "%s",
		r ? e.msg : "each thread is held to the system calls that it needs");
	look_at_landlock(f);
}

/* ---- the modes ---- */

/* What a mode that works has for a catch, or NULL. */
static const char *mode_catch(enum protection mode, const char **hint)
{
	*hint = "";
	if (kvm_is_pvm() && mode == PROTECTION_NONE)
		return "runs, but KVM here is kvm_pvm: Linux is very slow or does not boot";
	if (kvm_is_pvm())
		return "starts, but KVM here is kvm_pvm: protected modes misbehave";
	if (protection_has_gmem(mode) && arch_kvm_emulates()) {
		*hint = "--private-memory open runs a kernel, without protection";
		return "starts, but a guest whose code is private cannot run on this CPU: see "
		       "emulation";
	}
	return NULL;
}

static void judge_mode(enum protection mode, int possible, const struct err *why,
	const struct finding *blocker, struct findings *f)
{
	static const char *const texts[] = {
		[PROTECTION_NONE] = "an ordinary VM, nothing is protected",
		[PROTECTION_PRIVATE] = "the host kernel keeps guest memory from this process",
		[PROTECTION_SOFT_REALM] = "the same, for kernels that can be realms",
		[PROTECTION_SOFT_SEV] = "the same, for kernels that can be SEV guests",
		[PROTECTION_PKVM] = "the hypervisor keeps guest memory from the host kernel",
	};
	const char *name = protection_name(mode), *hint, *caught = mode_catch(mode, &hint);

	if (blocker) {
		finding_add(f, name, FINDING_MISSING, "see %s", blocker->name);
	} else if (possible < 0) {
		finding_add(f, name, FINDING_MISSING, "%s", why->msg);
	} else if (caught) {
		finding_hint(finding_add(f, name, FINDING_WARN, "%s", caught), "%s", hint);
	} else {
		finding_add(f, name, FINDING_OK, "%s", texts[mode]);
	}
}

void doctor_collect(struct doctor_report *r)
{
	struct err why[PROTECTION_AUTO] = { { "" } };
	int possible[PROTECTION_AUTO];
	_close int kvm = -1;
	_close int vm = -1;
	unsigned int mode;

	memset(r, 0, sizeof(*r));
	for (mode = 0; mode < PROTECTION_AUTO; mode++)
		possible[mode] = protect_possible((enum protection)mode, false, &why[mode]);
	kvm = open_kvm(&r->host);
	look_at_kernel(&r->host);
	if (kvm >= 0)
		vm = try_vm(kvm, &r->host);
	if (vm >= 0) {
		look_at_gmem(vm, &r->host);
		look_at_limits(vm, &r->host);
	}
	arch_caps(kvm, vm, &r->host);
	look_at_memlock(
		kvm >= 0 && possible[PROTECTION_PKVM] == -EPERM && memlock_check(GUEST_BYTES, NULL),
		&r->host);
	look_at_walls(&r->host);
	for (mode = 0; mode < PROTECTION_AUTO; mode++)
		judge_mode((enum protection)mode, possible[mode], &why[mode],
			findings_blocker(&r->host), &r->modes);
}

bool doctor_can_run(const struct doctor_report *r)
{
	unsigned int i;

	for (i = 0; i < r->modes.count; i++)
		if (r->modes.rows[i].state != FINDING_MISSING)
			return true;
	return false;
}

/* ---- printing ---- */

static int finish(FILE *out)
{
	return fflush(out) || ferror(out) ? -1 : 0;
}

static int widest_name(const struct findings *f, const char *prefix)
{
	size_t widest = 0, len;
	unsigned int i;

	for (i = 0; i < f->count; i++) {
		len = strlen(prefix) + strlen(f->rows[i].name);
		widest = len > widest ? len : widest;
	}
	return (int)widest;
}

/* One row, one line, however long: people search these with grep. */
static void print_rows(const struct findings *f, const char *prefix, int width, FILE *out)
{
	unsigned int i;

	for (i = 0; i < f->count; i++) {
		const struct finding *row = &f->rows[i];

		fprintf(out, "%-7s  %s%-*s  %s", finding_state_names[row->state], prefix,
			width - (int)strlen(prefix), row->name, row->text);
		if (row->hint[0])
			fprintf(out, " (%s)", row->hint);
		fputc('\n', out);
	}
}

int doctor_print_text(const struct doctor_report *r, FILE *out)
{
	static const char mode_prefix[] = "mode ";
	int width = widest_name(&r->host, "");
	int modes = widest_name(&r->modes, mode_prefix);

	width = modes > width ? modes : width;
	print_rows(&r->host, "", width, out);
	print_rows(&r->modes, mode_prefix, width, out);
	return finish(out);
}

/* Host text may hold bytes that are no UTF-8 (a kernel's version string); then the text is left out. */
static json_t *row_json(const struct finding *row)
{
	json_t *o = json_object();

	json_object_set_new(o, "name", json_string(row->name));
	json_object_set_new(o, "state", json_string(finding_state_names[row->state]));
	json_object_set_new(o, "text", json_string(row->text));
	if (row->hint[0])
		json_object_set_new(o, "hint", json_string(row->hint));
	return o;
}

static json_t *rows_json(const struct findings *f)
{
	json_t *a = json_array();
	unsigned int i;

	for (i = 0; i < f->count; i++)
		json_array_append_new(a, row_json(&f->rows[i]));
	return a;
}

int doctor_print_json(const struct doctor_report *r, FILE *out)
{
	json_t *o = json_object();
	int failed;

	json_object_set_new(o, "nacre", json_string(NACRE_VERSION));
	json_object_set_new(o, "can_run", json_boolean(doctor_can_run(r)));
	json_object_set_new(o, "modes", rows_json(&r->modes));
	json_object_set_new(o, "host", rows_json(&r->host));
	/* Out of memory shows here: a NULL object cannot be written. */
	failed = json_dumpf(o, out, JSON_INDENT(2));
	json_decref(o);
	fputc('\n', out);
	return finish(out) || failed ? -1 : 0;
}

int doctor_run(bool json, FILE *out)
{
	struct doctor_report r;
	int failed;

	doctor_collect(&r);
	failed = json ? doctor_print_json(&r, out) : doctor_print_text(&r, out);
	return failed || !doctor_can_run(&r);
}
