/* SPDX-License-Identifier: Apache-2.0 */

/* What protection a host allows, against hosts that lack this or that. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* The host is a fake: these names stand in for KVM, the architecture and the memlock limit. */
#define kvm_open	    fake_kvm_open
#define kvm_create_vm	    fake_kvm_create_vm
#define kvm_has		    fake_kvm_has
#define arch_layout	    fake_arch_layout
#define arch_vm_type	    fake_arch_vm_type
#define arch_check	    fake_arch_check
#define arch_kvm_emulates   fake_arch_kvm_emulates
#define arch_has_attributes fake_arch_has_attributes
#define arch_private_mmio   fake_arch_private_mmio
#define memlock_check	    fake_memlock_check
#define kvm_is_pvm	    fake_kvm_is_pvm
#include "vmm/util/log.h"
#undef log_warn
#define log_warn(...) snprintf(warned, sizeof(warned), __VA_ARGS__)
static char warned[256];
#include "vmm/protect.c"

#include "tests/unit/suites.h"

static struct {
	bool no_kvm, no_pkvm, no_gmem, no_calls, no_memlock, emulates, attributes, no_mmio, pvm;
	int gmem_flags;
	uint64_t pinned; /* the last that memlock_check was asked about */
} host;

int fake_kvm_open(struct err *e)
{
	return host.no_kvm ? err_set(e, -ENOENT, "open /dev/kvm") : open("/dev/null", O_RDWR);
}

int fake_kvm_create_vm(int kvm, uint64_t type, struct err *e)
{
	(void)kvm;
	return type && host.no_pkvm ? err_set(e, -EINVAL, "KVM_CREATE_VM")
				    : open("/dev/null", O_RDWR);
}

int fake_kvm_has(int fd, unsigned int cap)
{
	(void)fd;
	if (cap == ABI_CAP_GUEST_MEMFD)
		return !host.no_gmem;
	return cap == ABI_CAP_GUEST_MEMFD_FLAGS ? host.gmem_flags : 0;
}

int fake_arch_layout(const struct arch_config *c, struct arch_layout *out, struct err *e)
{
	(void)c;
	(void)out;
	(void)e;
	return 0;
}

int fake_arch_vm_type(int kvm, const struct arch_config *c, const struct arch_layout *l,
	uint64_t *type, struct err *e)
{
	(void)kvm;
	(void)l;
	(void)e;
	*type = c->protection == PROTECTION_PKVM;
	return 0;
}

int fake_arch_check(int kvm, int vm, const struct arch_config *c, struct err *e)
{
	(void)kvm;
	(void)vm;
	(void)c;
	return host.no_calls ? err_set(e, -ENOTSUP, "no calls") : 0;
}

bool fake_arch_kvm_emulates(void)
{
	return host.emulates;
}

bool fake_arch_has_attributes(int kvm)
{
	(void)kvm;
	return host.attributes;
}

bool fake_arch_private_mmio(void)
{
	return !host.no_mmio;
}

int fake_memlock_check(uint64_t guest_bytes, struct err *e)
{
	host.pinned = guest_bytes;
	return host.no_memlock ? err_set(e, -EPERM, "memlock limit") : 0;
}

bool fake_kvm_is_pvm(void)
{
	return host.pvm;
}

static void setup(void)
{
	warned[0] = '\0';
	memset(&host, 0, sizeof(host));
	host.gmem_flags = 3;
}

START_TEST(all_modes_on_a_full_host)
{
	struct err e = { "" };

	ck_assert_int_eq(protect_possible(PROTECTION_NONE, false, &e), 0);
	ck_assert_int_eq(protect_possible(PROTECTION_PRIVATE, false, &e), 0);
	ck_assert_int_eq(protect_possible(PROTECTION_PRIVATE, true, &e), 0);
	ck_assert_int_eq(protect_possible(PROTECTION_PKVM, false, &e), 0);
}
END_TEST

START_TEST(no_guest_memfd)
{
	struct err e = { "" };

	host.no_gmem = true;
	ck_assert_int_eq(protect_possible(PROTECTION_PRIVATE, false, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "no guest_memfd (Linux 6.18"));
	ck_assert_int_eq(protect_possible(PROTECTION_NONE, false, &e), 0);
}
END_TEST

START_TEST(guest_memfd_without_mapping)
{
	struct err e = { "" };

	host.gmem_flags = 0;
	ck_assert_int_eq(protect_possible(PROTECTION_PRIVATE, false, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "cannot be mapped"));
	/* Open memory wants one flag more. */
	host.gmem_flags = 1;
	ck_assert_int_eq(protect_possible(PROTECTION_PRIVATE, false, &e), 0);
	ck_assert_int_eq(protect_possible(PROTECTION_PRIVATE, true, &e), -ENOTSUP);
}
END_TEST

