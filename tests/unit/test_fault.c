/* SPDX-License-Identifier: Apache-2.0 */

/* What becomes of KVM_EXIT_MEMORY_FAULT: conversions that nobody asked for, and the host's faults. */
#include <check.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define vm_end		fake_fault_vm_end
#define vm_convert	fake_fault_vm_convert
#define convert_check	fake_fault_check
#define convert_is_noop fake_fault_is_noop
#include "vmm/fault.c"

#include "tests/unit/suites.h"
#include "vmm/util/bits.h"

#define PAGE 0x5000u

static struct vm vm;
static struct kvm_run run;
static struct vcpu vcpu;

/* The one page of RAM, and what was done. */
static struct {
	bool is_private, refuses;
	unsigned int conversions, ends;
	char text[512];
} fake;

void fake_fault_vm_end(struct vm *v, enum vm_end why, const char *fmt, ...)
{
	va_list ap;

	(void)v;
	ck_assert_int_eq(why, VM_FAILED);
	fake.ends++;
	va_start(ap, fmt);
	vsnprintf(fake.text, sizeof(fake.text), fmt, ap);
	va_end(ap);
}

int fake_fault_vm_convert(struct vm *v, struct vcpu *self, const struct arch_convert *c)
{
	(void)v;
	(void)self;
	if (fake.refuses)
		return -ENOMEM;
	fake.conversions++;
	fake.is_private = c->to_private;
	return 0;
}

int fake_fault_check(const struct mem *m, gpa_t a, uint64_t len, struct err *e)
{
	(void)m;
	return a.v == PAGE && len == PAGE_SIZE ? 0 : err_set(e, -EFAULT, "not RAM");
}

bool fake_fault_is_noop(const struct mem *m, gpa_t a, uint64_t len, bool to_private)
{
	(void)m;
	(void)a;
	(void)len;
	return fake.is_private == to_private;
}

static void setup(void)
{
	memset(&fake, 0, sizeof(fake));
	memset(&run, 0, sizeof(run));
	vm.config.conversion = CONVERSION_ATTRIBUTES;
	vm.config.implicit = IMPLICIT_DENY;
	vcpu = (struct vcpu){ .vm = &vm, .run = &run, .index = 3 };
	log_set_level(LOG_ERROR);
}

static bool handle(uint64_t flags, uint64_t at, int code)
{
	struct abi_memory_fault f = { .flags = flags, .gpa = at, .size = PAGE_SIZE };

	memcpy(&run.hw, &f, sizeof(f));
	ck_assert_uint_eq(fault_gpa(&run), at);
	return fault_is_conversion(&vcpu, code);
}

START_TEST(denied_unless_wished_for)
{
	ck_assert(handle(ABI_FAULT_PRIVATE, PAGE, -EFAULT));
	ck_assert_uint_eq(fake.conversions, 0);
	ck_assert_uint_eq(fake.ends, 1);
	ck_assert_ptr_nonnull(strstr(fake.text, "vCPU 3: the guest used gpa 0x5000 as private"));
	ck_assert_ptr_nonnull(strstr(fake.text, "which is shared"));
	ck_assert_ptr_nonnull(strstr(fake.text, "--implicit-conversion allow"));
	fake.is_private = true;
	ck_assert(handle(0, PAGE, -EFAULT));
	ck_assert_uint_eq(fake.conversions, 0);
	ck_assert_ptr_nonnull(strstr(fake.text, "as shared memory, which is private"));
}
END_TEST

START_TEST(allowed_in_both_directions)
{
	vm.config.implicit = IMPLICIT_ALLOW;
	ck_assert(handle(ABI_FAULT_PRIVATE, PAGE, -EFAULT));
	ck_assert(fake.is_private);
	ck_assert(handle(0, PAGE, -EFAULT));
	ck_assert(!fake.is_private);
	ck_assert_uint_eq(fake.conversions, 2);
	ck_assert_uint_eq(fake.ends, 0);
}
END_TEST

/* Else the vCPU would come back with the same fault for ever. */
START_TEST(one_that_fails_ends_the_vm)
{
	vm.config.implicit = IMPLICIT_ALLOW;
	fake.refuses = true;
	ck_assert(handle(ABI_FAULT_PRIVATE, PAGE, -EFAULT));
	ck_assert_uint_eq(fake.ends, 1);
	ck_assert_ptr_nonnull(strstr(fake.text, "cannot be made private"));
}
END_TEST

/* The host cannot provide a page: the same exit, another reason. */
START_TEST(faults_of_the_host_are_left_to_the_caller)
{
	vm.config.implicit = IMPLICIT_ALLOW;
	ck_assert(!handle(0, PAGE, -EFAULT)); /* shared, as it was wanted */
	ck_assert(!handle(ABI_FAULT_PRIVATE, PAGE, -ENOMEM));
	ck_assert(!handle(ABI_FAULT_PRIVATE, PAGE, -EHWPOISON));
	ck_assert(!handle(ABI_FAULT_PRIVATE, PAGE + PAGE_SIZE, -EFAULT));
	vm.config.conversion = CONVERSION_SWAP;
	ck_assert(!handle(ABI_FAULT_PRIVATE, PAGE, -EFAULT));
	ck_assert_uint_eq(fake.conversions + fake.ends, 0);
}
END_TEST

Suite *fault_suite(void)
{
	Suite *s = suite_create("fault");
	TCase *t = tcase_create("fault");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, denied_unless_wished_for);
	tcase_add_test(t, allowed_in_both_directions);
	tcase_add_test(t, one_that_fails_ends_the_vm);
	tcase_add_test(t, faults_of_the_host_are_left_to_the_caller);
	suite_add_tcase(s, t);
	return s;
}