static enum conversion settle(
	enum protection mode, bool open_memory, enum conversion wish, struct err *e)
{
	struct arch_config c = {
		.protection = mode, .open_memory = open_memory, .conversion = wish
	};

	return protect_conversion(0, &c, e) ? CONVERSION_AUTO : c.conversion;
}

START_TEST(conversion_takes_attributes_where_they_are)
{
	struct err e = { "" };

	ck_assert_int_eq(settle(PROTECTION_PRIVATE, false, CONVERSION_AUTO, &e), CONVERSION_SWAP);
	host.attributes = true;
	ck_assert_int_eq(
		settle(PROTECTION_PRIVATE, false, CONVERSION_AUTO, &e), CONVERSION_ATTRIBUTES);
	ck_assert_int_eq(settle(PROTECTION_PRIVATE, false, CONVERSION_SWAP, &e), CONVERSION_SWAP);
	/* Memory that is open is mapped, and then KVM would take the shared side from it, too. */
	ck_assert_int_eq(settle(PROTECTION_PRIVATE, true, CONVERSION_AUTO, &e), CONVERSION_SWAP);
	ck_assert_int_eq(settle(PROTECTION_NONE, false, CONVERSION_AUTO, &e), CONVERSION_SWAP);
	ck_assert_int_eq(settle(PROTECTION_SOFT_SEV, false, CONVERSION_AUTO, &e), CONVERSION_SWAP);
}
END_TEST

START_TEST(conversion_that_cannot_be)
{
	struct err e = { "" };

	ck_assert_int_eq(
		settle(PROTECTION_PRIVATE, false, CONVERSION_ATTRIBUTES, &e), CONVERSION_AUTO);
	ck_assert_ptr_nonnull(strstr(e.msg, "--conversion swap"));
	host.attributes = true;
	ck_assert_int_eq(
		settle(PROTECTION_PRIVATE, true, CONVERSION_ATTRIBUTES, &e), CONVERSION_AUTO);
	ck_assert_ptr_nonnull(strstr(e.msg, "private-memory open"));
	ck_assert_int_eq(
		settle(PROTECTION_PKVM, false, CONVERSION_ATTRIBUTES, &e), CONVERSION_AUTO);
	ck_assert_ptr_nonnull(strstr(e.msg, "protection pkvm"));
}
END_TEST

/* Its guest_memfd is not mapped, so the kernel need not be able to. */
START_TEST(attributes_need_no_mapping)
{
	struct err e = { "" };

	host.gmem_flags = 0;
	host.attributes = true;
	ck_assert_int_eq(protect_possible(PROTECTION_PRIVATE, false, &e), 0);
	ck_assert_int_eq(protect_possible(PROTECTION_PRIVATE, true, &e), -ENOTSUP);
	host.no_gmem = true;
	ck_assert_int_eq(protect_possible(PROTECTION_PRIVATE, false, &e), -ENOTSUP);
}
END_TEST

static enum protection resolve(struct err *e)
{
	struct arch_config c = { .protection = PROTECTION_AUTO };
	struct boot_files f = { .params = "" };

	log_set_level(LOG_ERROR);
	return protect_resolve(&c, &f, e) ? PROTECTION_AUTO : c.protection;
}

START_TEST(auto_takes_the_strongest)
{
	struct err e = { "" };

	ck_assert_int_eq(resolve(&e), PROTECTION_PKVM);
	host.no_memlock = true;
	ck_assert_int_eq(resolve(&e), PROTECTION_PRIVATE);
	host.no_memlock = false;
	host.no_pkvm = true;
	ck_assert_int_eq(resolve(&e), PROTECTION_PRIVATE);
	/* Never silently without protection. */
	host.no_gmem = true;
	ck_assert_int_eq(resolve(&e), PROTECTION_AUTO);
	ck_assert_ptr_nonnull(strstr(e.msg, "kvm-arm.mode=protected"));
	ck_assert_ptr_nonnull(strstr(e.msg, "--protection none"));
}
END_TEST

/* With a kernel, the interface that it most likely knows; else the one with the least to know. */
START_TEST(auto_suits_what_shall_run)
{
	static uint8_t some[1];
	struct arch_config c = { .protection = PROTECTION_AUTO, .ram_bytes = MIB(64) };
	struct boot_files f = { .kernel = { some, 1 }, .params = "" };
	struct err e = { "" };

	log_set_level(LOG_ERROR);
	host.no_pkvm = true;
	ck_assert_int_eq(protect_resolve(&c, &f, &e), 0);
	ck_assert_int_eq(c.protection, PROTECTION_SOFT_REALM);
	c.protection = PROTECTION_AUTO;
	f.firmware = (struct blob){ some, 1 };
	ck_assert_int_eq(protect_resolve(&c, &f, &e), 0);
	ck_assert_int_eq(c.protection, PROTECTION_PRIVATE);
}
END_TEST

/* The staging area of a firmware holds the boot files too, and pKVM pins it. */
START_TEST(auto_counts_what_is_staged)
{
	static uint8_t some[1];
	struct arch_config c = { .protection = PROTECTION_AUTO, .ram_bytes = MIB(64) };
	struct boot_files f = { .params = "" };
	struct err e = { "" };

	log_set_level(LOG_ERROR);
	f.kernel = (struct blob){ some, MIB(30) };
	f.initrd = (struct blob){ some, MIB(200) };
	ck_assert_int_eq(protect_resolve(&c, &f, &e), 0);
	ck_assert_uint_eq(host.pinned, MIB(64));
	f.firmware = (struct blob){ some, MIB(1) };
	c.protection = PROTECTION_AUTO;
	ck_assert_int_eq(protect_resolve(&c, &f, &e), 0);
	ck_assert_uint_eq(host.pinned, MIB(295));
}
END_TEST

/* Where KVM reads its code, a kernel can only have open memory; a program can keep its code shared. */
START_TEST(soft_sev_needs_no_emulation)
{
	static uint8_t some[1];
	struct arch_config c = { .protection = PROTECTION_SOFT_SEV };
	struct boot_files f = { .params = "", .kernel = { some, 1 } };
	struct err e = { "" };

	log_set_level(LOG_ERROR);
	ck_assert_int_eq(protect_resolve(&c, &f, &e), 0);
	/* On Intel's a kernel cannot use virtio devices, and what cannot work does not start. */
	host.no_mmio = true;
	ck_assert_int_eq(protect_resolve(&c, &f, &e), 0);
	c.virtio = 1;
	ck_assert_int_eq(protect_resolve(&c, &f, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "the serial console works"));
	host.no_mmio = false;
	ck_assert_int_eq(protect_resolve(&c, &f, &e), 0);
	host.emulates = true;
	ck_assert_int_eq(protect_resolve(&c, &f, &e), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(e.msg, "private-memory open"));
	c.open_memory = true;
	ck_assert_int_eq(protect_resolve(&c, &f, &e), 0);
	c.open_memory = false;
	f.firmware = f.kernel;
	f.kernel.data = NULL;
	ck_assert_int_eq(protect_resolve(&c, &f, &e), 0);
	ck_assert_int_eq(c.protection, PROTECTION_SOFT_SEV);
}
END_TEST

START_TEST(no_kvm_at_all)
{
	struct err e = { "" };

	host.no_kvm = true;
	ck_assert_int_eq(protect_possible(PROTECTION_NONE, false, &e), -ENOENT);
	ck_assert_int_eq(resolve(&e), PROTECTION_AUTO);
}
END_TEST

START_TEST(warns_of_kvm_that_reads_guests)
{
	static uint8_t image[1];
	struct boot_files kernel = { .kernel = { image, 1 } },
			  firmware = { .firmware = { image, 1 } };
	struct arch_config c = { .protection = PROTECTION_PRIVATE };

	protect_warn(&c, &kernel);
	ck_assert_str_eq(warned, "");
	host.emulates = true;
	protect_warn(&c, &firmware);
	ck_assert_str_eq(warned, "");
	protect_warn(&c, &kernel);
	ck_assert_ptr_nonnull(strstr(warned, "a kernel may fail"));
	host.pvm = true;
	protect_warn(&c, &firmware);
	ck_assert_ptr_nonnull(strstr(warned, "kvm_pvm"));
	warned[0] = '\0';
	c.protection = PROTECTION_NONE;
	protect_warn(&c, &firmware);
	ck_assert_str_eq(warned, "");
}
END_TEST

Suite *protect_suite(void)
{
	Suite *s = suite_create("protect");
	TCase *t = tcase_create("protect");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, all_modes_on_a_full_host);
	tcase_add_test(t, no_guest_memfd);
	tcase_add_test(t, guest_memfd_without_mapping);
	tcase_add_test(t, conversion_takes_attributes_where_they_are);
	tcase_add_test(t, conversion_that_cannot_be);
	tcase_add_test(t, attributes_need_no_mapping);
	tcase_add_test(t, auto_takes_the_strongest);
	tcase_add_test(t, auto_suits_what_shall_run);
	tcase_add_test(t, auto_counts_what_is_staged);
	tcase_add_test(t, soft_sev_needs_no_emulation);
	tcase_add_test(t, no_kvm_at_all);
	tcase_add_test(t, warns_of_kvm_that_reads_guests);
	suite_add_tcase(s, t);
	return s;
}
